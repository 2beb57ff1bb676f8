//! Guests: listed, shown, acted on.

use std::sync::Arc;

use rl_engine::{Ids, OperationId, SystemClock};
use rl_model::StackName;
use rl_ops::{GuestVerb, compile_guest};
use serde_json::{Value, json};

use super::Side;
use crate::cli::args::GuestRef;
use crate::env;
use crate::error::CommandError;
use crate::out::Out;
use crate::remote::{self, Remote, encoded};
use crate::shape::guest::{GuestShape, GuestWhole, Snapshots};
use crate::shape::operation::Accepted;
use crate::work::data::Data;
use crate::work::guests;
use crate::work::operate::{self, Ending};

/// Most guests that are listed: an installation has fewer.
const GUESTS_MAX: usize = 100_000;

/// What was done to a guest.
pub(crate) struct Acted {
    /// The operation that did it.
    pub(crate) id: OperationId,
    /// How it ended.
    pub(crate) ending: Ending,
    /// What was done, in a few words.
    pub(crate) summary: String,
}

impl Side {
    /// The guests of a stack, or all, as the sites show them now.
    pub(crate) async fn guests(&self, stack: Option<&StackName>, out: &Out) -> Result<Vec<GuestShape>, CommandError> {
        match self {
            Self::Here(data) => guests::listed(data, stack, out).await,
            Self::There(remote) => {
                let path = stack.map_or_else(|| "/v1/guests".to_owned(), |stack| format!("/v1/guests?stack={stack}"));
                Ok(remote.list(&path, GUESTS_MAX).await?)
            }
        }
    }

    /// A guest with its configuration as it is now and as it was applied.
    pub(crate) async fn guest(&self, guest: &GuestRef, out: &Out) -> Result<GuestWhole, CommandError> {
        match self {
            Self::Here(data) => guests::whole(data, &guests::find(data, &guest.guest).await?, out).await,
            Self::There(remote) => Ok(remote.get(&path(&found(remote, guest).await?)).await?),
        }
    }

    /// Does something to a guest, and follows it to its end.
    pub(crate) async fn act(&self, guest: &GuestRef, verb: GuestVerb, out: &Out) -> Result<Acted, CommandError> {
        match self {
            Self::Here(data) => act_here(data, guest, verb, out).await,
            Self::There(remote) => {
                let found = found(remote, guest).await?;
                let accepted: Accepted = remote.post(&format!("{}/actions", path(&found)), &wanted(verb)).await?;
                let id = accepted.id()?;
                let ending = Ending::settled(remote::follow(remote, id, out).await?);
                Ok(Acted { id, ending, summary: self.operation_of(id).await?.summary })
            }
        }
    }

    /// The snapshots of a guest, with its name.
    pub(crate) async fn snapshots(&self, guest: &GuestRef, out: &Out) -> Result<(String, Vec<String>), CommandError> {
        match self {
            Self::Here(data) => {
                let record = guests::find(data, &guest.guest).await?;
                let names = guests::snapshots(data, &record, out).await?;
                Ok((record.name.to_string(), names))
            }
            Self::There(remote) => {
                let found = found(remote, guest).await?;
                let listed: Snapshots = remote.get(&format!("{}/snapshots", path(&found))).await?;
                Ok((found.name, listed.items))
            }
        }
    }
}

async fn act_here(data: &Data, guest: &GuestRef, verb: GuestVerb, out: &Out) -> Result<Acted, CommandError> {
    let record = guests::find(data, &guest.guest).await?;
    let target = guests::target(data, &record)?;
    let sites = guests::connect_sites(data, [record.site.clone()], out).await?;
    let ids = Ids::from_os(Arc::new(SystemClock::new()));
    let job = compile_guest(target, verb, &ids)
        .map_err(|error| CommandError::failed("the job cannot be written down").because(error))?;
    let summary = job.key.clone();
    let id = operate::start_on_guest(data, &record.site, &record.stack, summary.clone(), job, &env::actor()).await?;
    let ending = operate::run(data, &sites, id, out).await?;
    Ok(Acted { id, ending, summary })
}

async fn found(remote: &Remote, guest: &GuestRef) -> Result<GuestShape, CommandError> {
    let text = guest.guest.as_str();
    let name = text.rsplit('/').next().unwrap_or_default();
    let mut all: Vec<GuestShape> = remote.list(&format!("/v1/guests?q={}", encoded(name)), GUESTS_MAX).await?;
    if all.is_empty() && !text.is_empty() {
        let by_id: Option<GuestWhole> = remote.find(&format!("/v1/guests/{}", encoded(text))).await?;
        all.extend(by_id.map(|whole| whole.guest));
    }
    guests::one_of(&all, text, |guest| [&guest.stack, &guest.name, &guest.id])
}

fn path(guest: &GuestShape) -> String {
    format!("/v1/guests/{}", encoded(&guest.id))
}

/// What is wanted of a guest, as the API takes it.
fn wanted(verb: GuestVerb) -> Value {
    let (action, snapshot) = match verb {
        GuestVerb::Start => ("start", None),
        GuestVerb::Stop => ("stop", None),
        GuestVerb::Restart => ("restart", None),
        GuestVerb::SnapshotCreate { name } => ("snapshot_create", Some(name)),
        GuestVerb::SnapshotRemove { name } => ("snapshot_remove", Some(name)),
        GuestVerb::SnapshotRollback { name } => ("snapshot_rollback", Some(name)),
    };
    json!({ "action": action, "snapshot": snapshot })
}
