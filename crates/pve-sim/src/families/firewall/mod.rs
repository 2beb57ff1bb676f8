//! The firewall's calls at each level: datacenter, node, container and virtual machine. Guests need not exist.

mod aliases;
mod groups;
mod level;
mod options;
mod other;
mod rules;
mod sets;

use crate::api::endpoint::Endpoint;
use level::{Cluster, Ct, Node, SecurityGroup, Vm};

const ON_CLUSTER: Rights = Rights { own: "", audit: "/ Sys.Audit", change: "/ Sys.Modify" };
const ON_NODE: Rights = Rights { own: "node", audit: "/nodes/{node} Sys.Audit", change: "/nodes/{node} Sys.Modify" };
const ON_GUEST: Rights =
    Rights { own: "node vmid", audit: "/vms/{vmid} VM.Audit", change: "/vms/{vmid} VM.Config.Network" };
const ON_GROUP: Rights = Rights { own: groups::GROUP, ..ON_CLUSTER };

/// What the calls of a level have in common: the parameters of their paths and who may make them.
#[derive(Clone, Copy)]
struct Rights {
    own: &'static str,
    audit: &'static str,
    change: &'static str,
}

/// A path below a level's own.
macro_rules! path {
    (cluster, $rest:literal) => {
        concat!("/cluster/firewall", $rest)
    };
    (node, $rest:literal) => {
        concat!("/nodes/{node}/firewall", $rest)
    };
    (lxc, $rest:literal) => {
        concat!("/nodes/{node}/lxc/{vmid}/firewall", $rest)
    };
    (qemu, $rest:literal) => {
        concat!("/nodes/{node}/qemu/{vmid}/firewall", $rest)
    };
}

/// Everything that guests of both kinds and the datacenter have: rules, aliases and IP sets.
macro_rules! full_level {
    ($base:ident, $level:ty, $rights:expr) => {
        [
            rules::endpoints::<$level>($rights, path!($base, "/rules"), path!($base, "/rules/{pos}")),
            aliases::endpoints::<$level>($rights, path!($base, "/aliases"), path!($base, "/aliases/{name}")),
            sets::endpoints::<$level>(
                $rights,
                path!($base, "/ipset"),
                path!($base, "/ipset/{name}"),
                path!($base, "/ipset/{name}/{cidr}"),
            ),
        ]
        .into_iter()
        .flatten()
        .map(Endpoint::local)
    };
}

/// Everything a guest has.
macro_rules! guest_level {
    ($base:ident, $level:ty) => {
        full_level!($base, $level, ON_GUEST)
            .chain(options::endpoints::<$level>(ON_GUEST, path!($base, "/options")))
            .chain(other::guest::<$level>(ON_GUEST, path!($base, ""), path!($base, "/refs"), path!($base, "/log")))
    };
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let cluster = full_level!(cluster, Cluster, ON_CLUSTER)
        .chain(options::endpoints::<Cluster>(ON_CLUSTER, path!(cluster, "/options")))
        .chain(groups::endpoints())
        .chain(rules::endpoints::<SecurityGroup>(
            ON_GROUP,
            path!(cluster, "/groups/{group}"),
            path!(cluster, "/groups/{group}/{pos}"),
        ))
        .chain(other::cluster());
    let node = rules::endpoints::<Node>(ON_NODE, path!(node, "/rules"), path!(node, "/rules/{pos}"))
        .into_iter()
        .chain(options::endpoints::<Node>(ON_NODE, path!(node, "/options")))
        .chain(other::node());
    cluster.chain(node).chain(guest_level!(lxc, Ct)).chain(guest_level!(qemu, Vm)).collect()
}
