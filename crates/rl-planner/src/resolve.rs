//! Resolving: the manifest with every default, reference, VMID, node, MAC and address filled in.
//!
//! What a guest has it keeps; what it is pinned to it gets; all else comes from what is free. Nothing is random: ids
//! are made from the entropy in the leases, so that the same arguments give the same stack.

pub mod codes;
mod dns;
mod error;
mod firewall;
mod mint;
mod nic;
mod node;
mod roster;
mod site_firewall;
mod vmid;

use std::collections::{BTreeMap, BTreeSet};

use rl_model::manifest::{Manifest, Stack};
use rl_model::{
    GuestName, Leases, MountSlot, NodeName, Observed, Placement, ResolvedGuest, ResolvedNic, ResolvedStack,
    ResolvedVolume, StackName, Vmid,
};

pub use error::ResolveErrors;
pub use firewall::set_name;

use crate::plan::world::World;
use error::Findings;
use nic::Nics;
use node::Nodes;
use roster::{Wanted, roster};
use vmid::Vmids;

/// Resolves one stack of a manifest against what the sites have and what is leased.
///
/// `observed` is the catalogue: nodes, storages, bridges, templates and the list of guests. Configurations in it are
/// used where they were read: resolving again with them, after [`crate::plan::configs_needed`], gives a guest another
/// VMID when they show that a stranger holds the one it had. The placements tell why each guest that is not there yet
/// goes where it goes. Fails with every finding at once; nothing that could not be read is guessed.
pub fn resolve(
    manifest: &Manifest,
    stack: &StackName,
    observed: &Observed,
    leases: &Leases,
) -> Result<(ResolvedStack, Vec<Placement>), ResolveErrors> {
    let mut findings = Findings::new(&manifest.origins);
    let Some(stack) = manifest.stacks.get(stack) else {
        let message = format!("no stack `{stack}` is declared");
        findings.add(codes::UNKNOWN_STACK, "", message, "give the file that declares it with `-f`");
        return findings.into_result().map(|()| (empty(stack, leases), Vec::new()));
    };
    let world = World::new(observed);
    let roster = roster(stack, &manifest.sites, leases, &world, &mut findings);
    let mut vmids = Vmids::new(stack, &roster, leases, &world);
    let (nodes, placements) = Nodes::settle(stack, &roster, &world, &mut findings);
    let mut nics = Nics::new(stack, &roster, leases, &world);
    let mut guests = BTreeMap::new();
    for wanted in &roster {
        let vmid = vmids.choose(wanted, &mut findings);
        let of_guest = nics.resolve(wanted, &mut findings);
        let volumes = volumes(wanted, stack, &mut findings);
        if let (Some(vmid), Some(node)) = (vmid, nodes.get(&wanted.name)) {
            guests.insert(wanted.name.clone(), assemble(wanted, stack, (node, vmid), of_guest, volumes));
        }
    }
    let firewall = firewall::firewalls(stack, (&manifest.sites, &leases.controller), &mut guests, &mut findings);
    findings.into_result()?;
    let records = dns::records(stack, &manifest.sites);
    let sections = stack.sections.clone();
    let resolved = ResolvedStack { guests, sections, firewall, records, ..empty(&stack.name, leases) };
    Ok((resolved, placements))
}

fn empty(stack: &StackName, leases: &Leases) -> ResolvedStack {
    let (name, controller) = (stack.clone(), leases.controller.clone());
    ResolvedStack {
        name,
        controller,
        guests: BTreeMap::new(),
        sections: Vec::new(),
        firewall: BTreeMap::new(),
        records: Vec::new(),
    }
}

/// Data volumes, each with the mount point it has, or the lowest that neither it nor a volume before it ever had.
fn volumes(wanted: &Wanted<'_>, stack: &Stack, findings: &mut Findings<'_>) -> Vec<ResolvedVolume> {
    let last = wanted.known.filter(|_| wanted.is_there()).and_then(|known| known.last.as_ref());
    let had = last.map_or(&[][..], |last| &last.volumes[..]);
    let mut used: BTreeSet<MountSlot> = had.iter().map(|volume| volume.slot).collect();
    let mut out = Vec::new();
    for volume in &wanted.container.volumes {
        let kept = had.iter().find(|had| had.name == volume.name).map(|had| had.slot);
        let free = (0..).map_while(|number| MountSlot::new(number).ok()).find(|slot| !used.contains(slot));
        let Some(slot) = kept.or(free) else {
            let message = format!("`{}` has more volumes than a container can have", wanted.name);
            findings.add(codes::TOO_MANY_SLOTS, &wanted.path(stack, "volumes"), message, "take some out");
            break;
        };
        used.insert(slot);
        out.push(ResolvedVolume {
            name: volume.name.clone(),
            slot,
            storage: volume.storage.clone(),
            size: volume.size,
            path: volume.path.clone(),
            backup: volume.backup,
            read_only: volume.read_only,
        });
    }
    out
}

fn assemble(
    wanted: &Wanted<'_>,
    stack: &Stack,
    (node, vmid): (&NodeName, Vmid),
    nics: Vec<ResolvedNic>,
    volumes: Vec<ResolvedVolume>,
) -> ResolvedGuest {
    let container = wanted.container;
    let first = container.nics.first().and_then(|nic| wanted.site.networks.get(&nic.network));
    let named = || wanted.name.as_str().parse().expect("a guest name is a valid host name: both are DNS labels");
    let nameservers = match container.nameservers.is_empty() {
        true => first.map_or_else(Vec::new, |network| network.nameservers.clone()),
        false => container.nameservers.clone(),
    };
    let search = container.search_domain.as_ref().or_else(|| first.and_then(|network| network.search_domain.as_ref()));
    ResolvedGuest {
        id: wanted.id.clone(),
        name: wanted.name.clone(),
        container: container.name.clone(),
        site: wanted.site.name.clone(),
        node: node.clone(),
        node_pinned: container.node.is_some(),
        vmid,
        hostname: container.hostname.clone().unwrap_or_else(named),
        image: container.image.clone(),
        storage: container.storage.clone(),
        cores: container.cores,
        memory: container.memory,
        swap: container.swap,
        disk: container.disk,
        volumes,
        nics,
        nameservers,
        search_domain: search.map(ToString::to_string),
        tags: container.tags.clone(),
        notes: container.notes.clone(),
        onboot: container.onboot,
        startup: container.startup,
        unprivileged: container.unprivileged,
        features: container.features,
        protection: container.protection,
        running: container.running,
        pool: container.pool.clone().or_else(|| wanted.site.pool.clone()),
        ssh_keys: container.ssh_keys.clone(),
        timezone: container.timezone.clone(),
        secrets: container.secrets.clone(),
        after: after(wanted, stack),
        firewall: None,
    }
}

/// The guests of the entries that must be proven first.
fn after(wanted: &Wanted<'_>, stack: &Stack) -> Vec<GuestName> {
    let entries = wanted.container.after.iter().filter_map(|entry| stack.containers.get(entry));
    entries.flat_map(|entry| stack.guest_names(entry)).collect()
}
