//! Room on the disk: a reserve that running work may use up, and the moment from which new work is refused.
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

/// Name of the reserve in the data directory.
const RESERVE_FILE: &str = "reserve";
/// Size of the reserve in bytes: what ten thousand running jobs write to their ends, several times over.
const RESERVE_BYTES: u64 = 64 << 20;
/// Below this many free bytes new work is refused: one commit of new work is smaller.
const FREE_LOW: u64 = 8 << 20;
/// Below this many free bytes the reserve is given up, before a write of running work fails for want of room.
const FREE_LEAST: u64 = 2 << 20;
/// With this many free bytes, the reserve not counted, new work is taken again; well above [`FREE_LOW`], so that it does not flap.
const FREE_ENOUGH: u64 = 2 * FREE_LOW;
/// Bytes written at once where room cannot be taken in one call.
const CHUNK: usize = 1 << 20;

/// See the module.
pub(super) struct Room {
    dir: PathBuf,
    reserved: bool,
    /// The reserve was given up, and is to be made again before new work is taken.
    owed: bool,
    tight: bool,
}

impl Room {
    /// Makes the reserve if there is room for it, and says so if there is none.
    pub(super) fn open(dir: &Path) -> Self {
        let mut room = Self { dir: dir.to_owned(), reserved: false, owed: false, tight: false };
        room.reserved = std::fs::metadata(room.path()).is_ok_and(|file| file.len() >= RESERVE_BYTES);
        if !room.reserved && room.free() >= RESERVE_BYTES + FREE_ENOUGH {
            room.reserve();
        }
        if !room.reserved {
            tracing::warn!(
                dir = %dir.display(),
                "there is no room for the reserve of {} MiB; when this disk is full, running work cannot be recorded until there is room",
                RESERVE_BYTES >> 20
            );
        }
        room
    }

    fn path(&self) -> PathBuf {
        self.dir.join(RESERVE_FILE)
    }

    /// Free bytes on the disk; plenty when the system does not say.
    fn free(&self) -> u64 {
        rustix::fs::statvfs(&self.dir).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Whether new work is refused.
    pub(super) fn is_tight(&self) -> bool {
        self.tight
    }

    /// A write found the disk full.
    pub(super) fn filled(&mut self) {
        if self.free() < FREE_ENOUGH {
            self.tighten();
        }
    }

    fn tighten(&mut self) {
        if !std::mem::replace(&mut self.tight, true) {
            tracing::error!(
                dir = %self.dir.display(),
                "the disk is full: new work is refused until there is room; running work is still recorded"
            );
        }
    }

    /// Looks how much room there is, and acts on it. Cheap enough for every commit.
    pub(super) fn look(&mut self) {
        let free = self.free();
        if !self.tight {
            if free < FREE_LOW {
                self.tighten();
            }
            return;
        }
        if free < FREE_LEAST {
            self.give_up_reserve();
            return;
        }
        if self.owed && free >= RESERVE_BYTES + FREE_ENOUGH {
            self.reserve();
        }
        if !self.owed && self.free() >= FREE_ENOUGH {
            self.tight = false;
            tracing::info!(dir = %self.dir.display(), "there is room on the disk again: new work is taken");
        }
    }

    /// Gives the reserve's room to running work. Answers whether there was one.
    pub(super) fn give_up_reserve(&mut self) -> bool {
        if !std::mem::take(&mut self.reserved) {
            return false;
        }
        self.owed = true;
        self.tighten();
        match std::fs::remove_file(self.path()) {
            Ok(()) => {
                tracing::warn!(dir = %self.dir.display(), "the reserve was given up, so that running work is still recorded");
                true
            }
            Err(error) => {
                tracing::error!(%error, dir = %self.dir.display(), "the reserve cannot be given up");
                false
            }
        }
    }

    fn reserve(&mut self) {
        match self.make_reserve() {
            Ok(()) => {
                self.reserved = true;
                self.owed = false;
            }
            Err(error) => {
                let _ = std::fs::remove_file(self.path());
                tracing::warn!(%error, dir = %self.dir.display(), "the reserve cannot be made");
            }
        }
    }

    fn make_reserve(&self) -> std::io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(self.path())?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => fill(&mut file),
            Err(error) => Err(error.into()),
        }
    }
}

/// Takes room by writing, where the file system cannot set it aside.
fn fill(file: &mut File) -> std::io::Result<()> {
    let chunk = vec![0x5a; CHUNK];
    for _ in 0..RESERVE_BYTES / CHUNK as u64 {
        file.write_all(&chunk)?;
    }
    file.sync_data()
}
