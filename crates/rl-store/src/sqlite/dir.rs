//! The data directory: private to its user, held by one process at a time.
use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::StoreError;

/// Name of the lock file; it holds the number of the process that has the lock.
const LOCK_FILE: &str = "lock";
/// Name of the database.
const DATABASE_FILE: &str = "rapidlaunch.db";
/// Most bytes read from a lock file: a process number is shorter.
const PID_LEN_MAX: u64 = 32;

/// A held data directory; let go of when dropped or when the process ends in whatever way.
#[derive(Debug)]
pub(super) struct HeldDir {
    dir: PathBuf,
    _lock: File,
}

impl HeldDir {
    pub(super) fn path(&self) -> &Path {
        &self.dir
    }

    pub(super) fn database(&self) -> PathBuf {
        self.dir.join(DATABASE_FILE)
    }

    pub(super) fn log(&self) -> PathBuf {
        self.dir.join(format!("{DATABASE_FILE}-wal"))
    }
}

/// Creates the directory if need be and takes its lock, or says who has it.
pub(super) fn hold(dir: &Path) -> Result<HeldDir, StoreError> {
    let failed = |doing| move |source| StoreError::Directory { dir: dir.to_owned(), doing, source };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed("creating it"))?;
    std::fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(failed("making it private"))?;
    let mut lock = private_file(&dir.join(LOCK_FILE)).map_err(failed("opening its lock file"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StoreError::Held { dir: dir.to_owned(), pid: holder(&mut lock) });
        }
        Err(TryLockError::Error(source)) => return Err(failed("locking it")(source)),
    }
    write_pid(&mut lock).map_err(failed("writing its lock file"))?;
    // SQLite gives its log and index the database's permissions, so the database must exist with ours.
    private_file(&dir.join(DATABASE_FILE)).map_err(failed("creating the database"))?;
    Ok(HeldDir { dir: dir.to_owned(), _lock: lock })
}

/// The database of a directory that another process holds.
pub(super) fn database(dir: &Path) -> Result<PathBuf, StoreError> {
    let path = dir.join(DATABASE_FILE);
    match path.metadata() {
        Ok(_) => Ok(path),
        Err(source) => Err(StoreError::Directory { dir: dir.to_owned(), doing: "looking for its database", source }),
    }
}

fn private_file(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

fn holder(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.take(PID_LEN_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(lock: &mut File) -> std::io::Result<()> {
    lock.set_len(0)?;
    lock.seek(SeekFrom::Start(0))?;
    writeln!(lock, "{}", std::process::id())?;
    lock.flush()
}
