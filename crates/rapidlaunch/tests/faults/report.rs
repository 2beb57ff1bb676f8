//! One line of the table per row: what was done, what was seen.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

/// How a row ended.
pub(crate) enum Outcome {
    /// All that was asked of it held; the figures that were seen.
    Pass(String),
    /// It cannot be made on this machine, and why.
    Skipped(String),
}

/// Whether the full sizes were asked for.
pub(crate) fn full() -> bool {
    std::env::var("RAPIDLAUNCH_FAULTS").is_ok_and(|size| size == "full")
}

/// A size: small in `make test`, full in `make faults`.
pub(crate) fn size<T>(small: T, large: T) -> T {
    if full() { large } else { small }
}

/// Runs a row and writes its line down, whichever way it ends.
#[track_caller]
pub(crate) fn row(number: &str, fault: &str, how: &str, body: impl FnOnce() -> Outcome) {
    let began = Instant::now();
    let ended = catch_unwind(AssertUnwindSafe(body));
    let (result, seen) = match &ended {
        Ok(Outcome::Pass(seen)) => ("pass", seen.clone()),
        Ok(Outcome::Skipped(why)) => {
            eprintln!("skipped: {why}");
            ("skipped", why.clone())
        }
        Err(panic) => ("FAILED", text_of(&**panic)),
    };
    let seen = seen.replace('|', "/").replace('\n', " ");
    let took = began.elapsed().as_secs_f64();
    let number_shown = number.trim_start_matches('0');
    let line = format!("| {number_shown} | {fault} | {how} | {result} | {seen} | {took:.0} s |\n");
    eprint!("{line}");
    if let Some(dir) = std::env::var_os("RAPIDLAUNCH_FAULTS_TABLE") {
        let path = std::path::Path::new(&dir).join(format!("{number}.md"));
        std::fs::write(path, &line).unwrap();
    }
    if let Err(panic) = ended {
        resume_unwind(panic);
    }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_default().chars().take(300).collect()
}
