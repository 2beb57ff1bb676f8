//! A small outside world with things, tasks and faults, and the steps that act on it. It keeps the books the invariants are checked against.
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rl_engine::{
    Clock, Envelope, JobId, JobKind, OpClass, PayloadError, PriorAttempt, Receipt, Registry, Step, StepCx, StepError,
    UnixMs,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Longest outside call.
pub(crate) const CALL: Duration = Duration::from_secs(5);

/// What a job of the toy kind does: makes a thing on a node, then marks it, then starts it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Toy {
    pub(crate) thing: String,
    pub(crate) node: String,
    pub(crate) steps: Vec<String>,
}

/// How often calls go wrong, in percent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    pub(crate) refuse: u32,
    pub(crate) lose_answer: u32,
    pub(crate) task_fails: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Thing {
    pub(crate) owner: JobId,
    pub(crate) node: String,
    pub(crate) marks: Vec<String>,
    pub(crate) ready_at: UnixMs,
}

#[derive(Debug, Clone)]
struct Task {
    thing: String,
    node: String,
    ends_at: UnixMs,
    fails: bool,
}

#[derive(Default)]
struct Books {
    things: BTreeMap<String, Thing>,
    tasks: BTreeMap<String, Task>,
    /// Times each thing was made and not taken away again.
    made: BTreeMap<String, u32>,
    newest_fence: HashMap<JobId, u64>,
    violations: Vec<String>,
}

/// See the module.
pub(crate) struct World {
    books: Mutex<Books>,
    rng: Mutex<StdRng>,
    clock: Arc<dyn Clock>,
    faults: Faults,
    node_limit: usize,
}

/// What the world answers.
enum Answer {
    Task(String),
    Refused,
    Lost,
}

impl World {
    pub(crate) fn new(clock: Arc<dyn Clock>, seed: u64, faults: Faults, node_limit: usize) -> Arc<Self> {
        let rng = Mutex::new(StdRng::seed_from_u64(seed));
        Arc::new(Self { books: Mutex::default(), rng, clock, faults, node_limit })
    }

    pub(crate) fn things(&self) -> BTreeMap<String, Thing> {
        self.books.lock().unwrap().things.clone()
    }

    pub(crate) fn made(&self, thing: &str) -> u32 {
        self.books.lock().unwrap().made.get(thing).copied().unwrap_or(0)
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.books.lock().unwrap().violations.clone()
    }

    /// Tasks that still run.
    pub(crate) fn running_tasks(&self) -> usize {
        let now = self.clock.now();
        self.books.lock().unwrap().tasks.values().filter(|task| task.ends_at > now).count()
    }

    fn chance(&self, percent: u32) -> bool {
        self.rng.lock().unwrap().random_range(0..100) < percent
    }

    async fn latency(&self) {
        let ms = self.rng.lock().unwrap().random_range(1..200);
        self.clock.sleep(Duration::from_millis(ms)).await;
    }

    /// Makes a thing: refused while one of the name exists, as Proxmox refuses a VMID in use. The work is a task.
    async fn create(&self, toy: &Toy, owner: JobId) -> Answer {
        self.latency().await;
        let now = self.clock.now();
        let (refuse, fails, lose) = (
            self.chance(self.faults.refuse),
            self.chance(self.faults.task_fails),
            self.chance(self.faults.lose_answer),
        );
        let mut books = self.books.lock().unwrap();
        if refuse || books.things.contains_key(&toy.thing) {
            return Answer::Refused;
        }
        let busy = books.tasks.values().filter(|task| task.node == toy.node && task.ends_at > now).count();
        if busy >= self.node_limit {
            let text = format!(
                "{} tasks run on {} when {} starts, the limit is {}",
                busy, toy.node, toy.thing, self.node_limit
            );
            books.violations.push(text);
        }
        let upid = format!("UPID:{:06}:{}", books.tasks.len(), toy.node);
        let ends_at = now + Duration::from_secs(3);
        books.tasks.insert(upid.clone(), Task { thing: toy.thing.clone(), node: toy.node.clone(), ends_at, fails });
        let thing = Thing { owner, node: toy.node.clone(), marks: Vec::new(), ready_at: ends_at };
        books.things.insert(toy.thing.clone(), thing);
        *books.made.entry(toy.thing.clone()).or_default() += 1;
        drop(books);
        if lose { Answer::Lost } else { Answer::Task(upid) }
    }

