//! A simulated site with its declaration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pve_sim::{MemorySim, SeedState, SimConfig};
use rl_model::*;
use rl_ops::SiteApi;
use rl_pve::{ApiToken, Pace, Pve, SiteConnection};
use serde_json::Value;

use crate::life::Life;
use crate::net::Net;
use crate::rules::{Rules, START_MS};

const SECRET: &str = "7b0b0f4e-0c2f-4b3e-9c39-2d9df1b8c5aa";

pub(crate) fn p<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().unwrap()
}

/// See the module.
pub(crate) struct Place {
    pub(crate) sim: MemorySim,
    pub(crate) site: Site,
    killed: AtomicBool,
}

impl Place {
    pub(crate) fn new(number: usize, nodes: usize, seed: u64, rules: &Arc<Rules>) -> Arc<Self> {
        let mut config = SimConfig::new(nodes);
        config.seed_state = Some(SeedState::default_cluster(nodes, SECRET));
        config.seed = seed;
        config.auth_delay = Duration::ZERO;
        config.epoch = Some(Duration::from_millis(START_MS));
        let sim = MemorySim::start(&config).unwrap();
        let site = declared(number, &sim);
        let (rules, name) = (Arc::clone(rules), site.name.clone());
        sim.on_effect(move |effect| rules.effect(&name, effect));
        Arc::new(Self { sim, site, killed: AtomicBool::new(false) })
    }

    /// Which node an endpoint names.
    pub(crate) fn node_at(&self, endpoint: &Endpoint) -> usize {
        self.site.endpoints.iter().position(|known| known == endpoint).unwrap()
    }

    pub(crate) fn node(&self, at: usize) -> NodeName {
        p(&self.sim.nodes()[at % self.sim.nodes().len()])
    }

    /// The site as one run of a server reaches it.
    pub(crate) fn api(self: &Arc<Self>, life: &Arc<Life>) -> Arc<SiteApi> {
        let token = ApiToken::parse(&SecretValue::new(self.sim.token())).unwrap();
        let connection = SiteConnection::of_site(&self.site, token);
        let net = Net { place: Arc::clone(self), life: Arc::clone(life) };
        let pve = Pve::over_streams(connection, Arc::new(net)).unwrap();
        SiteApi::new(self.site.clone(), pve, Pace::REAL)
    }

    /// The world as it truly is.
    pub(crate) async fn truth(&self) -> Value {
        self.sim.control("GET", "/state", Value::Null).await.1
    }

    /// Does something past the API.
    pub(crate) async fn control(&self, method: &str, path: &str, body: Value) {
        let (status, answer) = self.sim.control(method, path, body).await;
        assert_eq!(status, 200, "{method} {path}: {answer}");
    }

    /// Nothing goes wrong here any more.
    pub(crate) async fn calm(&self) {
        self.killed_workers().await;
        self.sim.clear_faults();
    }

    /// Whether a worker was ever killed, by itself or with its node: it leaves its lock, which no API call takes off.
    pub(crate) async fn killed_workers(&self) -> bool {
        let (_, faults) = self.sim.control("GET", "/faults", Value::Null).await;
        let kills = |fault: &&Value| matches!(fault["action"]["do"].as_str(), Some("kill-task" | "drop-node"));
        let killed = faults.as_array().unwrap().iter().filter(kills).any(|fault| fault["struck"] != 0);
        self.killed.fetch_or(killed, Ordering::SeqCst) || killed
    }

    /// Whether a task about this guest has not ended.
    pub(crate) fn runs_task(&self, vmid: Vmid) -> Option<String> {
        let (tasks, id) = (self.sim.running_tasks(), vmid.to_string());
        tasks.into_iter().find(|task| task.id == id).map(|task| task.upid)
    }
}

fn declared(number: usize, sim: &MemorySim) -> Site {
    let network = Network {
        name: p("dmz"),
        bridge: p("vmbr0"),
        vlan: None,
        mtu: None,
        subnet: Some(p("10.20.0.0/24")),
        gateway: Some(p("10.20.0.1")),
        addresses: vec![p("10.20.0.50-10.20.0.250")],
        nameservers: vec![p("10.20.0.2")],
        search_domain: None,
    };
    let endpoint = |node: &String| p(&format!("https://{node}.site{number}.test:8006"));
    Site {
        name: p(&format!("site{number}")),
        datacenter: None,
        endpoints: sim.nodes().iter().map(endpoint).collect(),
        token: TokenSource::Env("UNUSED".to_owned()),
        tls: TlsTrust::System,
        vmids: VmidRange::new(p("2000"), p("2099")).unwrap(),
        networks: BTreeMap::from([(p("dmz"), network)]),
        images: BTreeMap::new(),
        storage: Some(p("local-zfs")),
        storages: Vec::new(),
        nodes: Vec::new(),
        pool: None,
        limits: SiteLimits::default(),
        firewall: None,
        zones: BTreeMap::new(),
        providers: BTreeMap::new(),
    }
}
