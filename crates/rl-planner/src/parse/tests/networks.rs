//! Addresses and ranges of sites.

use super::*;

#[test]
fn gateway_outside_the_subnet() {
    insta::assert_snapshot!(site_with("gateway: 10.20.0.1", "gateway: 10.21.0.1"), @r#"
        error[RL0212]: the gateway 10.21.0.1 does not fit the subnet 10.20.0.0/24
         --> site.yaml:6:66
          |
        5 | networks:
        6 |   dmz: { bridge: vmbr0, vlan: 20, subnet: 10.20.0.0/24, gateway: 10.21.0.1, addresses: 10.20.0.50-10.20.0.59 }
          |                                           ------------           ^^^^^^^^^
          |                                           |
          |                                           the subnet is set here
        7 |   lan: { bridge: vmbr1 }
          |
          = help: usable here are 10.20.0.1 to 10.20.0.254

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn gateway_is_the_network_address() {
    insta::assert_snapshot!(site_with("gateway: 10.20.0.1", "gateway: 10.20.0.0"), @r#"
        error[RL0212]: the gateway 10.20.0.0 does not fit the subnet 10.20.0.0/24
         --> site.yaml:6:66
          |
        5 | networks:
        6 |   dmz: { bridge: vmbr0, vlan: 20, subnet: 10.20.0.0/24, gateway: 10.20.0.0, addresses: 10.20.0.50-10.20.0.59 }
          |                                           ------------           ^^^^^^^^^
          |                                           |
          |                                           the subnet is set here
        7 |   lan: { bridge: vmbr1 }
          |
          = help: usable here are 10.20.0.1 to 10.20.0.254

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn range_outside_the_subnet() {
    insta::assert_snapshot!(site_with("10.20.0.50-10.20.0.59", "10.20.0.50-10.20.1.59"), @r#"
        error[RL0211]: the address 10.20.1.59 lies outside the subnet 10.20.0.0/24
         --> site.yaml:6:88
          |
        5 | networks:
        6 |   dmz: { bridge: vmbr0, vlan: 20, subnet: 10.20.0.0/24, gateway: 10.20.0.1, addresses: 10.20.0.50-10.20.1.59 }
          |                                           ------------ the subnet is set here          ^^^^^^^^^^^^^^^^^^^^^
        7 |   lan: { bridge: vmbr1 }
          |
          = help: usable here are 10.20.0.1 to 10.20.0.254

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn range_with_the_broadcast_address() {
    insta::assert_snapshot!(site_with("10.20.0.50-10.20.0.59", "10.20.0.50-10.20.0.255"), @r#"
        error[RL0211]: the address 10.20.0.255 is the subnet's own or broadcast address
         --> site.yaml:6:88
          |
        5 | networks:
        6 |   dmz: { bridge: vmbr0, vlan: 20, subnet: 10.20.0.0/24, gateway: 10.20.0.1, addresses: 10.20.0.50-10.20.0.255 }
          |                                           ------------ the subnet is set here          ^^^^^^^^^^^^^^^^^^^^^^
        7 |   lan: { bridge: vmbr1 }
          |
          = help: usable here are 10.20.0.1 to 10.20.0.254

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn range_the_wrong_way_round() {
    insta::assert_snapshot!(site_with("10.20.0.50-10.20.0.59", "10.20.0.59-10.20.0.50"), @r#"
        error[RL0201]: `10.20.0.59-10.20.0.50` is no valid address range
         --> site.yaml:6:88
          |
        5 | networks:
        6 |   dmz: { bridge: vmbr0, vlan: 20, subnet: 10.20.0.0/24, gateway: 10.20.0.1, addresses: 10.20.0.59-10.20.0.50 }
          |                                                                                        ^^^^^^^^^^^^^^^^^^^^^ its first address lies behind its last
        7 |   lan: { bridge: vmbr1 }
          |
          = help: write it like `10.20.0.50-10.20.0.99`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn range_of_two_families() {
    insta::assert_snapshot!(site_with("10.20.0.50-10.20.0.59", r#""10.20.0.59-2001:db8::1""#), @r#"
        error[RL0201]: `10.20.0.59-2001:db8::1` is no valid address range
         --> site.yaml:6:88
          |
        5 | networks:
        6 |   dmz: { bridge: vmbr0, vlan: 20, subnet: 10.20.0.0/24, gateway: 10.20.0.1, addresses: "10.20.0.59-2001:db8::1" }
          |                                                                                        ^^^^^^^^^^^^^^^^^^^^^^^^ it mixes IPv4 and IPv6
        7 |   lan: { bridge: vmbr1 }
          |
          = help: write it like `10.20.0.50-10.20.0.99`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn subnet_with_host_bits() {
    insta::assert_snapshot!(site_with("10.20.0.0/24", "10.20.0.7/24"), @r#"
        error[RL0201]: `10.20.0.7/24` is no valid network
         --> site.yaml:6:43
          |
        5 | networks:
        6 |   dmz: { bridge: vmbr0, vlan: 20, subnet: 10.20.0.7/24, gateway: 10.20.0.1, addresses: 10.20.0.50-10.20.0.59 }
          |                                           ^^^^^^^^^^^^ it has host bits set, did you mean 10.20.0.0/24?
        7 |   lan: { bridge: vmbr1 }
          |
          = help: write it like `10.20.0.0/24`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn ranges_of_one_network_overlap() {
    insta::assert_snapshot!(site_with("addresses: 10.20.0.50-10.20.0.59", "addresses: [10.20.0.50-10.20.0.59, 10.20.0.55-10.20.0.70]"), @r#"
        error[RL0213]: the ranges 10.20.0.50-10.20.0.59 and 10.20.0.55-10.20.0.70 of the network `dmz` overlap
         --> site.yaml:6:112
          |
        5 | networks:
        6 |   dmz: { bridge: vmbr0, vlan: 20, subnet: 10.20.0.0/24, gateway: 10.20.0.1, addresses: [10.20.0.50-10.20.0.59, 10.20.0.55-10.20.0.70] }
          |                                                                                         ---------------------  ^^^^^^^^^^^^^^^^^^^^^ shares addresses with 10.20.0.50-10.20.0.59
          |                                                                                         |
          |                                                                                         the other range
        7 |   lan: { bridge: vmbr1 }
          |
          = help: an address must not be handed out twice; part the ranges

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn ranges_of_two_networks_overlap() {
    insta::assert_snapshot!(site_with("lan: { bridge: vmbr1 }", "lan: { bridge: vmbr1, subnet: 10.20.0.0/24, addresses: 10.20.0.59-10.20.0.99 }"), @r#"
        error[RL0213]: the ranges of the networks `dmz` and `lan` overlap
         --> site.yaml:7:58
          |
        5 | networks:
        6 |   dmz: { bridge: vmbr0, vlan: 20, subnet: 10.20.0.0/24, gateway: 10.20.0.1, addresses: 10.20.0.50-10.20.0.59 }
          |                                                                                        --------------------- the other range
        7 |   lan: { bridge: vmbr1, subnet: 10.20.0.0/24, addresses: 10.20.0.59-10.20.0.99 }
          |                                                          ^^^^^^^^^^^^^^^^^^^^^ shares addresses with 10.20.0.50-10.20.0.59
        8 | images: { debian-12: "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst" }
          |
          = help: an address must not be handed out twice; part the ranges

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn two_sites_with_one_endpoint() {
    insta::assert_snapshot!(together(&[("one.yaml", SITE), ("two.yaml", &SITE.replace("fra1", "fra2").replace("10.20.", "10.99."))]), @r#"
        error[RL0227]: the sites `fra1` and `fra2` have one endpoint
         --> two.yaml:3:24
          |
        2 | name: fra2
        3 | proxmox: { endpoints: ["https://pve1.example:8006"], token: { file: fra2.token } }
          |                        ^^^^^^^^^^^^^^^^^^^^^^^^^^^
        4 | vmids: 2000-2999
          |
         ::: one.yaml:3:24
          |
        2 | name: fra1
        3 | proxmox: { endpoints: ["https://pve1.example:8006"], token: { file: fra1.token } }
          |                        --------------------------- the same endpoint
        4 | vmids: 2000-2999
          |
          = help: a site is one Proxmox cluster; give each its own endpoints, or keep one site

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn two_sites_of_one_data_centre_share_addresses() {
    insta::assert_snapshot!({
        let one = SITE.replace("name: fra1", "name: fra1\ndatacenter: Frankfurt");
        let two = one.replace("fra1", "fra2").replace("pve1.example", "pve2.example");
        together(&[("one.yaml", &one), ("two.yaml", &two)])
    }, @r#"
        warning[RL0213]: the sites `fra1` and `fra2` in one data centre hand out the same addresses
         --> two.yaml:7:88
          |
        6 | networks:
        7 |   dmz: { bridge: vmbr0, vlan: 20, subnet: 10.20.0.0/24, gateway: 10.20.0.1, addresses: 10.20.0.50-10.20.0.59 }
          |                                                                                        ^^^^^^^^^^^^^^^^^^^^^ shares addresses with 10.20.0.50-10.20.0.59
        8 |   lan: { bridge: vmbr1 }
          |
         ::: one.yaml:7:88
          |
        6 | networks:
        7 |   dmz: { bridge: vmbr0, vlan: 20, subnet: 10.20.0.0/24, gateway: 10.20.0.1, addresses: 10.20.0.50-10.20.0.59 }
          |                                                                                        --------------------- the range of `fra1`
        8 |   lan: { bridge: vmbr1 }
          |
          = help: part the ranges, unless these are networks that never meet
    "#);
}

#[test]
fn more_guests_than_addresses() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
count: 11
nics: { eth0: { network: dmz } }
"#), @r#"
        error[RL0219]: the network `dmz` hands out 10 addresses, its guests need 11
         --> stack.yaml:8:30
          |
        7 |     count: 11
        8 |     nics: { eth0: { network: dmz } }
          |                              ^^^ here they run out
          |
         ::: site.yaml:6:88
          |
        5 | networks:
        6 |   dmz: { bridge: vmbr0, vlan: 20, subnet: 10.20.0.0/24, gateway: 10.20.0.1, addresses: 10.20.0.50-10.20.0.59 }
          |                                                                                        --------------------- the addresses handed out
        7 |   lan: { bridge: vmbr1 }
          |
          = help: widen `addresses`, or lower `count`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn pinned_addresses_count_too() {
    insta::assert_snapshot!(stack_shown(r#"kind: stack
name: shop
site: fra1
defaults: { image: debian-12 }
containers:
  db: { nics: { eth0: { network: dmz, ipv4: 10.20.0.50 } } }
  web: { count: 10, nics: { eth0: { network: dmz } } }
"#), @r#"
        error[RL0219]: the network `dmz` hands out 10 addresses, its guests need 11
         --> stack.yaml:7:46
          |
        6 |   db: { nics: { eth0: { network: dmz, ipv4: 10.20.0.50 } } }
        7 |   web: { count: 10, nics: { eth0: { network: dmz } } }
          |                                              ^^^ here they run out
          |
         ::: site.yaml:6:88
          |
        5 | networks:
        6 |   dmz: { bridge: vmbr0, vlan: 20, subnet: 10.20.0.0/24, gateway: 10.20.0.1, addresses: 10.20.0.50-10.20.0.59 }
          |                                                                                        --------------------- the addresses handed out
        7 |   lan: { bridge: vmbr1 }
          |
          = help: widen `addresses`, or lower `count`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn lease_from_a_network_without_addresses() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
nics: { eth0: { network: lan, ipv4: lease }, eth1: { network: dmz, ipv6: lease } }
"#), @r#"
        error[RL0225]: the network `lan` has no IPv4 addresses to hand out
         --> stack.yaml:7:41
          |
        6 |     image: debian-12
        7 |     nics: { eth0: { network: lan, ipv4: lease }, eth1: { network: dmz, ipv6: lease } }
          |                                         ^^^^^ an address is to be leased here
          |
         ::: site.yaml:7:3
          |
        6 |   dmz: { bridge: vmbr0, vlan: 20, subnet: 10.20.0.0/24, gateway: 10.20.0.1, addresses: 10.20.0.50-10.20.0.59 }
        7 |   lan: { bridge: vmbr1 }
          |   --- the network
        8 | images: { debian-12: "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst" }
          |
          = help: give the network `addresses: FIRST-LAST`, or the NIC an address, `dhcp` or `none`

        error[RL0225]: the network `dmz` has no IPv6 addresses to hand out
         --> stack.yaml:7:78
          |
        6 |     image: debian-12
        7 |     nics: { eth0: { network: lan, ipv4: lease }, eth1: { network: dmz, ipv6: lease } }
          |                                                                              ^^^^^ an address is to be leased here
          |
         ::: site.yaml:6:3
          |
        5 | networks:
        6 |   dmz: { bridge: vmbr0, vlan: 20, subnet: 10.20.0.0/24, gateway: 10.20.0.1, addresses: 10.20.0.50-10.20.0.59 }
          |   --- the network
        7 |   lan: { bridge: vmbr1 }
          |
          = help: give the network `addresses: FIRST-LAST`, or the NIC an address, `dhcp` or `none`

        the stack files have 2 errors; nothing was contacted or changed
    "#);
}

#[test]
fn more_guests_than_vmids() {
    insta::assert_snapshot!(together(&[("site.yaml", &SITE.replace("2000-2999", "2000-2004")), ("stack.yaml", &stack_of("image: debian-12\ncount: 6"))]), @r#"
        error[RL0220]: the site `fra1` has 5 VMIDs, its guests need more
         --> stack.yaml:5:3
          |
        4 | containers:
        5 |   web:
          |   ^^^ here they run out
        6 |     image: debian-12
          |
         ::: site.yaml:4:8
          |
        3 | proxmox: { endpoints: ["https://pve1.example:8006"], token: { file: fra1.token } }
        4 | vmids: 2000-2004
          |        --------- the site's range
        5 | networks:
          |
          = help: widen `vmids`, or lower `count`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}
