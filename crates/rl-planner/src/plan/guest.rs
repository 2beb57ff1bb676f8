//! One guest of the stack: what is to be done with it, and what is told about it.

use rl_model::{
    Action, ActionId, ActionKind, Change, Consequence, ContainerConfig, FieldKey, GuestName, GuestStatus, KnownGuest,
    Leases, NodeName, NoteLevel, Policy, ResolvedGuest, ResolvedStack, SiteName, Stamp,
};

use super::delta::{Delta, Forced};
use super::fields::{features_need_root, needs_restart};
use super::report::Reporter;
use super::say;
use super::shallow;
use super::world::{Found, Identity, Place, World};

/// An action before the plan is put in order.
pub(crate) struct Draft {
    /// The guest.
    pub(crate) name: GuestName,
    /// The action, with its place still open.
    pub(crate) action: Action,
    /// Guests whose own action must be done before.
    pub(crate) after: Vec<GuestName>,
}

impl Draft {
    pub(crate) fn new(stamp: Stamp, place: (&SiteName, &NodeName, rl_model::Vmid), kind: ActionKind) -> Self {
        let (site, node, vmid) = (place.0.clone(), place.1.clone(), place.2);
        let (name, id, reasons, after) = (stamp.name.clone(), ActionId(0), Vec::new(), Vec::new());
        Self { name, action: Action { id, stamp, site, node, vmid, kind, reasons, after }, after: Vec::new() }
    }

    pub(crate) fn because(mut self, reasons: Vec<String>) -> Self {
        self.action.reasons = reasons;
        self
    }
}

/// What became of one guest.
pub(crate) struct Decision {
    /// As it shall be once the plan is done.
    pub(crate) guest: ResolvedGuest,
    /// What is done.
    pub(crate) draft: Option<Draft>,
    /// Whether the guest is there now.
    pub(crate) exists: bool,
}

/// Everything the decision about a guest looks at.
pub(crate) struct Scene<'a> {
    pub(crate) world: &'a World<'a>,
    pub(crate) stack: &'a ResolvedStack,
    pub(crate) leases: &'a Leases,
    pub(crate) policy: &'a Policy,
}

