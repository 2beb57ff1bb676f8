//! Webhooks: what happens is written down for each as deliveries, in one transaction with its place in the logs, and sent in order.
//!
//! `feed` makes deliveries out of both logs; `deliver` sends what is due and writes down what came of it. Both are woken, none asks
//! by the clock: the feeder by the logs, the deliverer by the feeder and by the earliest delivery that waits.

mod deliver;
mod feed;
mod keys;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use rl_providers::reach::{Reach, client_within};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::error::CommandError;
use crate::work::data::Data;

pub(crate) use deliver::{delivery_id, within};
pub(crate) use keys::{Keys, open, seal};

/// What feeder and deliverer tell each other.
#[derive(Debug, Default)]
struct Bells {
    /// There may be something to send.
    due: Notify,
    /// A webhook has room for deliveries again.
    room: Notify,
}

/// Feeds and delivers until `shutdown`. What is under way then is sent again by whoever comes next.
pub(crate) fn start(
    data: Arc<Data>,
    reach: Reach,
    shutdown: CancellationToken,
) -> Result<tokio::task::JoinHandle<()>, CommandError> {
    let client =
        client_within(reach).map_err(|error| CommandError::failed("webhooks cannot be sent").because(error))?;
    let bells = Arc::new(Bells::default());
    let deliverer = deliver::Deliverer::new(Arc::clone(&data), client, reach, Arc::clone(&bells));
    let feeder = feed::Feeder::new(&data, bells);
    Ok(tokio::spawn(async move {
        tokio::select! {
            ((), ()) = async { tokio::join!(feeder.run(), deliverer.run()) } => {}
            () = shutdown.cancelled() => {}
        }
    }))
}
