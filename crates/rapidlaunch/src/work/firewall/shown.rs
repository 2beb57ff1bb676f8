//! The firewall of a guest as its site evaluates it, for people to read.

use rl_model::firewall::{GroupName, RuleText};
use rl_model::{GuestKind, NodeName, Vmid};
use rl_pve::api::{firewall as api, lxc};
use rl_pve::{Pve, decode};
use serde_json::{Map, Value, json};

use super::read::unread;
use crate::error::CommandError;
use crate::shape::guest::{FirewallLevel, FirewallShape};

/// What a rule calls a group by.
const GROUP: &str = "group";

/// Reads switches, policies, rules and the groups that these call.
pub(crate) async fn shown(pve: &Pve, node: &NodeName, vmid: Vmid) -> Result<FirewallShape, CommandError> {
    let config = pve.send(lxc::config(node, vmid, lxc::ConfigView::Current)).await.map_err(unread)?;
    let kind = GuestKind::Container;
    let site = decode::firewall::datacenter_options(pve.send(api::datacenter_options()).await.map_err(unread)?);
    let host = decode::firewall::node_options(&pve.send(api::node_options(node)).await.map_err(unread)?);
    let own = decode::firewall::guest_options(pve.send(api::guest_options(kind, node, vmid)).await.map_err(unread)?);
    let (rules, _) = decode::firewall::rule_texts(pve.send(api::guest_rules(kind, node, vmid)).await.map_err(unread)?);
    let mut options = Map::new();
    options.insert("datacenter".to_owned(), json!(site.enable));
    if let Value::Object(own) = json!(own) {
        options.extend(own.into_iter().filter(|(_, value)| !value.is_null()));
    }
    options.insert("engine".to_owned(), json!(if host.nftables { "nftables" } else { "iptables" }));
    for (slot, nic) in decode::firewall::nics(kind, &config) {
        options.insert(slot.to_string(), json!(nic.firewall));
    }
    let mut levels = vec![FirewallLevel { level: "guest".to_owned(), rules }];
    let called: Vec<GroupName> = levels[0].rules.iter().filter_map(called).collect();
    for name in called {
        let level = format!("group {name}");
        if levels.iter().all(|known| known.level != level) {
            let (rules, _) = decode::firewall::rule_texts(pve.send(api::group(&name)).await.map_err(unread)?);
            levels.push(FirewallLevel { level, rules });
        }
    }
    Ok(FirewallShape { options, levels })
}

/// The group that a rule which is on calls.
fn called(rule: &RuleText) -> Option<GroupName> {
    (rule.enable && rule.kind == GROUP).then(|| rule.action.parse().ok()).flatten()
}
