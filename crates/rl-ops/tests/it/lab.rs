//! A simulated site with everything around it that a job needs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pve_sim::{Action as FaultAction, Fault, Ledger, SeedPool, SeedState, Sim, SimConfig, When};
use rl_engine::testing::{Crash, Ended, FastClock, run_until_settled};
use rl_engine::{
    Clock, EngineConfig, Envelope, Event, EventQuery, Ids, JobRecord, JobSpec, Journal, MemoryJournal, OperationId,
    OperationRecord, OperationSpec, OperationState, Registry, UnixMs,
};
use rl_model::*;
use rl_ops::{Ctx, SiteApi};
use rl_pve::api::lxc;
use rl_pve::{ApiToken, Pace, Pve, SiteConnection};
use serde_json::{Value, json};

use crate::book::Book;
pub(crate) use crate::samples::*;

/// How many times faster than on a real node everything runs.
pub(crate) const FACTOR: u32 = 200;
const SECRET: &str = "7b0b0f4e-0c2f-4b3e-9c39-2d9df1b8c5aa";
/// Where the clocks start.
const START: UnixMs = UnixMs(1_790_000_000_000);
/// Longest real time any job may take here.
const JOB_MAX: Duration = Duration::from_secs(90);

pub(crate) fn p<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().unwrap()
}

/// See the module.
pub(crate) struct Lab {
    pub(crate) sim: Sim,
    pub(crate) site: Site,
    pub(crate) api: Arc<SiteApi>,
    pub(crate) book: Arc<Book>,
    pub(crate) ctx: Arc<Ctx>,
    factor: u32,
}

impl Lab {
    pub(crate) async fn new() -> Self {
        Self::of(3).await
    }

    pub(crate) async fn of(nodes: usize) -> Self {
        Self::paced(nodes, FACTOR).await
    }

    /// A site that runs so many times faster than a real one.
    pub(crate) async fn paced(nodes: usize, factor: u32) -> Self {
        Self::seeded(nodes, factor, 1).await
    }

    /// A site whose chance comes from this seed.
    pub(crate) async fn seeded(nodes: usize, factor: u32, chance: u64) -> Self {
        let mut seed = SeedState::default_cluster(nodes, SECRET);
        seed.pools.push(SeedPool { id: "shop".to_owned(), comment: None });
        let mut config = SimConfig::new(nodes);
        config.seed_state = Some(seed);
        config.seed = chance;
        config.time_scale = f64::from(factor);
        config.auth_delay = Duration::ZERO;
        let sim = Sim::start(config).await.unwrap();
        let site = declared(&sim);
        let token = ApiToken::parse(&SecretValue::new(sim.token())).unwrap();
        let mut connection = SiteConnection::of_site(&site, token);
        connection.pace = Pace::times(f64::from(factor));
        let api = SiteApi::new(site.clone(), Pve::connect(connection).unwrap(), Pace::times(f64::from(factor)));
        let book = Arc::new(Book::default());
        let sites = BTreeMap::from([(site.name.clone(), api.clone())]);
        let ctx = Arc::new(Ctx::new(sites, book.clone()));
        Self { sim, site, api, book, ctx, factor }
    }

    pub(crate) fn sites(&self) -> BTreeMap<SiteName, Arc<SiteApi>> {
        BTreeMap::from([(self.site.name.clone(), self.api.clone())])
    }

    /// Makes a guest as an earlier operation would have.
    pub(crate) async fn make(&self, guest: &ResolvedGuest) {
        self.book.reserve(guest);
        self.make_stamped(guest, &stamp(guest)).await;
    }

    pub(crate) async fn make_stamped(&self, guest: &ResolvedGuest, stamp: &Stamp) {
        let pve = self.api.pve();
        let upid = pve.send(lxc::create(&guest.node, guest, stamp, false)).await.unwrap();
        pve.watch(&upid).await.unwrap();
        if guest.running {
            let upid = pve.send(lxc::start(&guest.node, guest.vmid)).await.unwrap();
            pve.watch(&upid).await.unwrap();
        }
        let shown = self.guest(guest.vmid).await.expect("the guest was made");
        assert_eq!(shown["running"], json!(guest.running));
    }

    /// A guest of the simulated world, as it truly is.
    pub(crate) async fn guest(&self, vmid: Vmid) -> Option<Value> {
        self.state().await["guests"].get(vmid.to_string()).cloned()
    }

