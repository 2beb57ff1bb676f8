//! A plan becomes jobs: one per action, with their order and their locks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rl_engine::{Envelope, Ids, JobId, JobSpec, LockDomain, OnFailure};
use rl_model::{Action, ActionId, ActionKind, GuestId, NodeName, Part, PartAction, Plan, Site, SiteName};

use crate::kinds::{ACTION, VERB};
use crate::payload::{GuestVerb, GuestVerbPayload, JobPayload, Target};

/// A job that has not ended by then is given up: far longer than any create or move on a slow storage.
const JOB_DEADLINE: Duration = Duration::from_secs(2 * 3600);
/// Attempts in a row without progress before a job gives up. The engine waits half a minute on average between the later
/// ones, so a node has some six minutes to come back from a reboot.
const ATTEMPTS_MAX: u32 = 18;

/// A plan that cannot become jobs.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The plan names a site that is not at hand.
    #[error("the plan names site {0}, which is not known")]
    UnknownSite(SiteName),
    /// A payload has no JSON form.
    #[error("a job cannot be written down")]
    Payload(#[source] rl_engine::EnvelopeError),
}

/// One job per action of the plan, and one per part.
pub fn compile(plan: &Plan, sites: &BTreeMap<SiteName, Site>, ids: &Ids) -> Result<Vec<JobSpec>, CompileError> {
    let numbers = plan.actions.iter().map(|action| action.id).chain(plan.parts.iter().map(|part| part.id));
    let job_ids: BTreeMap<ActionId, JobId> = numbers.map(|id| (id, ids.job())).collect();
    let waits = plan.actions.iter().map(|action| &action.after).chain(plan.parts.iter().map(|part| &part.after));
    let awaited: BTreeSet<ActionId> = waits.flatten().copied().collect();
    let mut jobs: Vec<JobSpec> = plan
        .actions
        .iter()
        .map(|action| {
            let site = sites.get(&action.site).ok_or_else(|| CompileError::UnknownSite(action.site.clone()))?;
            let payload =
                JobPayload { action: action.clone(), vmids: site.vmids, awaited: awaited.contains(&action.id) };
            let envelope = Envelope::of(ACTION, 1, &payload).map_err(CompileError::Payload)?;
            let key = format!("{} {}", action.kind.verb(), action.stamp.name);
            let mut job = JobSpec::new(job_ids[&action.id], key, envelope);
            job.after = action.after.iter().filter_map(|id| job_ids.get(id).copied()).collect();
            job.locks = locks(action, site);
            job.site = Some(action.site.to_string());
            job.node = Some(format!("{}/{}", action.site, action.node));
            job.on_failure =
                if matches!(action.kind, ActionKind::Create { .. }) { OnFailure::Undo } else { OnFailure::Keep };
            job.deadline = Some(JOB_DEADLINE);
            job.max_attempts = ATTEMPTS_MAX;
            Ok(job)
        })
        .collect::<Result<_, CompileError>>()?;
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for part in &plan.parts {
        let times = seen.entry(part.kind.part().subject()).or_default();
        *times += 1;
        jobs.push(part_job(part, *times, &job_ids)?);
    }
    Ok(jobs)
}

/// The job of a part. What it has done so far stays when it fails: another try goes on from there.
fn part_job(action: &PartAction, nth: u32, ids: &BTreeMap<ActionId, JobId>) -> Result<JobSpec, CompileError> {
    let part = action.kind.part();
    let envelope = Envelope::of(action.kind.job_kind(), 1, action).map_err(CompileError::Payload)?;
    let mut job = JobSpec::new(ids[&action.id], part_key(part, nth), envelope);
    job.after = action.after.iter().filter_map(|id| ids.get(id).copied()).collect();
    job.locks = vec![LockDomain::exclusive(part.lock())];
    job.site = part.site().map(ToString::to_string);
    job.on_failure = OnFailure::Keep;
    job.deadline = Some(JOB_DEADLINE);
    job.max_attempts = ATTEMPTS_MAX;
    Ok(job)
}

/// Keys are unique in an operation: a zone may lose records before its guests go and get others after new ones came.
fn part_key(part: &dyn Part, nth: u32) -> String {
    if nth == 1 { part.subject() } else { format!("{} ({nth})", part.subject()) }
}

/// One job for a person's word about one guest.
pub fn compile_guest(target: Target, verb: GuestVerb, ids: &Ids) -> Result<JobSpec, CompileError> {
    let key = format!("{} {}", verb_word(&verb), target.stamp.name);
    let lock = guest_lock(&target.site, target.id());
    let site = target.site.to_string();
    let payload = GuestVerbPayload { target, verb };
    let envelope = Envelope::of(VERB, 1, &payload).map_err(CompileError::Payload)?;
    let mut job = JobSpec::new(ids.job(), key, envelope);
    job.locks = vec![lock];
    job.site = Some(site);
    job.on_failure = OnFailure::Keep;
    job.deadline = Some(JOB_DEADLINE);
    job.max_attempts = ATTEMPTS_MAX;
    Ok(job)
}

/// The guest that a job made by [`compile_guest`] is about.
pub fn guest_of(payload: &Envelope) -> Option<GuestId> {
    (payload.kind == VERB).then(|| payload.read::<GuestVerbPayload>().ok())?.map(|read| read.target.stamp.guest)
}

/// The payload of such a job, about the guest as it is now.
pub fn retarget(payload: &Envelope, target: Target) -> Result<Envelope, CompileError> {
    let read: GuestVerbPayload = payload.read().map_err(CompileError::Payload)?;
    Envelope::of(VERB, 1, &GuestVerbPayload { target, verb: read.verb }).map_err(CompileError::Payload)
}

fn verb_word(verb: &GuestVerb) -> &'static str {
    match verb {
        GuestVerb::Start => "start",
        GuestVerb::Stop => "stop",
        GuestVerb::Restart => "restart",
        GuestVerb::SnapshotCreate { .. } => "snapshot",
        GuestVerb::SnapshotRemove { .. } => "remove snapshot of",
        GuestVerb::SnapshotRollback { .. } => "roll back",
    }
}

fn guest_lock(site: &SiteName, guest: &GuestId) -> LockDomain {
    LockDomain::exclusive(format!("guest:{site}/{guest}"))
}

/// A guest is worked on by one job at a time. A node takes as many jobs as it may create and start at once; the exact
/// limit on creates holds around the create task alone, so that starting one guest overlaps with making the next.
fn locks(action: &Action, site: &Site) -> Vec<LockDomain> {
    let mut locks = vec![guest_lock(&action.site, &action.stamp.guest)];
    let limit = site.limits.creates_per_node + site.limits.starts_per_node;
    let mut nodes: BTreeSet<&NodeName> = BTreeSet::from([&action.node]);
    if let ActionKind::Update { move_to: Some(to), .. } = &action.kind {
        nodes.insert(to);
    }
    if !matches!(action.kind, ActionKind::Forget) {
        locks.extend(nodes.into_iter().map(|node| LockDomain::limited(format!("node:{}/{node}", action.site), limit)));
    }
    locks
}
