//! One user with a stack of guests: wishes something, lets a plan be carried out, helps where a person must, and looks
//! whether the world then is as the journal says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rl_engine::{
    Envelope, Ids, JobRecord, JobSpec, JobState, Journal, OnFailure, OperationId, OperationSpec, OperationState,
    SimClock,
};
use rl_model::*;
use rl_ops::{GuestVerb, Target};
use serde_json::{Value, json};

use crate::handle::Handle;
use crate::life::Life;
use crate::place::{Place, p};
use crate::run::World;

/// Time between two looks at an operation.
const LOOK: Duration = Duration::from_secs(5);
/// An operation that has not ended by then never will: a job is given up after two hours, its undoing some time later.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// Times a person helps one operation before the run counts as hopeless.
const HELP_MAX: u32 = 12;
/// Guests of one user.
const GUESTS_MAX: u8 = 3;
/// Operations of one user, at most.
const ROUNDS_MAX: u32 = 5;

/// See the module.
pub(crate) struct User {
    number: u8,
    world: Arc<World>,
    journal: Arc<Handle>,
    ids: Ids,
    rng: SmallRng,
    guests: Vec<ResolvedGuest>,
}

/// What is submitted: jobs with the guests they are about.
type Work = Vec<(JobSpec, ResolvedGuest)>;

impl User {
    pub(crate) fn new(number: u8, world: &Arc<World>, seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let clock = Arc::new(SimClock::auto(world.database.now()));
        let ids = Ids::from_seed(clock, seed);
        // A person's process does not die in the middle.
        let journal =
            Handle::new(&world.database, &world.rules, &Life::new(0, 0), 100 + usize::from(number), rng.random());
        let mut user = Self { number, world: Arc::clone(world), journal, ids, rng, guests: Vec::new() };
        for slot in 0..user.rng.random_range(1..=GUESTS_MAX) {
            let guest = user.guest(slot, 0);
            user.guests.push(guest);
        }
        user
    }

    pub(crate) async fn run(mut self) {
        for _ in 0..self.rng.random_range(1..=ROUNDS_MAX) {
            let work = self.wish().await;
            if work.is_empty() {
                continue;
            }
            let guests: Vec<ResolvedGuest> = work.iter().map(|(_, guest)| guest.clone()).collect();
            let id = self.submit(work).await;
            self.follow(id).await;
            self.check(id, &guests).await;
            tokio::time::sleep(Duration::from_secs(self.rng.random_range(0..60))).await;
        }
    }

    fn place(&self, guest: &ResolvedGuest) -> Arc<Place> {
        self.world.rules.place(&guest.site)
    }

    /// A container of this user; number and generation make its identity.
    fn guest(&mut self, slot: u8, generation: u8) -> ResolvedGuest {
        let place = &self.world.places[self.rng.random_range(0..self.world.places.len())];
        let number = self.number * 30 + slot * 10 + generation;
        let node = place.node(self.rng.random_range(0..3));
        let name = format!("web-{number}");
        ResolvedGuest {
            id: GuestId::from_bits(1000 + u128::from(number)),
            name: p(&name),
            container: p("web"),
            site: place.site.name.clone(),
            node,
            node_pinned: false,
            vmid: Vmid::try_from(2000 + u32::from(number)).unwrap(),
            hostname: p(&name),
            image: p("local:vztmpl/alpine-3.20-default_20240908_amd64.tar.xz"),
            storage: p("local-zfs"),
            cores: self.rng.random_range(1..4),
            memory: Memory::from_mib(128 * self.rng.random_range(1..4)),
            swap: Memory::from_mib(0),
            disk: DiskSize::from_gib(2),
            volumes: Vec::new(),
            nics: vec![nic(number)],
            nameservers: vec![p("10.20.0.2")],
            search_domain: None,
            tags: Vec::new(),
            notes: String::new(),
            onboot: true,
            startup: None,
            unprivileged: true,
            features: Features { nesting: true, keyctl: false, fuse: false },
            protection: false,
            running: self.rng.random_bool(0.8),
            pool: None,
            ssh_keys: Vec::new(),
            timezone: None,
            secrets: Vec::new(),
            after: Vec::new(),
            firewall: None,
        }
    }

    fn stamp(&self, guest: &ResolvedGuest) -> Stamp {
        let stack = p(&format!("shop-{}", self.number));
        Stamp { guest: guest.id.clone(), stack, name: guest.name.clone(), controller: ControllerId::from_bits(9) }
    }

