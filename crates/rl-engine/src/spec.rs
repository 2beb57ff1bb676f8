//! What is submitted: an operation and its jobs, checked before anything is stored.
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::envelope::Envelope;
use crate::id::{JobId, OperationId};

/// Most jobs in one operation: ten times the largest stack planned for, and still one transaction of a second or two.
pub const JOBS_PER_OPERATION_MAX: usize = 100_000;
/// Largest payload of one job or operation in bytes of JSON: payloads are read whole into memory.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// Most lock domains of one job: each is looked at on every claim.
pub const LOCKS_PER_JOB_MAX: usize = 16;
/// Priorities lie between minus this and this: a waiting job rises through all of them in bounded time.
pub const PRIORITY_MAX: i16 = 100;
/// Attempts in a row without progress after which a job gives up, when the job does not say.
pub const ATTEMPTS_DEFAULT: u32 = 20;

/// One operation to submit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperationSpec {
    /// Handed in, so that a caller that lost the answer can ask for the same operation again.
    pub id: OperationId,
    /// What is done, such as `apply` or `destroy`.
    pub kind: String,
    /// What it is done to, such as the name of a stack.
    pub subject: String,
    /// Who asked for it.
    pub actor: String,
    /// One line for people.
    pub summary: String,
    /// What the steps of every job may read.
    pub payload: Envelope,
    /// A second submit with the same key gives the first operation back instead of starting another.
    pub idempotency_key: Option<String>,
    /// Refuse to start while another operation of the same subject is unfinished.
    pub exclusive: bool,
    /// The jobs, in the order in which equals are started.
    pub jobs: Vec<JobSpec>,
}

/// One job of an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Handed in, so that other jobs of the operation can name it in `after`.
    pub id: JobId,
    /// Name for people, unique in the operation, such as `create web-1`.
    pub key: String,
    /// Kind, version and arguments; the kind chooses the steps.
    pub payload: Envelope,
    /// Jobs of the same operation that must be done before this one starts.
    pub after: Vec<JobId>,
    /// What the job holds while it runs.
    pub locks: Vec<LockDomain>,
    /// Higher runs first; 0 is usual. A job that is passed over again and again rises.
    pub priority: i16,
    /// Time from its start to the moment the job is given up and unwound; the engine's default when `None`. Starts anew when the
    /// process that ran the job has ended, or a person has sent it on.
    pub deadline: Option<Duration>,
    /// Attempts in a row without progress before the job gives up. At least 1.
    pub max_attempts: u32,
    /// What becomes of finished steps when a later one fails.
    pub on_failure: OnFailure,
    /// The site it acts on: servers that work for that site take it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The node it acts on, such as `fra1/pve1`: while that does not answer, the job waits for a probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

impl JobSpec {
    /// A job with the usual settings: no order, no locks, priority 0, undone on failure.
    pub fn new(id: JobId, key: impl Into<String>, payload: Envelope) -> Self {
        Self {
            id,
            key: key.into(),
            payload,
            after: Vec::new(),
            locks: Vec::new(),
            priority: 0,
            deadline: None,
            max_attempts: ATTEMPTS_DEFAULT,
            on_failure: OnFailure::Undo,
            site: None,
            node: None,
        }
    }
}

/// What becomes of the steps of a job that fails or is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Every step that left something is undone, last first.
    Undo,
    /// What was done stays as it is.
    Keep,
}

/// A named limit: at most `limit` jobs that name it hold it at once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LockDomain {
    /// What is limited, such as `guest:fra1/2001` or `node:fra1/pve1/create`.
    pub name: String,
    /// How many may hold it at once. At least 1.
    pub limit: u32,
}

impl LockDomain {
    /// A domain of one holder.
    pub fn exclusive(name: impl Into<String>) -> Self {
        Self { name: name.into(), limit: 1 }
    }

    /// A domain of `limit` holders.
    pub fn limited(name: impl Into<String>, limit: u32) -> Self {
        Self { name: name.into(), limit }
    }
}

