//! Schedules: listed, set up, stopped, removed.

use reqwest::Method;
use rl_engine::{JournalError, ScheduleName, ScheduleRecord};
use rl_ops::GuestVerb;
use serde_json::{Value, json};

use super::Side;
use crate::cli::args::GuestRef;
use crate::env;
use crate::error::CommandError;
use crate::remote::{RemoteError, encoded};
use crate::shape::schedule::ScheduleShape;
use crate::work::accounts::did;
use crate::work::data::{Data, store_error};
use crate::work::schedules::{self, NewSchedule, refused};
use crate::work::{guests, runner};

/// Most schedules that are listed: an installation keeps fewer.
const SCHEDULES_MAX: usize = 100_000;

impl Side {
    /// Schedules by name.
    pub(crate) async fn schedules(&self) -> Result<Vec<ScheduleShape>, CommandError> {
        match self {
            Self::Here(data) => {
                let all = data.journal().schedules().await.map_err(refused)?;
                Ok(all.iter().map(ScheduleShape::of).collect())
            }
            Self::There(remote) => Ok(remote.list("/v1/schedules", SCHEDULES_MAX).await?),
        }
    }

    /// Sets a schedule up for a guest, in place of the one of its name.
    pub(crate) async fn set_schedule(&self, new: NewSchedule, guest: &GuestRef) -> Result<ScheduleShape, CommandError> {
        match self {
            Self::Here(data) => set_here(data, new, guest).await,
            Self::There(remote) => {
                let body = json!({
                    "at": new.at.cron(), "zone": new.at.tz(), "missed": new.missed, "catch_up_max": new.catch_up_max,
                    "action": action(&new.verb)?, "guest": guest.guest,
                });
                Ok(remote.send(Method::PUT, &path(&new.name), &body).await?)
            }
        }
    }

    /// Stops a schedule, or lets it go on.
    pub(crate) async fn turn_schedule(&self, name: &ScheduleName, paused: bool) -> Result<ScheduleShape, CommandError> {
        match self {
            Self::Here(data) => {
                let record = find(data, name).await?;
                if record.paused != paused {
                    tell(data, if paused { "schedule.pause" } else { "schedule.resume" }, &record).await?;
                    data.journal().pause_schedule(name.clone(), paused, runner::now()).await.map_err(refused)?;
                }
                Ok(ScheduleShape::of(&find(data, name).await?))
            }
            Self::There(remote) => {
                let turn = if paused { "pause" } else { "resume" };
                let turned = remote.post(&format!("{}/{turn}", path(name)), &json!({})).await;
                turned.map_err(|error| missing(error, name))
            }
        }
    }

    /// Removes a schedule; what it has started goes on.
    pub(crate) async fn remove_schedule(&self, name: &ScheduleName) -> Result<(), CommandError> {
        match self {
            Self::Here(data) => {
                tell(data, "schedule.remove", &find(data, name).await?).await?;
                data.journal().remove_schedule(name.clone()).await.map_err(refused)
            }
            Self::There(remote) => {
                let removed: Result<Value, _> = remote.send(Method::DELETE, &path(name), &json!({})).await;
                removed.map(drop).map_err(|error| missing(error, name))
            }
        }
    }
}

async fn set_here(data: &Data, new: NewSchedule, guest: &GuestRef) -> Result<ScheduleShape, CommandError> {
    let (name, record) = (new.name.clone(), guests::find(data, &guest.guest).await?);
    let before = look(data, &name).await?;
    // Before the change: nothing happens that is not in the audit.
    data.store
        .audit(schedules::entry(did("schedule.set", String::new()), &new, &record, before.as_ref()))
        .await
        .map_err(store_error)?;
    schedules::set(data, new, &record, env::actor()).await?;
    Ok(ScheduleShape::of(&find(data, &name).await?))
}

async fn look(data: &Data, name: &ScheduleName) -> Result<Option<ScheduleRecord>, CommandError> {
    let all = data.journal().schedules().await.map_err(refused)?;
    Ok(all.into_iter().find(|record| record.spec.name == *name))
}

async fn find(data: &Data, name: &ScheduleName) -> Result<ScheduleRecord, CommandError> {
    look(data, name).await?.ok_or_else(|| unknown(name))
}

/// Writes into the audit what is done to a schedule.
async fn tell(data: &Data, action: &str, record: &ScheduleRecord) -> Result<(), CommandError> {
    let entry = did(action, format!("/stacks/{}", record.spec.operation.subject));
    let entry = entry.change(None, Some(json!({ "schedule": record.spec.name })));
    data.store.audit(entry).await.map(drop).map_err(store_error)
}

fn path(name: &ScheduleName) -> String {
    format!("/v1/schedules/{}", encoded(name.as_str()))
}

/// What is done to the guest, as the API takes it.
fn action(verb: &GuestVerb) -> Result<&'static str, CommandError> {
    match verb {
        GuestVerb::Start => Ok("start"),
        GuestVerb::Stop => Ok("stop"),
        GuestVerb::Restart => Ok("restart"),
        _ => Err(CommandError::input("schedules start, stop and restart guests, and do nothing else")),
    }
}

fn missing(error: RemoteError, name: &ScheduleName) -> CommandError {
    if error.is_not_found() { unknown(name) } else { error.into() }
}

fn unknown(name: &ScheduleName) -> CommandError {
    refused(JournalError::Schedule { name: name.to_string(), why: "there is no such schedule".to_owned() })
}