    /// What the user wants next, as jobs.
    async fn wish(&mut self) -> Work {
        if self.rng.random_bool(0.3)
            && let Some(work) = self.verb().await
        {
            return work;
        }
        let mut actions = Vec::new();
        let mut guests = Vec::new();
        for slot in 0..self.guests.len() {
            let old = self.guests[slot].clone();
            let truth = self.truth(&old).await;
            let released = self.world.book.page(&old.id).is_some_and(|page| page.released);
            let wanted = self.rng.random_bool(0.75);
            let (guest, kind) = match (wanted, truth) {
                (true, Some(truth)) => match self.change(&old, &truth) {
                    Some(change) => change,
                    None => continue,
                },
                (true, None) => self.create(slot, released).await,
                (false, Some(truth)) => {
                    let was_running = truth["running"] == json!(true);
                    let (seen_net0, seen_hostname) = (Some(old.nics[0].mac), Some(old.hostname.clone()));
                    (self.located(&old, &truth), ActionKind::Remove { was_running, seen_net0, seen_hostname })
                }
                (false, None) if self.world.book.page(&old.id).is_some() && !released => (old, ActionKind::Forget),
                (false, None) => continue,
            };
            let id = ActionId(u32::try_from(actions.len()).unwrap());
            let after = match id.0.checked_sub(1) {
                Some(before) if self.rng.random_bool(0.3) => vec![ActionId(before)],
                _ => Vec::new(),
            };
            let stamp = self.stamp(&guest);
            let (site, node, vmid) = (guest.site.clone(), guest.node.clone(), guest.vmid);
            actions.push(Action { id, stamp, site, node, vmid, kind, reasons: Vec::new(), after });
            guests.push(guest);
        }
        self.compile(actions, guests)
    }

    fn compile(&self, actions: Vec<Action>, guests: Vec<ResolvedGuest>) -> Work {
        let sites: BTreeMap<SiteName, Site> =
            self.world.places.iter().map(|place| (place.site.name.clone(), place.site.clone())).collect();
        let by_name = guests.iter().map(|guest| (guest.name.clone(), guest.clone())).collect();
        let stack: StackName = p(&format!("shop-{}", self.number));
        let controller = ControllerId::from_bits(9);
        let resolved = ResolvedStack {
            name: stack.clone(),
            controller,
            guests: by_name,
            sections: Vec::new(),
            firewall: BTreeMap::new(),
            records: Vec::new(),
        };
        let id = PlanId("simulated".to_owned());
        let plan = Plan { id, stack, base_revision: 0, destroy: false, resolved, actions, parts: Vec::new() };
        rl_ops::compile(&plan, &sites, &self.ids).unwrap().into_iter().zip(guests).collect()
    }

    /// A guest where it truly is.
    fn located(&self, guest: &ResolvedGuest, truth: &Value) -> ResolvedGuest {
        let vmid = self.world.book.page(&guest.id).map_or(guest.vmid, |page| page.vmid);
        ResolvedGuest { node: p(truth["node"].as_str().unwrap()), vmid, ..guest.clone() }
    }

    /// The user's guest as it truly is; nothing while another holds its number.
    async fn truth(&self, guest: &ResolvedGuest) -> Option<Value> {
        let page = self.world.book.page(&guest.id).filter(|page| !page.released)?;
        let state = self.place(guest).truth().await;
        let found = state["guests"].get(page.vmid.to_string())?.clone();
        let stamped = found["config"]["description"].as_str().is_some_and(|text| text.contains(guest.id.as_str()));
        stamped.then_some(found)
    }

    async fn create(&mut self, slot: usize, released: bool) -> (ResolvedGuest, ActionKind) {
        if released {
            let generation = (self.guests[slot].vmid.to_string().parse::<u32>().unwrap() % 10 + 1) as u8;
            self.guests[slot] = self.guest(u8::try_from(slot).unwrap(), generation % 10);
        }
        let mut guest = self.guests[slot].clone();
        let place = self.place(&guest);
        guest.vmid = self.world.book.reserve(&guest, place.site.vmids);
        if self.rng.random_bool(0.1) && place.truth().await["guests"].get(guest.vmid.to_string()).is_none() {
            let stranger = json!({ "vmid": u32::from(guest.vmid), "config": { "hostname": "stranger" } });
            place.control("POST", "/guests", stranger).await;
            self.world.rules.event(format!("a stranger takes {} on {}", guest.vmid, guest.site));
        }
        (guest.clone(), ActionKind::Create { guest: Box::new(guest) })
    }

