//! A server without a person: runs the engine over the store until it is told to end, follows what happens, keeps the book of
//! stacks. One of many where the store is shared.

mod lines;
mod proofs;
mod sites;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rl_engine::{Engine, EngineConfig, EngineStats, Event, EventQuery, Journal, OperationId, PAGE_MAX, SystemClock};
use rl_model::dns::Zone;
use rl_model::{Fqdn, SiteName};
use rl_ops::{Ctx, ZoneShelf};
use rl_pve::Pace;
use tokio_util::sync::CancellationToken;

use crate::api::{self, ListenArgs};
use crate::env;
use crate::error::CommandError;
use crate::memory;
use crate::out::Out;
use crate::telemetry::{EngineWatch, Parts, Telemetry, notify};
use crate::work::books;
use crate::work::data::Data;
use crate::work::desk;
use crate::work::hooks;
use crate::work::registry::StoreRegistry;
use crate::work::runner;
use crate::work::zones;

use lines::Lines;
use proofs::Proofs;
pub(crate) use sites::LiveSites;

/// How often sites are read anew, and wishes to cancel are looked for.
const LOOK: Duration = Duration::from_millis(500);
/// How long after its start a server has run what only the start runs.
const STARTED: Duration = Duration::from_secs(1);
/// How often what has become old is looked for.
const TIDY: Duration = Duration::from_secs(600);
/// Pause between two bites of it.
const TIDY_PAUSE: Duration = Duration::from_secs(1);
/// Shortest time between two readings of events: under load many are read at once.
const FOLLOW: Duration = Duration::from_millis(50);
/// Wait after the store could not be read; the engine itself decides whether the process must end.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// What a server is made of.
pub(crate) struct Server {
    /// The store.
    pub(crate) data: Arc<Data>,
    /// The sites it works for; all that the store knows when empty.
    pub(crate) only: BTreeSet<SiteName>,
    /// How quickly the sites' clocks run.
    pub(crate) pace: Pace,
    /// The engine's settings.
    pub(crate) config: EngineConfig,
    /// What the API is served with.
    pub(crate) api: ListenArgs,
    /// Tells about it.
    pub(crate) telemetry: Arc<Telemetry>,
    /// Says what happens.
    pub(crate) out: Out,
}

/// Runs until `shutdown` or until the store fails for good.
pub(crate) async fn run(server: Server, shutdown: CancellationToken) -> Result<(), CommandError> {
    let Server { data, only, pace, mut config, api, telemetry, out } = server;
    config.sites = only.iter().map(ToString::to_string).collect();
    let lines = Lines::new(out);
    let sites = Arc::new(LiveSites::new(Arc::clone(&data), only, pace, Arc::clone(telemetry.calls()), out));
    sites.refresh().await?;
    let ctx = Ctx::with_source(Arc::clone(&sites) as Arc<_>, Arc::new(StoreRegistry(data.store.clone())));
    let way = data.way().await?;
    let shelf = ZoneShelf::of(telemetry.watch_zones(zones::connect_all(&data, &out).await?));
    let ctx = ctx.with_courier(way.courier()).with_secrets(Some(desk::desk(&data))).with_zones(Arc::clone(&shelf));
    let clock = Arc::new(SystemClock::new());
    let engine = Engine::new(data.journal(), rl_ops::registry(), Arc::new(ctx), clock, config);
    let engine = Arc::new(engine.watched_by(EngineWatch::new()));
    let stats = engine.stats();
    let parts = Parts { data: Arc::clone(&data), engine: Arc::clone(&engine), sites: Arc::clone(&sites) };
    let upkeep = telemetry.look_at(parts);
    if let Some(address) = way.address() {
        out.say(&format!("agents may connect to {address}"));
    }
    if let Some(answering) = data.answering() {
        out.say(&format!("DNS questions are answered on {}", answering.address()));
    }
    let hooks = hooks::start(Arc::clone(&data), api.reach(), shutdown.clone())?;
    let api = match api.listen {
        Some(address) => {
            let (data, telemetry) = (Arc::clone(&data), Arc::clone(&telemetry));
            Some(api::start(&api, address, data, telemetry, shutdown.clone()).await?)
        }
        None => None,
    };
    if let Some(api) = &api {
        out.say(&format!("the API is served on https://{}", api.address));
        if let Some(link) = &api.setup {
            out.say(&format!("make the first user within an hour, once: {}", link.expose()));
        }
    }
    lines.ready(&sites.names());
    let notified = notify::start(Arc::clone(&engine), format!("{} sites", sites.names().len()), shutdown.clone());
    let zones = LiveZones { shelf, telemetry: Arc::clone(&telemetry), out };
    tokio::spawn(async {
        tokio::time::sleep(STARTED).await;
        memory::trim();
    });
    let chores = tokio::spawn(chores(Arc::clone(&data), sites, lines, zones));
    let ended = engine.run(shutdown.clone()).await;
    shutdown.cancel();
    let _ = notified.await;
    chores.abort();
    let _ = hooks.await;
    upkeep.abort();
    if let Some(api) = api {
        api.ended().await;
    }
    // The last operations may have ended a moment ago. Where the store fails now, the next to open it does this.
    let _ = books::catch_up(&data).await;
    lines.stopped(&stats);
    ended.map_err(|error| {
        CommandError::failed("the server stopped because its store failed; nothing was acknowledged after that")
            .because(error)
            .hinted("what was accepted is kept: when the store is well again, start the server again")
    })
}

