//! Refusals that the recordings do not have, and hostile ones.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::api::{lxc, version};

fn kind(status: u16, reason: &str, read: bool) -> ErrorKind {
    classify(&Refusal { status, reason, body: b"" }, read).0
}

#[test]
fn texts_that_mean_one_thing() {
    let cases = [
        ("cfs-lock 'storage-nfs' error: got lock request timeout", ErrorKind::LockTimeout),
        ("can't lock file '/run/lock/lxc/pve-config-131.lock' - got timeout", ErrorKind::LockTimeout),
        ("cluster not ready - no quorum?", ErrorKind::NoQuorum),
        ("cfs-lock 'file-user_cfg' error: no quorum!", ErrorKind::NoQuorum),
        ("CT is locked (snapshot-delete)", ErrorKind::Locked("snapshot-delete".into())),
        ("VM is locked (clone)", ErrorKind::Locked("clone".into())),
        ("checksum mismatch (file change by other user?)", ErrorKind::DigestMismatch),
        ("close (rename) atomic file '/etc/pve/nodes/a/lxc/1.conf' failed: File exists", ErrorKind::AlreadyExists),
        ("unable to create CT 100 - CT 100 already exists on node 'pve1'", ErrorKind::AlreadyExists),
        ("can't remove CT 100 - protection mode enabled", ErrorKind::Protected),
        ("Configuration file 'nodes/pve1/lxc/100.conf' does not exist", ErrorKind::DoesNotExist),
        ("storage 'Configuration file' does not exist", ErrorKind::NotFound),
        ("hostname lookup 'pve9' failed - failed to get address info for: pve9", ErrorKind::NotFound),
        ("something nobody has seen", ErrorKind::Server),
    ];
    for (text, expected) in cases {
        assert_eq!(kind(500, text, false), expected, "{text}");
    }
}

#[test]
fn a_lost_answer_is_told_from_a_call_that_changed_nothing() {
    for status in [595, 596, 597, 598, 599, 502, 504] {
        assert_eq!(kind(status, "Connection timed out", false), ErrorKind::MayHaveHappened);
        assert_eq!(kind(status, "Connection timed out", true), ErrorKind::Unreachable);
    }
    let killed = "cfs-lock 'storage-x' error: 'storage-x'-locked command timed out - aborting";
    assert_eq!(kind(500, killed, false), ErrorKind::MayHaveHappened);
}

#[test]
fn a_refused_privilege_names_path_and_privileges() {
    let text = "Permission check failed (/vms/100, VM.Config.Disk|VM.Config.CPU)";
    let ErrorKind::Forbidden { path, privileges, root_only } = kind(403, text, false) else { panic!() };
    assert_eq!(path.as_deref(), Some("/vms/100"));
    assert_eq!(privileges, ["VM.Config.Disk", "VM.Config.CPU"]);
    assert!(!root_only);
    let text = "Permission check failed (changing feature flags (except nesting) is only allowed for root@pam)";
    assert!(matches!(kind(403, text, false), ErrorKind::Forbidden { path: None, root_only: true, .. }));
}

#[test]
fn parameter_errors_speak_before_the_text() {
    let body = br#"{"errors":{"vmid":"VM 100 already exists\n"},"message":"Parameter verification failed.\n"}"#;
    assert_eq!(classify(&Refusal { status: 400, reason: "", body }, true).0, ErrorKind::AlreadyExists);
    let body = br#"{"errors":{"upid":"no such task"}}"#;
    assert_eq!(classify(&Refusal { status: 400, reason: "", body }, true).0, ErrorKind::NoSuchTask);
    let body = br#"{"errors":{"cores":"type check ('integer') failed - got 'abc'"},"data":null}"#;
    let error = version::get().refused(400, "Parameter verification failed.", body);
    assert!(error.to_string().ends_with("`cores` type check ('integer') failed - got 'abc'"), "{error}");
}

#[test]
fn hostile_text_is_cut_and_disarmed() {
    let reason = format!("\u{1b}[31m{}\u{202e}\n", "x".repeat(5_000));
    let error = version::get().refused(500, &reason, b"");
    assert!(error.text().chars().count() <= TEXT_CHARS_MAX + 1);
    assert!(!error.to_string().contains(['\u{1b}', '\u{202e}', '\n']));
}

#[test]
fn after_a_repetition_an_echo_is_not_believed() {
    let vmid = "100".parse().unwrap();
    let request = lxc::start(&"pve1".parse().unwrap(), vmid);
    let echo = request.refused(500, "CT 100 already running", b"");
    assert_eq!(*echo.kind(), ErrorKind::AlreadyRunning);
    assert_eq!(*echo.after_repetition().kind(), ErrorKind::MayHaveHappened);
    let denied = request.refused(403, "Permission check failed", b"").after_repetition();
    assert!(matches!(denied.kind(), ErrorKind::Forbidden { .. }));
}

#[test]
fn messages_say_what_where_and_why() {
    let request = lxc::stop(&"pve1".parse().unwrap(), "100".parse().unwrap());
    let error = request.refused(500, "CT is locked (backup)", b"").at(&"https://pve1.example".parse().unwrap());
    insta::assert_snapshot!(error, @"refused: POST /nodes/pve1/lxc/100/status/stop at https://pve1.example:8006: CT is locked (backup)");
    insta::assert_snapshot!(error.hint().unwrap(), @"wait until its task has ended; a lock left behind is removed with `pct unlock` on the node");
}

proptest! {
    #[test]
    fn no_refusal_breaks_the_reader(status in 100u16..1000, reason in ".{0,300}", body in prop::collection::vec(any::<u8>(), 0..300)) {
        let error = version::get().refused(status, &reason, &body);
        prop_assert!(!error.to_string().chars().any(char::is_control));
    }
}