    fn change(&mut self, old: &ResolvedGuest, truth: &Value) -> Option<(ResolvedGuest, ActionKind)> {
        let mut new = self.located(old, truth);
        let was_running = truth["running"] == json!(true);
        let seen_net0 = Some(new.nics[0].mac);
        new.cores = self.rng.random_range(1..4);
        new.memory = Memory::from_mib(128 * self.rng.random_range(1..4));
        new.running = self.rng.random_bool(0.7);
        if self.rng.random_bool(0.1) {
            let guest = Box::new(new.clone());
            return Some((new, ActionKind::Replace { guest, changes: Vec::new(), was_running, seen_net0 }));
        }
        let changes = self.changes(&mut new, truth);
        let node = self.place(&new).node(self.rng.random_range(0..3));
        let move_to = Some(node).filter(|node| *node != new.node && self.rng.random_bool(0.3));
        let power = match (was_running, new.running) {
            (true, false) => Consequence::Stop,
            (false, true) => Consequence::Start,
            // Proxmox moves a running container by stopping and starting it.
            (true, true) if move_to.is_some() || self.rng.random_bool(0.3) => Consequence::Restart,
            _ => Consequence::Keep,
        };
        if changes.is_empty() && power == Consequence::Keep && move_to.is_none() {
            return None;
        }
        let shall = ResolvedGuest { node: move_to.clone().unwrap_or_else(|| new.node.clone()), ..new.clone() };
        Some((new, ActionKind::Update { guest: Box::new(shall), changes, move_to, power, seen_net0, firewall: None }))
    }

    /// The fields that differ from what is wanted; the root disk grows now and then.
    fn changes(&mut self, new: &mut ResolvedGuest, truth: &Value) -> Vec<Change> {
        let shown = |key: &str| match &truth["config"][key] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let disk = shown("rootfs");
        let size = disk.rsplit_once("size=").and_then(|(_, size)| size.trim_end_matches('G').parse::<u64>().ok());
        let mut larger = disk.clone();
        if let Some(size) = size.filter(|size| *size < 5 && self.rng.random_bool(0.2)) {
            larger = disk.replace(&format!("size={size}G"), &format!("size={}G", size + 1));
            new.disk = DiskSize::from_gib(size + 1);
        }
        let wanted = [
            (FieldKey::Cores, shown("cores"), new.cores.to_string()),
            (FieldKey::Memory, shown("memory"), new.memory.mib().to_string()),
            (FieldKey::RootFs, disk, larger),
        ];
        let changes = wanted.into_iter().filter(|(_, from, to)| from != to);
        changes.map(|(key, from, to)| Change { key, from, to }).collect()
    }

    /// A person's word about one guest that is there.
    async fn verb(&mut self) -> Option<Work> {
        let guest = self.guests[self.rng.random_range(0..self.guests.len())].clone();
        let truth = self.truth(&guest).await?;
        let guest = self.located(&guest, &truth);
        let name = format!("snap{}", self.rng.random_range(0..1000));
        let verb = match self.rng.random_range(0..4) {
            0 => GuestVerb::Start,
            1 => GuestVerb::Stop,
            2 => GuestVerb::Restart,
            _ => GuestVerb::SnapshotCreate { name },
        };
        let job = rl_ops::compile_guest(Target::applied(self.stamp(&guest), &guest), verb, &self.ids).unwrap();
        Some(vec![(job, guest)])
    }