    /// What became of a task: `None` while it runs. A task that fails takes its thing with it.
    fn task(&self, upid: &str) -> Option<bool> {
        let mut books = self.books.lock().unwrap();
        let task = books.tasks.get(upid).cloned()?;
        if task.ends_at > self.clock.now() {
            return None;
        }
        // Only the end of the task that made it takes the thing away, not a later look at it.
        if task.fails && books.things.get(&task.thing).is_some_and(|thing| thing.ready_at == task.ends_at) {
            books.forget(&task.thing);
        }
        Some(!task.fails)
    }

    fn mark(&self, thing: &str, mark: &str) {
        if let Some(thing) = self.books.lock().unwrap().things.get_mut(thing)
            && !thing.marks.iter().any(|known| known == mark)
        {
            thing.marks.push(mark.to_owned());
        }
    }

    fn unmark(&self, thing: &str, mark: &str) {
        if let Some(thing) = self.books.lock().unwrap().things.get_mut(thing) {
            thing.marks.retain(|known| known != mark);
        }
    }

    fn thing(&self, name: &str) -> Option<Thing> {
        self.books.lock().unwrap().things.get(name).cloned()
    }

    fn destroy(&self, name: &str) {
        self.books.lock().unwrap().forget(name);
    }

    /// An outside call under a fence: one that comes after a call of a newer holder is what fences are there to prevent.
    fn called(&self, job: JobId, fence: u64) {
        let mut books = self.books.lock().unwrap();
        let newest = books.newest_fence.entry(job).or_default();
        if fence < *newest {
            let text = format!("job {job} was acted on under fence {fence} after {newest}");
            books.violations.push(text);
        } else {
            *newest = fence;
        }
    }
}

impl Books {
    fn forget(&mut self, thing: &str) {
        if self.things.remove(thing).is_some() {
            self.made.insert(thing.to_owned(), 0);
        }
    }
}

/// Makes the thing: a keyed step with intent, reference and a task to follow.
pub(crate) struct Make;

#[async_trait]
impl Step for Make {
    fn name(&self) -> &'static str {
        "make"
    }

    fn class(&self) -> OpClass {
        OpClass::Keyed
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        let (toy, world): (Toy, &World) = (cx.payload()?, cx.context());
        let upid = match (cx.prior().clone(), world.thing(&toy.thing)) {
            (PriorAttempt::Submitted { ext_ref, .. }, _) => ext_ref,
            (PriorAttempt::Intent { .. }, Some(thing)) if thing.owner == cx.job().id => adopt(cx, world, &toy).await?,
            (_, Some(thing)) if thing.owner != cx.job().id => {
                return Err(StepError::blocked(format!("{} belongs to another", toy.thing), "choose another name"));
            }
            _ => submit(cx, world, &toy).await?,
        };
        follow(cx, world, &upid).await?;
        Ok(Envelope::new("made", 1, json!({ "thing": toy.thing })))
    }

    async fn undo(&self, cx: &StepCx) -> Result<(), StepError> {
        let (toy, world): (Toy, &World) = (cx.payload()?, cx.context());
        let Some(thing) = world.thing(&toy.thing).filter(|thing| thing.owner == cx.job().id) else { return Ok(()) };
        // Whatever still makes it must end first.
        cx.clock().sleep(thing.ready_at.since(cx.now())).await;
        cx.intent(Envelope::new("destroy", 1, json!({}))).await?;
        cx.may_call(CALL)?;
        world.called(cx.job().id, cx.fence());
        world.latency().await;
        world.destroy(&toy.thing);
        Ok(())
    }
}

/// After an interruption: the thing is there, so its task is found by its name.
async fn adopt(cx: &StepCx, world: &World, toy: &Toy) -> Result<String, StepError> {
    let found = {
        let books = world.books.lock().unwrap();
        books.tasks.iter().rev().find(|(_, task)| task.thing == toy.thing).map(|(upid, _)| upid.clone())
    };
    let upid = found.ok_or_else(|| StepError::fatal("the thing is there, but no task made it"))?;
    cx.submitted(upid.clone()).await?;
    Ok(upid)
}

