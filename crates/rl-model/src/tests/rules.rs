//! The rules of the kinds, one table for each, with the source of the rule.

use std::fmt::Debug;
use std::str::FromStr;

use crate::*;

fn table<T: FromStr<Err = ParseError> + Debug>(good: &[&str], bad: &[&str]) {
    for text in good {
        assert!(text.parse::<T>().is_ok(), "{text:?} is refused: {:?}", text.parse::<T>());
    }
    for text in bad {
        let error = text.parse::<T>().expect_err(text);
        assert!(!error.rule.is_empty() && error.to_string().contains(error.what));
        assert!(error.given.chars().count() <= 65, "a bad value is cut");
    }
}

/// A label of `n` letters.
fn letters(n: usize) -> String {
    "a".repeat(n)
}

/// RFC 1035 section 2.3.4: labels of 63, names of 253; RFC 1123 section 2.1: letters, digits and inner hyphens.
#[test]
fn names_by_the_rfcs() {
    let longest = [letters(63), letters(63), letters(63), letters(61)].join(".");
    let too_long = format!("{longest}b");
    let label = letters(64);
    let bad = ["", "a_b", "-a", "a-", "a..b", ".a", "a.", "A", "a b", "ä", "a\n", &label, &too_long];
    table::<Hostname>(&["a", "0", "1a", "a-b.c", &letters(63), &longest], &bad);
    table::<Fqdn>(&["a.b", "example.org", "xn--bcher-kva.example"], &["a", "", "a.", "a..b", "_dmarc.example.org"]);
    for bad in ["", "1a", "-a", "a-", "a_b", "a.b", "Web", &label] {
        table::<SiteName>(&["a", "fra1"], &[bad]);
        table::<StackName>(&["shop"], &[bad]);
        table::<VolumeName>(&["data"], &[bad]);
    }
    table::<ContainerName>(&[&letters(55)], &[&letters(56)]);
}

/// `pve-api`: VMIDs from 100 to 999,999,999; no other spelling of a number, which would make two texts of one id.
#[test]
fn vmids() {
    table::<Vmid>(
        &["100", "999999999"],
        &["99", "0", "-100", "+100", "0100", "1000000000", " 100", "1e3", "", "100.0", "４００"],
    );
    table::<VmidRange>(&["100-100", "2000-2999", "2000 - 2999"], &["2999-2000", "100", "-100", "99-200", "100-", ""]);
    let range: VmidRange = "100-102".parse().unwrap();
    assert_eq!((range.size(), range.iter().count(), range.contains(102.try_into().unwrap())), (3, 3, true));
}

/// IEEE 802: unicast, six octets; Proxmox writes colons.
#[test]
fn macs() {
    let bad = [
        "01:00:00:00:00:01",
        "00:00:00:00:00:00",
        "52:54:00:00:00",
        "52:54:00:00:00:00:00",
        "52-54-00-00-00-01",
        "5254.0000.0001",
        "52:54:00:00:00:0g",
        "+2:54:00:00:00:01",
        "",
    ];
    table::<MacAddr>(&["52:54:00:12:34:56", "bc:24:11:aB:Cd:eF"], &bad);
    assert_eq!("bc:24:11:ab:cd:ef".parse::<MacAddr>().unwrap().to_string(), "BC:24:11:AB:CD:EF");
}

/// IEEE 802.1Q: 0 and 4095 are reserved.
#[test]
fn vlans_and_slots() {
    table::<VlanId>(&["1", "4094"], &["0", "4095", "-1", "", "x"]);
    table::<NicSlot>(&["net0", "net31"], &["net32", "net", "net00", "net+1", "eth0", "0", "net-1", "NET0"]);
    table::<MountSlot>(&["mp0", "mp255"], &["mp256", "mp", "mp01", "mp+1", "rootfs", "mp99999"]);
}

/// Linux IFNAMSIZ is 16 with the final zero.
#[test]
fn interfaces() {
    table::<NicName>(
        &["eth0", "a", "veth.20", &letters(15)],
        &["", "lo", &letters(16), "eth 0", "eth,0", "eth/0", "eth=0"],
    );
    table::<BridgeName>(&["vmbr0", "vnet1"], &["", "0br", "-br", "br,tag=1", &letters(16)]);
}

#[test]
fn addresses() {
    table::<Cidr>(
        &["10.0.0.0/8", "0.0.0.0/0", "fd00::/64", "10.0.0.1/32"],
        &["10.0.0.1/8", "10.0.0.0", "10.0.0.0/33", "fd00::1/64", "x/8", ""],
    );
    table::<IfaceAddr>(&["10.0.0.1/8", "fd00::1/64"], &["10.0.0.1", "10.0.0.1/33", "10.0.0/8"]);
    table::<AddressRange>(
        &["10.0.0.1-10.0.0.9", "10.0.0.1", "fd00::1 - fd00::9"],
        &["10.0.0.9-10.0.0.1", "10.0.0.1-fd00::1", "10.0.0.1-", "a-b"],
    );
    let net: Cidr = "10.0.0.0/30".parse().unwrap();
    let usable = |text: &str| net.usable(text.parse().unwrap());
    assert_eq!(
        ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"].map(usable),
        [false, true, true, false, false]
    );
    assert!("10.0.0.0/31".parse::<Cidr>().unwrap().usable("10.0.0.0".parse().unwrap()), "RFC 3021");
    let range = |text: &str| text.parse::<AddressRange>().unwrap();
    assert!(
        range("10.0.0.1-10.0.0.5").overlaps(range("10.0.0.5-10.0.0.9"))
            && !range("10.0.0.1").overlaps(range("fd00::1"))
    );
    assert_eq!(range("10.0.0.254-10.0.1.1").iter().count(), 4);
}

