//! Every request the crate can build, against the API description of both releases.

use std::collections::{BTreeSet, HashMap};

use rl_pve::privileges;
use serde_json::{Value, json};

use crate::samples::{Built, every_request};
use crate::schema::{EXPLAINED, answer_problems, explains, place_of, request_problems, undescribed, value_problems};
use crate::shared::{folder, lines};

const RELEASES: [&str; 2] = ["pve-8.4.jsonl", "pve-9.1.jsonl"];

type Entries = HashMap<(String, String), Value>;

fn entries(release: &str) -> Option<Entries> {
    let path = folder("pve-api")?.join(release);
    let key =
        |entry: &Value| (entry["method"].as_str().unwrap().to_owned(), entry["path"].as_str().unwrap().to_owned());
    Some(lines(&path).into_iter().map(|entry| (key(&entry), entry)).collect())
}

fn against_all(problems: impl Fn(&Built, &Value) -> Vec<String>) {
    let mut found = Vec::new();
    for release in RELEASES {
        let Some(entries) = entries(release) else { return };
        for built in every_request() {
            match entries.get(&(built.method.to_string(), built.template.to_owned())) {
                None => found.push(format!("{release}: {} {} is not described", built.method, built.template)),
                Some(entry) => {
                    let call = format!("{release}: {} {}", built.method, built.template);
                    found.extend(problems(&built, entry).into_iter().map(|problem| format!("{call}: {problem}")));
                }
            }
        }
    }
    assert!(found.is_empty(), "{} problems:\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_request_fits_the_description() {
    against_all(request_problems);
}

#[test]
fn every_field_read_is_described() {
    against_all(answer_problems);
}

/// An explanation nobody needs any more hides the next mistake.
#[test]
fn every_explanation_is_needed() {
    let mut needed: BTreeSet<&str> = BTreeSet::new();
    for release in RELEASES {
        let Some(entries) = entries(release) else { return };
        for built in every_request().iter().filter(|built| !built.template.ends_with("/log")) {
            let returns = &entries[&(built.method.to_string(), built.template.to_owned())]["returns"];
            for read in &built.read {
                let place = place_of(built, read);
                if undescribed(built, read, returns, &place).is_some() {
                    needed.extend(EXPLAINED.iter().map(|(pattern, _)| *pattern).filter(|p| explains(p, &place)));
                }
            }
        }
    }
    let all = EXPLAINED.iter().map(|(pattern, _)| *pattern).filter(|pattern| !pattern.contains("/log "));
    let idle: Vec<&str> = all.filter(|pattern| !needed.contains(pattern)).collect();
    assert!(idle.is_empty(), "{idle:?}");
}

#[test]
fn every_placeholder_of_a_path_is_filled() {
    for built in every_request() {
        assert!(!built.path.contains(['{', '}']), "{}", built.path);
        assert!(!built.path.contains("//") && !built.path.ends_with('/'), "{}", built.path);
        let names: BTreeSet<&str> = built.args.iter().map(|(name, _)| *name).collect();
        let wanted: BTreeSet<&str> =
            built.template.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        assert_eq!(names, wanted, "{}", built.template);
    }
}

/// The checker itself must find what is wrong, or the tests above prove nothing.
#[test]
fn the_checker_finds_broken_values() {
    let cases = [
        (json!({"type": "integer"}), "abc"),
        (json!({"type": "integer", "minimum": 16}), "15"),
        (json!({"type": "boolean"}), "yes"),
        (json!({"type": "string", "enum": ["a"]}), "b"),
        (json!({"type": "string", "maxLength": 2}), "abc"),
        (json!({"type": "string", "pattern": "(?^:[a-z]+)"}), "A"),
        (json!({"type": "string", "format": "pve-node"}), "a b"),
        (json!({"type": "string", "format": "no-such-format"}), "x"),
        (json!({"type": "string", "format": {"name": {"type": "string"}}}), "other=1"),
        (json!({"type": "string", "format": {"ip": {"type": "string", "format": "pve-ipv4-config"}}}), "ip=10.0.0.1"),
    ];
    for (schema, value) in cases {
        assert!(!value_problems(&schema, value).is_empty(), "{schema} takes {value}");
    }
}

#[test]
fn privileges_of_simple_calls_are_those_described() {
    for release in RELEASES {
        let Some(entries) = entries(release) else { return };
        for (request, method, template) in simple_requests() {
            let check = &entries[&(method, template)]["permissions"]["check"];
            let described: BTreeSet<&str> = check[2].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
            let needs = privileges::of(&request, &privileges::Context::default());
            let ours: BTreeSet<&str> = needs.privileges.iter().flat_map(|need| need.any_of.iter().copied()).collect();
            assert_eq!(ours, described, "{request}");
            let path = check[1]
                .as_str()
                .unwrap()
                .replace("{vmid}", "2000")
                .replace("{storage}", "local")
                .replace("{node}", "pve1");
            assert!(needs.privileges.iter().all(|need| need.paths == [path.clone()]), "{request}: {needs:?}");
        }
    }
}

/// Requests whose description has the plain form `["perm", path, [privileges]]`, retyped so that one list holds them.
fn simple_requests() -> Vec<(rl_pve::Request<rl_pve::wire::Nothing>, String, String)> {
    use crate::samples::{node, p, vmid};
    use rl_pve::api::{cluster, lxc, nodes, qemu, storage};
    fn plain<A>(request: rl_pve::Request<A>) -> (rl_pve::Request<rl_pve::wire::Nothing>, String, String) {
        let (method, template) = (request.method().to_string(), request.template().to_owned());
        (request.retyped(), method, template)
    }
    let (node, vmid) = (node(), vmid());
    vec![
        plain(lxc::config(&node, vmid, lxc::ConfigView::Current)),
        plain(lxc::pending(&node, vmid)),
        plain(lxc::interfaces(&node, vmid)),
        plain(lxc::status(&node, vmid)),
        plain(lxc::list_snapshots(&node, vmid)),
        plain(lxc::start(&node, vmid)),
        plain(lxc::stop(&node, vmid)),
        plain(lxc::shutdown(&node, vmid, 1, true)),
        plain(lxc::reboot(&node, vmid, 1)),
        plain(lxc::make_template(&node, vmid)),
        plain(lxc::take_snapshot(&node, vmid, &p("before"), None)),
        plain(lxc::delete_snapshot(&node, vmid, &p("before"), false)),
        plain(lxc::rollback_snapshot(&node, vmid, &p("before"), false)),
        plain(lxc::destroy(&node, vmid, lxc::Destroy::default())),
        plain(qemu::config(&node, vmid)),
        plain(nodes::status(&node)),
        plain(cluster::status()),
        plain(storage::content(&node, &p("local"), storage::Content::Templates, None)),
    ]
}

mod generated {
    //! Creates of guests nobody thought of.

    use std::collections::HashMap;
    use std::sync::OnceLock;

    use proptest::prelude::*;
    use rl_model::*;
    use rl_pve::api::lxc;
    use serde_json::Value;

    use super::{Entries, RELEASES, entries};
    use crate::samples::{Built, full_guest, node, p, stamp};
    use crate::schema::request_problems;

    fn descriptions() -> Option<&'static Vec<Value>> {
        static ENTRIES: OnceLock<Option<Vec<Value>>> = OnceLock::new();
        let key = ("POST".to_owned(), "/nodes/{node}/lxc".to_owned());
        let load = || -> Option<Vec<Value>> {
            RELEASES
                .iter()
                .map(|release| entries(release).map(|mut all: Entries| HashMap::remove(&mut all, &key).unwrap()))
                .collect()
        };
        ENTRIES.get_or_init(load).as_ref()
    }

    fn address() -> impl Strategy<Value = AddressMode> {
        prop_oneof![
            Just(AddressMode::None),
            Just(AddressMode::Dhcp),
            (1u8..255, prop::bool::ANY).prop_map(|(host, gateway)| AddressMode::Static {
                address: p(&format!("10.0.0.{host}/24")),
                gateway: gateway.then(|| p("10.0.0.254")),
            }),
        ]
    }

    fn nic(slot: u8) -> impl Strategy<Value = ResolvedNic> {
        let numbers = (prop::option::of(1u16..4095), prop::option::of(576u16..9000), prop::option::of(1u32..1000));
        (address(), numbers, any::<u64>(), any::<bool>()).prop_map(move |(ipv4, (vlan, mtu, rate), mac, firewall)| {
            ResolvedNic {
                slot: NicSlot::new(slot).unwrap(),
                name: p(&format!("eth{slot}")),
                vlan: vlan.map(|tag| tag.try_into().unwrap()),
                mtu,
                rate_mbps: rate,
                mac: MacAddr::from_bits(mac),
                ipv4,
                ipv6: AddressMode::Auto,
                firewall,
                ..full_guest().nics[0].clone()
            }
        })
    }

    prop_compose! {
        fn guest()(
            vmid in 100u32..1_000_000_000,
            sizes in (1u32..129, 16u64..1_000_000, 0u64..1_000_000, 1u64..10_000_000),
            nics in (nic(0), prop::option::of(nic(1))),
            flags in any::<[bool; 4]>(),
            notes in "[ -~äöü\n]{0,200}",
            tags in prop::collection::vec("[a-z0-9_][a-z0-9_+.-]{0,10}", 0..4),
            order in prop::option::of(0u32..100),
        ) -> ResolvedGuest {
            ResolvedGuest {
                vmid: vmid.try_into().unwrap(),
                cores: sizes.0,
                memory: Memory::from_mib(sizes.1),
                swap: Memory::from_mib(sizes.2),
                disk: DiskSize::from_mib(sizes.3),
                nics: std::iter::once(nics.0).chain(nics.1).collect(),
                onboot: flags[0],
                protection: flags[1],
                unprivileged: flags[2],
                features: Features { nesting: flags[3], ..Features::default() },
                notes,
                tags: tags.iter().map(|tag| p(tag)).collect(),
                startup: order.map(|n| StartupOrder { order: Some(n), up_delay_s: None, down_delay_s: Some(n) }),
                ..full_guest()
            }
        }
    }

    proptest! {
        #[test]
        fn every_create_fits_the_description(guest in guest()) {
            let Some(descriptions) = descriptions() else { return Ok(()) };
            let built = Built::of(lxc::create(&node(), &guest, &stamp(&guest), guest.running));
            for description in descriptions {
                prop_assert_eq!(request_problems(&built, description), Vec::<String>::new());
            }
        }
    }
}
