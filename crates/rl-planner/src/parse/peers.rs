//! Looks up the names of the other ends of firewall rules.

use std::collections::BTreeMap;

use rl_model::firewall::{AliasName, IpSetName};
use rl_model::manifest::FirewallPeer;
use rl_model::{ContainerName, GuestName, NetworkName};

use super::firewall::PeerDraft;
use super::report::{Findings, Sp, suggest};
use crate::diagnostic::{Diagnostic, codes};

/// What a rule may name.
#[derive(Default)]
pub(crate) struct Names {
    /// Networks of the site.
    pub(crate) networks: Vec<NetworkName>,
    /// Containers of the stack, with the names of their guests where those are others.
    pub(crate) containers: BTreeMap<ContainerName, Vec<GuestName>>,
    /// Aliases of the site.
    pub(crate) aliases: Vec<AliasName>,
    /// IP sets of the site.
    pub(crate) sets: Vec<IpSetName>,
    /// Something could not be read, so that a name that is not found may be one of it.
    pub(crate) incomplete: bool,
}

impl Names {
    /// The other end as the model has it; one that is not found, or that two things have, is reported.
    pub(crate) fn find(&self, findings: &mut Findings, peer: &Sp<PeerDraft>) -> Option<FirewallPeer> {
        let name = match &peer.value {
            PeerDraft::Address(address) => return Some(FirewallPeer::Address(*address)),
            PeerDraft::Cidr(cidr) => return Some(FirewallPeer::Cidr(*cidr)),
            PeerDraft::Name(name) => name.as_str(),
        };
        let mut found = self.all(name);
        if let [(first, _), (second, _), ..] = found.as_slice() {
            let message = format!("`{name}` is both {first} and {second}");
            let help = "give one of the two another name, or write addresses";
            findings.push(Diagnostic::error(codes::DUPLICATE_NAME, Some(&peer.at), message).help(help));
            return None;
        }
        if let Some((_, peer)) = found.pop() {
            return Some(peer);
        }
        if !self.incomplete {
            let of_stack = if self.containers.is_empty() { "" } else { "container of the stack and no " };
            let message = format!("`{name}` is no {of_stack}network, alias or IP set of the site");
            let help = suggest(name, self.known(), "names");
            findings.push(Diagnostic::error(codes::UNKNOWN_CONTAINER, Some(&peer.at), message).help(help));
        }
        None
    }

    fn all(&self, name: &str) -> Vec<(&'static str, FirewallPeer)> {
        let mut found = Vec::new();
        let container = self.containers.keys().find(|key| key.as_str() == name);
        found.extend(container.map(|key| ("a container", FirewallPeer::Container(key.clone()))));
        let guest = self.containers.values().flatten().find(|guest| guest.as_str() == name);
        found.extend(guest.map(|guest| ("a guest", FirewallPeer::Guest(guest.clone()))));
        let network = self.networks.iter().find(|key| key.as_str() == name);
        found.extend(network.map(|key| ("a network", FirewallPeer::Network(key.clone()))));
        let alias = self.aliases.iter().find(|key| key.as_str() == name);
        found.extend(alias.map(|key| ("an alias", FirewallPeer::Alias(key.clone()))));
        let set = self.sets.iter().find(|key| key.as_str() == name);
        found.extend(set.map(|key| ("an IP set", FirewallPeer::Set(key.clone()))));
        found
    }

    fn known(&self) -> impl Iterator<Item = &str> + Clone {
        let stack = self.containers.keys().map(ContainerName::as_str);
        let networks = self.networks.iter().map(NetworkName::as_str);
        let aliases = self.aliases.iter().map(AliasName::as_str);
        stack.chain(networks).chain(aliases).chain(self.sets.iter().map(IpSetName::as_str))
    }
}