    /// One key of a guest's configuration, empty when it is not set.
    pub(crate) async fn config(&self, vmid: Vmid, key: &str) -> String {
        let guest = self.guest(vmid).await.unwrap_or_default();
        match &guest["config"][key] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        }
    }

    pub(crate) async fn state(&self) -> Value {
        let (status, state) = self.sim.control("GET", "/state", Value::Null).await;
        assert_eq!(status, 200);
        state
    }

    /// Does something past the API, as a stranger would.
    pub(crate) async fn control(&self, method: &str, path: &str, body: Value) {
        let (status, answer) = self.sim.control(method, path, body).await;
        assert_eq!(status, 200, "{answer}");
    }

    pub(crate) fn fault(&self, method: &str, path: &str, nth: u64, action: FaultAction) {
        let (method, path) = (Some(method.to_owned()), Some(path.to_owned()));
        let when = When { method, path, nth: (nth > 0).then_some(nth), ..When::default() };
        self.sim.add_faults(vec![Fault { name: None, when, action }]);
    }

    /// How often faults have struck.
    pub(crate) async fn struck(&self) -> u64 {
        let (_, faults) = self.sim.control("GET", "/faults", Value::Null).await;
        faults.as_array().unwrap().iter().map(|fault| fault["struck"].as_u64().unwrap()).sum()
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.sim.ledger()
    }

    /// How often something was truly done to a guest.
    pub(crate) fn done(&self, vmid: Vmid, kind: &str) -> u64 {
        let ledger = self.ledger();
        ledger.by_vmid.get(&u32::from(vmid)).and_then(|kinds| kinds.get(kind)).copied().unwrap_or(0)
    }

    /// Runs jobs until the operation goes on no more by itself.
    pub(crate) async fn run(&self, jobs: Vec<JobSpec>) -> Came {
        self.run_with(jobs, &rl_ops::registry(), |_, _| async {}).await
    }

    /// The same with other steps, and something that happens meanwhile.
    pub(crate) async fn run_with<F, M>(&self, jobs: Vec<JobSpec>, registry: &Registry, meanwhile: F) -> Came
    where
        F: FnOnce(Arc<dyn Journal>, OperationId) -> M,
        M: Future<Output = ()>,
    {
        let clock: Arc<dyn Clock> = Arc::new(FastClock::new(START, self.factor));
        self.run_by(clock, jobs, registry, meanwhile).await
    }

    /// The same by a clock of its own.
    pub(crate) async fn run_by<F, M>(
        &self,
        clock: Arc<dyn Clock>,
        jobs: Vec<JobSpec>,
        registry: &Registry,
        meanwhile: F,
    ) -> Came
    where
        F: FnOnce(Arc<dyn Journal>, OperationId) -> M,
        M: Future<Output = ()>,
    {
        let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
        let id = submit(&*journal, &clock, jobs).await;
        let (config, crash) = (engine(), Crash::at(0));
        let run = run_until_settled(&journal, registry.clone(), self.ctx.clone(), clock, config, id, &crash);
        let both = async { tokio::join!(tokio::time::timeout(JOB_MAX, run), meanwhile(journal.clone(), id)).0 };
        match both.await {
            Ok(Ended::Settled(record)) => Came::read(&*journal, *record).await,
            Ok(other) => panic!("the engine ended: {other:?}"),
            Err(_) => panic!("it had not ended after {JOB_MAX:?}: {}", Came::of(&*journal, id).await),
        }
    }
}

async fn submit(journal: &dyn Journal, clock: &Arc<dyn Clock>, jobs: Vec<JobSpec>) -> OperationId {
    let id = Ids::from_seed(clock.clone(), 77).operation();
    let spec = OperationSpec {
        id,
        kind: "test".to_owned(),
        subject: "test".to_owned(),
        actor: "test".to_owned(),
        summary: "a test".to_owned(),
        payload: Envelope::new("nothing", 1, Value::Null),
        idempotency_key: None,
        exclusive: false,
        jobs,
    };
    journal.submit(spec, clock.now()).await.unwrap().id
}

/// What an operation came to.
pub(crate) struct Came {
    pub(crate) state: OperationState,
    pub(crate) jobs: Vec<JobRecord>,
    pub(crate) events: Vec<Event>,
}

impl Came {
    async fn read(journal: &dyn Journal, record: OperationRecord) -> Self {
        let id = record.info.id;
        let jobs = journal.jobs(id, 0, 1000).await.unwrap();
        let query = EventQuery { operation: Some(id), limit: 1000, ..EventQuery::default() };
        let events = journal.events(query).await.unwrap();
        Self { state: record.status.state, jobs, events }
    }

    async fn of(journal: &dyn Journal, id: OperationId) -> String {
        let record = journal.operation(id).await.unwrap().unwrap();
        Self::read(journal, record).await.text()
    }

    /// Why, as a person reads it.
    pub(crate) fn text(&self) -> String {
        let jobs = self.jobs.iter().map(|job| {
            let status = &job.status;
            let (reason, hint) = (status.reason.clone().unwrap_or_default(), status.hint.clone().unwrap_or_default());
            format!("{} is {}: {reason} ({hint})", job.spec.key, status.state.as_str())
        });
        jobs.collect::<Vec<_>>().join("; ")
    }

    /// Everything that was noted, as JSON.
    pub(crate) fn notes(&self) -> String {
        self.events.iter().map(|event| format!("{event:?}")).collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn must_be(&self, state: OperationState) -> &Self {
        assert_eq!(self.state, state, "{}", self.text());
        self
    }
}

/// A clock that runs as fast as the site's.
pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(FastClock::new(START, FACTOR))
}

/// Leases outlast a busy machine: they run on the fast clock too.
pub(crate) fn engine() -> EngineConfig {
    EngineConfig {
        lease_ttl: Duration::from_secs(12_000),
        heartbeat: Duration::from_secs(2_000),
        takeover_grace: Duration::from_secs(60),
        drain: Duration::from_millis(100),
        ..EngineConfig::quick(5)
    }
}

fn declared(sim: &Sim) -> Site {
    let zone = |name: &str| p::<NetworkName>(name);
    let network = Network {
        name: zone("dmz"),
        bridge: p("vmbr0"),
        vlan: None,
        mtu: None,
        subnet: Some(p("10.20.0.0/24")),
        gateway: Some(p("10.20.0.1")),
        addresses: vec![p("10.20.0.50-10.20.0.250")],
        nameservers: vec![p("10.20.0.2")],
        search_domain: None,
    };
    Site {
        name: p("fra1"),
        datacenter: None,
        endpoints: sim.urls().iter().map(|url| p(url)).collect(),
        token: TokenSource::Env("UNUSED".to_owned()),
        tls: TlsTrust::Fingerprints(vec![sim.fingerprint().to_owned()]),
        vmids: VmidRange::new(p("2000"), p("2099")).unwrap(),
        networks: BTreeMap::from([(zone("dmz"), network)]),
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
