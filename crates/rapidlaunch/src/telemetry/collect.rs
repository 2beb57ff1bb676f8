//! Figures that are read when somebody asks for them: what the engine has counted, what is in the store, what the kernel knows.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, UNIX_EPOCH};

use rl_engine::{EngineStats, JobState, OperationQuery, OperationRecord, OperationState, PAGE_MAX};
use rl_model::{AddressRange, Site, SiteLeases, SiteName, StackName};
use rl_store::LastLook;

use super::process::Process;
use super::stacks::Look;
use super::{Parts, Telemetry, names};
use crate::error::CommandError;
use crate::work::data::store_error;
use crate::work::runner::{self, journal_error};

/// Figures younger than this are told again: several who ask at once cost as much as one.
const FRESH: Duration = Duration::from_secs(1);
/// How long the store may take to tell all of its figures.
const STORE_LIMIT: Duration = Duration::from_secs(5);
/// Unfinished operations that are looked through, pages of [`PAGE_MAX`]: more are counted as so many.
const PAGES_MAX: usize = 10;
/// An agent that gave no sign of life for so long counts as away: several of its heartbeats.
const AGENT_AWAY: Duration = Duration::from_secs(60);
/// Addresses of one network that are counted as free at most: an IPv6 range has more than anybody wants to know.
const FREE_MAX: u128 = 1 << 32;

impl Telemetry {
    /// Reads all figures, unless that was done a moment ago.
    pub(super) async fn collect(&self) {
        let mut collected = self.collected.lock().await;
        if collected.is_some_and(|at| at.elapsed() < FRESH) {
            return;
        }
        self.process();
        let health = self.health().await;
        metrics::gauge!(names::CONNECTIONS).set(self.connections.load(Ordering::Relaxed) as f64);
        metrics::gauge!(names::FOLLOWERS).set(self.followers.get().map_or(0, |count| count()) as f64);
        metrics::gauge!(names::READY).set(f64::from(u8::from(health.ready)));
        if let Some(parts) = self.parts.get() {
            engine(&parts.engine.stats());
            metrics::counter!(names::COMMITS).absolute(parts.data.store.commits());
            self.sites(parts);
            if let Some(answering) = parts.data.answering() {
                for (code, count) in answering.answers().by_code() {
                    metrics::counter!(names::DNS_ANSWERS, "code" => code).absolute(count);
                }
            }
            let read = tokio::time::timeout(STORE_LIMIT, self.store_figures(parts)).await;
            let up = matches!(read, Ok(Ok(())));
            if let Ok(Err(error)) = read {
                tracing::warn!(error = error.text(false), "figures of the store cannot be read");
            }
            metrics::gauge!(names::STORE_UP).set(f64::from(u8::from(up)));
        }
        *collected = Some(Instant::now());
    }

    fn process(&self) {
        let process = Process::read();
        metrics::gauge!(names::MEMORY).set(process.memory_bytes as f64);
        metrics::gauge!(names::FILES).set(process.files as f64);
        metrics::gauge!(names::FILES_MAX).set(process.files_max.map_or(f64::INFINITY, |max| max as f64));
        metrics::counter!(names::PROCESSOR).absolute(process.processor.as_secs());
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        metrics::gauge!(names::STARTED).set(started.as_secs_f64());
        let store = self.parts.get().map_or("none", |parts| if parts.data.is_shared() { "postgres" } else { "sqlite" });
        metrics::gauge!(names::BUILD, "version" => env!("CARGO_PKG_VERSION"), "store" => store).set(1.0);
    }

    fn sites(&self, parts: &Parts) {
        for (site, connected) in parts.sites.states() {
            let site = self.calls().site(site.as_str());
            metrics::gauge!(names::SITE_CONNECTED, "site" => site).set(f64::from(u8::from(connected)));
        }
    }

    async fn store_figures(&self, parts: &Parts) -> Result<(), CommandError> {
        self.operations(parts).await?;
        let queue = parts.data.journal().queue(runner::now()).await.map_err(journal_error)?;
        let waits = [
            ("claim", queue.ready),
            ("lock", queue.locked),
            ("unreachable", queue.unreachable),
            ("other_server", queue.others),
            ("backoff", queue.backoff),
            ("nothing", queue.running),
        ];
        for (what, count) in waits {
            metrics::gauge!(names::QUEUE, "waits_for" => what).set(count as f64);
        }
        metrics::gauge!(names::QUEUE_OLDEST).set(queue.oldest_ready.as_secs_f64());
        for looks in parts.data.store.looks().await.map_err(store_error)? {
            let look = |look: LastLook| Look { at: look.at, faults: look.faults };
            self.stack_looked_at(looks.stack.as_str(), looks.proof.map(look), looks.drift.map(look));
        }
        let waiting = parts.data.store.webhook_backlog().await.map_err(store_error)?;
        metrics::gauge!(names::WEBHOOKS_PENDING).set(waiting as f64);
        self.leases(parts).await?;
        self.agents(parts).await
    }