/// Why a submit was refused before anything was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Too many jobs.
    #[error("the operation has {count} jobs; at most {JOBS_PER_OPERATION_MAX} are accepted. Split it")]
    TooManyJobs {
        /// Jobs found.
        count: usize,
    },
    /// A payload larger than the limit.
    #[error("the payload of `{of}` has {bytes} bytes; at most {PAYLOAD_BYTES_MAX} are accepted")]
    PayloadTooLarge {
        /// Job key, or `operation`.
        of: String,
        /// Bytes found.
        bytes: usize,
    },
    /// Two jobs with one id or key.
    #[error("the operation has two jobs called `{what}`")]
    Duplicate {
        /// The id or key that occurs twice.
        what: String,
    },
    /// A job waits for one that is not part of the operation.
    #[error("job `{key}` waits for {after}, which is not in the operation")]
    UnknownJob {
        /// The waiting job.
        key: String,
        /// The id it names.
        after: JobId,
    },
    /// Jobs wait for each other in a circle.
    #[error("job `{key}` waits for itself, directly or through others")]
    Circle {
        /// One job of the circle.
        key: String,
    },
    /// A lock list that cannot be served.
    #[error("the locks of job `{key}` are wrong: {why}")]
    Locks {
        /// The job.
        key: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A priority beyond the limit.
    #[error("job `{key}` has the priority {priority}; it must lie between -{PRIORITY_MAX} and {PRIORITY_MAX}")]
    Priority {
        /// The job.
        key: String,
        /// Its priority.
        priority: i16,
    },
    /// A number that must be at least one is zero.
    #[error("job `{key}` allows no attempt at all; max_attempts must be at least 1")]
    NoAttempts {
        /// The job.
        key: String,
    },
}

impl OperationSpec {
    /// Checks everything a store relies on: limits, unique names, known and circle-free order.
    pub fn check(&self) -> Result<(), SpecError> {
        if self.jobs.len() > JOBS_PER_OPERATION_MAX {
            return Err(SpecError::TooManyJobs { count: self.jobs.len() });
        }
        check_payload("operation", &self.payload)?;
        let mut ids = HashSet::new();
        let mut keys = HashSet::new();
        for job in &self.jobs {
            if !ids.insert(job.id) {
                return Err(SpecError::Duplicate { what: job.id.to_string() });
            }
            if !keys.insert(job.key.as_str()) {
                return Err(SpecError::Duplicate { what: job.key.clone() });
            }
            job.check()?;
        }
        self.check_order()
    }

    fn check_order(&self) -> Result<(), SpecError> {
        let index: HashMap<JobId, usize> = self.jobs.iter().enumerate().map(|(at, job)| (job.id, at)).collect();
        let mut open: Vec<usize> = vec![0; self.jobs.len()];
        let mut followers: Vec<Vec<usize>> = vec![Vec::new(); self.jobs.len()];
        for (at, job) in self.jobs.iter().enumerate() {
            let after: HashSet<JobId> = job.after.iter().copied().collect();
            for id in after {
                let Some(&before) = index.get(&id) else {
                    return Err(SpecError::UnknownJob { key: job.key.clone(), after: id });
                };
                open[at] += 1;
                followers[before].push(at);
            }
        }
        let mut free: VecDeque<usize> = (0..self.jobs.len()).filter(|&at| open[at] == 0).collect();
        while let Some(at) = free.pop_front() {
            for &next in &followers[at] {
                open[next] -= 1;
                if open[next] == 0 {
                    free.push_back(next);
                }
            }
        }
        match open.iter().position(|&count| count > 0) {
            Some(at) => Err(SpecError::Circle { key: self.jobs[at].key.clone() }),
            None => Ok(()),
        }
    }
}

impl JobSpec {
    fn check(&self) -> Result<(), SpecError> {
        check_payload(&self.key, &self.payload)?;
        if self.max_attempts == 0 {
            return Err(SpecError::NoAttempts { key: self.key.clone() });
        }
        if !(-PRIORITY_MAX..=PRIORITY_MAX).contains(&self.priority) {
            return Err(SpecError::Priority { key: self.key.clone(), priority: self.priority });
        }
        let wrong = |why| Err(SpecError::Locks { key: self.key.clone(), why });
        if self.locks.len() > LOCKS_PER_JOB_MAX {
            return wrong("there are more than 16");
        }
        let names: HashSet<&str> = self.locks.iter().map(|lock| lock.name.as_str()).collect();
        if names.len() != self.locks.len() {
            return wrong("one domain is named twice");
        }
        if self.locks.iter().any(|lock| lock.limit == 0) {
            return wrong("a limit of 0 would never let the job start");
        }
        Ok(())
    }
}

fn check_payload(of: &str, payload: &Envelope) -> Result<(), SpecError> {
    let bytes = serde_json::to_vec(payload).map_or(usize::MAX, |json| json.len());
    if bytes > PAYLOAD_BYTES_MAX {
        return Err(SpecError::PayloadTooLarge { of: of.to_owned(), bytes });
    }
    Ok(())
}
