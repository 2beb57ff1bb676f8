//! The kinds of jobs, each a table of steps chosen by its payload.

use std::sync::Arc;

use rl_engine::{Envelope, JobKind, PayloadError, Registry, Step, Steps};
use rl_model::{ActionKind, Change, Consequence, FieldKey, NodeName};
use serde::de::DeserializeOwned;

use crate::parts;
use crate::payload::{GuestVerb, GuestVerbPayload, JobPayload, Target};
use crate::steps::change_config::{ChangeConfig, growth, takes_mount_away, waits_for_start, writable};
use crate::steps::create_container::CreateContainer;
use crate::steps::destroy::Destroy;
use crate::steps::drop_volumes::DropVolumes;
use crate::steps::grow_disk::GrowDisk;
use crate::steps::guest_firewall::GuestFirewall;
use crate::steps::move_node::MoveNode;
use crate::steps::record::Record;
use crate::steps::release::Release;
use crate::steps::settle::Settle;
use crate::steps::shut_down::ShutDown;
use crate::steps::snapshot::{Snapshot, SnapshotAct};
use crate::steps::start::Start;

/// Kind of a job made from a plan's action.
pub(crate) const ACTION: &str = "guest-action";
/// Kind of a job that acts on one guest by a person's word.
pub(crate) const VERB: &str = "guest-verb";

/// Every kind of job this release can run.
pub fn registry() -> Registry {
    Registry::new()
        .with(JobKind::first(crate::parts::secrets::KIND, |payload| crate::parts::secrets::steps(&read(payload)?)))
        .with(JobKind::first(ACTION, |payload| Ok(action_steps(&read::<JobPayload>(payload)?))))
        .with(JobKind::first("site-firewall", |payload| Ok(parts::firewall::steps(&read(payload)?))))
        .with(JobKind::first(VERB, |payload| verb_steps(&read::<GuestVerbPayload>(payload)?)))
        .with(crate::parts::dns::job_kind())
}

pub(crate) fn read<T: DeserializeOwned>(payload: &Envelope) -> Result<T, PayloadError> {
    payload.read().map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        PayloadError(format!("{error}: {cause}"))
    })
}

fn action_steps(payload: &JobPayload) -> Steps {
    let target = Target::of(&payload.action);
    let mut steps: Steps = Vec::new();
    match &payload.action.kind {
        ActionKind::Create { .. } => create(&mut steps, payload, &target),
        ActionKind::Replace { guest, changes, .. } => {
            // Only protection is changed beforehand: everything else is made anew.
            let changes: Vec<Change> =
                changes.iter().filter(|change| change.key == FieldKey::Protection).cloned().collect();
            if !changes.is_empty() {
                steps.push(Arc::new(ChangeConfig { target: target.clone(), guest: guest.clone(), changes }));
            }
            steps.push(Arc::new(ShutDown { target: target.clone(), may_be_gone: true }));
            steps.push(Arc::new(Destroy { target: target.clone() }));
            create(&mut steps, payload, &target);
        }
        ActionKind::Update { .. } => update(&mut steps, payload, &target),
        ActionKind::Remove { .. } => {
            steps.push(Arc::new(ShutDown { target: target.clone(), may_be_gone: true }));
            steps.push(Arc::new(Destroy { target: target.clone() }));
            steps.push(Arc::new(Release { target }));
        }
        ActionKind::Forget => steps.push(Arc::new(Release { target })),
    }
    steps
}

fn create(steps: &mut Steps, payload: &JobPayload, target: &Target) {
    let Some(guest) = payload.action.kind.guest() else { return };
    let guest = Box::new(guest.clone());
    let start = guest.running;
    // A guest with a firewall does not run before its rules are written.
    let filtered = guest.firewall.is_some();
    let at_once = start && !filtered;
    let vmids = payload.vmids;
    steps.push(Arc::new(CreateContainer { target: target.clone(), guest: guest.clone(), vmids, start: at_once }));
    if filtered {
        let (guest, changing) = (guest.clone(), Vec::new());
        steps.push(Arc::new(GuestFirewall { target: target.clone(), guest, idle: true, changing }));
    }
    if start {
        steps.push(Arc::new(Start { target: target.clone(), after_create: at_once }));
        if payload.awaited {
            steps.push(Arc::new(Settle { target: target.clone(), guest: guest.clone() }));
        }
    }
    steps.push(Arc::new(Record { target: target.clone(), guest, node: payload.action.node.clone() }));
}

