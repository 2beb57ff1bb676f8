//! What a whole plan needs: the needs of the calls that carry it out.

use rl_model::firewall::RuleText;
use rl_model::{
    Action, ActionKind, Change, Consequence, GuestKind, NodeName, PartKind, Plan, ResolvedGuest, SiteFirewall,
    StorageId,
};

use super::{Context, Needs, of};
use crate::api::firewall::{self, RulesOf};
use crate::api::lxc::{self, ConfigPatch, ConfigView, Destroy, DiskKey, Migrate};
use crate::wire::RawConfig;

/// Seconds given to a shutdown; of no consequence for privileges.
const ANY_TIMEOUT_S: u32 = 60;

/// What the calls that carry out a plan need on one site, reading back included.
pub fn of_plan(plan: &Plan, site: &rl_model::SiteName, context: &Context) -> Needs {
    let mut needs = Needs::default();
    for action in plan.actions.iter().filter(|action| action.site == *site) {
        let mut context = context.clone();
        if let Some(guest) = action.kind.guest() {
            learn(&mut context, guest);
        }
        of_action(action, &context, &mut needs);
    }
    for part in &plan.parts {
        if let PartKind::SiteFirewall(part) = &part.kind
            && part.site == *site
        {
            site_firewall(part, context, &mut needs);
        }
    }
    needs
}

/// What is known of a guest's place from the plan itself.
fn learn(context: &mut Context, guest: &ResolvedGuest) {
    if let Some(pool) = &guest.pool {
        context.pools.entry(guest.vmid).or_insert_with(|| pool.clone());
    }
    context.disks.entry((guest.vmid, "rootfs".into())).or_insert_with(|| guest.storage.clone());
    for volume in &guest.volumes {
        context.disks.entry((guest.vmid, volume.slot.to_string())).or_insert_with(|| volume.storage.clone());
    }
}

fn of_action(action: &Action, context: &Context, needs: &mut Needs) {
    match &action.kind {
        ActionKind::Create { guest } => create(action, guest, context, needs),
        ActionKind::Update { guest, changes, move_to, power, firewall, .. } => {
            reading(action, context, needs);
            if firewall.is_some() {
                guest_firewall(action, context, needs);
            }
            update(action, guest, changes, context, needs);
            if let Some(target) = move_to {
                migrate(action, target, context, needs);
            }
            if matches!(power, Consequence::Start | Consequence::Stop | Consequence::Restart) {
                power_calls(action, context, needs);
            }
        }
        ActionKind::Replace { guest, .. } => {
            remove(action, context, needs);
            create(action, guest, context, needs);
        }
        ActionKind::Remove { .. } => remove(action, context, needs),
        ActionKind::Forget => {}
    }
}

fn create(action: &Action, guest: &ResolvedGuest, context: &Context, needs: &mut Needs) {
    needs.extend(of(&lxc::create(&action.node, guest, &action.stamp, false), context));
    reading(action, context, needs);
    if guest.firewall.is_some() {
        guest_firewall(action, context, needs);
    }
    if guest.running {
        needs.extend(of(&lxc::start(&action.node, action.vmid), context));
    }
}

/// Reading and writing the rules and options of a guest; each write needs what the first does.
fn guest_firewall(action: &Action, context: &Context, needs: &mut Needs) {
    let (kind, node, vmid) = (GuestKind::Container, &action.node, action.vmid);
    needs.extend(of(&firewall::guest_rules(kind, node, vmid), context));
    needs.extend(of(&firewall::guest_options(kind, node, vmid), context));
    needs.extend(of(&firewall::insert_rule(RulesOf::Guest(node, vmid), &RuleText::default()), context));
    needs.extend(of(&firewall::switch_guest_off(node, vmid, ""), context));
}

/// Reading and writing what guests share; every object of the datacenter needs the same.
fn site_firewall(part: &SiteFirewall, context: &Context, needs: &mut Needs) {
    needs.extend(of(&firewall::datacenter_options(), context));
    needs.extend(of(&firewall::set_datacenter(part.enable, &part.options, ""), context));
}

fn reading(action: &Action, context: &Context, needs: &mut Needs) {
    needs.extend(of(&lxc::config(&action.node, action.vmid, ConfigView::Merged), context));
    needs.extend(of(&lxc::interfaces(&action.node, action.vmid), context));
}

fn update(action: &Action, guest: &ResolvedGuest, changes: &[Change], context: &Context, needs: &mut Needs) {
    let patch = ConfigPatch::from_changes(changes, guest, &RawConfig::default());
    needs.extend(of(&lxc::set_config(&action.node, action.vmid, &patch), context));
    for disk in changes.iter().filter(|change| !change.from.is_empty()).filter_map(|change| DiskKey::of(change.key)) {
        needs.extend(of(&lxc::resize(&action.node, action.vmid, disk, guest.disk, None), context));
    }
}

fn migrate(action: &Action, target: &NodeName, context: &Context, needs: &mut Needs) {
    let how = Migrate { target: target.clone(), restart: true, timeout_s: Some(ANY_TIMEOUT_S), target_storage: None };
    needs.extend(of(&lxc::migrate(&action.node, action.vmid, &how), context));
}

fn power_calls(action: &Action, context: &Context, needs: &mut Needs) {
    needs.extend(of(&lxc::start(&action.node, action.vmid), context));
    needs.extend(of(&lxc::shutdown(&action.node, action.vmid, ANY_TIMEOUT_S, true), context));
}

fn remove(action: &Action, context: &Context, needs: &mut Needs) {
    reading(action, context, needs);
    power_calls(action, context, needs);
    needs.extend(of(&lxc::destroy(&action.node, action.vmid, Destroy::default()), context));
}

/// What seeing a site needs: without it, what is there is not shown, and a plan is made on half a picture.
pub fn of_reading(nodes: &[NodeName], storages: &[StorageId]) -> Needs {
    let mut needs = Needs::default();
    needs.add(vec!["/".into()], &["Sys.Audit"], "see whether the cluster has a quorum");
    needs.add(vec!["/vms".into()], &["VM.Audit"], "see every guest, so that no VMID is taken twice");
    for node in nodes {
        needs.add(vec![format!("/nodes/{node}")], &["Sys.Audit"], "see the node's memory and tasks");
    }
    for storage in storages {
        needs.add(
            vec![format!("/storage/{storage}")],
            &["Datastore.Audit", "Datastore.AllocateSpace"],
            "see the storage",
        );
    }
    needs
}
