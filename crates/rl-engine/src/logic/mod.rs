//! The rules of the journal, written once over rows and run by every store that has them.
mod claim;
mod control;
mod finish;
mod journal;
mod owner;
mod schedule;
mod step;
mod submit;

pub use owner::roll_back;
pub use submit::submit;

use crate::id::OperationId;
use crate::journal::{Holder, JournalError};
use crate::record::JobStatus;
use crate::rows::RowResult;
use crate::transition;
use crate::tx::Tx;

/// The fence: reads the job and refuses whoever does not hold it any more.
fn held(tx: &mut Tx<'_>, holder: &Holder) -> RowResult<(OperationId, JobStatus)> {
    match tx.rows.job_status(holder.job)? {
        Some((operation, status)) if transition::is_held_by(&status, holder) => Ok((operation, status)),
        _ => Err(JournalError::LeaseLost { job: holder.job }),
    }
}
