#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn globs_stop_at_slashes_unless_doubled() {
    assert!(glob(b"/nodes/*/lxc", b"/nodes/pve1/lxc"));
    assert!(!glob(b"/nodes/*/lxc", b"/nodes/pve1/lxc/100"));
    assert!(glob(b"/nodes/**", b"/nodes/pve1/lxc/100"));
    assert!(glob(b"**/status/start", b"/nodes/pve1/lxc/100/status/start"));
}

#[test]
fn nth_and_times_count_matching_calls_only() {
    let fault: Fault = serde_json::from_str(
        r#"{"when":{"method":"POST","path":"/nodes/*/lxc","nth":2},"action":{"do":"lose-answer"}}"#,
    )
    .unwrap();
    let faults = Faults::new(vec![fault], 1);
    assert!(faults.strike("POST", "/nodes/a/lxc", None).is_empty());
    assert!(faults.strike("GET", "/nodes/a/lxc", None).is_empty());
    assert_eq!(faults.strike("POST", "/nodes/b/lxc", None).len(), 1);
    assert!(faults.strike("POST", "/nodes/a/lxc", None).is_empty());
}

#[test]
fn chance_repeats_with_the_seed() {
    let fault: Fault = serde_json::from_str(r#"{"when":{"probability":0.5},"action":{"do":"restart-proxy"}}"#).unwrap();
    let run = |seed| {
        let faults = Faults::new(vec![fault.clone()], seed);
        (0..64).map(|_| faults.strike("GET", "/", None).len()).collect::<Vec<_>>()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn unknown_keys_are_refused_by_name() {
    let error = serde_json::from_str::<Fault>(r#"{"action":{"do":"hang-task"},"whenn":{}}"#).unwrap_err();
    assert!(error.to_string().contains("whenn"), "{error}");
}
