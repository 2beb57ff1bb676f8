//! The firewall of a site, and what rules of containers may name of it.

use rl_model::firewall::DatacenterChoice;
use rl_model::manifest::{FirewallPeer, FirewallTraffic, GuestRule};

use super::*;

/// What is said of a site with this firewall, `body` being its lines without indentation, and of a stack beside it.
fn said(body: &str, rules: &str) -> Vec<String> {
    match read(body, rules) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.diagnostics.iter().map(|found| format!("[{}]: {}", found.code, found.message)).collect(),
    }
}

fn read(body: &str, rules: &str) -> Result<Manifest, ManifestErrors> {
    let lines: String = body.trim_matches('\n').lines().map(|line| format!("  {line}\n")).collect();
    let site = if body.is_empty() { SITE.to_owned() } else { format!("{SITE}firewall:\n{lines}") };
    let stack = stack_of(&format!(
        "image: debian-12\ncount: 2\nnics: {{ eth0: {{ network: dmz }} }}\nfirewall:\n  rules:\n{rules}"
    ));
    let files = [Source { name: "site.yaml", text: &site }, Source { name: "stack.yaml", text: &stack }];
    parse_all(&files, &Known::default()).map(|(manifest, _)| manifest)
}

const OBJECTS: &str = "
policy_in: drop
policy_out: allow
ebtables: false
log_ratelimit: enable=1,rate=5/minute,burst=3
aliases:
  monitor: { address: 192.0.2.9, comment: it asks all }
  branch: { address: 2001:db8::/48 }
ipsets:
  office: { entries: [192.0.2.0/24, dmz, 198.51.100.7], except: 192.0.2.66, comment: people }
groups:
  web:
    comment: what all web servers have
    rules:
      - { allow: [https, Ceph], from: [office, monitor] }
      - { drop: any, to: dmz, log: info }
";

#[test]
fn objects_are_read_and_rules_may_name_them() {
    let rules =
        "    - { group: web, on: eth0, comment: as all }\n    - { allow: ssh, from: [office, branch, web-2] }\n";
    let manifest = read(OBJECTS, rules).unwrap();
    let firewall = manifest.sites.values().next().unwrap().firewall.clone().unwrap();
    let expected = r#"{"policy_in":"drop","policy_out":"accept","ebtables":false,"log_ratelimit":"enable=1,rate=5/minute,burst=3"}"#;
    assert_eq!(firewall.options, serde_json::from_str::<DatacenterChoice>(expected).unwrap());
    let office = &firewall.ipsets.as_ref().unwrap()[&"office".parse().unwrap()];
    let nets =
        |nets: &std::collections::BTreeSet<rl_model::Cidr>| nets.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(nets(&office.entries), ["10.20.0.0/24", "192.0.2.0/24", "198.51.100.7/32"]);
    assert_eq!(nets(&office.except), ["192.0.2.66/32"]);
    let group = &firewall.groups.as_ref().unwrap()[&"web".parse().unwrap()];
    assert_eq!(group.rules.len(), 2);
    assert!(matches!(&group.rules[0].traffic[1], FirewallTraffic::Macro(name) if name.as_str() == "Ceph"));
    let rules =
        &manifest.stacks.values().next().unwrap().containers.values().next().unwrap().firewall.clone().unwrap().rules;
    assert!(matches!(&rules[0], GuestRule::Group(call) if call.group.as_str() == "web" && call.on.is_some()));
    let GuestRule::Own(rule) = &rules[1] else { panic!("{rules:?}") };
    let kinds: Vec<String> = rule.peers.iter().map(|peer| format!("{peer:?}")).collect();
    assert!(matches!(rule.peers[0], FirewallPeer::Set(_)), "{kinds:?}");
    assert!(matches!(rule.peers[1], FirewallPeer::Alias(_)), "{kinds:?}");
    assert!(matches!(rule.peers[2], FirewallPeer::Guest(_)), "{kinds:?}");
    // What is stored reads back as it was, and so does what earlier releases stored.
    let text = serde_json::to_string(&rules).unwrap();
    assert_eq!(&serde_json::from_str::<Vec<GuestRule>>(&text).unwrap(), rules);
}