async fn submit(cx: &StepCx, world: &World, toy: &Toy) -> Result<String, StepError> {
    cx.may_call(CALL)?;
    cx.intent(Envelope::new("make", 1, json!({ "thing": toy.thing }))).await?;
    cx.may_call(CALL)?;
    world.called(cx.job().id, cx.fence());
    match world.create(toy, cx.job().id).await {
        Answer::Task(upid) => {
            cx.submitted(upid.clone()).await?;
            Ok(upid)
        }
        Answer::Refused => {
            cx.withdraw().await?;
            Err(StepError::retry(Duration::from_millis(100), "refused"))
        }
        Answer::Lost => Err(StepError::retry(Duration::from_millis(100), "no answer")),
    }
}

async fn follow(cx: &StepCx, world: &World, upid: &str) -> Result<(), StepError> {
    loop {
        match world.task(upid) {
            Some(true) => return Ok(()),
            Some(false) => {
                cx.withdraw().await?;
                return Err(StepError::retry(Duration::from_millis(100), "the task failed"));
            }
            None => {
                cx.progress("making it", None);
                tokio::select! {
                    () = cx.clock().sleep(Duration::from_millis(200)) => {}
                    () = cx.cancelled() => {
                        // The task cannot be stopped here, so its end is waited for.
                        while world.task(upid).is_none() {
                            cx.clock().sleep(Duration::from_millis(200)).await;
                        }
                        return Err(StepError::Cancelled);
                    }
                }
            }
        }
    }
}

/// Sets a mark on the thing: state-guarded, without a journaled intent.
pub(crate) struct Mark(pub(crate) String);

#[async_trait]
impl Step for Mark {
    fn name(&self) -> &str {
        &self.0
    }

    fn class(&self) -> OpClass {
        OpClass::StateGuarded
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        let (toy, world): (Toy, &World) = (cx.payload()?, cx.context());
        match self.0.as_str() {
            "fails" => return Err(StepError::fatal("it cannot be done")),
            "panics" => panic!("a fault in the step"),
            "hangs" => std::future::pending().await,
            _ => {}
        }
        cx.may_call(CALL)?;
        world.called(cx.job().id, cx.fence());
        world.latency().await;
        world.mark(&toy.thing, &self.0);
        Ok(Envelope::new("marked", 1, json!({ "mark": self.0 })))
    }

    async fn undo(&self, cx: &StepCx) -> Result<(), StepError> {
        let (toy, world): (Toy, &World) = (cx.payload()?, cx.context());
        cx.may_call(CALL)?;
        world.called(cx.job().id, cx.fence());
        world.unmark(&toy.thing, &self.0);
        match self.0.as_str() {
            "sticks" => Err(StepError::fatal("it cannot be taken back")),
            "panics-back" => panic!("a fault in the undo"),
            _ => Ok(()),
        }
    }
}

/// Runs a script that nothing can tell about afterwards; the answer is lost the first time.
pub(crate) struct Script;

#[async_trait]
impl Step for Script {
    fn name(&self) -> &'static str {
        "script"
    }

    fn class(&self) -> OpClass {
        OpClass::Opaque
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        let (toy, world): (Toy, &World) = (cx.payload()?, cx.context());
        cx.intent(Envelope::new("script", 1, json!({}))).await?;
        world.mark(&toy.thing, &format!("script-{}", cx.fence()));
        if cx.fence() == 1 {
            return Err(StepError::retry(Duration::ZERO, "no answer"));
        }
        Ok(Envelope::new("ran", 1, json!({})))
    }

    async fn undo(&self, _: &StepCx) -> Result<(), StepError> {
        Ok(())
    }
}

/// The kind of job these steps make.
pub(crate) fn kind() -> JobKind {
    JobKind::first("toy", |payload| {
        let toy: Toy = payload.read().map_err(|error| PayloadError(error.to_string()))?;
        let steps = toy.steps.into_iter().map(|name| -> Arc<dyn Step> {
            match name.as_str() {
                "make" => Arc::new(Make),
                "script" => Arc::new(Script),
                _ => Arc::new(Mark(name)),
            }
        });
        Ok(steps.collect())
    })
}

pub(crate) fn registry() -> Registry {
    Registry::new().with(kind())
}

pub(crate) fn payload(thing: &str, node: &str, steps: &[&str]) -> Envelope {
    let steps = steps.iter().map(|step| (*step).to_owned()).collect();
    Envelope::of("toy", 1, &Toy { thing: thing.to_owned(), node: node.to_owned(), steps }).unwrap()
}
