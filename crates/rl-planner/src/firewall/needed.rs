//! Which firewalls an observer has to read before a plan can be made.

use std::collections::{BTreeMap, BTreeSet};

use rl_model::firewall::{set_owner, site_owner};
use rl_model::{Leases, Observed, ResolvedStack, SiteName, Vmid};

/// What has to be read on one site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FirewallsNeeded {
    /// Guests whose rules are compared, and whether their options are read too.
    pub guests: BTreeMap<Vmid, bool>,
    /// What the comment of the stack's IP sets says.
    pub owner: String,
    /// What the comments of the site's own objects begin with, where its file declares any.
    pub objects: Option<String>,
}

/// Sites of which a plan must also know what lets packets in to the nodes themselves, because it may change that.
pub fn entrances_needed(resolved: &ResolvedStack, observed: &Observed) -> BTreeSet<SiteName> {
    crate::parts::firewall::entrances_needed(resolved, observed)
}

/// What of the sites' firewalls a plan has to compare; nothing where the stack has and had no firewall. A guest's rules are one
/// request and are always read; its options are another, read where its firewall differs from the one last applied, or `deep`.
pub fn firewalls_needed(
    resolved: &ResolvedStack,
    observed: &Observed,
    leases: &Leases,
    deep: bool,
) -> BTreeMap<SiteName, FirewallsNeeded> {
    let mut out: BTreeMap<SiteName, FirewallsNeeded> = BTreeMap::new();
    let owner = set_owner(&resolved.controller, &resolved.name);
    let need = |out: &mut BTreeMap<SiteName, FirewallsNeeded>, site: &SiteName| {
        out.entry(site.clone()).or_default().owner.clone_from(&owner);
    };
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
            of_site.guests.insert(want.vmid, differs || deep);
        }
    }
    for (site, wanted) in &resolved.firewall {
        need(&mut out, site);
        let objects = &wanted.objects;
        if let Some(of_site) = out.get_mut(site)
            && (objects.aliases.is_some() || objects.sets.is_some() || objects.groups.is_some())
        {
            of_site.objects = Some(site_owner(&resolved.controller, site));
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