    /// Unfinished operations, and what state their jobs are in.
    async fn operations(&self, parts: &Parts) -> Result<(), CommandError> {
        let mut counts: BTreeMap<(metrics::SharedString, &'static str), u32> = BTreeMap::new();
        let states = [OperationState::Running, OperationState::Blocked];
        // A kind of which nothing is left is told once more, as none.
        for kind in self.kinds.known() {
            for state in states {
                counts.insert((kind.clone(), state.as_str()), 0);
            }
        }
        let mut jobs: BTreeMap<&'static str, u32> = JobState::ALL.iter().map(|state| (state.as_str(), 0)).collect();
        for record in unfinished(parts, &states).await? {
            let kind = self.kinds.label(&record.info.kind);
            *counts.entry((kind, record.status.state.as_str())).or_default() += 1;
            for state in JobState::ALL {
                *jobs.entry(state.as_str()).or_default() += record.status.counts.of(state);
            }
        }
        for ((kind, state), count) in counts {
            metrics::gauge!(names::OPERATIONS, "kind" => kind, "state" => state).set(f64::from(count));
        }
        for (state, count) in jobs {
            metrics::gauge!(names::JOBS, "state" => state).set(f64::from(count));
        }
        Ok(())
    }

    async fn leases(&self, parts: &Parts) -> Result<(), CommandError> {
        let sites = parts.data.sites().await?;
        let names: Vec<SiteName> = sites.iter().map(|site| site.name.clone()).collect();
        // Whose guests are asked for does not matter here; a name is needed.
        let Ok(nobody) = "metrics".parse::<StackName>() else { return Ok(()) };
        let leases = parts.data.store.leases(&nobody, &names, 0).await.map_err(store_error)?;
        for site in &sites {
            if let Some(held) = leases.sites.get(&site.name) {
                self.leases_of(site, held);
            }
        }
        Ok(())
    }

    fn leases_of(&self, site: &Site, held: &SiteLeases) {
        let label = self.calls().site(site.name.as_str());
        let counts = [("vmid", held.vmids.len()), ("mac", held.macs.len()), ("address", held.addresses.len())];
        for (kind, count) in counts {
            metrics::gauge!(names::LEASES_HELD, "site" => label.clone(), "kind" => kind).set(count as f64);
        }
        let all = u64::from(site.vmids.size());
        let taken = held.vmids.keys().filter(|vmid| site.vmids.contains(**vmid)).count() as u64;
        let free = all.saturating_sub(taken);
        metrics::gauge!(names::LEASES_FREE, "site" => label.clone(), "kind" => "vmid").set(free as f64);
        let ranges: Vec<AddressRange> = site.networks.values().flat_map(|net| net.addresses.iter().copied()).collect();
        let inside =
            |address: &&IpAddr| ranges.iter().any(|range| range.first() <= **address && **address <= range.last());
        let taken = held.addresses.keys().filter(inside).count() as u128;
        let free = ranges.iter().map(|range| size(*range)).sum::<u128>().saturating_sub(taken).min(FREE_MAX);
        metrics::gauge!(names::LEASES_FREE, "site" => label, "kind" => "address").set(free as f64);
    }

    async fn agents(&self, parts: &Parts) -> Result<(), CommandError> {
        let now = runner::now();
        let mut counts = BTreeMap::from([("connected", 0_u32), ("away", 0)]);
        for agent in parts.data.store.agents().await.map_err(store_error)? {
            if agent.revoked_at.is_some() {
                continue;
            }
            let lately = agent.seen_at.is_some_and(|at| now.since(at) < AGENT_AWAY);
            *counts.entry(if lately { "connected" } else { "away" }).or_default() += 1;
            if let Some(at) = agent.seen_at {
                let (site, node) = (self.calls().site(agent.site.as_str()), self.calls().node(agent.node.as_str()));
                metrics::gauge!(names::AGENT_SEEN, "site" => site, "node" => node).set(at.0 as f64 / 1000.0);
            }
        }
        for (state, count) in counts {
            metrics::gauge!(names::AGENTS, "state" => state).set(f64::from(count));
        }
        Ok(())
    }
}

/// How many addresses a range has.
fn size(range: AddressRange) -> u128 {
    let number = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    };
    (number(range.last()) - number(range.first())).saturating_add(1).min(FREE_MAX)
}

fn engine(stats: &EngineStats) {
    metrics::counter!(names::CLAIMED).absolute(stats.claimed());
    metrics::counter!(names::LEASES_LOST).absolute(stats.leases_lost());
    metrics::counter!(names::LATE_WRITES).absolute(stats.late_writes());
    metrics::counter!(names::OUTAGES).absolute(stats.outages());
    metrics::counter!(names::PANICS).absolute(stats.panics());
    metrics::counter!(names::BEATS).absolute(stats.beats());
    metrics::gauge!(names::RUNNING).set(stats.running() as f64);
}

async fn unfinished(parts: &Parts, states: &[OperationState]) -> Result<Vec<OperationRecord>, CommandError> {
    let (journal, mut all) = (parts.data.journal(), Vec::new());
    for _ in 0..PAGES_MAX {
        let before = all.last().map(|record: &OperationRecord| record.info.id);
        let query = OperationQuery { states: states.to_vec(), before, limit: PAGE_MAX, ..OperationQuery::default() };
        let page = journal.operations(query).await.map_err(journal_error)?;
        let last = page.len() < PAGE_MAX;
        all.extend(page);
        if last {
            break;
        }
    }
    Ok(all)
}
