//! Nodes: where each guest lies, or is put.

use std::collections::{BTreeMap, BTreeSet};

use rl_model::manifest::Stack;
use rl_model::{GuestName, NodeName, Placement};

use crate::place::{Choice, Ledger, Need, Refusal, RefusalKind};
use crate::plan::world::World;

use super::codes;
use super::error::Findings;
use super::roster::{Presence, Wanted};

/// Nodes and reasons named in one finding; on a large site the first few say enough.
const REFUSALS_SHOWN_MAX: usize = 6;
/// Guests named in one finding.
const GUESTS_SHOWN_MAX: usize = 4;

/// The nodes of all guests, by guest.
pub(crate) struct Nodes<'a> {
    stack: &'a Stack,
    ledger: Ledger<'a>,
    chosen: BTreeMap<GuestName, NodeName>,
    placements: Vec<Placement>,
    /// Guests of an entry that no node can take, so that an entry gives one finding, not one a guest.
    unplaced: BTreeMap<Failure, Vec<GuestName>>,
}

/// Entry, code, key of the entry it is about, and why.
type Failure = (String, &'static str, &'static str, String);

impl<'a> Nodes<'a> {
    /// Settles every guest's node: those that are there first, then pinned and reserved ones, then all others.
    pub(crate) fn settle(
        stack: &'a Stack,
        roster: &[Wanted<'a>],
        world: &World<'a>,
        findings: &mut Findings<'_>,
    ) -> (BTreeMap<GuestName, NodeName>, Vec<Placement>) {
        let sites = roster.iter().map(|wanted| (wanted.site, world.site(&wanted.site.name)));
        let sites: BTreeMap<_, _> = sites.filter_map(|(site, seen)| Some((&site.name, (site, seen?)))).collect();
        let ledger = Ledger::new(sites.into_values());
        let (chosen, placements, unplaced) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        let mut nodes = Self { stack, ledger, chosen, placements, unplaced };
        nodes.unread_sites(roster, world, findings);
        let (there, new): (Vec<&Wanted<'a>>, Vec<&Wanted<'a>>) = roster.iter().partition(|wanted| wanted.is_there());
        there.iter().for_each(|wanted| nodes.there(wanted));
        let open: Vec<&Wanted<'a>> = new
            .into_iter()
            .filter(|wanted| world.site_unread(&wanted.site.name).is_none() && !nodes.given(wanted))
            .collect();
        open.into_iter().for_each(|wanted| nodes.place(wanted));
        nodes.report(findings);
        nodes.placements.sort_by(|a, b| a.guest.cmp(&b.guest));
        (nodes.chosen, nodes.placements)
    }

    /// One finding for each site that was not read but has to take new guests.
    fn unread_sites(&self, roster: &[Wanted<'a>], world: &World<'a>, findings: &mut Findings<'_>) {
        let mut told = BTreeSet::new();
        for wanted in roster.iter().filter(|wanted| !wanted.is_there()) {
            if let Some(why) = world.site_unread(&wanted.site.name)
                && told.insert(&wanted.site.name)
            {
                let message = format!(
                    "site `{}` could not be read, so `{}` cannot be placed: {why}",
                    wanted.site.name, wanted.name
                );
                let help = format!("look at it with `rapidlaunch site check {}`", wanted.site.name);
                findings.add(codes::SITE_UNREAD, &wanted.path(self.stack, "site"), message, help);
            }
        }
    }

    /// A guest that is there stays where it is, unless the stack names another node.
    fn there(&mut self, wanted: &Wanted<'a>) {
        let lies_on = match (wanted.presence, wanted.known) {
            (Presence::Here(place), _) => Some(&place.guest.node),
            (_, Some(known)) => Some(&known.node),
            _ => None,
        };
        let Some(lies_on) = lies_on else { return };
        self.ledger.present(&wanted.site.name, &wanted.container.name, lies_on);
        let Some(pin) = wanted.container.node.as_ref() else {
            self.chosen.insert(wanted.name.clone(), lies_on.clone());
            return;
        };
        if pin != lies_on && matches!(wanted.presence, Presence::Here(_)) {
            let need = need(wanted);
            match self.ledger.check(&wanted.site.name, pin, &need) {
                Ok(()) => self.ledger.take(&wanted.site.name, pin, &need),
                Err(refusal) if refusal.kind == RefusalKind::Image => {}
                Err(refusal) => self.pin_refused(wanted, pin, &refusal),
            }
        }
        self.chosen.insert(wanted.name.clone(), pin.clone());
    }

    /// Puts a new guest on the node the stack names, or that it was promised before; tells whether that was done.
    fn given(&mut self, wanted: &Wanted<'a>) -> bool {
        let (site, need) = (&wanted.site.name, need(wanted));
        let (node, why) = match (wanted.container.node.as_ref(), wanted.known) {
            (Some(pin), _) => (pin, "the stack file names it"),
            (None, Some(known)) => (&known.node, "it was promised to this guest before"),
            (None, None) => return false,
        };
        // A node that this guest was promised was asked then; what it was not asked now does not take it back.
        let promised = wanted.known.is_some_and(|known| known.node == *node);
        match self.ledger.check(site, node, &need) {
            Err(refusal) if refusal.kind != RefusalKind::Untold || !promised => {
                if wanted.container.node.is_some() {
                    self.pin_refused(wanted, node, &refusal);
                }
                wanted.container.node.is_some()
            }
            _ => {
                let why = format!("{node}: {why}");
                self.put(wanted, &need, Choice { node: node.clone(), why, refused: BTreeMap::new() });
                true
            }
        }
    }

    fn place(&mut self, wanted: &Wanted<'a>) {
        let need = need(wanted);
        match self.ledger.choose(&wanted.site.name, &need) {
            Ok(choice) => self.put(wanted, &need, choice),
            Err(refused) => self.all_refused(wanted, &refused),
        }
    }

    fn put(&mut self, wanted: &Wanted<'a>, need: &Need<'_>, choice: Choice) {
        self.ledger.take(&wanted.site.name, &choice.node, need);
        self.chosen.insert(wanted.name.clone(), choice.node.clone());
        let Choice { node, why, refused } = choice;
        self.placements.push(Placement { guest: wanted.name.clone(), node, why, refused });
    }

    fn pin_refused(&mut self, wanted: &Wanted<'a>, pin: &NodeName, refusal: &Refusal) {
        let (code, key) = meaning(refusal.kind);
        let key = if matches!(refusal.kind, RefusalKind::Room | RefusalKind::Unread | RefusalKind::Untold) {
            "node"
        } else {
            key
        };
        self.failed(wanted, code, key, format!("{pin} {}", refusal.text));
    }

    fn all_refused(&mut self, wanted: &Wanted<'a>, refused: &BTreeMap<NodeName, Refusal>) {
        let kinds: BTreeSet<RefusalKind> = refused.values().map(|refusal| refusal.kind).collect();
        let telling: Vec<RefusalKind> = kinds
            .iter()
            .copied()
            .filter(|kind| kinds.len() == 1 || !matches!(kind, RefusalKind::Offline | RefusalKind::Excluded))
            .collect();
        let (code, key) = match telling[..] {
            [kind] => meaning(kind),
            _ => (codes::NO_NODE, "node"),
        };
        let why = match refused.is_empty() {
            true => format!("site `{}` has no nodes", wanted.site.name),
            false => reasons(refused),
        };
        self.failed(wanted, code, key, why);
    }

    fn failed(&mut self, wanted: &Wanted<'a>, code: &'static str, key: &'static str, why: String) {
        let entry = wanted.container.name.to_string();
        self.unplaced.entry((entry, code, key, why)).or_default().push(wanted.name.clone());
    }

    fn report(&self, findings: &mut Findings<'_>) {
        for ((entry, code, key, why), guests) in &self.unplaced {
            let mut names: Vec<String> = guests.iter().take(GUESTS_SHOWN_MAX).map(|name| format!("`{name}`")).collect();
            if guests.len() > GUESTS_SHOWN_MAX {
                names.push(format!("{} more of `{entry}`", guests.len() - GUESTS_SHOWN_MAX));
            }
            let path = format!("stacks.{}.containers.{entry}.{key}", self.stack.name);
            let message = format!("no node can take {}: {why}", names.join(", "));
            findings.add(code, &path, message, help(code));
        }
    }
}

/// Why each node refuses, nodes with one reason together.
fn reasons(refused: &BTreeMap<NodeName, Refusal>) -> String {
    let mut by_text: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (node, refusal) in refused {
        by_text.entry(&refusal.text).or_default().push(node.as_str());
    }
    let told = by_text.iter().take(REFUSALS_SHOWN_MAX).map(|(text, nodes)| match &nodes[..] {
        [node] => format!("{node} {text}"),
        nodes if nodes.len() > REFUSALS_SHOWN_MAX => format!("each of {} nodes {text}", nodes.len()),
        nodes => format!("each of {} {text}", nodes.join(", ")),
    });
    let mut told: Vec<String> = told.collect();
    if by_text.len() > REFUSALS_SHOWN_MAX {
        told.push(format!("there are {} more reasons", by_text.len() - REFUSALS_SHOWN_MAX));
    }
    told.join("; ")
}

fn need<'a>(wanted: &Wanted<'a>) -> Need<'a> {
    let container = wanted.container;
    let mut disks = BTreeMap::from([(&container.storage, container.disk.bytes())]);
    for volume in &container.volumes {
        let sum = disks.entry(&volume.storage).or_default();
        *sum = volume.size.bytes().saturating_add(*sum);
    }
    let networks = container.nics.iter().filter_map(|nic| wanted.site.networks.get(&nic.network));
    let bridges = networks.map(|network| &network.bridge).collect();
    let (entry, spread, memory, image) = (&container.name, container.spread, container.memory, &container.image);
    Need { entry, spread, memory, disks, image, bridges }
}

