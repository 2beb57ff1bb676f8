//! One run: a world from a seed, until every user has what they asked for, and then a last look.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rl_engine::EngineConfig;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::book::Book;
use crate::broken::Broken;
use crate::database::Database;
use crate::faults;
use crate::place::{Place, p};
use crate::rules::{Counts, Rules, Seen};
use crate::server::Server;
use crate::user::User;

/// Most simulated time of one run.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long things go wrong at most; afterwards everything must come to rest by itself.
const TROUBLE: Duration = Duration::from_secs(2 * 3600);

/// What everybody in a run shares.
pub(crate) struct World {
    pub(crate) rules: Arc<Rules>,
    pub(crate) database: Arc<Database>,
    pub(crate) places: Vec<Arc<Place>>,
    pub(crate) book: Arc<Book>,
    pub(crate) broken: Broken,
    /// From then on nothing goes wrong any more.
    pub(crate) calm: CancellationToken,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) violation: Option<String>,
    /// Every event, with its time.
    pub(crate) trace: Vec<String>,
    pub(crate) counts: Counts,
}

/// Runs a seed in a runtime of its own.
pub(crate) fn run(seed: u64, broken: Broken) -> Ended {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(live(seed, broken))
}

async fn live(seed: u64, broken: Broken) -> Ended {
    let mut rng = SmallRng::seed_from_u64(seed);
    // A store that loses writes loses them for the one server that has it.
    let servers = if broken == Broken::AnswerBeforeCommit { 1 } else { rng.random_range(1..=3) };
    let shared = servers > 1 || (broken != Broken::AnswerBeforeCommit && rng.random_bool(0.3));
    let rules = Arc::new(Rules::default());
    let database = Database::new(shared, broken);
    let sites = rng.random_range(1..=2);
    let nodes = rng.random_range(1..=3);
    let places: Vec<_> = (0..sites).map(|number| Place::new(number, nodes, rng.random(), &rules)).collect();
    let book = Arc::new(Book::default());
    let lease = EngineConfig::standard().lease_ttl;
    let (seen_database, seen_places, seen_book) = (Arc::clone(&database), places.clone(), Arc::clone(&book));
    rules.see(Seen { database: seen_database, places: seen_places, book: seen_book, lease });
    let calm = CancellationToken::new();
    let world = Arc::new(World { rules, database, places, book, broken, calm });
    for place in &world.places {
        place.sim.add_faults(faults::draw(&mut rng, place.sim.nodes()));
    }
    let mut engines = JoinSet::new();
    for number in 0..servers {
        engines.spawn(Server::new(number, &world, rng.random()).run());
    }
    engines.spawn(Arc::clone(&world).database_trouble(rng.random()));
    let mut users = JoinSet::new();
    for number in 0..rng.random_range(1..=3) {
        users.spawn(User::new(number, &world, rng.random()).run());
    }
    world.last(users, engines).await
}

impl World {
    /// The database refuses everybody now and then, until the world is calm.
    async fn database_trouble(self: Arc<Self>, seed: u64) {
        let mut rng = SmallRng::seed_from_u64(seed);
        let trouble = async {
            loop {
                tokio::time::sleep(Duration::from_secs(rng.random_range(30..1_200))).await;
                self.rules.event("the database is down".to_owned());
                self.database.set_down(true);
                tokio::time::sleep(Duration::from_millis(rng.random_range(100..200_000))).await;
                self.database.set_down(false);
            }
        };
        tokio::select! {
            biased;
            () = self.calm.cancelled() => {}
            () = trouble => {}
        }
        self.database.set_down(false);
        std::future::pending().await
    }

    async fn last(self: Arc<Self>, mut users: JoinSet<()>, mut engines: JoinSet<()>) -> Ended {
        let all = async {
            while let Some(user) = users.join_next().await {
                user.unwrap();
            }
        };
        let quiet = async {
            tokio::time::sleep(TROUBLE).await;
            self.rules.event("calm".to_owned());
            self.calm.cancel();
            for place in &self.places {
                place.calm().await;
            }
            std::future::pending::<()>().await
        };
        tokio::select! {
            biased;
            () = self.rules.broken.cancelled() => {}
            Some(server) = engines.join_next() => server.unwrap(),
            () = all => self.clean_slate().await,
            () = tokio::time::sleep(LONGEST) => self.rules.fail("the run does not end".to_owned()),
            () = quiet => {}
        }
        Ended { violation: self.rules.violation(), trace: self.rules.trace(), counts: self.rules.counts() }
    }

    /// Takes off locks that nobody will, as a person with `pct unlock` does.
    pub(crate) async fn unlock(&self, place: &Place) {
        let state = place.truth().await;
        for (vmid, guest) in state["guests"].as_object().unwrap() {
            let vmid = p(vmid);
            let Some(lock) = guest["config"]["lock"].as_str().filter(|_| place.runs_task(vmid).is_none()) else {
                continue;
            };
            self.rules.event(format!("a person takes the lock `{lock}` off {vmid} on {}", place.site.name));
            if lock == "create" {
                place.control("DELETE", &format!("/guests/{vmid}"), json!(null)).await;
                self.rules.removed_by_hand(&place.site.name, vmid);
            } else {
                let change = json!({ "vmid": u32::from(vmid), "delete": ["lock"] });
                place.control("POST", "/guests", change).await;
            }
        }
    }

    /// After the last operation nothing is left that nobody answers for.
    async fn clean_slate(&self) {
        let held = self.database.journal().held_domains();
        if !held.is_empty() {
            return self.rules.fail(format!("lock domains are held by nobody: {held:?}"));
        }
        for place in &self.places {
            if place.killed_workers().await {
                self.unlock(place).await;
            }
            if let Some(wrong) = self.left(place).await {
                return self.rules.fail(format!("{}: {wrong}", place.site.name));
            }
        }
    }

    async fn left(&self, place: &Place) -> Option<String> {
        if let Some(task) = place.sim.running_tasks().first() {
            return Some(format!("the task {} still runs", task.upid));
        }
        let state = place.truth().await;
        let guests = state["guests"].as_object().unwrap();
        for (vmid, guest) in guests.iter().filter(|(_, guest)| guest["config"]["hostname"] != json!("stranger")) {
            if !guest["config"]["lock"].is_null() {
                return Some(format!("guest {vmid} is locked: {}", guest["config"]["lock"]));
            }
            if self.book.holder(&place.site.name, p(vmid)).is_none() {
                return Some(format!("guest {vmid} lives and has no lease"));
            }
        }
        for volume in state["volumes"].as_array().unwrap() {
            let owner = volume["vmid"].to_string();
            if !volume["vmid"].is_null() && !guests.contains_key(&owner) {
                return Some(format!("volume {} is left, and no guest {owner}", volume["volid"]));
            }
        }
        None
    }
}
