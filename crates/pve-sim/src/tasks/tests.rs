#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

#[test]
fn what_is_no_task_id_is_not_taken_for_one() {
    for bad in [
        "",
        "notaupid",
        "UPID:pve1:1:2:3:vzstart:100:root@pam:",
        "UPID:$x:00000001:00000001:6B0329D9:vzcreate:100:root@pam:",
    ] {
        assert_eq!(parse_upid(bad), None, "{bad}");
    }
}

#[test]
fn a_killed_task_has_no_last_line() {
    let tasks = Tasks::default();
    let task = tasks.begin("n", "vzstart", "100", "root@pam", 1, 1);
    task.log("working");
    assert_eq!(tasks.finish(&task, &Ok(()), true, 2), "unexpected status");
    assert_eq!(task.lines(), ["working"]);
}

#[test]
fn warnings_are_counted_and_old_tasks_forgotten() {
    let tasks = Tasks::default();
    let first = tasks.begin("n", "vzcreate", "100", "root@pam", 1, 1);
    first.warn("careful");
    assert_eq!(tasks.finish(&first, &Ok(()), false, 2), "WARNINGS: 1");
    for _ in 0..FINISHED_TASKS {
        let task = tasks.begin("n", "x", "", "root@pam", 1, 1);
        tasks.finish(&task, &Ok(()), false, 2);
    }
    assert!(tasks.get(&first.upid).is_none());
    assert_eq!(tasks.finished("n").len(), FINISHED_TASKS);
}

proptest! {
    /// Every task id made is one that can be read.
    #[test]
    fn made_ids_are_read(start in 0i64..4_000_000_000, jiffies: u32, token in "[a-z]{0,8}") {
        let user = if token.is_empty() { "root@pam".to_owned() } else { format!("root@pam!{token}") };
        let task = Tasks::default().begin("pve1", "vzcreate", "100", &user, start, jiffies);
        let parts = parse_upid(&task.upid).unwrap();
        prop_assert_eq!((parts.node, parts.user), ("pve1", user.as_str()));
    }
}
