//! The rows a writer has at hand: what it read or wrote, what of it is not in the database yet, and how to take one write back.
//!
//! A change is made here first. The rows that changed go to the database together, at the end of the transaction or when a
//! statement has to see them.
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use rl_engine::{
    Direction, Event, JobId, JobSlot, JobSpec, JobStatus, OperationId, OperationInfo, OperationStatus, OwnerId,
    OwnerRecord, StepRecord,
};

use super::table::Loaded;

/// Jobs kept over a transaction; beyond it those that do not run are forgotten and read again when they are claimed.
const JOBS_MAX: usize = 20_000;

/// Where a row stands between here and the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// It is in the database as it was when the transaction began.
    pub(super) stored: bool,
    /// This transaction has put it there.
    pub(super) inserted: bool,
    /// It changed in this transaction.
    pub(super) dirty: bool,
    /// The database has been told of its value.
    pub(super) written: bool,
}

impl Mark {
    const STORED: Mark = Mark { stored: true, inserted: false, dirty: false, written: false };

    fn change(&mut self) {
        self.dirty = true;
        self.written = false;
    }

    /// Takes the row for writing: whether it has to be told, and whether it is new there.
    pub(super) fn take(&mut self) -> Option<bool> {
        if !self.dirty || self.written {
            return None;
        }
        let is_new = !self.stored && !self.inserted;
        self.inserted |= is_new;
        self.written = true;
        Some(is_new)
    }

    fn committed(&mut self) {
        *self = Mark::STORED;
    }

    fn rolled_back(&mut self) {
        (self.inserted, self.written) = (false, false);
    }
}

/// A job with all that belongs to it.
#[derive(Debug, Clone)]
pub(super) struct JobEntry {
    pub(super) slot: Arc<JobSlot>,
    pub(super) status: JobStatus,
    /// Absent when this release cannot read it.
    pub(super) spec: Option<Arc<JobSpec>>,
    pub(super) followers: Vec<JobId>,
    /// Absent when this release cannot read one of them.
    pub(super) steps: Option<Vec<StepEntry>>,
    pub(super) mark: Mark,
}

#[derive(Debug, Clone)]
pub(super) struct StepEntry {
    pub(super) step: Arc<StepRecord>,
    pub(super) mark: Mark,
}

#[derive(Debug, Clone)]
pub(super) struct OperationEntry {
    pub(super) status: OperationStatus,
    /// Present where it was inserted here; other readers ask the database.
    pub(super) info: Option<Arc<OperationInfo>>,
    pub(super) mark: Mark,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Cache {
    pub(super) jobs: HashMap<JobId, JobEntry>,
    pub(super) operations: HashMap<OperationId, OperationEntry>,
    /// Keys looked up or inserted in this transaction.
    pub(super) keys: HashMap<String, Option<OperationId>>,
    pub(super) absent_jobs: HashSet<JobId>,
    pub(super) absent_operations: HashSet<OperationId>,
    /// All engine runs, once they were read.
    pub(super) owners: Option<BTreeMap<OwnerId, OwnerRecord>>,
    pub(super) dirty_owners: BTreeSet<OwnerId>,
    pub(super) events: Vec<Event>,
    pub(super) events_written: usize,
    /// The number of the last event of all.
    pub(super) last_event: u64,
    pub(super) dirty_jobs: Vec<JobId>,
    pub(super) dirty_operations: Vec<OperationId>,
    undo: Undo,
}

/// What one write changed, as it was before.
#[derive(Debug, Default)]
struct Undo {
    jobs: HashMap<JobId, Option<JobEntry>>,
    operations: HashMap<OperationId, Option<OperationEntry>>,
    keys: Vec<(String, Option<Option<OperationId>>)>,
    owners: Option<Option<BTreeMap<OwnerId, OwnerRecord>>>,
    events: Vec<Event>,
    events_from: usize,
}

impl Cache {
    /// Starts a write that can be taken back.
    pub(super) fn start(&mut self) {
        self.undo = Undo { events_from: self.events.len(), ..Undo::default() };
    }

    /// Takes the write back; answers the jobs it had touched.
    pub(super) fn take_back(&mut self) -> Vec<JobId> {
        self.swap();
        let undo = std::mem::take(&mut self.undo);
        self.last_event -= undo.events.len() as u64;
        undo.jobs.into_keys().collect()
    }

    /// Exchanges everything the write changed with what it was before, or back: the database can so be told of the state
    /// before the write, and then of the one after.
    pub(super) fn swap(&mut self) {
        for (id, old) in &mut self.undo.jobs {
            exchange(&mut self.jobs, *id, old);
        }
        for (id, old) in &mut self.undo.operations {
            exchange(&mut self.operations, *id, old);
        }
        for (key, old) in &mut self.undo.keys {
            let now = self.keys.remove(key);
            if let Some(old) = old.take() {
                self.keys.insert(key.clone(), old);
            }
            *old = now;
        }
        if let Some(old) = &mut self.undo.owners {
            std::mem::swap(old, &mut self.owners);
        }
        let from = self.undo.events_from.min(self.events.len());
        let now = self.events.split_off(from);
        let before = std::mem::replace(&mut self.undo.events, now);
        self.events.extend(before);
        self.events_written = self.events_written.min(self.events.len());
    }

