//! What must hold after every single event, and the trace of all events.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use pve_sim::Effect;
use rl_engine::{Claims, Holder, JobId, JobState, OperationId, OwnerId};
use rl_model::{GuestId, SiteName, Vmid};
use tokio_util::sync::CancellationToken;

use crate::book::Book;
use crate::database::Database;
use crate::life::Life;
use crate::place::Place;

/// Where the clocks start, in milliseconds since 1970.
pub(crate) const START_MS: u64 = 1_790_000_000_000;
/// Events of the trace that a failure shows.
const SHOWN: usize = 60;

/// Everything that the rules look at beside the event.
pub(crate) struct Seen {
    pub(crate) database: Arc<Database>,
    pub(crate) places: Vec<Arc<Place>>,
    pub(crate) book: Arc<Book>,
    /// How long a lease lasts without a heartbeat.
    pub(crate) lease: Duration,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Rules {
    seen: OnceLock<Seen>,
    state: Mutex<State>,
    pub(crate) broken: CancellationToken,
}

#[derive(Default)]
struct State {
    trace: Vec<String>,
    violation: Option<String>,
    /// Accepted operations and how many jobs each has.
    accepted: BTreeMap<OperationId, u32>,
    jobs: BTreeMap<JobId, Known>,
    holders: BTreeMap<JobId, Holder>,
    owners: BTreeMap<OwnerId, Owner>,
    /// Where the guest of each stamp lives.
    live: BTreeMap<GuestId, (SiteName, u32)>,
    counts: Counts,
}

/// What happened in a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) events: u64,
    pub(crate) effects: u64,
    pub(crate) crashes: u64,
    pub(crate) late_refused: u64,
    pub(crate) helped: u64,
    pub(crate) done: u64,
    pub(crate) not_done: u64,
}

/// What an accepted job is about.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) guest: GuestId,
    pub(crate) site: SiteName,
    pub(crate) finished: bool,
    pub(crate) creates: u32,
}

struct Owner {
    life: Arc<Life>,
    /// When it sent its last heartbeat that was acknowledged.
    sent: Duration,
}

impl Rules {
    pub(crate) fn see(&self, seen: Seen) {
        assert!(self.seen.set(seen).is_ok());
    }

    pub(crate) fn seen(&self) -> &Seen {
        self.seen.get().unwrap()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.state().counts);
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Every event so far.
    pub(crate) fn trace(&self) -> Vec<String> {
        self.state().trace.clone()
    }

    /// Writes an event into the trace.
    pub(crate) fn event(&self, text: String) {
        let at = self.seen().database.elapsed();
        let mut state = self.state();
        state.counts.events += 1;
        let line = format!("{:>12.3} {text}", at.as_secs_f64());
        state.trace.push(line);
    }

    pub(crate) fn fail(&self, text: String) {
        let mut state = self.state();
        if state.violation.is_none() {
            let last = state.trace.len().saturating_sub(SHOWN);
            let shown = format!("{text}\nThe last events:\n{}", state.trace[last..].join("\n"));
            state.violation = Some(shown);
        }
        self.broken.cancel();
    }

    pub(crate) fn violation(&self) -> Option<String> {
        self.state().violation.clone()
    }

    /// An operation was accepted: from now on it must never be lost.
    pub(crate) fn accepted(&self, id: OperationId, jobs: Vec<(JobId, GuestId, SiteName)>) {
        let mut state = self.state();
        state.accepted.insert(id, u32::try_from(jobs.len()).unwrap());
        for (job, guest, site) in jobs {
            state.jobs.insert(job, Known { guest, site, finished: false, creates: 0 });
        }
    }

    /// Whether a holder has the right to write, by the journal as it is.
    pub(crate) fn is_late(&self, holder: Holder) -> bool {
        let job = self.seen().database.job(holder.job);
        job.is_none_or(|job| (job.status.fence, job.status.owner) != (holder.fence, Some(holder.owner)))
    }

    /// A holder has written, or was refused.
    pub(crate) fn written(&self, holder: Holder, late: bool, taken: bool, refused: bool) {
        if late && taken {
            let (job, fence) = (holder.job, holder.fence);
            self.fail(format!("a late write was let through: job {job}, fence {fence}"));
        }
        self.state().counts.late_refused += u64::from(late && refused);
        self.job_may_have_ended(holder.job);
    }

    /// A run of a server has registered or beaten; `sent` is when it said so.
    pub(crate) fn alive(&self, owner: OwnerId, life: &Arc<Life>, sent: Duration) {
        self.state().owners.insert(owner, Owner { life: Arc::clone(life), sent });
    }

    /// A run of a server was told that it is taken for dead.
    pub(crate) fn lost(&self, owner: OwnerId) {
        self.state().owners.remove(&owner);
    }

    pub(crate) fn claimed(&self, claims: &Claims) {
        let (now, lease) = (self.seen().database.elapsed(), self.seen().lease);
        for claimed in &claims.jobs {
            let holder = claimed.holder;
            let mut state = self.state();
            let before = state.holders.insert(holder.job, holder);
            let Some(before) = before.filter(|before| before.owner != holder.owner) else { continue };
            let owner = state.owners.get(&before.owner);
            let still = owner.is_some_and(|owner| !owner.life.is_dead() && owner.sent + lease > now);
            let rising = before.fence < holder.fence;
            drop(state);
            if still || !rising {
                let text = format!("two live leases of job {}: {before:?} when {holder:?} was given", holder.job);
                self.fail(text);
            }
        }
    }

