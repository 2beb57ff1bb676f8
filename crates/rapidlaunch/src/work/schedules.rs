//! Sets schedules up, and keeps them true to the guests they are about.

use std::sync::Arc;

use rl_engine::{
    Ids, JournalError, MissedPolicy, ScheduleName, ScheduleRecord, ScheduleSpec, SystemClock, Timetable, UnixMs,
};
use rl_ops::{GuestVerb, compile_guest};
use rl_store::{GuestRecord, NewAudit};
use serde_json::json;

use crate::error::CommandError;
use crate::work::data::{Data, store_error};
use crate::work::guests::target;
use crate::work::{operate, runner};

/// A schedule as a person sets it up.
pub(crate) struct NewSchedule {
    /// Its name.
    pub(crate) name: ScheduleName,
    /// When.
    pub(crate) at: Timetable,
    /// What becomes of missed times.
    pub(crate) missed: MissedPolicy,
    /// Most missed times that are made up for one by one.
    pub(crate) catch_up_max: u32,
    /// What is done to the guest.
    pub(crate) verb: GuestVerb,
}

/// Reads a cron pattern and a time zone.
pub(crate) fn timetable(at: &str, zone: &str) -> Result<Timetable, CommandError> {
    Timetable::new(at, zone).map_err(|error| CommandError::input(error.to_string()))
}

/// Sets a schedule up for a guest, in place of the one of its name; answers its next time.
pub(crate) async fn set(
    data: &Data,
    new: NewSchedule,
    guest: &GuestRecord,
    actor: String,
) -> Result<Option<UnixMs>, CommandError> {
    let ids = Ids::from_os(Arc::new(SystemClock::new()));
    let job = compile_guest(target(data, guest)?, new.verb, &ids)
        .map_err(|error| CommandError::failed("the job cannot be written down").because(error))?;
    let summary = format!("{} ({})", job.key, new.name);
    let mut operation = operate::on_guest(&ids, &guest.site, &guest.stack, summary, job)?;
    operation.actor = actor;
    let NewSchedule { name, at, missed, catch_up_max, .. } = new;
    let spec = ScheduleSpec { name, at, missed, catch_up_max, operation };
    data.journal().put_schedule(spec, runner::now()).await.map_err(refused)
}

/// What the audit says of a schedule that is set up for a guest.
pub(crate) fn entry(
    deed: NewAudit,
    new: &NewSchedule,
    guest: &GuestRecord,
    before: Option<&ScheduleRecord>,
) -> NewAudit {
    let was = before.map(|before| json!({ "at": before.spec.at.cron(), "zone": before.spec.at.tz() }));
    let is = json!({ "schedule": new.name, "at": new.at.cron(), "zone": new.at.tz(), "guest": guest.name });
    NewAudit { path: format!("/stacks/{}", guest.stack), ..deed }.change(was, Some(is))
}

/// The command's error for a journal that did not do what was asked of a schedule.
pub(crate) fn refused(error: JournalError) -> CommandError {
    match error {
        JournalError::Schedule { .. } => {
            CommandError::input(error.to_string()).hinted("`rapidlaunch schedule ls` lists the schedules")
        }
        error => runner::journal_error(error),
    }
}

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
