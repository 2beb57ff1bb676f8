//! Keeps schedules true to the guests they are about.

use rl_engine::{ScheduleRecord, ScheduleSpec};

use crate::error::CommandError;
use crate::work::data::{Data, store_error};
use crate::work::guests::target;
use crate::work::runner;

/// Lets the schedules of a stack name its guests as they are now: a guest that was changed or made anew is another one to the
/// checks that go before every act. A schedule whose guest has gone is stopped.
pub(crate) async fn follow_stack(data: &Data, stack: &str) -> Result<(), CommandError> {
    let journal = data.journal();
    for record in journal.schedules().await.map_err(runner::journal_error)? {
        if record.spec.operation.subject != stack {
            continue;
        }
        match retargeted(data, &record).await? {
            Some(spec) if spec != record.spec => {
                journal.put_schedule(spec, runner::now()).await.map_err(runner::journal_error)?;
            }
            Some(_) => {}
            None if record.paused => {}
            None => {
                tracing::warn!(schedule = %record.spec.name, "its guest has gone; the schedule is stopped");
                let name = record.spec.name.clone();
                journal.pause_schedule(name, true, runner::now()).await.map_err(runner::journal_error)?;
            }
        }
    }
    Ok(())
}

/// The schedule with its guest as the store knows it; `None` when it knows it no more.
async fn retargeted(data: &Data, record: &ScheduleRecord) -> Result<Option<ScheduleSpec>, CommandError> {
    let mut spec = record.spec.clone();
    for job in &mut spec.operation.jobs {
        let Some(id) = rl_ops::guest_of(&job.payload) else { continue };
        let all = data.store.all_guests().await.map_err(store_error)?;
        let Some(known) = all.into_iter().find(|known| known.id == id && known.applied.is_some()) else {
            return Ok(None);
        };
        job.payload = rl_ops::retarget(&job.payload, target(data, &known)?)
            .map_err(|error| CommandError::failed("a schedule cannot be written down").because(error))?;
    }
    Ok(Some(spec))
}
