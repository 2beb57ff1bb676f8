//! Starts an operation, runs it to its end, and proves what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use rl_engine::{Envelope, Ids, JobSpec, OperationId, OperationSpec, OperationState, SystemClock};
use rl_model::dns::Owner;
use rl_model::{Plan, Proof, ResolvedStack, Site, SiteName, StackName};
use rl_ops::{Ctx, ZoneShelf};
use rl_store::{StackStart, StackState};
use serde::{Deserialize, Serialize};

use crate::env;
use crate::error::CommandError;
use crate::out::Out;
use crate::telemetry::traces;
use crate::work::connect::{self, Sites};
use crate::work::data::{Data, store_error};
use crate::work::desk;
use crate::work::planning::Planned;
use crate::work::registry::StoreRegistry;
use crate::work::runner::{self, Left, Run, journal_error};
use crate::work::schedules;
use crate::work::zones;

/// What an operation's payload tells whoever goes on with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OperationPayload {
    /// The sites its jobs need.
    pub(crate) sites: Vec<SiteName>,
    /// The stack's revision it carries out; `None` for an operation on one guest.
    pub(crate) revision: Option<u64>,
    /// Whether it takes the stack away.
    pub(crate) destroy: bool,
}

/// How an operation ended, or was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Every job is done.
    Done,
    /// A job failed.
    Failed,
    /// A job could not be undone.
    Stuck,
    /// It was cancelled.
    Cancelled,
    /// A person must act.
    Blocked,
    /// The person detached.
    Detached,
}

impl Ending {
    /// The operation's state, unless it still runs.
    pub(crate) fn state(self) -> Option<OperationState> {
        match self {
            Self::Done => Some(OperationState::Done),
            Self::Failed => Some(OperationState::Failed),
            Self::Stuck => Some(OperationState::Stuck),
            Self::Cancelled => Some(OperationState::Cancelled),
            Self::Blocked => Some(OperationState::Blocked),
            Self::Detached => None,
        }
    }

    fn of(left: &Left) -> Self {
        match left {
            Left::Detached => Self::Detached,
            Left::Settled(record) => Self::settled(Some(record.status.state)),
        }
    }

    /// How an operation ended that is in this state now; none where the person detached.
    pub(crate) fn settled(state: Option<OperationState>) -> Self {
        match state {
            None => Self::Detached,
            Some(OperationState::Done) => Self::Done,
            Some(OperationState::Failed) => Self::Failed,
            Some(OperationState::Cancelled) => Self::Cancelled,
            Some(OperationState::Stuck) => Self::Stuck,
            Some(OperationState::Blocked | OperationState::Running) => Self::Blocked,
        }
    }
}

/// Without a terminal to ask on, a command that acts needs `--yes`.
pub(crate) fn need_consent(yes: bool, out: &Out) -> Result<(), CommandError> {
    if yes || (out.interactive && !out.json()) {
        return Ok(());
    }
    Err(CommandError::input("nobody can be asked here, so nothing was done")
        .hinted("look at it with `plan`, then give --yes"))
}

/// Compiles a plan and starts it: accepted means on disk.
pub(crate) async fn start(data: &Data, planned: &Planned, kind: &str) -> Result<OperationId, CommandError> {
    let plan = Startable {
        plan: &planned.plan,
        declared: &planned.declared,
        keepers: &planned.keepers,
        manifest: &planned.manifest,
    };
    let (spec, start) = plan.prepare(kind, env::actor())?;
    plan.keep_sites(data).await?;
    Ok(data.store.start_operation(spec, Some(start), None).await.map_err(store_error)?.operation)
}

/// A plan with what starting it needs.
pub(crate) struct Startable<'a> {
    /// The plan.
    pub(crate) plan: &'a Plan,
    /// The declarations of its sites.
    pub(crate) declared: &'a BTreeMap<SiteName, Site>,
    /// Sites that declare the zones of its records.
    pub(crate) keepers: &'a [Site],
    /// What the store keeps of the stack's declaration.
    pub(crate) manifest: &'a str,
}