    /// A job that is known for sure: here, or not there at all.
    pub(super) fn knows_job(&self, id: JobId) -> bool {
        self.jobs.contains_key(&id) || self.absent_jobs.contains(&id)
    }

    pub(super) fn knows_operation(&self, id: OperationId) -> bool {
        self.operations.contains_key(&id) || self.absent_operations.contains(&id)
    }

    /// A job that is about to change.
    pub(super) fn job_to_change(&mut self, id: JobId) -> Option<&mut JobEntry> {
        let entry = self.jobs.get_mut(&id)?;
        self.undo.jobs.entry(id).or_insert_with(|| Some(entry.clone()));
        Some(entry)
    }

    pub(super) fn put_status(&mut self, id: JobId, status: &JobStatus) {
        let Some(entry) = self.job_to_change(id) else { return };
        entry.status = status.clone();
        entry.mark.change();
        self.dirty_jobs.push(id);
    }

    pub(super) fn insert_job(&mut self, slot: JobSlot, spec: &JobSpec, status: &JobStatus) {
        let id = slot.id;
        for before in spec.after.iter().collect::<BTreeSet<_>>() {
            if let Some(entry) = self.job_to_change(*before) {
                entry.followers.push(id);
            }
        }
        let mark = Mark { dirty: true, ..Mark::default() };
        let entry = JobEntry {
            slot: Arc::new(slot),
            status: status.clone(),
            spec: Some(Arc::new(spec.clone())),
            followers: Vec::new(),
            steps: Some(Vec::new()),
            mark,
        };
        let old = self.jobs.insert(id, entry);
        self.undo.jobs.entry(id).or_insert(old);
        self.dirty_jobs.push(id);
    }

    pub(super) fn put_step(&mut self, step: &StepRecord) -> bool {
        let Some(entry) = self.job_to_change(step.job) else { return false };
        let Some(steps) = &mut entry.steps else { return false };
        let step = Arc::new(step.clone());
        match steps.iter_mut().find(|known| known.step.name == step.name && known.step.direction == step.direction) {
            Some(known) => {
                known.step = step.clone();
                known.mark.change();
            }
            None => steps.push(StepEntry { step: step.clone(), mark: Mark { dirty: true, ..Mark::default() } }),
        }
        self.dirty_jobs.push(step.job);
        true
    }

    pub(super) fn insert_operation(&mut self, info: &OperationInfo, status: &OperationStatus) {
        if let Some(key) = &info.idempotency_key {
            let old = self.keys.insert(key.clone(), Some(info.id));
            self.undo.keys.push((key.clone(), old));
        }
        let mark = Mark { dirty: true, ..Mark::default() };
        let entry = OperationEntry { status: status.clone(), info: Some(Arc::new(info.clone())), mark };
        let old = self.operations.insert(info.id, entry);
        self.undo.operations.entry(info.id).or_insert(old);
        self.dirty_operations.push(info.id);
    }

    pub(super) fn put_operation(&mut self, id: OperationId, status: &OperationStatus) {
        let Some(entry) = self.operations.get_mut(&id) else { return };
        self.undo.operations.entry(id).or_insert_with(|| Some(entry.clone()));
        entry.status = status.clone();
        entry.mark.change();
        self.dirty_operations.push(id);
    }

    /// The engine runs, about to change.
    pub(super) fn owners_to_change(&mut self, id: OwnerId) -> Option<&mut BTreeMap<OwnerId, OwnerRecord>> {
        let owners = self.owners.as_mut()?;
        if self.undo.owners.is_none() {
            self.undo.owners = Some(Some(owners.clone()));
        }
        self.dirty_owners.insert(id);
        Some(owners)
    }

    pub(super) fn append_event(&mut self, event: &Event) -> u64 {
        self.last_event += 1;
        self.events.push(Event { seq: self.last_event, ..event.clone() });
        self.last_event
    }

    /// The operation is deleted in the database; nothing of it may stay here.
    pub(super) fn drop_operation(&mut self, id: OperationId) {
        if let Some(old) = self.operations.remove(&id) {
            self.undo.operations.entry(id).or_insert(Some(old));
        }
        let gone: Vec<JobId> =
            self.jobs.values().filter(|entry| entry.slot.operation == id).map(|entry| entry.slot.id).collect();
        for job in gone {
            if let Some(old) = self.jobs.remove(&job) {
                self.undo.jobs.entry(job).or_insert(Some(old));
            }
        }
    }

