//! A queue that is fair between subjects and operations: highest priority first, subjects in turn, operations in turn within each
//! subject, in order within each operation. A priority that is passed over again and again rises.
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use crate::id::{JobId, OperationId};
use crate::record::JobSlot;

/// Times a priority is passed over before its jobs count as one higher. It bounds how long a job waits behind more urgent ones: by
/// this number for each priority between them.
pub(super) const PASSED_OVER_MAX: u64 = 64;

/// Place of a job within its operation.
type Place = (u32, JobId);

/// Jobs waiting for their turn. Adding, taking and removing cost the logarithm of its size.
#[derive(Debug, Default)]
pub(super) struct FairQueue {
    classes: BTreeMap<Reverse<i16>, Class>,
    /// Jobs taken so far: the clock that priorities age by.
    taken: u64,
    len: usize,
}

/// The jobs of one priority.
#[derive(Debug)]
struct Class {
    subjects: Turns<Arc<str>, Turns<OperationId, Places>>,
    /// Jobs taken from the whole queue when one of this class was last taken, or the class came to be.
    served: u64,
}

#[derive(Debug, Default)]
struct Places(BTreeSet<Place>);

/// Keys that take turns: the one served longest ago comes first.
#[derive(Debug)]
struct Turns<K, Q> {
    order: BTreeMap<u64, K>,
    queues: HashMap<K, (u64, Q)>,
    next: u64,
}

impl<K, Q> Default for Turns<K, Q> {
    fn default() -> Self {
        Self { order: BTreeMap::new(), queues: HashMap::new(), next: 0 }
    }
}

impl FairQueue {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn push(&mut self, slot: &JobSlot) {
        let served = self.taken;
        let class =
            self.classes.entry(Reverse(slot.priority)).or_insert_with(|| Class { subjects: Turns::default(), served });
        let subject = class.subjects.entry(&slot.subject);
        if subject.entry(&slot.operation).0.insert((slot.seq, slot.id)) {
            self.len += 1;
        }
    }

    /// The priority whose turn it is: the highest, counting one more for every [`PASSED_OVER_MAX`] times it was passed over.
    fn turn(&self) -> Option<Reverse<i16>> {
        let aged = |class: &Class| i64::try_from((self.taken - class.served) / PASSED_OVER_MAX).unwrap_or(i64::MAX);
        let urgency = |(priority, class): &(&Reverse<i16>, &Class)| aged(class).saturating_add(i64::from(priority.0));
        // Among equals the one that waited longer: it is the lower one, which comes later.
        self.classes.iter().max_by_key(urgency).map(|(priority, _)| *priority)
    }

    /// The job whose turn it is, without taking it.
    pub(super) fn peek(&self) -> Option<JobId> {
        let class = self.classes.get(&self.turn()?)?;
        class.subjects.first()?.first()?.0.first().map(|place| place.1)
    }

    /// Takes the job whose turn it is and sends its subject and operation to the back.
    pub(super) fn pop(&mut self) -> Option<JobId> {
        let priority = self.turn()?;
        let class = self.classes.get_mut(&priority)?;
        self.taken += 1;
        class.served = self.taken;
        let job = class.subjects.take(|operations| {
            let job = operations.take(|places| (places.0.pop_first(), places.0.is_empty()));
            (job, operations.is_empty())
        });
        if class.subjects.is_empty() {
            self.classes.remove(&priority);
        }
        self.len -= usize::from(job.is_some());
        job.map(|place| place.1)
    }

    pub(super) fn remove(&mut self, slot: &JobSlot) -> bool {
        let priority = Reverse(slot.priority);
        let Some(class) = self.classes.get_mut(&priority) else { return false };
        let place = (slot.seq, slot.id);
        let removed = class.subjects.within(&slot.subject, |operations| {
            let removed = operations.within(&slot.operation, |places| (places.0.remove(&place), places.0.is_empty()));
            (removed, operations.is_empty())
        });
        if class.subjects.is_empty() {
            self.classes.remove(&priority);
        }
        self.len -= usize::from(removed);
        removed
    }
}

impl<K: Clone + Eq + Hash, Q: Default> Turns<K, Q> {
    fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// The queue of a key; a new key comes last.
    fn entry(&mut self, key: &K) -> &mut Q {
        let (order, next) = (&mut self.order, &mut self.next);
        let (_, queue) = self.queues.entry(key.clone()).or_insert_with(|| {
            let turn = *next;
            *next += 1;
            order.insert(turn, key.clone());
            (turn, Q::default())
        });
        queue
    }

    fn first(&self) -> Option<&Q> {
        let key = self.order.values().next()?;
        self.queues.get(key).map(|(_, queue)| queue)
    }

    /// Takes from the queue whose turn it is. `take` also says whether that queue is empty now; if not, its key goes to the back.
    fn take<T>(&mut self, take: impl FnOnce(&mut Q) -> (Option<T>, bool)) -> Option<T> {
        let (_, key) = self.order.pop_first()?;
        let (turn, queue) = self.queues.get_mut(&key)?;
        let (taken, empty) = take(queue);
        if empty {
            self.queues.remove(&key);
        } else {
            *turn = self.next;
            self.order.insert(self.next, key);
            self.next += 1;
        }
        taken
    }

    /// Removes from the queue of a key. `remove` also says whether that queue is empty now.
    fn within(&mut self, key: &K, remove: impl FnOnce(&mut Q) -> (bool, bool)) -> bool {
        let Some((turn, queue)) = self.queues.get_mut(key) else { return false };
        let (removed, empty) = remove(queue);
        if empty {
            self.order.remove(turn);
            self.queues.remove(key);
        }
        removed
    }
}