/// The code of a refusal and the key of the entry that it is about.
fn meaning(kind: RefusalKind) -> (&'static str, &'static str) {
    match kind {
        RefusalKind::Unknown | RefusalKind::Excluded => (codes::NODE_UNKNOWN, "node"),
        RefusalKind::Offline => (codes::NODE_OFFLINE, "node"),
        RefusalKind::Unread | RefusalKind::Untold => (codes::NODE_UNREAD, "site"),
        RefusalKind::Image => (codes::IMAGE_MISSING, "image"),
        RefusalKind::Storage => (codes::STORAGE_UNFIT, "storage"),
        RefusalKind::Bridge => (codes::BRIDGE_MISSING, "nics"),
        RefusalKind::Room => (codes::NO_ROOM, "memory"),
    }
}

fn help(code: &'static str) -> &'static str {
    match code {
        codes::NODE_UNKNOWN => "name a node of the site, or leave `node` out to have one chosen",
        codes::NODE_OFFLINE => "bring the node back, or name another one",
        codes::NODE_UNREAD => "see whether the token may read nodes, storages and networks: `rapidlaunch site check`",
        codes::IMAGE_MISSING => "download the template to the nodes (`pveam download`), or name one that is there",
        codes::STORAGE_UNFIT => "name a storage that allows containers, or allow them on it (content `rootdir`)",
        codes::BRIDGE_MISSING => "make the bridge on the nodes, or let the network name one that is there",
        codes::NO_ROOM => "ask for less memory or disk, or free or add room",
        _ => "change what the entry asks for so that one node has all of it",
    }
}
