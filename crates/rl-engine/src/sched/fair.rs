//! A queue that is fair between operations: highest priority first, operations in turn, in order within each.
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::id::{JobId, OperationId};
use crate::record::JobSlot;

/// Place of a job within its operation.
type Place = (u32, JobId);

/// Jobs waiting for their turn. Adding, taking and removing cost the logarithm of its size.
#[derive(Debug, Default)]
pub(super) struct FairQueue {
    classes: BTreeMap<Reverse<i16>, Class>,
    len: usize,
}

/// The jobs of one priority.
#[derive(Debug, Default)]
struct Class {
    /// Operations by turn: the one served longest ago comes first.
    turns: BTreeMap<u64, OperationId>,
    jobs: HashMap<OperationId, Queue>,
    next_turn: u64,
}

#[derive(Debug, Default)]
struct Queue {
    turn: u64,
    places: BTreeSet<Place>,
}

impl FairQueue {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn push(&mut self, slot: &JobSlot) {
        let class = self.classes.entry(Reverse(slot.priority)).or_default();
        if class.push(slot.operation, (slot.seq, slot.id)) {
            self.len += 1;
        }
    }

    /// The job whose turn it is, without taking it.
    pub(super) fn peek(&self) -> Option<JobId> {
        let class = self.classes.values().next()?;
        let operation = class.turns.values().next()?;
        class.jobs.get(operation)?.places.first().map(|place| place.1)
    }

    /// Takes the job whose turn it is and sends its operation to the back.
    pub(super) fn pop(&mut self) -> Option<JobId> {
        let mut entry = self.classes.first_entry()?;
        let job = entry.get_mut().pop();
        if entry.get().jobs.is_empty() {
            entry.remove();
        }
        self.len -= usize::from(job.is_some());
        job
    }

    pub(super) fn remove(&mut self, slot: &JobSlot) -> bool {
        let Some(class) = self.classes.get_mut(&Reverse(slot.priority)) else { return false };
        let removed = class.remove(slot.operation, (slot.seq, slot.id));
        if class.jobs.is_empty() {
            self.classes.remove(&Reverse(slot.priority));
        }
        self.len -= usize::from(removed);
        removed
    }
}

impl Class {
    fn push(&mut self, operation: OperationId, place: Place) -> bool {
        let queue = self.jobs.entry(operation).or_insert_with(|| {
            let turn = self.next_turn;
            self.next_turn += 1;
            self.turns.insert(turn, operation);
            Queue { turn, places: BTreeSet::new() }
        });
        queue.places.insert(place)
    }

    fn pop(&mut self) -> Option<JobId> {
        let (_, operation) = self.turns.pop_first()?;
        let queue = self.jobs.get_mut(&operation)?;
        let place = queue.places.pop_first();
        if queue.places.is_empty() {
            self.jobs.remove(&operation);
        } else {
            queue.turn = self.next_turn;
            self.turns.insert(self.next_turn, operation);
            self.next_turn += 1;
        }
        place.map(|place| place.1)
    }

    fn remove(&mut self, operation: OperationId, place: Place) -> bool {
        let Some(queue) = self.jobs.get_mut(&operation) else { return false };
        let removed = queue.places.remove(&place);
        if queue.places.is_empty() {
            self.turns.remove(&queue.turn);
            self.jobs.remove(&operation);
        }
        removed
    }
}
