//! Configurations compared by meaning, with those that a genuine Proxmox VE answered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

use crate::*;

type Raw = BTreeMap<String, String>;

fn raw(pairs: &[(&str, &str)]) -> Raw {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn fields(pairs: &[(&str, &str)]) -> ConfigFields {
    ConfigFields::observed(&raw(pairs))
}

#[test]
fn spelling_order_and_defaults_are_no_difference() {
    let plain = fields(&[("hostname", "a"), ("net0", "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:50,type=veth")]);
    let spelled = fields(&[
        ("hostname", "a"),
        ("net0", "hwaddr=bc:24:11:00:00:50,bridge=vmbr0,firewall=0,link_down=off,ip=manual,name=eth0"),
        ("memory", "512"),
        ("swap", "512"),
        ("onboot", "0"),
        ("protection", "no"),
        ("tags", " "),
        ("features", "nesting=0"),
        ("description", "\n"),
        ("arch", "amd64"),
        ("digest", "ab"),
        ("unused0", "local:x"),
    ]);
    assert_eq!(plain.differences(&spelled), vec![]);
    assert_eq!(fields(&[("startup", "2,up=5")]), fields(&[("startup", "up=5,order=2")]));
    assert_eq!(fields(&[("tags", "b;A,a c")]), fields(&[("tags", "a;b;c")]));
    assert_eq!(fields(&[("nameserver", "1.1.1.1,9.9.9.9")]), fields(&[("nameserver", "1.1.1.1 9.9.9.9")]));
    assert_eq!(
        fields(&[("mp0", "zfs:vol,mp=/a,size=1024M")]),
        fields(&[("mp0", "zfs:vol,size=1G,mp=/a,backup=0,ro=0")])
    );
}

#[test]
fn what_means_something_else_is_a_difference() {
    let base = [("net0", "name=eth0,bridge=vmbr0"), ("mp0", "zfs:vol,mp=/a,size=1G"), ("rootfs", "zfs:root,size=4G")];
    let other = |key: &str, value: &str| {
        let mut changed = raw(&base);
        changed.insert(key.to_owned(), value.to_owned());
        let (was, is) = (fields(&base), ConfigFields::observed(&changed));
        was.differences(&is).iter().map(|(key, _, _)| key.to_string()).collect::<Vec<_>>()
    };
    for (key, value) in [
        ("net0", "name=eth0,bridge=vmbr1"),
        ("net0", "name=eth0,bridge=vmbr0,tag=5"),
        ("net0", "name=eth0,bridge=vmbr0,firewall=1"),
        ("net1", "name=eth1,bridge=vmbr0"),
        ("mp0", "zfs:vol,mp=/b,size=1G"),
        ("mp0", "zfs:vol,mp=/a,size=1G,ro=1"),
        ("mp0", "ceph:vol,mp=/a,size=1G"),
        ("mp0", "/host,mp=/a"),
        ("rootfs", "zfs:root,size=5G"),
        ("memory", "1024"),
        ("cores", "2"),
        ("description", "x"),
        ("features", "fuse=1"),
        ("unprivileged", "1"),
    ] {
        assert_eq!(other(key, value), [key], "{key}: {value}");
    }
    assert_eq!(
        other("rootfs", "zfs:another,size=4096M"),
        Vec::<String>::new(),
        "the volume's own name is of no account"
    );
}

fn shared(file: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(file);
    path.exists().then_some(path)
}

/// The exchanges of the recordings whose name begins so, file by file.
fn recordings(prefix: &str) -> Option<Vec<Vec<Value>>> {
    let folder = shared("pve-recordings")?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix));
    files.sort();
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    Some(files.iter().map(read).collect())
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The configuration that an exchange answered, when it did.
fn answered(exchange: &Value) -> Option<Raw> {
    let path = exchange["path"].as_str()?;
    let reads = exchange["method"] == "GET" && exchange["status"] == 200 && exchange["query"] == serde_json::json!({});
    if !reads || !path.contains("/lxc/") || !path.ends_with("/config") {
        return None;
    }
    let data = exchange["response"]["data"].as_object()?;
    Some(data.iter().map(|(key, value)| (key.clone(), text_of(value))).collect())
}

#[test]
fn recorded_configurations_are_read_whole() {
    let Some(files) = recordings("lxc-") else { return println!("skipped: ../shared is not here") };
    let mut seen = 0;
    for config in files.iter().flatten().filter_map(answered) {
        seen += 1;
        let fields = ConfigFields::observed(&config);
        for (key, value) in &config {
            let Ok(key) = key.parse::<FieldKey>() else { continue };
            assert!(fields.0.contains_key(&key), "{key} of {config:?}");
            match key {
                FieldKey::Nic(_) => {
                    let parsed = PropertyString::parse(fields.get(key));
                    assert!(parsed.get("hwaddr").is_none_or(|mac| mac.parse::<MacAddr>().is_ok()), "{value}");
                    let turned: Vec<&str> = value.split(',').rev().collect();
                    let mut turned_config = config.clone();
                    turned_config.insert(key.to_string(), turned.join(","));
                    assert_eq!(ConfigFields::observed(&turned_config), fields, "order is of no account");
                }
                FieldKey::RootFs if value.contains("size=") => assert!(fields.disk_size(key).is_some(), "{value}"),
                FieldKey::Memory | FieldKey::Swap | FieldKey::Cores => {
                    assert!(fields.get(key).parse::<u64>().is_ok(), "{key}: {value}");
                }
                _ => {}
            }
        }
    }
    assert!(seen > 40, "{seen} configurations were read");
}

/// Between two readings only those fields differ that were written in between: nothing is lost, and nothing is made up.
#[test]
fn recorded_writes_change_the_fields_they_name() {
    let Some(files) = recordings("lxc-config") else { return println!("skipped: ../shared is not here") };
    let mut writes = 0;
    for file in &files {
        let (mut last, mut named): (Option<ConfigFields>, BTreeSet<String>) = (None, BTreeSet::new());
        for exchange in file {
            if exchange["method"] == "PUT" && exchange["status"] == 200 {
                let body = exchange["body"].as_object().cloned().unwrap_or_default();
                let listed = ["delete", "revert"].iter().filter_map(|list| body.get(*list).map(text_of));
                let listed: Vec<String> =
                    listed.flat_map(|list| list.split(',').map(str::to_owned).collect::<Vec<_>>()).collect();
                named.extend(body.keys().cloned().chain(listed));
                writes += 1;
            }
            let Some(config) = answered(exchange) else { continue };
            let now = ConfigFields::observed(&config);
            if let Some(before) = &last {
                for (key, was, is) in before.differences(&now) {
                    assert!(named.contains(&key.to_string()), "{key}: `{was}` -> `{is}` was not written: {named:?}");
                }
            }
            last = Some(now);
            named.clear();
        }
    }
    assert!(writes > 20, "{writes} writes were seen");
}

#[test]
fn the_first_recorded_configuration() {
    let Some(files) = recordings("lxc-config.jsonl") else { return println!("skipped: ../shared is not here") };
    let config = files.iter().flatten().find_map(answered).unwrap();
    let shown: Vec<String> =
        ConfigFields::observed(&config).0.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
    hostname: cfg
    cores: 0
    memory: 512
    swap: 512
    rootfs: size=1G,storage=local
    net0: bridge=vmbr0,hwaddr=BC:24:11:00:00:50,ip=10.99.0.50/24,name=eth0,type=veth
    nameserver: 
    searchdomain: 
    tags: 
    description: 
    onboot: 0
    startup: 
    features: nesting=1
    unprivileged: 1
    protection: 0
    timezone: 
    ");
}