impl Startable<'_> {
    /// Keeps the declarations of the sites, which jobs read.
    pub(crate) async fn keep_sites(&self, data: &Data) -> Result<(), CommandError> {
        for site in self.declared.values().chain(self.keepers) {
            data.store.put_site(site.clone()).await.map_err(store_error)?;
        }
        Ok(())
    }

    /// The operation that carries the plan out, to be started.
    pub(crate) fn prepare(&self, kind: &str, actor: String) -> Result<(OperationSpec, StackStart), CommandError> {
        let ids = Ids::from_os(Arc::new(SystemClock::new()));
        let jobs = rl_ops::compile(self.plan, self.declared, &ids)
            .map_err(|error| CommandError::failed("the plan cannot be carried out").because(error))?;
        let payload = OperationPayload {
            sites: self.declared.keys().cloned().collect(),
            revision: Some(self.plan.base_revision + 1),
            destroy: self.plan.destroy,
        };
        let summary = format!("{kind} {} (plan {})", self.plan.stack, self.plan.id);
        let mut spec = spec(ids.operation(), kind, self.plan.stack.as_str(), summary, &payload, jobs)?;
        spec.actor = actor;
        Ok((spec, StackStart::of(self.plan, self.manifest.to_owned())))
    }
}

/// An operation on one guest, started.
pub(crate) async fn start_on_guest(
    data: &Data,
    site: &SiteName,
    stack: &StackName,
    summary: String,
    job: JobSpec,
    actor: &str,
) -> Result<OperationId, CommandError> {
    let ids = Ids::from_os(Arc::new(SystemClock::new()));
    let mut spec = on_guest(&ids, site, stack, summary, job)?;
    actor.clone_into(&mut spec.actor);
    Ok(data.store.start_operation(spec, None, None).await.map_err(store_error)?.operation)
}

/// An operation on one guest, to be started.
pub(crate) fn on_guest(
    ids: &Ids,
    site: &SiteName,
    stack: &StackName,
    summary: String,
    job: JobSpec,
) -> Result<OperationSpec, CommandError> {
    let payload = OperationPayload { sites: vec![site.clone()], revision: None, destroy: false };
    spec(ids.operation(), "guest", stack.as_str(), summary, &payload, vec![job])
}

fn spec(
    id: OperationId,
    kind: &str,
    subject: &str,
    summary: String,
    payload: &OperationPayload,
    jobs: Vec<JobSpec>,
) -> Result<OperationSpec, CommandError> {
    let mut payload = Envelope::of("operation", 1, payload)
        .map_err(|error| CommandError::failed("the operation cannot be written down").because(error))?;
    traces::stamp(&mut payload);
    Ok(OperationSpec {
        id,
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        actor: env::actor(),
        summary,
        payload,
        idempotency_key: None,
        exclusive: true,
        jobs,
    })
}

/// Runs an operation to its end, and writes down what the stack has become.
pub(crate) async fn run(data: &Data, sites: &Sites, id: OperationId, out: &Out) -> Result<Ending, CommandError> {
    let ctx = Ctx::new(sites.clone(), Arc::new(StoreRegistry(data.store.clone())))
        .with_courier(data.way().await?.courier())
        .with_secrets(Some(desk::desk(data)))
        .with_zones(ZoneShelf::of(zones::connect_all(data, out).await?));
    let run = Run {
        journal: data.journal(),
        ctx: Arc::new(ctx),
        operation: id,
        cancel_file: data.cancel_file(id),
        only: data.is_shared().then(|| sites.keys().map(ToString::to_string).collect()),
        actor: env::actor(),
        out,
    };
    let left = runner::run(run).await?;
    let ending = Ending::of(&left);
    if let Left::Settled(record) = &left {
        book(data, record).await?;
    }
    Ok(ending)
}

/// Writes down what an operation that is done has made of its stack.
pub(crate) async fn book(data: &Data, record: &rl_engine::OperationRecord) -> Result<(), CommandError> {
    if record.status.state != OperationState::Done {
        return Ok(());
    }
    let payload: OperationPayload = payload_of(record)?;
    match payload.revision {
        Some(revision) => record_stack(data, &record.info.subject, revision, &payload).await,
        None => Ok(()),
    }
}

fn payload_of(record: &rl_engine::OperationRecord) -> Result<OperationPayload, CommandError> {
    record.info.payload.read().map_err(|error| {
        CommandError::failed(format!(
            "operation {} was written by a release that this one does not understand",
            record.info.id
        ))
        .because(error)
    })
}

/// Goes on with an operation that an earlier process began. Sites from files go before stored ones, so that a new token or address is used.
pub(crate) async fn resume(
    data: &Data,
    given: &BTreeMap<SiteName, Site>,
    id: OperationId,
    out: &Out,
) -> Result<Ending, CommandError> {
    let record = data.journal().operation(id).await.map_err(journal_error)?;
    let record = record.ok_or_else(|| CommandError::input(format!("there is no operation {id}")))?;
    let sites = sites_of(data, given, &payload_of(&record)?, out).await?;
    run(data, &sites, id, out).await
}

