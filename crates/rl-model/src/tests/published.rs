//! The rules of the newtypes beside those that Proxmox publishes for its API.

use std::path::PathBuf;

use serde_json::Value;

use crate::*;

/// The parameters of a call in a published API description.
fn parameters(file: &str, method: &str, path: &str) -> Option<Value> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/pve-api");
    let text = std::fs::read_to_string(folder.join(file)).ok()?;
    let calls = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut found = calls.filter(|call| call["method"] == method && call["path"] == path);
    Some(found.next().unwrap_or_else(|| panic!("{method} {path} is in {file}"))["parameters"]["properties"].clone())
}

/// A number that may be written as text.
fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())
}

fn both(check: impl Fn(&Value)) {
    for file in ["pve-8.4.jsonl", "pve-9.1.jsonl"] {
        match parameters(file, "POST", "/nodes/{node}/lxc") {
            Some(properties) => check(&properties),
            None => println!("skipped: ../shared is not here"),
        }
    }
}

#[test]
fn vmids_have_the_published_bounds() {
    both(|create| {
        let (first, last) = (number(&create["vmid"]["minimum"]), number(&create["vmid"]["maximum"]));
        let takes = |n: i64| u32::try_from(n).is_ok_and(|n| Vmid::try_from(n).is_ok());
        assert_eq!([first - 1, first, last, last + 1].map(takes), [false, true, true, false]);
    });
}

#[test]
fn vlans_names_and_formats_are_the_published_ones() {
    both(|create| {
        let net = &create["net[n]"]["format"];
        let (first, last) = (number(&net["tag"]["minimum"]), number(&net["tag"]["maximum"]));
        let takes = |n: i64| u16::try_from(n).is_ok_and(|n| VlanId::try_from(n).is_ok());
        assert_eq!([first - 1, first, last, last + 1].map(takes), [false, true, true, false]);
        // Both names are made of these characters only; the newtypes are narrower in length and first character.
        for key in ["bridge", "name"] {
            assert_eq!(net[key]["pattern"], "[-_.\\w\\d]+", "{key}");
        }
        for (key, format) in [
            ("hostname", "dns-name"),
            ("node", "pve-node"),
            ("storage", "pve-storage-id"),
            ("pool", "pve-poolid"),
            ("tags", "pve-tag-list"),
            ("startup", "pve-startup-order"),
            ("vmid", "pve-vmid"),
        ] {
            assert_eq!(create[key]["format"], format, "{key}");
        }
        assert_eq!(net["hwaddr"]["format"], "mac-addr");
        assert!(number(&create["hostname"]["maxLength"]) >= 253);
        assert!(number(&create["ostemplate"]["maxLength"]) >= 255);
    });
}

#[test]
fn every_field_that_is_compared_is_a_parameter_of_create() {
    let net: FieldKey = "net0".parse().unwrap();
    let mount: FieldKey = "mp0".parse().unwrap();
    let plain = ["hostname", "cores", "memory", "swap", "rootfs", "nameserver", "searchdomain", "tags", "description"];
    let more = ["onboot", "startup", "features", "unprivileged", "protection", "timezone", "ostemplate"];
    both(|create| {
        for name in plain.iter().chain(&more) {
            assert_eq!(name.parse::<FieldKey>().unwrap().to_string(), *name);
            assert!(create.get(*name).is_some(), "{name}");
        }
        assert!(create.get("net[n]").is_some() && create.get("mp[n]").is_some());
        let _ = (net, mount);
    });
}

#[test]
fn a_description_of_the_longest_stamp_fits() {
    let long = |n: usize| "a".repeat(n);
    let stamp = Stamp {
        guest: GuestId::from_bits(u128::MAX),
        stack: long(63).parse().unwrap(),
        name: long(63).parse().unwrap(),
        controller: ControllerId::from_bits(u128::MAX),
    };
    both(|create| {
        assert!(stamp.description("").len() < usize::try_from(number(&create["description"]["maxLength"])).unwrap())
    });
}
