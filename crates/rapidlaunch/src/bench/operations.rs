//! 2,000 operations at once, each of which starts a container and follows the start, which takes five seconds, to its end.
//!
//! The site runs in the measuring process; the engine, the store and the client in a process of their own.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pve_sim::{SeedGuest, SeedKind, SeedState, Sim, SimConfig};
use rl_engine::{
    Clock, Engine, EngineConfig, Envelope, Ids, Journal, OperationId, OperationSpec, OperationState, SystemClock,
};
use rl_model::{
    ControllerId, Endpoint, GuestId, NodeName, ResolvedGuest, SecretValue, Site, SiteName, StackName, Stamp, Vmid,
    VmidRange,
};
use rl_ops::{Ctx, GuestRegistry, GuestVerb, RegistryError, SiteApi, Target, compile_guest};
use rl_pve::{ApiToken, Pace, Pve, SiteConnection};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::store::{failed, open};
use crate::error::CommandError;
use crate::out::Out;

/// Names the file with the work in the environment of the process under measurement.
const WORK: &str = "RAPIDLAUNCH_BENCH_OPERATIONS";
/// Nodes of the site.
const NODES: usize = 10;
/// A simulated start takes two seconds; at this speed it takes five.
const SPEED: f64 = 0.4;
/// Secret of the simulated site's token.
const TOKEN: &str = "00000000-0000-4000-8000-000000000000";
/// Submitters that hand in the operations.
const SUBMITTERS: usize = 64;
/// How often it is looked whether all have ended.
const LOOK: Duration = Duration::from_millis(20);

/// What the process under measurement is given.
#[derive(Serialize, Deserialize)]
struct Work {
    site: Site,
    token: String,
    guests: Vec<Target>,
}

/// What it says in the end.
#[derive(Serialize, Deserialize)]
pub(super) struct Measured {
    /// From the first submit to the end of the last operation.
    pub(super) took_s: f64,
    /// Peak resident memory in bytes.
    pub(super) rss_bytes: u64,
}

