//! Many at once over HTTPS: submitters of durable operations, and followers of the event stream.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::api::{CONNECTIONS, Connection, MEASURED, Server};
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
/// Requests before the counted ones, so that the server is warm.
const WARM: Duration = Duration::from_secs(1);

/// What submitters got.
pub(super) struct Submitted {
    /// Operations accepted in a second.
    pub(super) per_second: f64,
    /// Time of an answer that 99 of 100 did not exceed, in milliseconds.
    pub(super) p99_ms: f64,
}

/// Operations submitted by all connections together, each with its key and audit entry, each the next when the last was answered.
pub(super) async fn submits(data: &Path) -> Result<Submitted, CommandError> {
    let (server, _) = Server::start(data).await?;
    let mut first = server.connect().await?;
    first.get("/v1/guests?limit=100").await?;
    let body = first.body();
    let items = body["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let guests: Vec<&str> = items.iter().filter_map(|guest| guest["id"].as_str()).collect();
    if guests.is_empty() {
        return Err(CommandError::failed("there is no guest to act on"));
    }
    let mut tasks = tokio::task::JoinSet::new();
    let began = Instant::now();
    for number in 0..CONNECTIONS {
        let mut connection = server.connect().await?;
        let path = format!("/v1/guests/{}/actions", guests[number % guests.len()]);
        tasks.spawn(async move {
            let mut took = Vec::new();
            for count in 0_u64.. {
                let asked = Instant::now();
                if asked > began + WARM + MEASURED {
                    break;
                }
                let status = connection.post(&path, &format!("{number}-{count}"), r#"{"action":"restart"}"#).await?;
                if status != 202 {
                    return Err(CommandError::failed(format!("the server answered {status}: {}", connection.body())));
                }
                if asked > began + WARM {
                    took.push(asked.elapsed());
                }
            }
            Ok(took)
        });
    }
    let mut took = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        took.extend(ended.map_err(failed)??);
    }
    server.end().await?;
    took.sort_unstable();
    let p99 = took.get(took.len() * 99 / 100).copied().unwrap_or_default();
    Ok(Submitted { per_second: took.len() as f64 / MEASURED.as_secs_f64(), p99_ms: p99.as_secs_f64() * 1000.0 })
}

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