    /// A holder has let go of its job.
    pub(crate) fn let_go(&self, job: JobId) {
        self.state().holders.remove(&job);
    }

    /// No accepted operation is lost, whatever was just done.
    pub(crate) fn nothing_lost(&self) {
        let accepted = self.state().accepted.clone();
        for (id, jobs) in accepted {
            let found = self.seen().database.operation(id);
            let total = found.map(|operation| operation.status.counts.total());
            if total != Some(jobs) {
                return self.fail(format!("operation {id} was accepted with {jobs} jobs and has {total:?} now"));
            }
        }
    }

    pub(crate) fn operation_may_have_ended(&self, id: OperationId) {
        let jobs: Vec<JobId> = self.seen().database.jobs(id).into_iter().map(|job| job.spec.id).collect();
        jobs.into_iter().for_each(|job| self.job_may_have_ended(job));
    }

    /// A job that has ended leaves no task running.
    fn job_may_have_ended(&self, id: JobId) {
        let Some(job) = self.seen().database.job(id) else { return };
        let ended = job.status.state.is_finished() && job.status.state != JobState::Stuck;
        let mut state = self.state();
        let Some(known) = state.jobs.get_mut(&id) else { return };
        let first = ended && !known.finished;
        known.finished = ended;
        let known = known.clone();
        drop(state);
        if !first {
            return;
        }
        let place = self.place(&known.site);
        let vmid = self.seen().book.page(&known.guest).map(|page| page.vmid);
        if let Some(task) = vmid.and_then(|vmid| place.runs_task(vmid)) {
            let (key, state) = (job.spec.key, job.status.state.as_str());
            self.fail(format!("`{key}` is {state} while its task {task} runs"));
        }
    }

    pub(crate) fn place(&self, site: &SiteName) -> Arc<Place> {
        let places = &self.seen().places;
        Arc::clone(places.iter().find(|place| place.site.name == *site).unwrap())
    }

    /// Something was truly done to a guest.
    pub(crate) fn effect(&self, site: &SiteName, effect: &Effect) {
        self.event(format!("{site}: {} of {} on {}", effect.kind, effect.vmid, effect.node));
        self.state().counts.effects += 1;
        let Some(guest) = self.guest_of(site, effect) else {
            return self.fail(format!("{} of guest {} on {site}, which is nobody's", effect.kind, effect.vmid));
        };
        let open: Vec<JobId> = {
            let state = self.state();
            state.jobs.iter().filter(|(_, job)| job.guest == guest && !job.finished).map(|(id, _)| *id).collect()
        };
        if open.is_empty() {
            let (kind, vmid) = (&effect.kind, effect.vmid);
            return self.fail(format!("{kind} of guest {vmid} on {site} although no job about it is open"));
        }
        let announced = |job: &JobId| self.seen().database.steps(*job).iter().any(|step| step.intent.is_some());
        if !open.iter().any(announced) {
            let (kind, vmid) = (&effect.kind, effect.vmid);
            return self.fail(format!("{kind} of guest {vmid} on {site} that no job has announced"));
        }
        match effect.kind.as_str() {
            "create" => self.created(site, effect, guest, &open),
            "destroy" => drop(self.state().live.remove(&guest)),
            _ => {}
        }
    }

    fn created(&self, site: &SiteName, effect: &Effect, guest: GuestId, open: &[JobId]) {
        let mut state = self.state();
        let old = state.live.insert(guest.clone(), (site.clone(), effect.vmid));
        let mut creates = 0;
        for id in open {
            let job = state.jobs.get_mut(id).unwrap();
            job.creates += 1;
            creates = creates.max(job.creates);
        }
        drop(state);
        if let Some((site, vmid)) = old {
            return self.fail(format!("two live guests bear the stamp of {guest}: {vmid} on {site}, {}", effect.vmid));
        }
        if creates > 1 {
            self.fail(format!("one job has made guest {guest} {creates} times"));
        }
    }

    /// Whose guest it is, by its stamp, or by where the guest of a stamp is known to live.
    fn guest_of(&self, site: &SiteName, effect: &Effect) -> Option<GuestId> {
        let stamped = rl_model::Stamp::find(&effect.description.join("\n"));
        if let Some(stamp) = stamped {
            return Some(stamp.guest);
        }
        let state = self.state();
        let lives = |at: &&(SiteName, u32)| at.0 == *site && at.1 == effect.vmid;
        state.live.iter().find(|(_, at)| lives(at)).map(|(guest, _)| guest.clone())
    }

    /// A person has taken a half-made guest away by hand.
    pub(crate) fn removed_by_hand(&self, site: &SiteName, vmid: Vmid) {
        self.state().live.retain(|_, at| at.0 != *site || at.1 != u32::from(vmid));
    }

    pub(crate) fn lives(&self, guest: &GuestId) -> Option<(SiteName, u32)> {
        self.state().live.get(guest).cloned()
    }
}
