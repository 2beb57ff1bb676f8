//! Commands and files in a container.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Signal, getpgrp, getpid, getuid, kill_process_group};

use super::{Died, Setting, site, trees};

/// How often it is looked whether the container still runs: what runs in one ends with it.
const LOOK: Duration = Duration::from_millis(250);
/// A command that takes less is looked after closely.
const SHORT: Duration = Duration::from_millis(50);
/// Where programs are looked for, where the caller does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const CAT_INTO: &str = r#"set -eu
cat > "$1"
[ -z "$2" ] || chmod "$2" "$1"
[ -z "$3" ] || chown "$3" "$1""#;

pub(super) fn exec(setting: &Setting, vmid: &str, argv: &[&str]) -> Result<u8, Died> {
    run(setting, vmid, argv, Stdio::inherit(), Stdio::inherit())
}

/// `pct push VMID FILE PATH [--perms MODE] [--user USER] [--group GROUP]`
pub(super) fn push(setting: &Setting, vmid: &str, file: &str, path: &str, options: &[&str]) -> Result<u8, Died> {
    let option = |name: &str| {
        let at = options.iter().position(|word| word.trim_start_matches('-') == name);
        at.and_then(|at| options.get(at + 1)).copied().unwrap_or("")
    };
    let owner = match (option("user"), option("group")) {
        ("", "") => String::new(),
        (user, "") => user.to_owned(),
        (user, group) => format!("{user}:{group}"),
    };
    let argv = ["/bin/sh", "-c", CAT_INTO, "sh", path, option("perms"), &owner];
    run(setting, vmid, &argv, File::open(file)?.into(), Stdio::inherit())
}

/// `pct pull VMID PATH FILE`
pub(super) fn pull(setting: &Setting, vmid: &str, path: &str, file: &str) -> Result<u8, Died> {
    run(setting, vmid, &["/bin/cat", path], Stdio::null(), File::create(file)?.into())
}

fn run(setting: &Setting, vmid: &str, argv: &[&str], input: Stdio, output: Stdio) -> Result<u8, Died> {
    let guest = site::guest(setting, vmid)?;
    if argv.is_empty() {
        return Err(Died("missing command".to_owned()));
    }
    let Some(boot) = &guest.boot else {
        // What lxc-attach says.
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            format!("lxc-attach: {vmid}: get_attach_context: Connection refused - Failed to get init pid\n").as_bytes(),
        );
        return Ok(1);
    };
    let tree = trees::of(setting, &guest)?;
    let mut command = if getuid().is_root() { rooted(&tree, argv) } else { beneath(&tree, argv) };
    let mut child = command.current_dir(&tree).stdin(input).stdout(output).spawn()?;
    loop {
        if let Some(status) = wait(&mut child)? {
            let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
            return Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(255));
        }
        let now = site::guest(setting, vmid).ok().and_then(|guest| guest.boot);
        if now.as_ref() != Some(boot) {
            return Ok(end(&mut child));
        }
    }
}

/// Waits for a while; a short command is not held up.
fn wait(child: &mut Child) -> std::io::Result<Option<std::process::ExitStatus>> {
    let began = std::time::Instant::now();
    while began.elapsed() < LOOK {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let pause = if began.elapsed() < SHORT { Duration::from_millis(1) } else { Duration::from_millis(20) };
        std::thread::sleep(pause);
    }
    Ok(None)
}

/// The container is gone, and all that ran in it.
fn end(child: &mut Child) -> u8 {
    let _ = child.kill();
    // The caller gives each tool a group of its own; without one only the command itself is ended.
    if getpgrp() == getpid() {
        let _ = kill_process_group(getpgrp(), Signal::KILL);
    }
    137
}

/// With the container's folder as its root.
fn rooted(tree: &Path, argv: &[&str]) -> Command {
    let mut command = Command::new("/usr/sbin/chroot");
    command.arg(tree).args(argv);
    if std::env::var_os("PATH").is_none() {
        command.env("PATH", PATH);
    }
    command
}

/// In the container's folder, absolute paths turned into it.
fn beneath(tree: &Path, argv: &[&str]) -> Command {
    let turned = |word: &str| match word.strip_prefix('/') {
        Some(rest) if !rest.contains([' ', '\n']) => tree.join(rest).into_os_string(),
        _ => word.into(),
    };
    let program =
        if argv[0].starts_with('/') { turned(argv[0]) } else { tree.join("bin").join(argv[0]).into_os_string() };
    let mut command = Command::new(program);
    command.args(argv[1..].iter().map(|word| turned(word))).env("PATH", tree.join("bin"));
    command
}
