//! The node's own tools, as programs: what they are given, what is made of their answers.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rl_agent::node::pct::{Hold, Pct, PctError, Run, Tools};
use rl_model::Vmid;
use rustix::fs::{FlockOperation, flock};

use crate::lab::until;

/// A program that stands for `pct`: `exec` runs what follows, the rest answers as Proxmox does.
const PCT: &str = r#"#!/bin/sh
case "$1 $2" in
"config 101") [ "$3 $4" = "--current 1" ] || exit 9; printf 'hostname: web-1\ndescription: a%%3Ab%%0A\n' ;;
"config 102") echo "Configuration file 'nodes/pve1/lxc/102.conf' does not exist" >&2; exit 2 ;;
"config 103") echo "ipcc_send_rec failed: Connection refused" >&2; exit 255 ;;
"status 101") echo "status: running" ;;
"status 104") echo "status: stopped" ;;
"exec 101") shift 2; [ "$1" = --keep-env ] && shift 2; shift; exec "$@" ;;
*) echo "unknown: $*" >&2; exit 255 ;;
esac
"#;

fn tools(dir: &Path, locks: bool) -> Tools {
    let pct = dir.join("pct");
    std::fs::write(&pct, PCT).unwrap();
    std::fs::set_permissions(&pct, std::fs::Permissions::from_mode(0o755)).unwrap();
    Tools { pct, pvesh: dir.join("pvesh"), locks: locks.then(|| dir.to_owned()) }
}

fn vmid(number: u32) -> Vmid {
    number.to_string().parse().unwrap()
}

fn command(text: &str) -> Run {
    Run {
        argv: ["/bin/sh", "-c", text].map(str::to_owned).to_vec(),
        env: Vec::new(),
        input: Vec::new().into(),
        word: None,
        limit: Duration::from_secs(60),
        output_max: 1 << 20,
        output: None,
        hold: None,
    }
}

#[tokio::test]
async fn configurations_and_states_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let tools = tools(dir.path(), false);
    let keys = tools.config(vmid(101)).await.unwrap().unwrap();
    assert_eq!((keys["hostname"].as_str(), keys["description"].as_str()), ("web-1", "a:b\n"));
    assert!(tools.config(vmid(102)).await.unwrap().is_none());
    // A node that cannot say is not one that has no such guest.
    let error = tools.config(vmid(103)).await.unwrap_err();
    assert!(matches!(&error, PctError::Failed { said, .. } if said.contains("Connection refused")), "{error}");
    assert!(tools.is_running(vmid(101)).await.unwrap());
    assert!(!tools.is_running(vmid(104)).await.unwrap());
    let nothing = Tools { pct: dir.path().join("nothing"), ..tools };
    assert!(matches!(nothing.config(vmid(101)).await, Err(PctError::Start { .. })));
}

#[tokio::test]
async fn a_command_gets_input_and_environment_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let tools = tools(dir.path(), false);
    let mut run = command("cat; echo $COLOUR; echo ${HOME-none}; echo ${CARGO-none}; echo said >&2; exit 5");
    run.env = vec![("COLOUR".to_owned(), "blue".to_owned())];
    run.input = b"in ".to_vec().into();
    let ran = tools.run(vmid(101), run).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&ran.out), "in blue\nnone\nnone\n");
    assert_eq!((ran.code, String::from_utf8_lossy(&ran.err).as_ref(), ran.cut), (Some(5), "said\n", false));
}

#[tokio::test]
async fn output_above_the_limit_is_dropped_and_the_command_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let tools = tools(dir.path(), false);
    let mut run = command("head -c 3000000 /dev/zero; exit 4");
    run.output_max = 1_000;
    let ran = tools.run(vmid(101), run).await.unwrap();
    assert_eq!((ran.out.len(), ran.cut, ran.code), (1_000, true, Some(4)));
}

/// All that a command has started is ended with it when its time is up.
#[tokio::test]
async fn a_command_out_of_time_is_ended_with_all_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let tools = tools(dir.path(), false);
    let pid = dir.path().join("pid");
    let mut run = command(&format!("sleep 6000 & echo $! > {}; wait", pid.display()));
    run.limit = Duration::from_secs(1);
    let ran = tools.run(vmid(101), run).await.unwrap();
    assert!(ran.timed_out, "{ran:?}");
    let pid = std::fs::read_to_string(pid).unwrap();
    let process = Path::new("/proc").join(pid.trim()).join("cmdline");
    until("what it started is gone", || std::fs::read(&process).unwrap_or_default().is_empty()).await;
}

/// While a guest is held, Proxmox cannot take its lock; orders can share it; and it is let go of afterwards.
#[tokio::test]
async fn a_guest_is_held_as_proxmox_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let tools = tools(dir.path(), true);
    let (one, other) = (tools.hold(vmid(101)).await.unwrap(), tools.hold(vmid(101)).await.unwrap());
    assert!(one.is_held() && other.is_held());
    let proxmox = std::fs::File::options().append(true).open(dir.path().join("pve-config-101.lock")).unwrap();
    assert!(flock(&proxmox, FlockOperation::NonBlockingLockExclusive).is_err());
    drop((one, other));
    flock(&proxmox, FlockOperation::NonBlockingLockExclusive).unwrap();
    // Proxmox holds it: the order waits, and then says so.
    assert!(matches!(tools.hold(vmid(101)).await, Err(PctError::Held(_))));
    assert!(tools.hold(vmid(102)).await.unwrap().is_held());
    let without = Tools { locks: None, ..tools };
    assert!(matches!(without.hold(vmid(101)).await.unwrap(), Hold::Open));
}
