//! The jobs of an operation that did not end well, for whoever reads the result by machine.

use rl_engine::{JobState, OperationId, PAGE_MAX};
use serde::Serialize;

use crate::error::CommandError;
use crate::work::data::Data;
use crate::work::runner::journal_error;

/// Most jobs named in one result; `op show` tells them all.
const TROUBLES_MAX: usize = 50;

/// A job that failed, is stuck, or waits for a person.
#[derive(Debug, Serialize)]
pub(crate) struct Trouble {
    job: String,
    state: &'static str,
    reason: Option<String>,
    hint: Option<String>,
}

/// The first jobs of an operation that did not end well, in their order.
pub(crate) async fn of(data: &Data, id: OperationId) -> Result<Vec<Trouble>, CommandError> {
    let journal = data.journal();
    let (mut found, mut from) = (Vec::new(), 0);
    while found.len() < TROUBLES_MAX {
        let page = journal.jobs(id, from, PAGE_MAX).await.map_err(journal_error)?;
        let Some(last) = page.last() else { break };
        from = last.seq + 1;
        let bad = page.into_iter().filter(|job| {
            matches!(job.status.state, JobState::Failed | JobState::Stuck | JobState::Blocked | JobState::Parked)
        });
        found.extend(bad.take(TROUBLES_MAX - found.len()).map(|job| Trouble {
            job: job.spec.key,
            state: job.status.state.as_str(),
            reason: job.status.reason,
            hint: job.status.hint,
        }));
    }
    Ok(found)
}
