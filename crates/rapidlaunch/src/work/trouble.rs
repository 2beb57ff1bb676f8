//! The jobs of an operation that did not end well, for whoever reads the result by machine.

use rl_engine::{JobState, OperationId, PAGE_MAX};
use serde::Serialize;

use crate::error::CommandError;
use crate::shape::operation::JobShape;
use crate::work::data::Data;
use crate::work::runner::journal_error;

/// Most jobs named in one result; `op show` tells them all.
const TROUBLES_MAX: usize = 50;

/// A job that failed, is stuck, or waits for a person.
#[derive(Debug, Serialize)]
pub(crate) struct Trouble {
    job: String,
    state: String,
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
        found.extend(among(page.iter().map(|job| JobShape::of(job, &[]))));
    }
    found.truncate(TROUBLES_MAX);
    Ok(found)
}

/// Those among jobs that did not end well, up to the limit.
pub(crate) fn among(jobs: impl IntoIterator<Item = JobShape>) -> Vec<Trouble> {
    let bad = |job: &JobShape| {
        matches!(
            JobState::parse(&job.state),
            Some(JobState::Failed | JobState::Stuck | JobState::Blocked | JobState::Parked)
        )
    };
    let trouble = |job: JobShape| Trouble { job: job.name, state: job.state, reason: job.reason, hint: job.hint };
    jobs.into_iter().filter(bad).take(TROUBLES_MAX).map(trouble).collect()
}
