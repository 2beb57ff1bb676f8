#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use super::schema;
use crate::parse::SHAPES;

/// Every definition with its properties, the document kinds under their own names.
fn properties(schema: &serde_json::Value) -> BTreeMap<String, BTreeSet<String>> {
    let defs = schema["$defs"].as_object().unwrap();
    defs.iter()
        .filter_map(|(name, def)| Some((name.clone(), def.get("properties")?.as_object()?.keys().cloned().collect())))
        .collect()
}

#[test]
fn parser_and_schema_know_the_same_keys() {
    let schema = schema();
    let parser: BTreeMap<String, BTreeSet<String>> = SHAPES
        .iter()
        .map(|shape| (shape.name.to_owned(), shape.keys.iter().map(|key| (*key).to_owned()).collect()))
        .collect();
    assert_eq!(properties(&schema), parser);
}

#[test]
fn every_object_of_the_schema_is_closed_and_every_key_described() {
    let schema = schema();
    for (name, def) in schema["$defs"].as_object().unwrap() {
        let Some(properties) = def.get("properties").and_then(|p| p.as_object()) else { continue };
        assert_eq!(def["additionalProperties"], false, "{name}");
        for (key, property) in properties {
            let text = property.get("description").and_then(|text| text.as_str()).unwrap_or_default();
            assert!(!text.is_empty(), "{name}.{key} has no description");
        }
    }
    assert!(!schema.to_string().contains("\"null\""), "a key without value is a mistake");
}

#[test]
fn the_keys_of_a_stack_file() {
    let lines: Vec<String> = properties(&schema())
        .into_iter()
        .map(|(name, keys)| format!("{name}: {}", keys.into_iter().collect::<Vec<_>>().join(", ")))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
        AppRole: mount, role_id, secret_id
        Builtin: nameservers, secondaries
        Cloudflare: token, url
        Container: after, cores, count, disk, features, firewall, hostname, image, memory, nameservers, nics, node, notes, onboot, pool, protection, search_domain, secrets, site, spread, ssh_keys, startup, state, storage, swap, tags, timezone, unprivileged, vmid, volumes
        DnsRecord: name, port, priority, target, text, to, ttl, type, weight, zone
        EncryptedFiles: folder, identity
        Features: fuse, keyctl, nesting
        Firewall: inbound, log, only_own_addresses, outbound, rules
        FirewallAlias: address, comment
        FirewallGroup: comment, rules
        FirewallSet: comment, entries, except
        GroupRule: allow, comment, drop, from, log, reject, to
        Limits: creates_per_node, requests_per_node, starts_per_node
        Network: addresses, bridge, gateway, mtu, nameservers, search_domain, subnet, vlan
        Nic: firewall, ipv4, ipv6, mac, network, rate
        PowerDns: api_key, server, url
        Proxmox: endpoints, tls, token
        Rfc2136: key, server
        Rule: allow, comment, drop, from, group, log, on, reject, to
        Secondary: address, key
        Secret: from, mode, owner, reload, to
        SecretProvider: age, sops, vault
        Site: datacenter, dns, firewall, images, kind, limits, name, networks, nodes, pool, providers, proxmox, storage, storages, vmids
        SiteFirewall: aliases, ebtables, enable, groups, ipsets, log_ratelimit, management, policy_in, policy_out
        Stack: containers, defaults, dns, kind, name, site
        Startup: down_delay, order, up_delay
        Tls: ca_file, fingerprint
        Token: env, file, secret
        TsigKey: algorithm, name, value
        Vault: address, approle, ca_file, mount, namespace, token
        Volume: backup, path, read_only, size, storage
        Zone: provider, servers
        ZoneProvider: builtin, cloudflare, powerdns, rfc2136
    "#);
}

/// The documents of a stack file as JSON, read by another YAML library than the parser's own tree.
fn documents(text: &str) -> Vec<serde_json::Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

#[test]
fn the_examples_fit_the_schema_by_an_independent_validator() {
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "yaml") {
            continue;
        }
        for document in documents(&std::fs::read_to_string(&path).unwrap()) {
            let errors: Vec<String> =
                validator.iter_errors(&document).map(|e| format!("{e} at {}", e.instance_path())).collect();
            assert_eq!(errors, Vec::<String>::new(), "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 6, "only {seen} documents");
}

#[test]
fn the_schema_is_a_valid_schema() {
    jsonschema::meta::validate(&schema()).unwrap();
}

/// What a pattern, type or key list of the schema refuses.
#[test]
fn wrong_files_do_not_fit_the_schema() {
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    let site = "kind: site\nname: a\nproxmox: { endpoints: [\"https://a\"], token: { file: t } }\nvmids: 100-200\n";
    let stack = "kind: stack\nname: a\nsite: b\ncontainers: { web: { image: c } }\n";
    for good in [site, stack] {
        assert!(validator.is_valid(&documents(good)[0]), "{good}");
    }
    let wrong = [
        (site, "kind: site", "kind: sites"),
        (site, "name: a", "nam: a"),
        (site, "name: a", "name: A"),
        (site, "name: a", "name: 7"),
        (site, "https://a", "http://a"),
        (site, "file: t", "file: t, env: B"),
        (site, "file: t", "fil: t"),
        (site, "100-200", "100"),
        (site, "vmids: 100-200", "networks: { x: {} }"),
        (stack, "site: b", "site:"),
        (stack, "image: c", "image: c, memory: 5"),
        (stack, "image: c", "image: c, memory: 5 Gib"),
        (stack, "image: c", "image: c, cores: 0"),
        (stack, "image: c", "image: c, nics: { eth0: { network: x, ipv4: leese } }"),
        (stack, "image: c", "image: c, firewall: { rules: [{ allow: https, drop: ssh }] }"),
        (stack, "image: c", "image: c, secrets: [{ from: a, to: /b, mode: 400 }]"),
        (stack, "{ web: { image: c } }", "{ Web: { image: c } }"),
        (stack, "{ web: { image: c } }", "{}"),
        (stack, "site: b", "dns: [{ zone: example.org, name: www, type: MX, to: web.eth0 }]"),
    ];
    for (base, from, to) in wrong {
        let text = base.replace(from, to);
        assert_ne!(text, base);
        assert!(!validator.is_valid(&documents(&text)[0]), "{text}");
    }
}

/// The schema as it lies in the project, so that editors can use it from there and a change of it is seen.
/// `UPDATE_SCHEMA=1 cargo test -p rl-planner schema` writes it anew.
#[test]
fn the_schema_in_the_project_is_this_one() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schema/stack-file.schema.json");
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let lying = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(lying == text, "schema/stack-file.schema.json is old; write it with UPDATE_SCHEMA=1");
}