/// Runs so many operations in a process of its own.
pub(super) async fn operations(dir: &Path, count: usize) -> Result<Measured, CommandError> {
    let targets: Vec<Target> = (0..count).map(target).collect::<Result<_, _>>()?;
    let mut seed = SeedState::default_cluster(NODES, TOKEN);
    seed.guests = targets.iter().map(guest).collect();
    let mut config = SimConfig::new(NODES);
    (config.seed_state, config.time_scale) = (Some(seed), SPEED);
    let sim = Sim::start(config).await.map_err(failed)?;
    let work = Work { site: site(&sim)?, token: sim.token().to_owned(), guests: targets };
    std::fs::create_dir_all(dir).map_err(failed)?;
    std::fs::write(dir.join("work.json"), serde_json::to_vec(&work).map_err(failed)?).map_err(failed)?;
    let mut child = Command::new(std::env::current_exe().map_err(failed)?)
        .arg("bench")
        .env(WORK, dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let stdout = child.stdout.take().ok_or_else(|| CommandError::failed("the worker has no stdout"))?;
    let said = BufReader::new(stdout).lines().next_line().await.map_err(failed)?.unwrap_or_default();
    let measured = serde_json::from_str(&said).map_err(failed)?;
    let running = sim.ledger().by_kind.get("start").copied().unwrap_or(0);
    if running != count as u64 {
        return Err(CommandError::failed(format!("{running} containers were started instead of {count}")));
    }
    Ok(measured)
}

fn target(number: usize) -> Result<Target, CommandError> {
    let named = |text: String| CommandError::failed(format!("the bench cannot name a guest {text}"));
    let vmid = u32::try_from(10_000 + number).ok().and_then(|vmid| Vmid::try_from(vmid).ok());
    let name = format!("g-{number}");
    Ok(Target {
        stamp: Stamp {
            guest: GuestId::from_bits(number as u128 + 1),
            stack: parse("bench")?,
            name: parse(&name)?,
            controller: parse::<ControllerId>(&"0".repeat(20))?,
        },
        site: parse("bench")?,
        node: parse(&format!("pve{}", number % NODES + 1))?,
        vmid: vmid.ok_or_else(|| named(name.clone()))?,
        hostnames: vec![name],
        net0: Vec::new(),
    })
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T, CommandError> {
    text.parse().map_err(|_| CommandError::failed(format!("the bench's own name {text} is not accepted")))
}

fn guest(target: &Target) -> SeedGuest {
    let config = [
        ("hostname", target.stamp.name.to_string()),
        ("tags", target.stamp.tag().to_string()),
        ("description", target.stamp.description("")),
        ("rootfs", format!("local-zfs:subvol-{}-disk-0,size=1G", target.vmid)),
        ("memory", "64".to_owned()),
        ("cores", "1".to_owned()),
        ("unprivileged", "1".to_owned()),
        ("ostype", "debian".to_owned()),
        ("arch", "amd64".to_owned()),
    ];
    SeedGuest {
        vmid: target.vmid.into(),
        node: target.node.to_string(),
        kind: SeedKind::Lxc,
        config: config.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        running: false,
        pool: None,
    }
}

fn site(sim: &Sim) -> Result<Site, CommandError> {
    let endpoints: Vec<Endpoint> = sim.urls().iter().map(|url| parse(url)).collect::<Result<_, _>>()?;
    let value = json!({
        "name": "bench", "datacenter": null, "endpoints": endpoints,
        "token": { "env": "UNUSED" }, "tls": { "fingerprints": [sim.fingerprint()] },
        "vmids": parse::<VmidRange>("10000-29999")?, "networks": {}, "images": {}, "storage": null, "storages": [],
        "nodes": [], "pool": null, "limits": { "creates_per_node": 4, "starts_per_node": 1000, "requests_per_node": 8 },
    });
    serde_json::from_value(value).map_err(failed)
}

/// Runs as the process under measurement if this process was started as one.
pub(super) async fn serve(out: &Out) -> Option<Result<(), CommandError>> {
    let dir = std::env::var_os(WORK)?;
    Some(work(Path::new(&dir), out).await)
}

async fn work(dir: &Path, out: &Out) -> Result<(), CommandError> {
    let work: Work = serde_json::from_slice(&std::fs::read(dir.join("work.json")).map_err(failed)?).map_err(failed)?;
    let token = ApiToken::parse(&SecretValue::new(work.token.clone())).map_err(failed)?;
    let pve = Pve::connect(SiteConnection::of_site(&work.site, token)).map_err(failed)?;
    let api = SiteApi::new(work.site.clone(), pve, Pace::REAL);
    let ctx = Ctx::new(BTreeMap::from([(work.site.name.clone(), api)]), Arc::new(NoBook));
    let store = open(&dir.join("data")).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let config = EngineConfig::standard();
    let engine = Engine::new(store.journal(), rl_ops::registry(), Arc::new(ctx), Arc::clone(&clock), config);
    let shutdown = CancellationToken::new();
    let measure = async {
        engine.registered().await;
        let began = Instant::now();
        let ids = submit(&store.journal(), &clock, work.guests).await?;
        let done = ended(&store.journal(), &ids).await?;
        let took_s = began.elapsed().as_secs_f64();
        shutdown.cancel();
        if done != ids.len() {
            return Err(CommandError::failed(format!("{done} of {} operations ended well", ids.len())));
        }
        Ok(Measured { took_s, rss_bytes: crate::memory::peak(std::process::id()) })
    };
    let (ran, measured) = tokio::join!(engine.run(shutdown.clone()), measure);
    ran.map_err(failed)?;
    out.print(&(serde_json::to_string(&measured?).map_err(failed)? + "\n"));
    Ok(())
}

async fn submit(
    journal: &Arc<dyn Journal>,
    clock: &Arc<dyn Clock>,
    targets: Vec<Target>,
) -> Result<Vec<OperationId>, CommandError> {
    let ids = Ids::from_os(Arc::clone(clock));
    let mut specs: Vec<OperationSpec> = Vec::with_capacity(targets.len());
    for target in targets {
        let subject = target.stamp.name.to_string();
        let job = compile_guest(target, GuestVerb::Start, &ids).map_err(failed)?;
        let (id, payload) = (ids.operation(), Envelope::new("bench", 1, json!({})));
        let (kind, actor, summary) = ("guest".to_owned(), "bench".to_owned(), format!("start {subject}"));
        let jobs = vec![job];
        specs.push(OperationSpec {
            id,
            kind,
            subject,
            actor,
            summary,
            payload,
            idempotency_key: None,
            exclusive: true,
            jobs,
        });
    }
    let all = specs.iter().map(|spec| spec.id).collect();
    let mut shares: Vec<Vec<OperationSpec>> = (0..SUBMITTERS).map(|_| Vec::new()).collect();
    for (at, spec) in specs.into_iter().enumerate() {
        shares[at % SUBMITTERS].push(spec);
    }
    let mut tasks = JoinSet::new();
    for share in shares {
        let (journal, clock) = (Arc::clone(journal), Arc::clone(clock));
        tasks.spawn(async move {
            for spec in share {
                journal.submit(spec, clock.now()).await?;
            }
            Ok::<_, rl_engine::JournalError>(())
        });
    }
    while let Some(joined) = tasks.join_next().await {
        joined.map_err(failed)?.map_err(failed)?;
    }
    Ok(all)
}

/// Waits until every operation has ended, and counts those that ended well.
async fn ended(journal: &Arc<dyn Journal>, ids: &[OperationId]) -> Result<usize, CommandError> {
    let mut done = 0;
    for id in ids {
        loop {
            let record = journal.operation(*id).await.map_err(failed)?;
            let state = record.map(|record| record.status.state);
            match state {
                Some(OperationState::Running) => tokio::time::sleep(LOOK).await,
                Some(OperationState::Done) => {
                    done += 1;
                    break;
                }
                _ => break,
            }
        }
    }
    Ok(done)
}

/// Every guest has the VMID of its target.
struct NoBook;

#[async_trait]
impl GuestRegistry for NoBook {
    async fn vmid_of(&self, _: &SiteName, _: &GuestId) -> Result<Option<Vmid>, RegistryError> {
        Ok(None)
    }

    async fn lease_another_vmid(
        &self,
        site: &SiteName,
        _: &GuestId,
        range: VmidRange,
        _: &[Vmid],
    ) -> Result<Vmid, RegistryError> {
        Err(RegistryError::NoFreeVmid { site: site.clone(), range })
    }

    async fn record(&self, _: &StackName, _: &ResolvedGuest, _: &NodeName, _: Vmid) -> Result<(), RegistryError> {
        Ok(())
    }

    async fn release(&self, _: &GuestId) -> Result<(), RegistryError> {
        Ok(())
    }
}