    /// Keeps what was read.
    pub(super) fn loaded(&mut self, (slot, status, spec): Loaded) {
        let entry = JobEntry {
            status,
            spec: spec.ok().map(Arc::new),
            followers: Vec::new(),
            steps: Some(Vec::new()),
            mark: Mark::STORED,
            slot: Arc::new(slot),
        };
        self.jobs.entry(entry.slot.id).or_insert(entry);
    }

    pub(super) fn loaded_step(&mut self, job: JobId, step: Option<StepRecord>) {
        let Some(entry) = self.jobs.get_mut(&job) else { return };
        match (step, &mut entry.steps) {
            (Some(step), Some(steps)) => steps.push(StepEntry { step: Arc::new(step), mark: Mark::STORED }),
            _ => entry.steps = None,
        }
    }

    pub(super) fn loaded_operation(&mut self, id: OperationId, status: OperationStatus) {
        let entry = OperationEntry { status, info: None, mark: Mark::STORED };
        self.operations.entry(id).or_insert(entry);
    }

    pub(super) fn one_step(&self, job: JobId, name: &str, direction: Direction) -> Option<Option<StepRecord>> {
        let steps = self.jobs.get(&job)?.steps.as_ref()?;
        let found = steps.iter().find(|known| known.step.name == name && known.step.direction == direction);
        Some(found.map(|known| StepRecord::clone(&known.step)))
    }

    /// Whether the transaction changed anything.
    pub(super) fn is_dirty(&self) -> bool {
        !(self.dirty_jobs.is_empty()
            && self.dirty_operations.is_empty()
            && self.dirty_owners.is_empty()
            && self.events.is_empty())
    }

    /// The transaction is on disk.
    pub(super) fn committed(&mut self) {
        for id in std::mem::take(&mut self.dirty_jobs) {
            let Some(entry) = self.jobs.get_mut(&id) else { continue };
            entry.mark.committed();
            for step in entry.steps.iter_mut().flatten() {
                step.mark.committed();
            }
            if entry.status.state.is_finished() {
                self.jobs.remove(&id);
            }
        }
        for id in std::mem::take(&mut self.dirty_operations) {
            let Some(entry) = self.operations.get_mut(&id) else { continue };
            entry.mark.committed();
            entry.info = None;
            if entry.status.state.is_finished() {
                self.operations.remove(&id);
            }
        }
        self.end();
        self.shrink();
    }

    /// Forgets what holds for one transaction alone.
    fn end(&mut self) {
        self.keys.clear();
        self.absent_jobs.clear();
        self.absent_operations.clear();
        self.dirty_owners.clear();
        self.events.clear();
        self.events_written = 0;
        self.undo = Undo::default();
    }

    fn shrink(&mut self) {
        if self.jobs.len() > JOBS_MAX {
            self.jobs.retain(|_, entry| entry.status.owner.is_some());
        }
        if self.jobs.len() > JOBS_MAX {
            self.jobs.clear();
        }
        if self.operations.len() > JOBS_MAX {
            self.operations.clear();
        }
    }

    /// Forgets everything but what this transaction changed.
    pub(super) fn forget_clean(&mut self) {
        self.jobs.retain(|_, entry| entry.mark.dirty || entry.steps.iter().flatten().any(|step| step.mark.dirty));
        self.operations.retain(|_, entry| entry.mark.dirty);
        if self.dirty_owners.is_empty() {
            self.owners = None;
        }
        self.keys.clear();
        self.absent_jobs.clear();
        self.absent_operations.clear();
    }

    /// The transaction is given up: nothing of it is stored. Nothing at hand may be believed any more; it is kept for what the
    /// database may have lost.
    pub(super) fn abandon(&mut self) {
        self.dirty_jobs.clear();
        self.dirty_operations.clear();
        for entry in self.jobs.values_mut() {
            entry.mark.committed();
            entry.steps.iter_mut().flatten().for_each(|step| step.mark.committed());
        }
        self.operations.clear();
        self.owners = None;
        self.end();
    }

    /// The database took everything of this transaction back; it will be told again.
    pub(super) fn rolled_back(&mut self) {
        for id in &self.dirty_jobs {
            let now = self.jobs.get_mut(id);
            for entry in now.into_iter().chain(self.undo.jobs.get_mut(id).and_then(Option::as_mut)) {
                entry.mark.rolled_back();
                entry.steps.iter_mut().flatten().for_each(|step| step.mark.rolled_back());
            }
        }
        for id in &self.dirty_operations {
            let now = self.operations.get_mut(id);
            for entry in now.into_iter().chain(self.undo.operations.get_mut(id).and_then(Option::as_mut)) {
                entry.mark.rolled_back();
            }
        }
        self.events_written = 0;
    }
}

fn exchange<K: std::hash::Hash + Eq, V>(map: &mut HashMap<K, V>, key: K, other: &mut Option<V>) {
    let now = match other.take() {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
    *other = now;
}
