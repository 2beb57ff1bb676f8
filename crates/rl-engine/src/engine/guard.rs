//! Keeps the panic of a step to its attempt.
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt;

use super::EngineStats;
use crate::step::StepError;

/// A panic is an error of this attempt, not the end of the process.
pub(super) async fn guarded<T>(
    run: impl Future<Output = Result<T, StepError>>,
    stats: &EngineStats,
) -> Result<T, StepError> {
    match AssertUnwindSafe(run).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => {
            stats.panics.fetch_add(1, Ordering::Relaxed);
            Err(StepError::retry(Duration::ZERO, format!("it panicked: {}", panic_text(&*panic))))
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}
