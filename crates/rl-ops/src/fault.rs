//! What an error of the Proxmox API means to a step.

use std::time::Duration;

use rl_engine::{Reach, StepError};
use rl_pve::{ErrorKind, PveError};

/// Wait after a refusal because of a lock: tasks that hold one take seconds.
pub(crate) const LOCKED_WAIT: Duration = Duration::from_secs(3);
/// Wait after a node or proxy was busy or out of reach.
pub(crate) const BUSY_WAIT: Duration = Duration::from_secs(2);
/// Wait after a lost answer, before looking what became of the call.
pub(crate) const LOST_WAIT: Duration = Duration::from_millis(500);

/// Whether the call may have been carried out although it failed.
pub(crate) fn may_have_happened(error: &PveError) -> bool {
    error.may_have_happened()
}

/// The meaning of an error when a read failed: nothing was changed, so most are worth another try.
pub(crate) fn look_error(error: PveError) -> StepError {
    match error.kind() {
        ErrorKind::NotFound => StepError::retry(BUSY_WAIT, full_text(&error)),
        _ => classify(&error),
    }
}

/// The meaning of an error when a change was refused, or its answer lost.
pub(crate) fn classify(error: &PveError) -> StepError {
    let text = full_text(error);
    let hint = || error.hint().map(str::to_owned);
    match error.kind() {
        ErrorKind::Forbidden { .. } => StepError::Blocked {
            reason: text,
            hint: Some(
                "`rapidlaunch site check NAME -f FILE` lists every privilege that is needed and lacks".to_owned(),
            ),
        },
        ErrorKind::Unauthorized | ErrorKind::Protected | ErrorKind::NotImplemented => {
            StepError::Blocked { reason: text, hint: hint() }
        }
        // What a change names beside the guest (a storage, a template, a bridge) is not there: waiting does not bring it.
        ErrorKind::BadParameters(_) | ErrorKind::RequestTooLarge | ErrorKind::NotFound => StepError::fatal(text),
        ErrorKind::Locked(_) | ErrorKind::LockTimeout => StepError::retry(LOCKED_WAIT, text),
        ErrorKind::DigestMismatch => StepError::retry(Duration::ZERO, text),
        // Nothing of the site answers: after several such failures all of its jobs wait for one that gets through.
        ErrorKind::Unreachable => StepError::unreachable(Reach::Site, error.retry_after().unwrap_or(BUSY_WAIT), text),
        // The proxy found no way to the node (pveproxy's 595).
        ErrorKind::MayHaveHappened if error.status() == Some(595) => {
            StepError::unreachable(Reach::Node, LOST_WAIT, text)
        }
        ErrorKind::MayHaveHappened => StepError::retry(LOST_WAIT, text),
        _ => StepError::retry(error.retry_after().unwrap_or(BUSY_WAIT), text),
    }
}

/// The message with its causes.
pub(crate) fn full_text(error: &PveError) -> String {
    use std::error::Error;
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
