//! Records of zones: looked at before a plan, written by a job, and proven.

mod answer;
mod expected;
mod look;
mod proof;
mod write;

use std::sync::Arc;
use std::time::Duration;

use rl_engine::{Envelope, JobKind, PayloadError, StepError, Steps};
use rl_model::{PartAction, PartKind, Records};
use rl_providers::dns::DnsError;

pub use look::{observe_zones, zones_of};
pub use proof::{prove_records, prove_records_gone};

use crate::kinds::read;

/// Kind of a job that writes records of one zone.
pub(crate) const KIND: &str = "dns-records";
/// Wait before a server that does not answer is asked again.
const AWAY_WAIT: Duration = Duration::from_secs(5);

/// The job: write, then wait until every server answers.
pub(crate) fn job_kind() -> JobKind {
    JobKind::first(KIND, steps)
}

fn steps(payload: &Envelope) -> Result<Steps, PayloadError> {
    let action: PartAction = read(payload)?;
    let PartKind::Records(part) = action.kind else {
        return Err(PayloadError(format!("a job of kind {KIND} carries another part")));
    };
    let part: Arc<Records> = Arc::from(part);
    Ok(vec![Arc::new(write::WriteRecords { part: Arc::clone(&part) }), Arc::new(answer::RecordsAnswer { part })])
}

/// The step's error: what may pass is tried again, all else is for a person.
pub(crate) fn dns_error(error: &DnsError) -> StepError {
    if error.may_pass() {
        StepError::retry(AWAY_WAIT, error.full())
    } else {
        StepError::blocked(error.full(), error.hint())
    }
}
