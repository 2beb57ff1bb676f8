//! What a call needs of its caller, so that a site can be checked before anything is asked of it.
//!
//! The table follows `pve-container` (`check_ct_modify_config_perm`, `create_vm`), `pve-guest-common`
//! (`check_vnet_access`) and the `permissions` of the API description.

mod calls;
mod held;
mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use rl_model::{BridgeName, PoolId, StorageId, Vmid};

use crate::request::{Method, Param, Request};

pub use held::missing;
pub use plan::{of_plan, of_reading};

/// One privilege a call needs: any of `any_of`, on any of `paths`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// Paths of the access control tree, one of which suffices: a guest's own, or its pool's.
    pub paths: Vec<String>,
    /// Privileges, one of which suffices.
    pub any_of: Vec<&'static str>,
    /// What it is needed for, in a few words.
    pub what_for: String,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} ({})", self.any_of.join(" or "), self.paths.join(" or "), self.what_for)
    }
}

/// All that calls need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Privileges.
    pub privileges: BTreeSet<Need>,
    /// What only the user root@pam may do, with the reason: no token can, not even one of root@pam.
    pub root_only: BTreeSet<String>,
}

impl Needs {
    /// Adds what others need.
    pub fn extend(&mut self, other: Self) {
        self.privileges.extend(other.privileges);
        self.root_only.extend(other.root_only);
    }

    fn add(&mut self, paths: Vec<String>, any_of: &[&'static str], what_for: impl Into<String>) {
        self.privileges.insert(Need { paths, any_of: any_of.to_vec(), what_for: what_for.into() });
    }
}

/// What must be known of a site to say which paths a call touches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// The pool of each guest that is in one.
    pub pools: BTreeMap<Vmid, PoolId>,
    /// The SDN zone of each VNet; plain bridges belong to `localnetwork`.
    pub zones: BTreeMap<BridgeName, String>,
    /// Where the disks of guests lie, by guest and key (`rootfs`, `mp0`).
    pub disks: BTreeMap<(Vmid, String), StorageId>,
}

/// What a request needs.
pub fn of<A>(request: &Request<A>, context: &Context) -> Needs {
    let facts = Facts {
        method: request.method(),
        template: request.template(),
        args: request.args(),
        params: request.params(),
        context,
    };
    let mut needs = Needs::default();
    calls::collect(&facts, &mut needs);
    needs
}

/// A request without its type, and the site it goes to.
struct Facts<'a> {
    method: Method,
    template: &'static str,
    args: &'a [(&'static str, String)],
    params: &'a [Param],
    context: &'a Context,
}

impl Facts<'_> {
    fn arg(&self, name: &str) -> &str {
        self.args.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }

    fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|param| param.name == name).map(|param| param.value.expose())
    }

    /// The path of a guest, and that of its pool: `named` where the call itself puts it into one.
    fn guest_paths(&self, vmid: &str, named: Option<&str>) -> Vec<String> {
        let known = vmid.parse::<Vmid>().ok().and_then(|vmid| self.context.pools.get(&vmid));
        let pool = named.map(str::to_owned).or_else(|| known.map(ToString::to_string));
        std::iter::once(format!("/vms/{vmid}")).chain(pool.map(|pool| format!("/pool/{pool}"))).collect()
    }
}

#[cfg(test)]
mod tests;
