//! A sealed value from the server through the agent into a guest, with everything on this machine: TLS, the agent's checks, and
//! the simulated node's `pct` as processes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pve_sim::{SeedGuest, SeedKind, SeedState, Sim, SimConfig};
use rl_agent::node::{self, pct::Tools};
use rl_agent::server::{self, Authority, Config, JoinToken, Rolls};
use rl_agent::{DeliverFile, FileMode, Order, Post, Target, Work, deliver_sealed};
use rl_model::{ControllerId, GuestId, Stamp};
use tokio_util::sync::CancellationToken;

use super::store::{failed, open};
use crate::error::CommandError;
use crate::work::agents::StoreRolls;

/// Deliveries that are measured, and those before that warm up.
const DELIVERIES: usize = 300;
const WARM_UP: usize = 10;
/// Longest any of them may take.
const LIMIT: Duration = Duration::from_secs(60);
const VMID: u32 = 101;
const NODE: &str = "pve1";
const MAC: &str = "BC:24:11:00:00:01";

/// The time in milliseconds that 99 of 100 deliveries do not exceed.
pub(super) async fn p99(dir: &Path) -> Result<f64, CommandError> {
    let target = target()?;
    let sim = site(&target).await?;
    let store = open(&dir.join("data")).await?;
    let rolls: Arc<dyn Rolls> = Arc::new(StoreRolls(store));
    let authority = Arc::new(Authority::open(&dir.join("authority")).map_err(failed)?);
    let release = env!("CARGO_PKG_VERSION").to_owned();
    let config = Config {
        authority: Arc::clone(&authority),
        rolls: Arc::clone(&rolls),
        heartbeat: server::HEARTBEAT,
        certificate_life: server::CERTIFICATE_LIFE,
        release: release.clone(),
    };
    let listening = server::listen("127.0.0.1:0".parse().map_err(failed)?, config).await.map_err(failed)?;
    let post = Post { site: "bench".parse().map_err(failed)?, node: NODE.parse().map_err(failed)? };
    let token = JoinToken::generate(&authority.fingerprint(), &mut rl_agent::random());
    rolls.add_token(&post, &token.id, &token.digest(), 1, "bench").await.map_err(failed)?;
    let shutdown = CancellationToken::new();
    let agent = node::Config {
        servers: vec![listening.address().to_string().parse().map_err(failed)?],
        dir: dir.join("agent"),
        token: Some(token),
        pct: Arc::new(tools(&sim, dir)?),
        release,
        connected: None,
    };
    let agent = tokio::spawn(node::run(agent, shutdown.clone()));
    let file = DeliverFile {
        path: "/run/secrets/value".parse().map_err(failed)?,
        mode: FileMode::new(0o400).map_err(failed)?,
        owner: "root:root".parse().map_err(failed)?,
        sha256: None,
    };
    let courier = listening.agents();
    let began = Instant::now();
    while courier.connected().is_empty() && began.elapsed() < LIMIT {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut times = Vec::with_capacity(DELIVERIES);
    for n in 0..WARM_UP + DELIVERIES {
        let key = format!("bench-{n}");
        let order = Order { key, job: "bench".to_owned(), fence: 1, guest: target.clone(), work: Work::Config };
        let value = format!("value number {n}");
        let began = Instant::now();
        deliver_sealed(&*courier, &post, order, file.clone(), value.as_bytes(), LIMIT, LIMIT).await.map_err(failed)?;
        if n >= WARM_UP {
            times.push(began.elapsed());
        }
    }
    shutdown.cancel();
    let _ = agent.await;
    sim.shutdown().await;
    times.sort();
    Ok(times[DELIVERIES * 99 / 100].as_secs_f64() * 1e3)
}

fn target() -> Result<Target, CommandError> {
    Ok(Target {
        vmid: VMID.to_string().parse().map_err(failed)?,
        stamp: Stamp {
            guest: GuestId::from_bits(1),
            stack: "bench".parse().map_err(failed)?,
            name: "guest".parse().map_err(failed)?,
            controller: ControllerId::from_bits(1),
        },
        hostnames: vec!["guest".to_owned()],
        net0: vec![MAC.parse().map_err(failed)?],
    })
}

/// A site with the one guest, running.
async fn site(target: &Target) -> Result<Sim, CommandError> {
    let config = BTreeMap::from([
        ("hostname".to_owned(), "guest".to_owned()),
        ("description".to_owned(), target.stamp.description("")),
        ("tags".to_owned(), target.stamp.tag().to_string()),
        ("net0".to_owned(), format!("name=eth0,bridge=vmbr0,hwaddr={MAC},type=veth")),
    ]);
    let guest = SeedGuest { vmid: VMID, node: NODE.to_owned(), kind: SeedKind::Lxc, config, running: true, pool: None };
    let mut config = SimConfig::new(1);
    let mut seed = SeedState::default_cluster(1, "00000000-0000-4000-8000-000000000000");
    seed.guests = vec![guest];
    config.seed_state = Some(seed);
    Sim::start(config).await.map_err(failed)
}

/// The node's tools: this program under their names, and lock files as on a real node.
fn tools(sim: &Sim, dir: &Path) -> Result<Tools, CommandError> {
    let (folder, locks) = (dir.join("tools"), dir.join("locks"));
    let control = sim.control_url().trim_start_matches("http://").parse().map_err(failed)?;
    let program = std::env::current_exe().map_err(failed)?;
    pve_sim::pct::install(&folder, &program, control, NODE, &dir.join("trees")).map_err(failed)?;
    std::fs::create_dir_all(&locks).map_err(failed)?;
    Ok(Tools { pct: folder.join("pct"), pvesh: folder.join("pvesh"), locks: Some(locks) })
}