/// The zones that jobs write to while the server runs.
struct LiveZones {
    shelf: Arc<ZoneShelf>,
    telemetry: Arc<Telemetry>,
    out: Out,
}

impl LiveZones {
    /// Connects zones anew when their declarations have changed.
    async fn refresh(&self, data: &Data, last: &mut Option<BTreeMap<Fqdn, Zone>>) -> Result<(), CommandError> {
        let now = zones::declared(&data.sites().await?)?;
        if last.as_ref() != Some(&now) {
            self.shelf.replace(self.telemetry.watch_zones(zones::connect_all(data, &self.out).await?));
            *last = Some(now);
        }
        Ok(())
    }
}

/// All that is done beside the engine. Ends only by being dropped: a store that cannot be read is tried again.
async fn chores(data: Arc<Data>, sites: Arc<LiveSites>, lines: Lines, zones: LiveZones) {
    let mut declared = None;
    let look = async {
        loop {
            let looked = async {
                sites.refresh().await?;
                zones.refresh(&data, &mut declared).await?;
                obey_cancel_requests(&data).await
            };
            if let Err(error) = looked.await {
                tracing::warn!(error = error.text(false), "the store cannot be read; looking again");
                tokio::time::sleep(STORE_PAUSE).await;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let tidy = async {
        loop {
            // Where a bite was full there is more.
            let more = data.store.tidy().await.unwrap_or_default();
            tokio::time::sleep(if more { TIDY_PAUSE } else { TIDY }).await;
        }
    };
    let (proofs, prove) = Proofs::start(Arc::clone(&data));
    let follow = follow(&data, lines, &zones.telemetry, &proofs);
    tokio::join!(look, follow, prove, tidy, data.store.follow_audit());
}

/// Reads events as they come: says the ones a person wants to hear of, and books what finished operations have made of stacks.
async fn follow(data: &Data, lines: Lines, telemetry: &Telemetry, proofs: &Proofs) {
    let journal = data.journal();
    let mut signal = journal.subscribe();
    let mut after = signal.borrow_and_update().events;
    let mut caught_up = false;
    loop {
        let round = async {
            if !caught_up {
                books::catch_up(data).await?;
                caught_up = true;
            }
            for event in new_events(&*journal, &mut after).await? {
                lines.event(&event);
                if books::ends_operation(&event)
                    && let Some(record) = books::book(data, event.operation).await?
                {
                    telemetry.operation_ended(&record.info.kind, record.status.state.as_str());
                    proofs.want(&record.info.subject);
                }
            }
            Ok::<(), CommandError>(())
        };
        if let Err(error) = round.await {
            tracing::warn!(error = error.text(false), "what happened cannot be followed; trying again");
            tokio::time::sleep(STORE_PAUSE).await;
            caught_up = false;
        } else if signal.changed().await.is_err() {
            return;
        }
        signal.borrow_and_update();
        tokio::time::sleep(FOLLOW).await;
    }
}

async fn new_events(journal: &dyn Journal, after: &mut u64) -> Result<Vec<Event>, CommandError> {
    let mut all = Vec::new();
    loop {
        let query = EventQuery { after: *after, operation: None, limit: PAGE_MAX };
        let page = journal.events(query).await.map_err(runner::journal_error)?;
        let Some(last) = page.last() else { return Ok(all) };
        *after = last.seq;
        all.extend(page.into_iter().filter(lines::matters));
    }
}

/// A process that cannot write to the store while this one holds it leaves a file with the operation's id instead.
async fn obey_cancel_requests(data: &Data) -> Result<(), CommandError> {
    let Some(entries) = data.dir.as_ref().and_then(|dir| std::fs::read_dir(dir).ok()) else { return Ok(()) };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let wish = name.to_str().and_then(|name| name.strip_prefix("cancel-")?.parse::<OperationId>().ok());
        let Some(id) = wish else { continue };
        let asked = data.journal().request_cancel(id, env::actor(), runner::now()).await;
        if let Err(error) = asked {
            tracing::warn!(%id, %error, "an operation cannot be cancelled as was asked for");
        }
        let _ = std::fs::remove_file(entry.path());
    }
    Ok(())
}

/// The counters of an engine that are told at its end.
fn figures(stats: &EngineStats) -> [(&'static str, u64); 3] {
    [("claimed", stats.claimed()), ("leases_lost", stats.leases_lost()), ("panics", stats.panics())]
}