    async fn submit(&mut self, work: Work) -> OperationId {
        let id = self.ids.operation();
        let about = work.iter().map(|(job, guest)| (job.id, guest.id.clone(), guest.site.clone())).collect();
        let spec = OperationSpec {
            id,
            kind: "simulated".to_owned(),
            subject: format!("shop-{}", self.number),
            actor: "user".to_owned(),
            summary: "a simulated operation".to_owned(),
            payload: Envelope::new("nothing", 1, Value::Null),
            idempotency_key: None,
            exclusive: true,
            jobs: work.into_iter().map(|(job, _)| job).collect(),
        };
        loop {
            match self.journal.submit(spec.clone(), self.world.database.now()).await {
                Ok(_) => break,
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
        self.world.rules.accepted(id, about);
        if self.rng.random_bool(0.25) {
            let wait = Duration::from_millis(self.rng.random_range(0..40_000));
            tokio::time::sleep(wait).await;
            // Too late is fine, and so is a database that is down.
            let _ = self.journal.request_cancel(id, "user".to_owned(), self.world.database.now()).await;
        }
        id
    }

    /// Waits for the end of an operation, and helps where a person must.
    async fn follow(&mut self, id: OperationId) {
        let began = self.world.database.elapsed();
        let mut helped = 0;
        loop {
            tokio::time::sleep(LOOK).await;
            let state = self.world.database.operation(id).map(|operation| operation.status.state);
            match state {
                Some(OperationState::Running) => {}
                Some(OperationState::Blocked | OperationState::Stuck) => {
                    helped += 1;
                    if helped > HELP_MAX {
                        return self
                            .world
                            .rules
                            .fail(format!("operation {id} needs help again and again: {}", self.why(id)));
                    }
                    self.help(id, helped).await;
                }
                _ => return,
            }
            if self.world.database.elapsed() - began > LONGEST {
                return self.world.rules.fail(format!("operation {id} does not end: {}", self.why(id)));
            }
        }
    }

    fn why(&self, id: OperationId) -> String {
        let jobs = self.world.database.jobs(id).into_iter().map(|job| {
            let reason = job.status.reason.unwrap_or_default();
            format!("`{}` is {}: {reason}", job.spec.key, job.status.state.as_str())
        });
        jobs.collect::<Vec<_>>().join("; ")
    }

    /// Takes off what a killed worker has left, as the hint says, and sends the operation on; answers whether that was possible.
    async fn help(&mut self, id: OperationId, times: u32) -> bool {
        tokio::time::sleep(Duration::from_secs(self.rng.random_range(10..300))).await;
        self.world.rules.count(|counts| counts.helped += 1);
        self.world.rules.event(format!("user {} helps {id}: {}", self.number, self.why(id)));
        for place in self.world.places.clone() {
            self.world.unlock(&place).await;
        }
        let now = self.world.database.now();
        if times == HELP_MAX / 2 {
            let _ = self.journal.request_cancel(id, "user".to_owned(), now).await;
        }
        self.journal.retry(id, "user".to_owned(), now).await.is_ok()
    }

    /// The world is as each job says it left it.
    async fn check(&self, id: OperationId, guests: &[ResolvedGuest]) {
        let jobs = self.world.database.jobs(id);
        for (job, guest) in jobs.iter().zip(guests) {
            let done = job.status.state == JobState::Done;
            self.world.rules.count(|counts| if done { counts.done += 1 } else { counts.not_done += 1 });
            if job.status.reason.as_ref().is_some_and(|reason| reason.contains("is locked")) {
                // A killed worker has left its lock, and the job has said so: a person takes it off.
                self.world.unlock(&self.place(guest)).await;
            }
            if let Some(wrong) = self.wrong(job, guest).await {
                let (key, state) = (&job.spec.key, job.status.state.as_str());
                let reason = job.status.reason.clone().unwrap_or_default();
                self.world.rules.fail(format!("`{key}` is {state} ({reason}), but {wrong}"));
            }
        }
    }

    async fn wrong(&self, job: &JobRecord, guest: &ResolvedGuest) -> Option<String> {
        let truth = self.truth(guest).await;
        let lives = self.world.rules.lives(&guest.id);
        let released = self.world.book.page(&guest.id).is_some_and(|page| page.released);
        let state = job.status.state;
        let verb = job.spec.key.split(' ').next().unwrap_or_default();
        match (verb, state) {
            ("create" | "replace", JobState::Done) if truth.is_none() => Some("there is no such guest".to_owned()),
            ("create", JobState::Failed | JobState::Cancelled | JobState::Skipped) if lives.is_some() => {
                assert_eq!(job.spec.on_failure, OnFailure::Undo);
                Some(format!("the guest lives: {lives:?}"))
            }
            ("destroy" | "remove", JobState::Done) if lives.is_some() => Some(format!("the guest lives: {lives:?}")),
            ("destroy" | "remove", JobState::Done) if !released => Some("its leases are held".to_owned()),
            ("update" | "replace", JobState::Done) => {
                let truth = truth.unwrap_or_default();
                let (cores, running) = (truth["config"]["cores"].to_string(), truth["running"] == json!(true));
                if cores.trim_matches('"') != guest.cores.to_string() {
                    return Some(format!("its cores are {cores}, not {}", guest.cores));
                }
                let down = guest.running && !running && !self.place(guest).killed_workers().await;
                down.then(|| "it does not run".to_owned())
            }
            _ => None,
        }
    }
}

fn nic(number: u8) -> ResolvedNic {
    let address =
        AddressMode::Static { address: p(&format!("10.20.0.{}/24", 50 + number)), gateway: Some(p("10.20.0.1")) };
    ResolvedNic {
        slot: p("net0"),
        name: p("eth0"),
        network: p("dmz"),
        bridge: p("vmbr0"),
        vlan: None,
        mtu: None,
        rate_mbps: None,
        mac: p(&format!("BC:24:11:00:00:{number:02X}")),
        ipv4: address,
        ipv6: AddressMode::None,
        firewall: false,
    }
}