/// `PVE/JSONSchema.pm`: `pve-storage-id`, `pve-node`, `pve-poolid`, `pve-tag`; `PVE/Storage.pm`: volume ids.
#[test]
fn proxmox_names() {
    table::<StorageId>(&["local", "local-zfs", "a.b_c"], &["l", "", "1local", "local-", "lo cal", "lo:cal"]);
    table::<NodeName>(&["pve1", "PVE", "1", "a-b"], &["", "-a", "a-", "a.b", "a_b", &letters(64)]);
    table::<PoolId>(&["web", "a/b/c", "a.b_c-d"], &["", "a/b/c/d", "/a", "a/", "a b"]);
    table::<Tag>(&["web", "_x", "1", "a+b.c-d"], &["", "-a", "A", "a;b", "a,b", "a b", "+a", "ä"]);
    let template = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst";
    table::<VolumeId>(
        &[template, "ceph:vm-100-disk-0"],
        &["local", "local:", ":x", "l:x", "local:a,b", "local:../x", "local:a b", "local:a\n"],
    );
    assert_eq!(template.parse::<VolumeId>().unwrap().storage().as_str(), "local");
}

#[test]
fn paths_and_secrets() {
    let bad = ["", "/", "srv", "/srv/", "/srv//a", "/srv/../etc", "/srv/./a", "/a,b", "/a=b", "/a\nb", "/a\u{0}"];
    table::<GuestPath>(&["/srv", "/srv/data", "/var/lib/a b", "/..a"], &bad);
    table::<SecretRef>(
        &["db", "shop/db-password", "0/a.b_c"],
        &["", "/a", "a/", "a//b", "A", "a b", "-a", "a/-b", "a/../b"],
    );
    let value = SecretValue::new("hunter2");
    assert_eq!((value.expose(), format!("{value:?}")), ("hunter2", "SecretValue(hidden)".to_owned()));
}

#[test]
fn endpoints() {
    let bad = [
        "http://a",
        "a",
        "https://",
        "https://a/b",
        "https://u@a",
        "https://a:0",
        "https://a:65536",
        "https://[fd00::1",
        "https://[x]",
        "https://a?b",
        "https://a#b",
        "https://a b",
        "https://fd00::1",
    ];
    table::<Endpoint>(
        &["https://pve1.example:8006", "https://10.0.0.1", "https://[fd00::1]:443", "https://pve1/"],
        &bad,
    );
    let endpoint: Endpoint = "https://pve1".parse().unwrap();
    assert_eq!(
        (endpoint.host(), endpoint.port(), endpoint.to_string()),
        ("pve1", 8006, "https://pve1:8006".to_owned())
    );
}

#[test]
fn sizes() {
    let huge = format!("{} TiB", u64::MAX);
    let bad = [
        "",
        "512",
        "512 mib",
        "0.1 MiB",
        "1.5 MiB",
        "-1 MiB",
        "1e3 MiB",
        "1,5 GiB",
        "1. GiB",
        ".5 GiB",
        "GiB",
        &huge,
        "1.0000001 GiB",
    ];
    table::<Memory>(&["512 MiB", "512MiB", "1.5 GiB", "0 MiB", " 1 GiB "], &bad);
    table::<DiskSize>(&["8 GiB", "0.5 TiB", "1048576 KiB"], &["8", "8 GB", "8G", "1 KiB", "x"]);
    assert_eq!(DiskSize::from_pve("1048576K"), Ok(DiskSize::from_gib(1)));
    assert_eq!(DiskSize::from_mib(5000).pve_gib(), "4.8828125");
    for wrong in ["", "G", "8X", "-8G", "8.G.", "8 G", "99999999999999999999T"] {
        assert!(DiskSize::from_pve(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn upids() {
    let text = "UPID:pve1:00000371:000331FD:6B0329D9:vzcreate:100:deploy@pve!full:";
    let upid: Upid = text.parse().unwrap();
    let parts = (upid.node().as_str(), upid.kind(), upid.subject(), upid.user(), upid.started_s());
    assert_eq!(parts, ("pve1", "vzcreate", "100", "deploy@pve!full", 0x6B03_29D9));
    let later = "UPID:pve1:00000371:1000331FD:6B0329D9:imgdel:131@local:root@pam:";
    let idle = "UPID:pve1:00000371:000331FD:6B0329D9:aptupdate::root@pam:";
    let bad = [
        "",
        "UPID:",
        &text[..text.len() - 1],
        "upid:pve1:00000371:000331FD:6B0329D9:vzcreate:100:a@b:",
        "UPID:pve1:0000037:000331FD:6B0329D9:vzcreate:100:a@b:",
        "UPID:pve1:00000371:000331FD:6B0329D9::100:a@b:",
        "UPID:pve1:00000371:000331FD:6B0329D9:vz/../x:100:a@b:",
        "UPID:p/e:00000371:000331FD:6B0329D9:vz:100:a@b:",
    ];
    table::<Upid>(&[text, later, idle], &bad);
}

#[test]
fn a_guest_is_named_after_its_entry() {
    let entry: ContainerName = "web".parse().unwrap();
    assert_eq!(GuestName::of(&entry, None).unwrap().as_str(), "web");
    assert_eq!(GuestName::of(&entry, Some(12)).unwrap().as_str(), "web-12");
    let longest: ContainerName = letters(55).parse().unwrap();
    assert!(GuestName::of(&longest, Some(9_999_999)).is_ok(), "an entry's name leaves room for its ordinal");
}