#[test]
fn names_that_proxmox_refuses_or_that_are_taken_are_told() {
    let mut wrong = Vec::new();
    for (body, expected) in [
        (
            "aliases: { Office: { address: 192.0.2.1 } }",
            "[RL0201]: the name `Office` of an object of the firewall has capital letters",
        ),
        ("aliases: { o: { address: 192.0.2.1 } }", "[RL0201]: `o` is no valid alias name"),
        ("ipsets: { rl-shop-web: { entries: [] } }", "[RL0201]: `rl-shop-web` is a reserved name"),
        ("ipsets: { management: { entries: [] } }", "[RL0201]: `management` is a reserved name"),
        ("ipsets: { blacklist: { entries: [] } }", "[RL0201]: `blacklist` is a reserved name"),
        ("ipsets: { ipfilter-net0: { entries: [] } }", "[RL0201]: `ipfilter-net0` is a reserved name"),
        (
            "groups: { a-name-much-too-long: { rules: [] } }",
            "[RL0201]: `a-name-much-too-long` is no valid security group name",
        ),
        ("groups: { web: {}, web: {} }", "[RL0107]: the key `web` is given twice"),
        (
            "ipsets: { office: { entries: [192.0.2.1, 192.0.2.1] } }",
            "[RL0201]: `192.0.2.1/32` is given twice in one IP set",
        ),
        (
            "ipsets: { office: { entries: 192.0.2.1, except: 192.0.2.1 } }",
            "[RL0201]: `192.0.2.1/32` is given twice in one IP set",
        ),
        (
            "ipsets: { office: { entries: 0.0.0.0/0 } }",
            "[RL0201]: Proxmox takes no range of every address into an IP set",
        ),
        ("ipsets: { office: { entries: [nowhere] } }", "[RL0205]: `nowhere` is no network of the site with a subnet"),
        ("aliases: { office: {} }", "[RL0106]: an alias needs the key `address`"),
        ("aliases: { office: { address: 192.0.2.1/24 } }", "[RL0201]: `192.0.2.1/24` is no valid network"),
        ("log_ratelimit: often", "[RL0201]: `often` is no limit of the log"),
        ("policy_in: deny", "[RL0201]: `deny` is no verdict"),
        (
            "groups: { web: { rules: [{ allow: https, on: eth0 }] } }",
            "[RL0104]: a rule of a security group has no key `on`",
        ),
        (
            "groups: { web: { rules: [{ allow: https, from: db }] } }",
            "[RL0209]: `db` is no network, alias or IP set of the site",
        ),
        (
            "aliases: { dmz: { address: 192.0.2.1 } }\ngroups: { web: { rules: [{ allow: https, from: dmz }] } }",
            "[RL0203]: `dmz` is both a network and an alias",
        ),
        ("groups: { web: { rules: [{ allow: CEPH }] } }", "[RL0201]: `CEPH` is no known service"),
    ] {
        let said = said(body, "    - { allow: https }\n");
        if said != [expected] {
            wrong.push(format!("{body}: {said:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn rules_name_only_what_is_there() {
    for (rule, expected) in [
        ("{ group: webb }", "[RL0229]: the site `fra1` declares no security group `webb`"),
        ("{ group: web, from: office }", "[RL0113]: a rule that calls a security group has no `from`"),
        ("{ group: web, allow: https }", "[RL0113]: a rule that calls a security group has no `allow`"),
        ("{ group: web, on: eth7 }", "[RL0208]: the container `web` has no NIC `eth7`"),
        (
            "{ allow: ssh, from: offices }",
            "[RL0209]: `offices` is no container of the stack and no network, alias or IP set of the site",
        ),
        (
            "{ allow: ssh, from: web-3 }",
            "[RL0209]: `web-3` is no container of the stack and no network, alias or IP set of the site",
        ),
        ("{ allow: Cephalopod }", "[RL0201]: `Cephalopod` is no known service"),
    ] {
        assert_eq!(said(OBJECTS, &format!("    - {rule}\n")), [expected], "{rule}");
    }
    let hint = "known groups: `web`";
    let errors = read(OBJECTS, "    - { group: database }\n").unwrap_err();
    assert!(errors.diagnostics[0].help.iter().any(|help| help.contains(hint)), "{:?}", errors.diagnostics[0].help);
}
