//! Needs of single calls, and what of them is held.

#![allow(clippy::unwrap_used)]

use serde_json::{from_value, json};

use super::*;
use crate::api::access::Permissions;
use crate::api::lxc::{self, ConfigPatch, DiskKey};

fn shown(needs: &Needs) -> Vec<String> {
    needs.privileges.iter().map(ToString::to_string).chain(needs.root_only.iter().cloned()).collect()
}

fn patch(pairs: &[(&str, &str)], delete: &[&str]) -> crate::Request<crate::wire::Nothing> {
    let patch = ConfigPatch {
        set: pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        delete: delete.iter().map(|key| (*key).to_owned()).collect(),
        digest: Some("0".repeat(40)),
        ..ConfigPatch::default()
    };
    lxc::set_config(&"pve1".parse().unwrap(), "100".parse().unwrap(), &patch)
}

fn context() -> Context {
    Context {
        pools: BTreeMap::from([("100".parse().unwrap(), "team".parse().unwrap())]),
        zones: BTreeMap::from([("vnet1".parse().unwrap(), "blue".to_owned())]),
        disks: BTreeMap::from([(("100".parse().unwrap(), "rootfs".to_owned()), "tank".parse().unwrap())]),
    }
}

#[test]
fn each_key_of_a_configuration_needs_its_own_privilege() {
    let request = patch(
        &[
            ("cores", "2"),
            ("memory", "512"),
            ("tags", "a"),
            ("net0", "name=eth0,bridge=vnet1,tag=20"),
            ("hostname", "x"),
        ],
        &["onboot"],
    );
    insta::assert_snapshot!(shown(&of(&request, &context())).join("\n"), @"
    SDN.Use on /sdn/zones/blue/vnet1/20 (use the bridge)
    VM.Config.CPU on /vms/100 or /pool/team (set CPU limits)
    VM.Config.Memory on /vms/100 or /pool/team (set memory limits)
    VM.Config.Network on /vms/100 or /pool/team (set NICs)
    VM.Config.Network on /vms/100 or /pool/team (set names and name servers)
    VM.Config.Options on /vms/100 or /pool/team (set options such as tags and description)
    ");
}

#[test]
fn what_only_root_may_do_is_told_with_the_reason() {
    let request = patch(
        &[("features", "nesting=1,keyctl=1"), ("mp0", "/mnt/x,mp=/x"), ("dev0", "/dev/kvm"), ("hookscript", "l:s/x")],
        &[],
    );
    let needs = of(&request, &context());
    let root: Vec<&str> = needs.root_only.iter().map(String::as_str).collect();
    assert_eq!(
        root,
        [
            "bind and device mounts",
            "features other than nesting (keyctl)",
            "hook scripts",
            "passing host devices to containers"
        ]
    );
}

#[test]
fn a_new_mount_point_needs_space_and_one_taken_away_does_not() {
    let new = of(&patch(&[("mp1", "tank:8,mp=/data")], &[]), &context());
    assert!(shown(&new).contains(&"Datastore.AllocateSpace on /storage/tank (make disks)".to_owned()));
    let gone = of(&patch(&[], &["mp1"]), &context());
    assert_eq!(shown(&gone), ["VM.Config.Disk on /vms/100 or /pool/team (set disks and mount points)"]);
}

#[test]
fn growing_a_disk_needs_space_where_it_lies() {
    let size = rl_model::DiskSize::from_gib(9);
    let request = lxc::resize(&"pve1".parse().unwrap(), "100".parse().unwrap(), DiskKey::Root, size, None);
    assert!(
        shown(&of(&request, &context())).contains(&"Datastore.AllocateSpace on /storage/tank (grow disks)".to_owned())
    );
}

fn permissions(value: serde_json::Value) -> Permissions {
    from_value(value).unwrap()
}

#[test]
fn an_entry_counts_below_its_path_when_it_propagates() {
    let have = permissions(json!({
        "/": {"Sys.Audit": 1},
        "/vms": {"VM.Audit": 1, "VM.PowerMgmt": 0},
        "/vms/100": {"VM.PowerMgmt": 1}
    }));
    assert!(have.allows("/vms/101", "VM.Audit"));
    assert!(have.allows("/vms", "VM.PowerMgmt"));
    assert!(!have.allows("/vms/101", "VM.PowerMgmt"), "it does not propagate");
    assert!(!have.allows("/vms/100", "VM.Audit"), "a nearer entry takes the place of the farther one");
    assert!(have.allows("/nodes/pve1", "Sys.Audit"));
    assert!(!permissions(json!({})).allows("/", "Sys.Audit"));
}

#[test]
fn a_pool_serves_in_place_of_the_guest() {
    let have = permissions(json!({"/pool/team": {"VM.Config.CPU": 1}}));
    let needs = of(&patch(&[("cores", "2"), ("memory", "512")], &[]), &context());
    let lacks: Vec<String> = missing(&needs, &have).iter().map(ToString::to_string).collect();
    assert_eq!(lacks, ["VM.Config.Memory on /vms/100 or /pool/team (set memory limits)"]);
}

#[test]
fn seeing_a_site_has_its_own_needs() {
    let needs = of_reading(&["pve1".parse().unwrap()], &["local".parse().unwrap()]);
    assert_eq!(needs.privileges.len(), 4);
    assert!(
        missing(&needs, &permissions(json!({"/": {"Sys.Audit": 1, "VM.Audit": 1, "Datastore.Audit": 1}}))).is_empty()
    );
}

#[test]
fn objects_of_the_datacenter_need_the_right_to_change_the_system_and_rules_of_guests_do_not() {
    use rl_model::firewall::{AliasText, DatacenterChoice, RuleText};

    use crate::api::firewall::{self, RulesOf};

    let (node, vmid) = ("pve1".parse().unwrap(), "100".parse().unwrap());
    let group = "web".parse().unwrap();
    let alias = AliasText { cidr: "192.0.2.1".into(), comment: String::new() };
    let rule = RuleText::default();
    for request in [
        firewall::create_group(&group, ""),
        firewall::insert_rule(RulesOf::Group(&group), &rule),
        firewall::rewrite_rule(RulesOf::Group(&group), 0, &rule, ""),
        firewall::delete_rule(RulesOf::Group(&group), 0, ""),
        firewall::delete_group(&group),
        firewall::create_alias(&"gate".parse().unwrap(), &alias),
        firewall::change_alias(&"gate".parse().unwrap(), &alias, ""),
        firewall::add_to_ip_set(&"office".parse().unwrap(), "!192.0.2.1"),
        firewall::turn_in_ip_set(&"office".parse().unwrap(), "!192.0.2.1", ""),
        firewall::set_datacenter(Some(true), &DatacenterChoice::default(), ""),
    ] {
        let needs = shown(&of(&request, &context()));
        assert!(needs.len() == 1 && needs[0].contains("Sys.Modify"), "{request:?}: {needs:?}");
    }
    let needs = shown(&of(&firewall::insert_rule(RulesOf::Guest(&node, vmid), &rule), &context()));
    assert!(needs.len() == 1 && needs[0].contains("VM.Config.Network"), "{needs:?}");
}