async fn sites_of(
    data: &Data,
    given: &BTreeMap<SiteName, Site>,
    payload: &OperationPayload,
    out: &Out,
) -> Result<Sites, CommandError> {
    let mut declared = Vec::new();
    for name in &payload.sites {
        let site = match given.get(name) {
            Some(site) => Some(site.clone()),
            None => data.site(name).await?,
        };
        declared.push(site.ok_or_else(|| {
            CommandError::input(format!("site `{name}` is not known")).hinted("give its file with -f FILE")
        })?);
    }
    connect::connect(data, &declared, connect::pace(), out).await
}

/// Cancels an operation and waits until nothing of it runs any more.
pub(crate) async fn cancel_and_wait(
    data: &Data,
    given: &BTreeMap<SiteName, Site>,
    id: OperationId,
    out: &Out,
) -> Result<Ending, CommandError> {
    data.journal().request_cancel(id, env::actor(), runner::now()).await.map_err(journal_error)?;
    resume(data, given, id, out).await
}

/// Writes down what a stack that was carried out has become, with the VMIDs and nodes its guests really have.
async fn record_stack(data: &Data, stack: &str, revision: u64, payload: &OperationPayload) -> Result<(), CommandError> {
    let Ok(stack) = stack.parse::<StackName>() else { return Ok(()) };
    let Some(record) = data.store.revision(&stack, revision).await.map_err(store_error)? else { return Ok(()) };
    let state = if payload.destroy { StackState::Destroyed } else { StackState::Applied };
    let resolved = as_recorded(data, record.resolved).await?;
    data.store.record_applied(&stack, revision, resolved, state).await.map_err(store_error)?;
    schedules::follow_stack(data, stack.as_str()).await
}

/// The stack with its guests as the store has recorded them: a job may have given one another VMID, or a person moved it.
pub(crate) async fn as_recorded(data: &Data, mut resolved: ResolvedStack) -> Result<ResolvedStack, CommandError> {
    for record in data.store.guests(&resolved.name).await.map_err(store_error)? {
        if let Some(guest) = resolved.guests.get_mut(&record.name)
            && guest.id == record.id
        {
            guest.vmid = record.vmid;
            guest.node = record.node;
        }
    }
    Ok(resolved)
}

/// Proves a stack that was just applied.
pub(crate) async fn prove_applied(data: &Data, planned: &Planned, out: &Out) -> Result<Proof, CommandError> {
    let resolved = as_recorded(data, planned.plan.resolved.clone()).await?;
    let proof = rl_ops::prove(&planned.sites, &resolved, now_ms()).await;
    let proof = with_records(data, planned.sites_declared(), &resolved, proof, out).await?;
    desk::prove(data, proof, &resolved).await
}

/// Adds to a proof what authoritative servers answer for the stack's records.
pub(crate) async fn with_records(
    data: &Data,
    sites: impl IntoIterator<Item = &Site>,
    resolved: &ResolvedStack,
    proof: Proof,
    out: &Out,
) -> Result<Proof, CommandError> {
    let providers = zones::of_stacks(data, sites, [resolved], out).await?;
    Ok(rl_ops::prove_records(&providers, resolved, proof).await)
}

/// Proves that neither guests nor records of a destroyed stack are left.
pub(crate) async fn prove_destroyed(data: &Data, planned: &Planned, out: &Out) -> Result<Proof, CommandError> {
    let guests: Vec<(SiteName, rl_model::Stamp)> =
        planned.plan.actions.iter().map(|action| (action.site.clone(), action.stamp.clone())).collect();
    let proof = rl_ops::prove_gone(&planned.sites, &planned.plan.stack, &guests, now_ms()).await;
    let providers = zones::of_stacks(data, planned.sites_declared(), &planned.before, out).await?;
    let owner = Owner { controller: planned.plan.resolved.controller.clone(), stack: planned.plan.stack.clone() };
    Ok(rl_ops::prove_records_gone(&providers, &owner, &planned.before, proof).await)
}

/// The wall clock in milliseconds of Unix time.
pub(crate) fn now_ms() -> i64 {
    i64::try_from(runner::now().0).unwrap_or(i64::MAX)
}
