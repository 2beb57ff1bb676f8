//! Operations submitted over HTTPS: each request starts one on a guest of its own stack, because those of one stack exclude
//! each other.
//!
//! The site accepts connections and never says a word, so that what was accepted waits and the figure tells of the submits.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rl_model::{GuestId, ResolvedGuest, StackName, Vmid};
use rl_store::Store;
use tokio::task::JoinSet;

use super::api::{CONNECTIONS, Server};
use super::store::{failed, open};
use crate::error::CommandError;

/// Operations submitted, each on a guest of its own.
const SUBMITS: usize = 20_000;
/// The VMID of the first; those of the site's own range are left alone.
const VMID_FIRST: u32 = 100_000;

/// What was measured.
pub(super) struct Measured {
    /// Answered with 202, in a second.
    pub(super) per_second: f64,
    /// Time from a request to its answer, all but one in a hundred.
    pub(super) p99: Duration,
}

/// Submits to a server on this data directory, which holds a stack with a guest to take as the pattern.
pub(super) async fn submits(data: &Path) -> Result<Measured, CommandError> {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
    let address = silent.local_addr().map_err(failed)?;
    let guests = populate(data, &format!("https://{address}")).await?;
    let (server, _) = Server::start(data).await?;
    let mut shares: Vec<Vec<GuestId>> = (0..CONNECTIONS).map(|_| Vec::new()).collect();
    for (at, guest) in guests.into_iter().enumerate() {
        shares[at % CONNECTIONS].push(guest);
    }
    let mut connected = Vec::with_capacity(CONNECTIONS);
    for share in shares {
        connected.push((server.connect().await?, share));
    }
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for (mut connection, share) in connected {
        tasks.spawn(async move {
            let mut times = Vec::with_capacity(share.len());
            for guest in share {
                let sent = Instant::now();
                let path = format!("/v1/guests/{guest}/actions");
                let status = connection.post(&path, guest.as_str(), r#"{"action":"start"}"#).await?;
                times.push(sent.elapsed());
                if status != 202 {
                    return Err(CommandError::failed(format!("the server answered {status}: {}", connection.body())));
                }
            }
            Ok(times)
        });
    }
    let mut times = Vec::with_capacity(SUBMITS);
    while let Some(ended) = tasks.join_next().await {
        times.extend(ended.map_err(failed)??);
    }
    let per_second = times.len() as f64 / began.elapsed().as_secs_f64();
    server.end().await?;
    times.sort_unstable();
    Ok(Measured { per_second, p99: times[times.len() * 99 / 100] })
}

/// Writes down the guests, which are on a site at this address.
async fn populate(data: &Path, address: &str) -> Result<Vec<GuestId>, CommandError> {
    let store = open(data).await?;
    let pattern = store.all_guests().await.map_err(failed)?.into_iter().find_map(|record| record.applied);
    let pattern = pattern.ok_or_else(|| CommandError::failed("there is no guest to take as the pattern"))?;
    if let Some(mut record) = store.site(&pattern.site).await.map_err(failed)? {
        record.site.endpoints = vec![address.parse().map_err(failed)?];
        store.put_site(record.site).await.map_err(failed)?;
    }
    let (store, pattern) = (Arc::new(store), Arc::new(pattern));
    let mut tasks = JoinSet::new();
    for share in 0..CONNECTIONS {
        let (store, pattern) = (Arc::clone(&store), Arc::clone(&pattern));
        tasks.spawn(async move {
            let mut made = Vec::new();
            for number in (share..SUBMITS).step_by(CONNECTIONS) {
                made.push(record(&store, &pattern, number).await?);
            }
            Ok::<_, CommandError>(made)
        });
    }
    let mut guests = Vec::with_capacity(SUBMITS);
    while let Some(made) = tasks.join_next().await {
        guests.extend(made.map_err(failed)??);
    }
    Ok(guests)
}

async fn record(store: &Store, pattern: &ResolvedGuest, number: usize) -> Result<GuestId, CommandError> {
    let vmid = Vmid::try_from(VMID_FIRST + number as u32).map_err(failed)?;
    let stack: StackName = format!("bench-{number}").parse().map_err(failed)?;
    let id = GuestId::from_bits(number as u128 + 1);
    let guest = ResolvedGuest { id: id.clone(), vmid, nics: Vec::new(), ..pattern.clone() };
    store.record_guest(&stack, &guest, &guest.node, vmid).await.map_err(failed)?;
    Ok(id)
}
