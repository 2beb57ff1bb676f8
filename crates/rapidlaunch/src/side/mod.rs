//! The side on which a command's work is done: here, on the store, or there, by a server. Commands ask a side for the shapes
//! that they show, and know nothing of where these come from.

mod agents;
mod audit;
mod firewall;
mod grants;
mod guests;
mod operations;
mod plans;
mod quotas;
mod schedules;
mod secrets;
mod sites;
mod stacks;
mod tokens;
mod users;

pub(crate) use audit::Verified;
pub(crate) use guests::Acted;
pub(crate) use operations::Cancelled;
pub(crate) use plans::{Offer, Subject, Wish, blocked_guests};
pub(crate) use secrets::NewValue;

use crate::api;
use crate::cli::args::Global;
use crate::error::CommandError;
use crate::out::Out;
use crate::remote::Remote;
use crate::work::data::Data;
use crate::work::place;

/// See the module.
pub(crate) enum Side {
    /// This process does the work, on the store.
    Here(Box<Data>),
    /// A server does it.
    There(Box<Remote>),
}

impl Side {
    /// The side for commands that change something: the server that is named, or the store; where a server holds the data
    /// directory and says how it is reached, that server.
    pub(crate) async fn open(global: &Global, out: &Out) -> Result<Self, CommandError> {
        match Self::found(global, out).await? {
            Some(side) => Ok(side),
            None => Ok(Self::here(Data::open(global).await?)),
        }
    }

    /// The same for commands that can do with looking where another process holds the data directory.
    pub(crate) async fn open_or_look(global: &Global, out: &Out) -> Result<Self, CommandError> {
        match Self::found(global, out).await? {
            Some(side) => Ok(side),
            None => Ok(Self::here(Data::look(global).await?)),
        }
    }

    /// The side for commands that only look.
    pub(crate) async fn look(global: &Global, out: &Out) -> Result<Self, CommandError> {
        match Remote::given(&global.remote, out)? {
            Some(remote) => Ok(Self::there(remote)),
            None => Ok(Self::here(Data::look(global).await?)),
        }
    }

    async fn found(global: &Global, out: &Out) -> Result<Option<Self>, CommandError> {
        if let Some(remote) = Remote::given(&global.remote, out)? {
            return Ok(Some(Self::there(remote)));
        }
        if let Some(data) = Data::open_if_free(global).await? {
            return Ok(Some(Self::here(data)));
        }
        let folder = place::directory(global)?.join(api::FOLDER);
        Ok(Remote::at_door(folder).await.map(Self::there))
    }

    fn here(data: Data) -> Self {
        Self::Here(Box::new(data))
    }

    fn there(remote: Remote) -> Self {
        Self::There(Box::new(remote))
    }

    /// Whether a server does the work.
    pub(crate) fn is_there(&self) -> bool {
        matches!(self, Self::There(_))
    }
}