fn update(steps: &mut Steps, payload: &JobPayload, target: &Target) {
    let ActionKind::Update { guest, changes, move_to, power, firewall, .. } = &payload.action.kind else { return };
    let stop: Arc<dyn Step> = Arc::new(ShutDown { target: target.clone(), may_be_gone: false });
    let start: Arc<dyn Step> = Arc::new(Start { target: target.clone(), after_create: false });
    let written = writable(changes);
    // Proxmox moves a running guest by stopping and starting it. Where it has to stop anyway it is stopped once, before.
    let stops_first = move_to.is_some()
        && match power {
            Consequence::Stop => true,
            Consequence::Restart => written.iter().any(waits_for_start),
            Consequence::Keep | Consequence::NextStart | Consequence::Start => false,
        };
    if stops_first {
        steps.push(stop.clone());
    }
    if let Some(to) = move_to {
        steps.push(Arc::new(MoveNode { target: target.clone(), to: to.clone() }));
    }
    if firewall.is_some() {
        // Before the NICs change, so that one that comes to be filtered meets the rules at once.
        let slot = |change: &Change| if let FieldKey::Nic(slot) = change.key { Some(slot) } else { None };
        let changing = changes.iter().filter_map(slot).collect();
        steps.push(Arc::new(GuestFirewall { target: target.clone(), guest: guest.clone(), idle: false, changing }));
    }
    let drops = written.iter().any(takes_mount_away);
    if !written.is_empty() {
        steps.push(Arc::new(ChangeConfig { target: target.clone(), guest: guest.clone(), changes: written }));
    }
    for (disk, size) in growth(changes) {
        steps.push(Arc::new(GrowDisk::new(target.clone(), disk, size)));
    }
    match power {
        Consequence::Keep | Consequence::NextStart => {}
        Consequence::Start => steps.push(start),
        Consequence::Stop if stops_first => {}
        Consequence::Stop => steps.push(stop),
        // The move has restarted it, or it was stopped before: it only has to run in the end.
        Consequence::Restart if move_to.is_some() => steps.push(start),
        Consequence::Restart => steps.extend([stop, start]),
    }
    if drops {
        steps.push(Arc::new(DropVolumes { target: target.clone() }));
    }
    let node: NodeName = move_to.clone().unwrap_or_else(|| payload.action.node.clone());
    steps.push(Arc::new(Record { target: target.clone(), guest: guest.clone(), node }));
}

fn verb_steps(payload: &GuestVerbPayload) -> Result<Steps, PayloadError> {
    let target = &payload.target;
    let start: Arc<dyn Step> = Arc::new(Start { target: target.clone(), after_create: false });
    let stop: Arc<dyn Step> = Arc::new(ShutDown { target: target.clone(), may_be_gone: false });
    let snapshot = |name: &str, act| -> Result<Arc<dyn Step>, PayloadError> {
        let snapshot = name.parse().map_err(|error| PayloadError(format!("{error}")))?;
        Ok(Arc::new(Snapshot { target: target.clone(), snapshot, act }))
    };
    Ok(match &payload.verb {
        GuestVerb::Start => vec![start],
        GuestVerb::Stop => vec![stop],
        GuestVerb::Restart => vec![stop, start],
        GuestVerb::SnapshotCreate { name } => vec![snapshot(name, SnapshotAct::Create)?],
        GuestVerb::SnapshotRemove { name } => vec![snapshot(name, SnapshotAct::Remove)?],
        GuestVerb::SnapshotRollback { name } => vec![snapshot(name, SnapshotAct::Rollback)?],
    })
}
