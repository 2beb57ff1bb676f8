//! Files of containers: made from busybox when they are first needed, copied with a clone, gone with the container, and with
//! an empty `/run` after every start.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};

use super::site::Guest;
use super::{Died, Setting};

/// Where Debian's `busybox-static` and others put it.
const BUSYBOX: [&str; 3] = ["/bin/busybox", "/usr/bin/busybox", "/sbin/busybox"];
const FOLDERS: [&str; 10] = ["bin", "dev", "etc", "home", "proc", "root", "run", "tmp", "usr", "var/log"];
const PASSWD: &str =
    "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n";
const GROUP: &str = "root:x:0:\napp:x:1000:\nnogroup:x:65534:\n";
/// Beside the files of a container: the start whose `/run` is in them.
const BOOT: &str = ".boot";

/// What the files of containers are made from.
pub(super) fn busybox() -> Option<&'static Path> {
    BUSYBOX.into_iter().map(Path::new).find(|path| path.exists())
}

/// The folder of a running container's files, brought up to date.
pub(super) fn of(setting: &Setting, guest: &Guest) -> Result<PathBuf, Died> {
    let lock = fs::File::options().create(true).append(true).open(setting.trees.join(".lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    // Nobody but this program changes files: a clone that is copied before the next change holds what it was cloned from.
    // A clone of a clone comes after the one it was made from.
    let mut copied = true;
    while copied {
        copied = false;
        for tree in &guest.trees {
            let (own, from) = (setting.trees.join(&tree.tree), tree.from.as_ref().map(|from| setting.trees.join(from)));
            if let Some(from) = from.filter(|from| !own.exists() && from.exists()) {
                copy(&from, &own)?;
                copied = true;
            }
        }
    }
    forget(setting, guest)?;
    let own = setting.trees.join(&guest.tree);
    if !own.exists() {
        make(&setting.trees, &own)?;
    }
    let (boot, now) = (setting.trees.join(format!("{}{BOOT}", guest.tree)), guest.boot.clone().unwrap_or_default());
    if fs::read_to_string(&boot).ok().as_deref() != Some(&now) {
        // A tmpfs is empty after a start.
        empty(&own.join("run"))?;
        fs::write(&boot, &now)?;
    }
    Ok(own)
}

/// Removes the files of containers that are gone.
fn forget(setting: &Setting, guest: &Guest) -> io::Result<()> {
    for entry in fs::read_dir(&setting.trees)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let name = name.strip_suffix(BOOT).unwrap_or(&name);
        if name.starts_with('.') || guest.trees.iter().any(|tree| tree.tree == name) {
            continue;
        }
        let path = entry.path();
        let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    }
    Ok(())
}

fn empty(folder: &Path) -> io::Result<()> {
    fs::remove_dir_all(folder)
        .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    fs::create_dir_all(folder)
}

fn copy(from: &Path, to: &Path) -> Result<(), Died> {
    let part = part_of(to);
    let _ = fs::remove_dir_all(&part);
    let done = Command::new("cp").arg("-a").arg(from).arg(&part).status()?;
    if !done.success() {
        return Err(Died(format!("the files of a clone cannot be copied to {}", part.display())));
    }
    empty(&part.join("run"))?;
    Ok(fs::rename(part, to)?)
}

/// A name that is taken for no container's files.
fn part_of(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    path.with_file_name(format!(".part-{name}"))
}

fn make(trees: &Path, to: &Path) -> Result<(), Died> {
    let base = trees.join(".base");
    if !base.exists() {
        make_base(&base)?;
    }
    copy(&base, to)
}

fn make_base(base: &Path) -> Result<(), Died> {
    let busybox =
        busybox().ok_or_else(|| Died("there is no busybox; install the package busybox-static".to_owned()))?;
    let part = part_of(base);
    let _ = fs::remove_dir_all(&part);
    for folder in FOLDERS {
        fs::create_dir_all(part.join(folder))?;
    }
    fs::set_permissions(part.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    fs::copy(busybox, part.join("bin/busybox"))?;
    let list = Command::new(busybox).arg("--list").output()?;
    for name in String::from_utf8_lossy(&list.stdout).lines().filter(|name| *name != "busybox") {
        symlink("busybox", part.join("bin").join(name))?;
    }
    fs::write(part.join("etc/passwd"), PASSWD)?;
    fs::write(part.join("etc/group"), GROUP)?;
    fs::write(part.join("dev/null"), "")?;
    fs::set_permissions(part.join("dev/null"), fs::Permissions::from_mode(0o666))?;
    Ok(fs::rename(part, base)?)
}
