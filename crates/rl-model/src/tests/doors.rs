//! Goal: every newtype has one door, and what goes in comes out the same. Method: values are made from the alphabet of
//! their kind and from arbitrary text; what parses is shown, parsed again, and carried through JSON.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::*;

/// What is shown parses to the same value, by itself and through JSON; a text that a kind refuses is refused by JSON.
fn round<T>(text: &str) -> Result<bool, TestCaseError>
where
    T: FromStr<Err = ParseError> + Display + Debug + PartialEq + Clone + Serialize + DeserializeOwned,
{
    let json = serde_json::to_string(text).unwrap();
    let Ok(value) = text.parse::<T>() else {
        let refused = serde_json::from_str::<T>(&json).is_err() || text.parse::<u32>().is_ok();
        prop_assert!(refused, "JSON takes `{text}`, which the parser refuses");
        return Ok(false);
    };
    let shown = value.to_string();
    let again = shown.parse::<T>();
    prop_assert_eq!(again.as_ref(), Ok(&value), "`{}` was shown as `{}`", text, shown);
    let through = serde_json::to_string(&value).unwrap();
    prop_assert_eq!(&serde_json::from_str::<T>(&through).unwrap(), &value);
    Ok(true)
}

macro_rules! rounds {
    ($($name:ident: $kind:ty, $good:expr;)*) => {
        proptest! {
            $(
                #[test]
                fn $name(good in $good, wild in wild(), cut in 0usize..12) {
                    prop_assert!(round::<$kind>(&good)?, "`{good}` is refused");
                    round::<$kind>(&wild)?;
                    let mangled: String = good.chars().take(cut).chain(wild.chars().take(1)).chain(good.chars().skip(cut)).collect();
                    round::<$kind>(&mangled)?;
                }
            )*
        }
    };
}

/// Text of the kind that comes from files and strangers.
fn wild() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9._:/@!=,+~-]{0,40}",
        "\\PC{0,20}",
        "[a-z-]{60,70}",
        "[0-9]{1,12}",
        any::<String>(),
        Just("\u{0}".to_owned()),
        Just("-".to_owned()),
        Just(".".to_owned()),
    ]
}

const OWN: &str = "[a-z]([a-z0-9-]{0,40}[a-z0-9])?";
const KEY: &str = "[a-z0-9][a-z0-9._-]{0,40}";
const V4: &str = "(10|192|172)\\.[1-9][0-9]?\\.[1-9][0-9]?\\.[1-9][0-9]?";

rounds! {
    site_name: SiteName, OWN;
    stack_name: StackName, OWN;
    container_name: ContainerName, OWN;
    guest_name: GuestName, OWN;
    volume_name: VolumeName, OWN;
    hostname: Hostname, "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?){0,3}";
    fqdn: Fqdn, "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?){1,3}";
    network_name: NetworkName, KEY;
    image_name: ImageName, KEY;
    datacenter_name: DatacenterName, "[A-Z][a-z]{1,20}( [A-Z][a-z]{1,20})?";
    pool_id: PoolId, "[A-Za-z0-9._-]{1,12}(/[A-Za-z0-9._-]{1,12}){0,2}";
    tag: Tag, "[a-z0-9_][a-z0-9_+.-]{0,30}";
    guest_path: GuestPath, "(/[a-z0-9_][a-z0-9._ -]{0,10}){1,4}";
    guest_id: GuestId, "[0-9a-hjkmnp-tv-z]{20}";
    controller_id: ControllerId, "[0-9a-hjkmnp-tv-z]{20}";
    user_name: UserName, "[a-z0-9][a-z0-9._@+-]{0,40}";
    group_name: GroupName, "[A-Za-z/]([A-Za-z0-9 /_-]{0,20}[a-z])?";
    token_id: TokenId, "[0-9a-hjkmnp-tv-z]{12}";
    grantee: Grantee, "(user|group):[a-z0-9][a-z0-9._@+-]{0,40}";
    role: Role, "viewer|operator|deployer|approver|admin";
    access_path: AccessPath, "/|/sites|/stacks|/(sites|stacks)/[a-z]([a-z0-9-]{0,40}[a-z0-9])?";
    secret_ref: SecretRef, "[a-z0-9][a-z0-9._-]{0,10}(/[a-z0-9][a-z0-9._-]{0,10}){0,3}";
    vmid: Vmid, "[1-9][0-9]{2,8}";
    vmid_range: VmidRange, "[1-4][0-9]{3}-[5-9][0-9]{3}";
    node_name: NodeName, "[a-zA-Z0-9]([a-zA-Z0-9-]{0,20}[a-zA-Z0-9])?";
    storage_id: StorageId, "[a-zA-Z][a-zA-Z0-9._-]{0,20}[a-zA-Z0-9]";
    volume_id: VolumeId, "[a-z][a-z0-9-]{0,10}[a-z0-9]:(vztmpl/)?[a-z0-9][a-z0-9._-]{1,40}";
    mount_slot: MountSlot, "mp(1?[1-9]?[0-9])";
    upid: Upid, "UPID:pve[0-9]:[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:vz[a-z]{3,8}:([1-9][0-9]{2})?:[a-z]{3,6}@pam(![a-z]{1,5})?:";
    bridge_name: BridgeName, "[a-z][a-z0-9._-]{0,14}";
    nic_name: NicName, "[a-km-z][a-z0-9._-]{0,14}";
    nic_slot: NicSlot, "net([12]?[0-9])";
    vlan: VlanId, "[1-3]?[1-9]{1,3}";
    mac: MacAddr, "[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){4}:[0-9A-Fa-f][1-9]";
    cidr: Cidr, "10\\.[1-9][0-9]?\\.[1-9][0-9]?\\.0/24|fd00:[1-9a-f]::/(48|64)";
    iface_addr: IfaceAddr, "10\\.[1-9][0-9]?\\.[1-9][0-9]?\\.[1-9][0-9]?/(8|16|24|32)|fd00:[1-9a-f]::[1-9]/64";
    address_range: AddressRange, V4;
    endpoint: Endpoint, "https://([a-z]([a-z0-9-]{0,8}[a-z0-9])?(\\.[a-z]([a-z0-9-]{0,8}[a-z0-9])?){0,2}|\\[fd00::[1-9a-f]\\])(:[1-9][0-9]{1,3})?";
    memory: Memory, "[1-9][0-9]{0,5} ?(MiB|GiB)";
    disk: DiskSize, "[1-9][0-9]{0,5} ?(MiB|GiB|TiB)|[1-9][0-9]{0,2}\\.(25|5|75) GiB";
    field_key: FieldKey, "net[0-9]|mp[0-9]{2}|hostname|cores|memory|swap|rootfs|tags|ostemplate".prop_filter("no zero in front", |key| !key.starts_with("mp0"));
}

