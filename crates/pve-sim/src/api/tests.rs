#![allow(clippy::unwrap_used)]

use super::call::{Arg, Args};
use super::check::check_args;
use super::perm::Perm;
use super::propstr;
use super::schema::Schema;

fn args(pairs: &[(&str, &str)]) -> Args {
    Args(pairs.iter().map(|(k, v)| ((*k).to_owned(), Arg::Text((*v).to_owned()))).collect())
}

#[test]
fn every_endpoint_table_reads() {
    assert!(crate::families::endpoints().len() > 100);
}

#[test]
fn property_string_tables_read() {
    for name in ["net", "mp", "rootfs", "features", "dev", "next-id", "tag-style"] {
        assert!(propstr::schema(name).is_some(), "{name}");
    }
}

#[test]
fn a_missing_name_is_reported_as_pve_reports_it() {
    let schema = Schema::parse(&["net[n]?:s@$net"]).unwrap();
    let errors = check_args(&schema, &mut args(&[("net0", "bridge=vmbr0")])).unwrap_err();
    insta::assert_snapshot!(errors["net0"], @"
    invalid format - format error
    net0.name: property is missing and it is not optional
    ");
}

#[test]
fn numbered_families_end_somewhere() {
    let schema = Schema::parse(&["net[n]?:s@$net mp[n]?:s"]).unwrap();
    assert!(schema.find("net31").is_some());
    assert!(schema.find("net32").is_none());
    assert!(schema.find("net01").is_none());
    assert!(schema.find("net").is_none());
    assert!(schema.find("mp255").is_some());
}

#[test]
fn printed_property_strings_have_the_order_of_pve() {
    let net = propstr::parse("net", "ip=dhcp,bridge=vmbr0,name=eth0", "net0").unwrap();
    assert_eq!(propstr::print("net", &net), "name=eth0,bridge=vmbr0,ip=dhcp");
    let mount = propstr::parse("mp", "local:1,size=1G,backup=1,mp=/data", "mp0").unwrap();
    assert_eq!(propstr::print("mp", &mount), "local:1,mp=/data,backup=1,size=1G");
}

#[test]
fn permissions_read_back_nested() {
    let perm = Perm::parse("and(/vms/{vmid} VM.Clone; or(/vms/{newid} VM.Allocate; /pool/{pool} VM.Allocate if:pool))");
    assert!(matches!(perm.unwrap(), Perm::And(parts) if parts.len() == 2));
    assert!(Perm::parse("nonsense").is_err());
}

proptest::proptest! {
    /// A size written is the size read.
    #[test]
    fn sizes_round_trip(kib in 1u64..(1 << 40)) {
        let bytes = kib << 10;
        let text = super::format::print_size(bytes);
        proptest::prop_assert_eq!(super::format::parse_size(&text), Some(bytes), "{}", text);
    }

    /// Checking never panics, whatever comes.
    #[test]
    fn checks_take_any_text(value in ".*") {
        let schema = Schema::parse(&["net0?:s@$net size?:s@disk-size vmid?:i@pve-vmid[100..] tags?:s@pve-tag-list"]).unwrap();
        for key in ["net0", "size", "vmid", "tags"] {
            let _ = check_args(&schema, &mut args(&[(key, &value)]));
        }
    }
}
