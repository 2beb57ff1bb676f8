//! The rules of `proxmox-firewall`, in the layout of its table of guests.

use std::collections::BTreeMap;

use ipnet::IpNet;
use rl_model::NicSlot;
use rl_model::firewall::FirewallAction;

use super::generate::{Case, RECEIVER, SENDER, addresses, mac};
use super::layout::{Sets, Text};

const STANDARD: &str = r#"
chain allow-icmp {
    icmp type { destination-unreachable, source-quench, time-exceeded } accept
    icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept
}
chain do-reject {
    meta pkttype broadcast goto to-dropped
    ip daddr 255.255.255.255 goto to-dropped
    ip saddr 224.0.0.0/4 goto to-dropped
    goto to-rejected
}
"#;

/// The whole rule file of a case.
pub(super) fn rules(case: &Case) -> String {
    let mut text = Text::new(case, Sets::Pair);
    text.raw(STANDARD);
    for (name, _) in &case.site.sets {
        let nets = text.nets(&case.site, None, name).unwrap();
        pair(&mut text, &format!("dc-{name}"), &nets);
    }
    for which in [RECEIVER, SENDER] {
        for (name, _) in &case.guests[which].sets {
            let nets = text.nets(&case.guests[which], Some(which), name).unwrap();
            pair(&mut text, &format!("g{which}-{name}"), &nets);
        }
    }
    for (name, rules) in &case.groups {
        for way in ["in", "out"] {
            let of_way = rules.iter().filter(|rule| rule.enable && rule.kind == way);
            let chains: Vec<String> =
                of_way.filter_map(|rule| text.rule(None, rule, verdict(&rule.action, way))).collect();
            let lines: Vec<String> = chains.iter().map(|chain| format!("jump {chain}")).collect();
            text.chain(&format!("group-{name}-{way}"), &lines);
        }
    }
    if let Some(slot) = case.from {
        guest(&mut text, SENDER, slot, "out", 0);
    }
    guest(&mut text, RECEIVER, case.to, "in", 10);
    text.finish()
}

fn verdict(action: &str, way: &str) -> &'static str {
    match (action, way) {
        ("ACCEPT", _) => "accept",
        ("REJECT", "out") => "goto do-reject",
        _ => "goto to-dropped",
    }
}

fn pair(text: &mut Text<'_>, name: &str, nets: &BTreeMap<IpNet, bool>) {
    for (version, kind) in [("4", "ipv4_addr"), ("6", "ipv6_addr")] {
        for (suffix, nomatch) in [("", false), ("-nomatch", true)] {
            let of_family = |net: &IpNet| net.addr().is_ipv4() == (version == "4");
            let list: Vec<String> = nets
                .iter()
                .filter(|(net, out)| of_family(net) && **out == nomatch)
                .map(|(net, _)| net.to_string())
                .collect();
            let elements =
                if list.is_empty() { String::new() } else { format!("elements = {{ {} }}", list.join(", ")) };
            text.raw(&format!(
                "set {name}-v{version}{suffix} {{ type {kind}; flags interval; auto-merge; {elements} }}\n"
            ));
        }
    }
}

fn guest(text: &mut Text<'_>, which: usize, slot: NicSlot, way: &str, priority: i32) {
    let case = text.case;
    let guest = case.guest(which);
    let node = &case.view.nodes.values().next().unwrap().options;
    let mut base = vec![
        format!("type filter hook prerouting priority {priority}; policy accept;"),
        "iifname != \"fwrecv\" accept".to_owned(),
    ];
    if case.view.datacenter.options.enable {
        base.push("jump allow-icmp".into());
        base.push("ct state established,related accept".into());
        if !node.allow_invalid {
            base.push("ct state invalid goto to-dropped".into());
        }
        if guest.options.enable && guest.nics[&slot].firewall {
            base.push(format!("goto guest-{way}"));
        }
    }
    text.chain(&format!("base-{way}"), &base);
    let mut lines = options(case, which, slot, way);
    if way == "out" && guest.options.ipfilter {
        ipfilter(text, which, slot);
        lines.push("jump ipfilter".into());
    }
    for rule in &case.guests[which].rules {
        if !rule.enable || rule.iface.as_ref().is_some_and(|iface| *iface != slot.to_string()) {
            continue;
        }
        if rule.kind == "group" {
            if rule.action != "gone" {
                lines.push(format!("jump group-{}-{way}", rule.action));
            }
        } else if rule.kind == way {
            let chain = text.rule(Some(which), rule, verdict(&rule.action, way));
            lines.extend(chain.map(|chain| format!("jump {chain}")));
        }
    }
    let (policy, unset) = if way == "in" {
        (guest.options.policy_in, FirewallAction::Drop)
    } else {
        (guest.options.policy_out, FirewallAction::Accept)
    };
    lines.push(verdict(policy.unwrap_or(unset).as_str(), way).to_owned());
    text.chain(&format!("guest-{way}"), &lines);
}

/// What the guest's options put before its rules.
fn options(case: &Case, which: usize, slot: NicSlot, way: &str) -> Vec<String> {
    let options = &case.guest(which).options;
    let does = |on: bool| if on { "accept" } else { "goto to-dropped" };
    let mut lines = Vec::new();
    let (from4, to4, from6, to6) = if way == "out" { (68, 67, 546, 547) } else { (67, 68, 547, 546) };
    if way == "out" && options.macfilter {
        lines.push(format!("ether saddr != {} goto to-dropped", mac(which, slot)));
    }
    lines.push(format!("udp sport . udp dport {{ {from4} . {to4}, {from6} . {to6} }} {}", does(options.dhcp)));
    let kinds = if way == "in" { "133, 134, 135, 136, 137" } else { "133, 135, 136" };
    lines.push(format!("icmpv6 type {{ {kinds} }} {}", does(options.ndp)));
    if way == "out" {
        lines.push(format!("icmpv6 type {{ 134, 137 }} {}", does(options.radv)));
    }
    lines
}

fn ipfilter(text: &mut Text<'_>, which: usize, slot: NicSlot) {
    let case = text.case;
    let declared = text.nets(&case.guests[which], Some(which), &format!("ipfilter-{slot}"));
    let name = if declared.is_some() {
        format!("g{which}-ipfilter-{slot}")
    } else {
        let link = format!("fe80::ff:fe00:{:x}", u16::try_from(which).unwrap() << 8 | u16::from(slot.number() + 5));
        let own = addresses(which, slot).into_iter().chain([link.as_str()]);
        let nets = own.map(|own| (IpNet::from(own.parse::<std::net::IpAddr>().unwrap()), false)).collect();
        pair(text, "own-addresses", &nets);
        "own-addresses".to_owned()
    };
    let lines: Vec<String> = [("ip", "4"), ("ip6", "6")]
        .iter()
        .flat_map(|(ip, v)| {
            [
                format!("{ip} saddr != @{name}-v{v} goto to-dropped"),
                format!("{ip} saddr @{name}-v{v}-nomatch goto to-dropped"),
            ]
        })
        .collect();
    text.chain("ipfilter", &lines);
}
