//! The levels of the firewall, and the one way in which every call changes a file.

use crate::api::call::{Call, Reply, ReplyResult};
use crate::api::error::{ApiError, ApiResult};
use crate::world::World;
use crate::world::firewall::{Conf, Env, Names, Place, Rule, verify};

/// A level: whose file a call is about and which of its rule lists.
pub(super) trait Level: 'static {
    const ENV: Env;

    fn place(call: &Call) -> Place;

    /// The rules, or `None` where PVE has no list because there is no file.
    fn rules<'a>(_call: &Call, conf: &'a Conf) -> ApiResult<Option<&'a [Rule]>> {
        Ok(conf.present.then_some(conf.rules.as_slice()))
    }

    fn rules_mut<'a>(_call: &Call, conf: &'a mut Conf) -> ApiResult<&'a mut Vec<Rule>> {
        Ok(&mut conf.rules)
    }
}

pub(super) struct Cluster;
pub(super) struct SecurityGroup;
pub(super) struct Node;
pub(super) struct Ct;
pub(super) struct Vm;

impl Level for Cluster {
    const ENV: Env = Env::Cluster;

    fn place(_call: &Call) -> Place {
        Place::Cluster
    }
}

impl Level for SecurityGroup {
    const ENV: Env = Env::Group;

    fn place(_call: &Call) -> Place {
        Place::Cluster
    }

    fn rules<'a>(call: &Call, conf: &'a Conf) -> ApiResult<Option<&'a [Rule]>> {
        let name = call.args.must("group");
        conf.groups.get(name).map(|g| Some(g.rules.as_slice())).ok_or_else(|| no_group(name))
    }

    fn rules_mut<'a>(call: &Call, conf: &'a mut Conf) -> ApiResult<&'a mut Vec<Rule>> {
        let name = call.args.must("group");
        conf.groups.get_mut(name).map(|g| &mut g.rules).ok_or_else(|| no_group(name))
    }
}

impl Level for Node {
    const ENV: Env = Env::Node;

    fn place(call: &Call) -> Place {
        Place::Node(call.node().to_owned())
    }
}

impl Level for Ct {
    const ENV: Env = Env::Ct;

    fn place(call: &Call) -> Place {
        Place::Guest(call.vmid())
    }
}

impl Level for Vm {
    const ENV: Env = Env::Vm;

    fn place(call: &Call) -> Place {
        Place::Guest(call.vmid())
    }
}

pub(super) fn no_group(name: &str) -> ApiError {
    ApiError::die(format!("no such security group '{name}'"))
}

/// The level's file as it is now.
pub(super) fn load<L: Level>(call: &Call) -> Conf {
    call.site.world().firewall.load(&L::place(call), L::ENV, call.site.now())
}

/// What a change sees beside the file it changes.
pub(super) struct Around {
    env: Env,
    cluster: Conf,
}

impl Around {
    /// Where names in the file are looked up.
    pub(super) fn names<'a>(&'a self, conf: &'a Conf) -> Names<'a> {
        match self.env {
            Env::Cluster | Env::Group => Names { own: None, cluster: Some(conf) },
            Env::Node => Names { own: None, cluster: Some(&self.cluster) },
            Env::Ct | Env::Vm => Names { own: Some(conf), cluster: Some(&self.cluster) },
        }
    }

    /// Checks a rule as the API does: the first thing that is wrong refuses it.
    pub(super) fn check(&self, rule: &mut Rule, conf: &Conf) -> ApiResult<()> {
        match verify(rule, self.env, &self.names(conf)).into_iter().next() {
            Some((key, why)) => Err(ApiError::param(key, why)),
            None => Ok(()),
        }
    }
}

/// Reads the level's file, changes it and writes it, or leaves it alone on an error. A guest's file that is another
/// afterwards stands in the ledger.
pub(super) fn change<L: Level>(call: &Call, act: impl FnOnce(&mut Conf, &Around) -> ApiResult<()>) -> ReplyResult {
    let place = L::place(call);
    let changed = change_in(&mut call.site.world(), call, &place, L::ENV, act)?;
    if let Place::Guest(vmid) = place
        && changed
    {
        call.site.effect("firewall", vmid, call.node(), &call.who.authuser());
    }
    Ok(Reply::null())
}

/// The same for any file of the world; true when its text is another afterwards.
pub(super) fn change_in(
    world: &mut World,
    call: &Call,
    place: &Place,
    env: Env,
    act: impl FnOnce(&mut Conf, &Around) -> ApiResult<()>,
) -> ApiResult<bool> {
    let now = call.site.now();
    let around = Around { env, cluster: world.firewall.load(&Place::Cluster, Env::Cluster, now) };
    let mut conf = world.firewall.load(place, env, now);
    act(&mut conf, &around)?;
    Ok(world.firewall.save(place, &conf))
}

/// Refuses when the caller has seen another state than the present one.
pub(super) fn check_digest(call: &Call, current: &str) -> ApiResult<()> {
    match call.text("digest").filter(|d| !d.is_empty()) {
        Some(given) if given != current => {
            Err(ApiError::die("detected modified configuration - file changed by other user? Try again."))
        }
        _ => Ok(()),
    }
}