impl Scene<'_> {
    /// Decides about one guest of the stack.
    pub(crate) fn decide(&self, want: &ResolvedGuest, report: &mut Reporter) -> Decision {
        let known = self.leases.guests.get(&want.name).filter(|known| known.id == want.id);
        if self.no_quorum(&want.site, report) {
            return left(want, known, true);
        }
        match self.world.find(self.identity(want, known)) {
            Found::Absent => self.create(want, known, report),
            Found::Ours(place, config) => self.ours(want, known, place, config, report),
            Found::Shallow(place) => self.shallow(want, known, place, report),
            Found::Unread(why) => {
                report.left_alone(&want.site, NoteLevel::Warning, why);
                left(want, known, true)
            }
            other => {
                let (who, stamp) = (self.identity(want, known), &self.stack.stamp(want));
                say::left_alone(&other, &say::Subject { who, stamp }, report);
                let exists = !matches!(other, Found::Foreign(..) | Found::Creating(_));
                left(want, known, exists)
            }
        }
    }

    /// Whether a site was read but cannot be changed for want of a quorum; told when it is so.
    pub(crate) fn no_quorum(&self, site: &SiteName, report: &mut Reporter) -> bool {
        let read = self.world.site(site).filter(|seen| seen.guests_unread().is_none());
        let stuck = read.is_some_and(|seen| !seen.quorate);
        if stuck {
            let why = format!("site {site} has no quorum, so nothing can be changed on it");
            report.left_alone(site, NoteLevel::Blocked, why);
        }
        stuck
    }

    /// Whom to look for. The last node counts only for a guest that was really put on it.
    pub(crate) fn identity<'a>(&'a self, want: &'a ResolvedGuest, known: Option<&'a KnownGuest>) -> Identity<'a> {
        let node = known.filter(|known| known.last.is_some()).map_or(&want.node, |known| &known.node);
        let net0 = want.nics.iter().find(|nic| nic.slot.number() == 0).map(|nic| nic.mac);
        let (id, controller, site, vmid) = (&want.id, &self.stack.controller, &want.site, want.vmid);
        Identity { id, controller, site, node, vmid, net0, hostname: Some(&want.hostname) }
    }

    fn create(&self, want: &ResolvedGuest, known: Option<&KnownGuest>, report: &mut Reporter) -> Decision {
        let nothing = || Decision { guest: want.clone(), draft: None, exists: false };
        if features_need_root(rl_model::Features::default(), want.features, want.unprivileged) {
            say::create_needs_root(want, report);
            return nothing();
        }
        let online = self.world.site(&want.site).and_then(|seen| seen.nodes.get(&want.node)).is_some_and(|n| n.online);
        if !online {
            say::node_not_there(want, report);
            return nothing();
        }
        let applied = known.and_then(|known| known.last.as_ref());
        let reason = match applied {
            None => "it does not exist yet".to_owned(),
            Some(last) => {
                say::gone(want, last, report);
                format!("it was applied before and is gone from {}", want.site)
            }
        };
        let kind = ActionKind::Create { guest: Box::new(want.clone()) };
        let mut draft = Draft::new(self.stack.stamp(want), (&want.site, &want.node, want.vmid), kind);
        draft.after = want.after.clone();
        Decision { guest: want.clone(), draft: Some(draft.because(vec![reason])), exists: false }
    }

    fn shallow(
        &self,
        want: &ResolvedGuest,
        known: Option<&KnownGuest>,
        place: Place<'_>,
        report: &mut Reporter,
    ) -> Decision {
        let last = known.and_then(|known| known.last.as_ref());
        match shallow::difference(want, last, place.guest) {
            None => {
                report.unchanged(&want.name, true);
                Decision { guest: at(want, place), draft: None, exists: true }
            }
            Some(what) => {
                say::not_read(want, place, &what, report);
                left(want, known, true)
            }
        }
    }

    fn ours(
        &self,
        want: &ResolvedGuest,
        known: Option<&KnownGuest>,
        place: Place<'_>,
        config: &ContainerConfig,
        report: &mut Reporter,
    ) -> Decision {
        if *place.site != want.site || place.guest.template {
            say::unfit(want, place, report);
            return left(want, known, true);
        }
        if place.guest.vmid != want.vmid {
            say::followed(want, place, report);
        }
        let last = known.and_then(|known| known.last.as_ref());
        let mut delta = Delta::new(at(want, place), &config.fields, last);
        let forced = delta.forced();
        if !forced.is_empty() {
            match self.may_replace(want, config, &delta, place, &forced, report) {
                true => return self.replace(want, place, config, forced),
                false => forced.iter().for_each(|forced| delta.decline(forced)),
            }
        }
        self.settle_volumes(&mut delta, report);
        if is_protected(config) && want.protection {
            say::volumes_protected(want, &delta.hold_mounts(), report);
        }
        if let Some(wanted) = delta.decline_root_features() {
            say::features_need_root(want, place, &wanted, report);
        }
        self.update(want, place, config, delta, report)
    }

    /// Keeps volumes that left the stack, unless their loss is allowed; names mounts that are not ours.
    fn settle_volumes(&self, delta: &mut Delta<'_>, report: &mut Reporter) {
        let name = delta.guest.name.clone();
        if !self.policy.allow_data_loss.contains(&name) {
            for volume in delta.retired() {
                say::volume_kept(&name, volume, report);
                delta.keep_volume(volume);
            }
        }
        for (slot, value) in delta.foreign_mounts() {
            let message = format!("{slot} of `{name}` ({value}) is not in the stack and is left alone");
            report.info(&name, message, None);
        }
    }

    fn may_replace(
        &self,
        want: &ResolvedGuest,
        config: &ContainerConfig,
        delta: &Delta<'_>,
        place: Place<'_>,
        forced: &[Forced],
        report: &mut Reporter,
    ) -> bool {
        let allowed = self.policy.allow_replace.contains(&want.name);
        let volumes = delta.data_volumes();
        let data_allowed = volumes.is_empty() || self.policy.allow_data_loss.contains(&want.name);
        let protected = want.protection && is_protected(config);
        let root = features_need_root(rl_model::Features::default(), want.features, want.unprivileged);
        let allowed = say::replace_refused(want, forced, &volumes, (allowed, data_allowed, protected, root), report);
        allowed && self.target_online(want, place, report)
    }

    fn target_online(&self, want: &ResolvedGuest, place: Place<'_>, report: &mut Reporter) -> bool {
        let node = if want.node_pinned { &want.node } else { &place.guest.node };
        let online = self.world.site(place.site).and_then(|seen| seen.nodes.get(node)).is_some_and(|node| node.online);
        if !online {
            say::node_not_there(want, report);
        }
        online
    }

    fn replace(
        &self,
        want: &ResolvedGuest,
        place: Place<'_>,
        config: &ContainerConfig,
        forced: Vec<Forced>,
    ) -> Decision {
        let mut guest = at(want, place);
        if want.node_pinned {
            guest.node = want.node.clone();
        }
        let (mut changes, reasons): (Vec<Change>, Vec<String>) =
            forced.into_iter().map(|forced| (forced.change, forced.reason)).unzip();
        if is_protected(config) {
            let (key, from, to) = (FieldKey::Protection, "1".to_owned(), "0".to_owned());
            changes.push(Change { key, from, to });
        }
        let was_running = place.guest.status == GuestStatus::Running;
        let seen_net0 = config.net0_mac;
        let kind = ActionKind::Replace { guest: Box::new(guest.clone()), changes, was_running, seen_net0 };
        let stamp = self.stack.stamp(want);
        let mut draft = Draft::new(stamp, (place.site, &place.guest.node, place.guest.vmid), kind);
        draft.after = want.after.clone();
        Decision { guest, draft: Some(draft.because(reasons)), exists: true }
    }

    fn update(
        &self,
        want: &ResolvedGuest,
        place: Place<'_>,
        config: &ContainerConfig,
        mut delta: Delta<'_>,
        report: &mut Reporter,
    ) -> Decision {
        let stamp = self.stack.stamp(want);
        let changes = delta.changes(&stamp);
        let move_to = self.move_target(want, place, &delta, report);
        if let Some(target) = &move_to {
            delta.guest.node = target.clone();
        }
        let power = self.power(want, place, &changes, move_to.is_some(), report);
        if !config.pending.is_empty() {
            say::pending(want, &config.pending, report);
        }
        let mut guest = delta.guest;
        let known = self.leases.guests.get(&want.name).filter(|known| known.id == want.id);
        let last = known.and_then(|known| known.last.as_ref());
        let firewall = super::firewall::change(&mut guest, last, self.world, place, report);
        let quiet = move_to.is_none() && matches!(power, Consequence::Keep);
        if changes.is_empty() && firewall.is_none() && quiet {
            report.unchanged(&want.name, false);
            return Decision { guest, draft: None, exists: true };
        }
        if let Some(lock) = place.lock() {
            say::locked(want, place, lock, report);
        }
        let mut reasons = say::update_reasons(&changes, move_to.as_ref(), power);
        reasons.extend(firewall.as_ref().map(|_| "its firewall differs from the stack".to_owned()));
        let seen_net0 = config.net0_mac;
        let kind = ActionKind::Update { guest: Box::new(guest.clone()), changes, move_to, power, seen_net0, firewall };
        let draft = Draft::new(stamp, (place.site, &place.guest.node, place.guest.vmid), kind).because(reasons);
        Decision { guest, draft: Some(draft), exists: true }
    }

    /// The node a guest is moved to: only one that the stack names, that is there, and that it can move to.
    fn move_target(
        &self,
        want: &ResolvedGuest,
        place: Place<'_>,
        delta: &Delta<'_>,
        report: &mut Reporter,
    ) -> Option<NodeName> {
        if !want.node_pinned || want.node == place.guest.node || !self.target_online(want, place, report) {
            return None;
        }
        let bound: Vec<String> = delta.foreign_mounts().into_iter().map(|(slot, _)| slot.to_string()).collect();
        if !bound.is_empty() {
            say::cannot_move(want, &bound, report);
            return None;
        }
        if self.policy.no_restart && want.running && place.guest.status == GuestStatus::Running {
            say::move_waits(want, place, report);
            return None;
        }
        Some(want.node.clone())
    }

    fn power(
        &self,
        want: &ResolvedGuest,
        place: Place<'_>,
        changes: &[Change],
        moves: bool,
        report: &mut Reporter,
    ) -> Consequence {
        let restart = moves || changes.iter().any(needs_restart);
        match (place.guest.status, want.running) {
            (GuestStatus::Running, false) => Consequence::Stop,
            (GuestStatus::Stopped, true) => Consequence::Start,
            (GuestStatus::Running, true) if restart && self.policy.no_restart => Consequence::NextStart,
            (GuestStatus::Running, true) if restart => Consequence::Restart,
            (GuestStatus::Unknown, _) => {
                say::status_unknown(want, report);
                Consequence::Keep
            }
            _ => Consequence::Keep,
        }
    }
}

fn is_protected(config: &ContainerConfig) -> bool {
    config.fields.get(FieldKey::Protection) == "1"
}

/// The guest as it shall be, at the place where it is.
fn at(want: &ResolvedGuest, place: Place<'_>) -> ResolvedGuest {
    let mut guest = want.clone();
    guest.vmid = place.guest.vmid;
    guest.node = place.guest.node.clone();
    guest
}

/// A guest that is left alone stays as it was last applied.
pub(crate) fn left(want: &ResolvedGuest, known: Option<&KnownGuest>, exists: bool) -> Decision {
    let last = known.and_then(|known| known.last.clone());
    Decision { guest: last.unwrap_or_else(|| want.clone()), draft: None, exists }
}
