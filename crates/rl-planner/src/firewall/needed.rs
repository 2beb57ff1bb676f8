//! Which firewalls an observer has to read before a plan can be made.

use std::collections::BTreeMap;

use rl_model::firewall::set_owner;
use rl_model::{Leases, Observed, ResolvedStack, SiteName, Vmid};

/// Guests whose options are read for one plan while a stack has no more of them than this; above it, only those of guests whose
/// firewall differs from the one last applied. A guest's rules are one request and are always read, its options another.
pub const OPTIONS_READ_MAX: usize = 50;

/// What has to be read on one site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FirewallsNeeded {
    /// Guests whose rules are compared, and whether their options are read too.
    pub guests: BTreeMap<Vmid, bool>,
    /// What the comment of the stack's IP sets says.
    pub owner: String,
}

/// What of the sites' firewalls a plan has to compare; nothing where the stack has and had no firewall. Up to `limit` guests
/// have their options read whatever was applied last.
pub fn firewalls_needed(
    resolved: &ResolvedStack,
    observed: &Observed,
    leases: &Leases,
    limit: usize,
) -> BTreeMap<SiteName, FirewallsNeeded> {
    let mut out: BTreeMap<SiteName, FirewallsNeeded> = BTreeMap::new();
    let owner = set_owner(&resolved.controller, &resolved.name);
    let need = |out: &mut BTreeMap<SiteName, FirewallsNeeded>, site: &SiteName| {
        out.entry(site.clone()).or_default().owner.clone_from(&owner);
    };
    let filtered = resolved.guests.values().filter(|guest| guest.firewall.is_some()).count();
    for want in resolved.guests.values() {
        let known = leases.guests.get(&want.name).filter(|known| known.id == want.id);
        let last = known.and_then(|known| known.last.as_ref()).and_then(|last| last.firewall.as_ref());
        if want.firewall.is_none() && last.is_none() {
            continue;
        }
        need(&mut out, &want.site);
        let there = observed.sites.get(&want.site).is_some_and(|site| site.guests.contains_key(&want.vmid));
        if let (true, Some(of_site)) = (there, out.get_mut(&want.site)) {
            let differs = want.firewall.as_ref() != last;
            of_site.guests.insert(want.vmid, differs || filtered <= limit);
        }
    }
    // Guests that leave take their rules with them, but their addresses are in the stack's sets.
    let left = leases.guests.values().filter(|known| !resolved.guests.contains_key(&known.name));
    for known in left.filter(|known| known.last.as_ref().is_some_and(|last| last.firewall.is_some())) {
        if observed.sites.contains_key(&known.site) {
            need(&mut out, &known.site);
        }
    }
    out
}
