//! Named points at which a test lets the process die, as if by `kill -9`.
//!
//! `RAPIDLAUNCH_FAILPOINT=name` kills at the first pass of that point, `name:3` at the third. Without the variable a point costs one load.
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Every fail-point of the workspace. A test compares this list with the sources, so that none is left out of a test run.
pub const ALL: &[&str] = &[
    "engine.cancel.after",
    "engine.cancel.before",
    "engine.claim.after",
    "engine.claim.before",
    "engine.finish.after",
    "engine.finish.before",
    "engine.intent.after",
    "engine.intent.before",
    "engine.outcome.after",
    "engine.outcome.before",
    "engine.schedule.after",
    "engine.schedule.before",
    "engine.submit.after",
    "engine.submit.before",
    "engine.submitted.after",
    "engine.submitted.before",
    "engine.turn.after",
    "engine.turn.before",
    "engine.withdraw.after",
    "engine.withdraw.before",
    "ops.apply.recorded",
    "ops.call.after",
    "ops.call.before",
    "ops.proof.before",
    "ops.reserve.after",
    "ops.secret.after",
    "ops.secret.before",
    "ops.task.followed",
    "store.commit.after",
    "store.commit.before",
    "store.start.after",
    "store.start.before",
];

/// The variable that arms a fail-point.
pub const VARIABLE: &str = "RAPIDLAUNCH_FAILPOINT";

struct Armed {
    name: String,
    passes_left: AtomicU64,
}

static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

/// Passes a fail-point. Use [`fail_point!`](crate::fail_point), which the test over the sources can find.
pub fn hit(name: &str) {
    let armed = ARMED.get_or_init(|| parse(std::env::var(VARIABLE).ok().as_deref()));
    let Some(armed) = armed else { return };
    if armed.name == name && armed.passes_left.fetch_sub(1, Ordering::SeqCst) == 1 {
        die();
    }
}

fn parse(value: Option<&str>) -> Option<Armed> {
    let value = value.filter(|value| !value.is_empty())?;
    let (name, count) = value.rsplit_once(':').unwrap_or((value, "1"));
    let count = count.parse::<u64>().unwrap_or(1).max(1);
    if !ALL.contains(&name) {
        tracing::warn!(name, "RAPIDLAUNCH_FAILPOINT names no fail-point; it will not be reached");
    }
    Some(Armed { name: name.to_owned(), passes_left: AtomicU64::new(count) })
}

/// The variable that names a stall, such as `engine.beat`.
pub const STALL_VARIABLE: &str = "RAPIDLAUNCH_STALL";

/// Every place at which a test can let the engine get stuck.
pub const STALLS: &[&str] = &["engine.beat"];

/// Passes a place at which a test can let its caller wait for ever, as if it waited for itself.
pub async fn stall(name: &'static str) {
    static STALLED: OnceLock<Option<String>> = OnceLock::new();
    debug_assert!(STALLS.contains(&name), "add it to the list");
    if STALLED.get_or_init(|| std::env::var(STALL_VARIABLE).ok()).as_deref() == Some(name) {
        std::future::pending::<()>().await;
    }
}

/// Ends the process the way `kill -9` does: no destructor runs and nothing is flushed.
fn die() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}

/// Marks a point at which a test can let the process die. The name must be a literal that is listed in [`failpoints::ALL`](crate::failpoints::ALL).
#[macro_export]
macro_rules! fail_point {
    ($name:literal) => {
        $crate::failpoints::hit($name)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_names_a_point_and_a_pass() {
        let read = |value: &str| parse(Some(value)).map(|armed| (armed.name, armed.passes_left.into_inner()));
        assert_eq!(read("engine.intent.after"), Some(("engine.intent.after".to_owned(), 1)));
        assert_eq!(read("engine.intent.after:3"), Some(("engine.intent.after".to_owned(), 3)));
        assert_eq!(read("engine.intent.after:0"), Some(("engine.intent.after".to_owned(), 1)));
        assert_eq!(read(""), None);
        assert!(parse(None).is_none());
    }
}