proptest! {
    #[test]
    fn sizes_survive_proxmox_notation(mib in 0u64..=u64::MAX >> 20, gib in 0u64..1 << 24) {
        let size = DiskSize::from_mib(mib);
        prop_assert_eq!(DiskSize::from_pve(&size.pve()), Ok(size));
        prop_assert_eq!(DiskSize::from_pve(&format!("{}K", mib << 10)), Ok(size));
        prop_assert_eq!(size.to_string().parse(), Ok(size));
        prop_assert_eq!(DiskSize::from_pve(&format!("{}G", DiskSize::from_gib(gib).pve_gib())), Ok(DiskSize::from_gib(gib)));
        prop_assert_eq!(size.bytes(), mib << 20);
        prop_assert_eq!(Memory::from_mib(mib).to_string().parse(), Ok(Memory::from_mib(mib)));
        let small = DiskSize::from_mib(mib % (1 << 30));
        prop_assert_eq!(DiskSize::from_pve(&format!("{}G", small.pve_gib())), Ok(small), "{}", small.pve_gib());
    }

    #[test]
    fn proxmox_sizes_never_panic(text in "\\PC{0,12}|[0-9.]{0,30}[KMGT]?") {
        let _ = DiskSize::from_pve(&text);
        let _ = PropertyString::parse(&text).to_string();
    }

    #[test]
    fn a_property_string_means_the_same_in_any_order(
        pairs in proptest::collection::btree_map("[a-z]{1,6}", "[a-z0-9:./]{0,8}", 0..6),
        lead in proptest::option::of("[a-z]{1,6}:[a-z0-9]{1,6}"),
    ) {
        let join = |parts: Vec<String>| lead.iter().cloned().chain(parts).collect::<Vec<_>>().join(",");
        let forth: Vec<String> = pairs.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let back: Vec<String> = forth.iter().rev().cloned().collect();
        let parsed = PropertyString::parse(&join(forth));
        prop_assert_eq!(&parsed, &PropertyString::parse(&join(back)));
        prop_assert_eq!(&PropertyString::parse(&parsed.to_string()), &parsed);
        prop_assert_eq!(parsed.lead(), lead.as_deref());
    }

    #[test]
    fn made_ids_parse(bits in any::<u128>(), mac in any::<u64>()) {
        prop_assert!(round::<GuestId>(GuestId::from_bits(bits).as_str())?);
        prop_assert!(round::<ControllerId>(ControllerId::from_bits(bits).as_str())?);
        let tag = Stamp::tag_of(&GuestId::from_bits(bits));
        prop_assert!(Stamp::is_stamp_tag(tag.as_str()) && round::<Tag>(tag.as_str())?);
        let made = MacAddr::from_bits(mac);
        prop_assert!(round::<MacAddr>(&made.to_string())?);
        prop_assert_eq!(made.octets()[0] & 3, 2, "locally administered, unicast");
    }

    #[test]
    fn a_usable_address_lies_in_its_network_and_is_not_one_of_its_ends(a in any::<u32>(), prefix in 8u8..=32) {
        let net: Cidr = ipnet::Ipv4Net::new(a.into(), prefix).unwrap().trunc().to_string().parse().unwrap();
        let address = std::net::IpAddr::V4(a.into());
        prop_assert!(net.contains(address));
        let end = address == net.net().network() || address == net.net().broadcast();
        prop_assert_eq!(net.usable(address), prefix >= 31 || !end);
        prop_assert_eq!(IfaceAddr::new(address, net).is_ok(), net.usable(address));
        if let Ok(joined) = IfaceAddr::new(address, net) {
            prop_assert_eq!((joined.address(), joined.network()), (address, net));
        }
    }
}
