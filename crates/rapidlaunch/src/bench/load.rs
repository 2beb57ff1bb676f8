//! A server that many follow, and the page as a browser loads it, over HTTPS.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::api::{Connection, Server};
use super::store::failed;
use crate::api::page_files;
use crate::error::CommandError;
use crate::memory;

/// Followers at once.
pub(super) const FOLLOWERS: usize = 10_000;
/// Most followers from one address: fewer than the server's limit of connections from one.
const FOLLOWERS_OF_ADDRESS: usize = 2_000;
/// Followers that come at the same time: a queue of connections that are not accepted yet is short.
const ARRIVING: usize = 100;
/// How long the followers are let be before memory is read.
const SETTLED: Duration = Duration::from_secs(3);
/// Memory of a server that so many follow, in bytes.
pub(super) async fn followers(data: &Path) -> Result<u64, CommandError> {
    let (server, _) = Server::start(data).await?;
    let server = Arc::new(server);
    let mut following = Vec::with_capacity(FOLLOWERS);
    while following.len() < FOLLOWERS {
        let mut arriving = tokio::task::JoinSet::new();
        for number in following.len()..(following.len() + ARRIVING).min(FOLLOWERS) {
            let server = Arc::clone(&server);
            let from = Ipv4Addr::new(127, 0, 0, 2 + (number / FOLLOWERS_OF_ADDRESS) as u8);
            arriving.spawn(async move {
                let mut connection = server.connect_from(IpAddr::from(from)).await?;
                connection.follow("/v1/events").await?;
                Ok::<Connection, CommandError>(connection)
            });
        }
        while let Some(arrived) = arriving.join_next().await {
            following.push(arrived.map_err(failed)??);
        }
    }
    tokio::time::sleep(SETTLED).await;
    let rss = memory::resident(server.process());
    drop(following);
    Ok(rss)
}

/// Bytes that come over the wire when a browser loads every file of the page, compressed as the server compresses.
pub(super) async fn page(data: &Path) -> Result<usize, CommandError> {
    let (server, _) = Server::start(data).await?;
    let mut bytes = 0;
    for file in page_files() {
        bytes += server.connect().await?.compressed(&format!("/{file}")).await?;
    }
    server.end().await?;
    Ok(bytes)
}
