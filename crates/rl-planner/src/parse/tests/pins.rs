//! Pinned VMIDs, addresses, MACs and host names.

use super::*;

#[test]
fn vmid_outside_the_range() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
vmid: 100
"#), @r#"
        error[RL0214]: the VMID 100 lies outside 2000-2999, the range of the site `fra1`
         --> stack.yaml:7:11
          |
        6 |     image: debian-12
        7 |     vmid: 100
          |           ^^^
          |
         ::: site.yaml:4:8
          |
        3 | proxmox: { endpoints: ["https://pve1.example:8006"], token: { file: fra1.token } }
        4 | vmids: 2000-2999
          |        --------- the site's range
        5 | networks:
          |
          = help: take one from the range, widen the range, or leave `vmid` out

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn vmid_that_is_none() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
vmid: 99
"#), @r#"
        error[RL0202]: 99 is out of the limits for a VMID
         --> stack.yaml:7:11
          |
        6 |     image: debian-12
        7 |     vmid: 99
          |           ^^ allowed: 100 to 999999999
          |
          = help: write a whole number from 100 to 999999999

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn vmid_twice() {
    insta::assert_snapshot!(stack_shown(r#"kind: stack
name: shop
site: fra1
defaults: { image: debian-12 }
containers:
  web: { vmid: 2000 }
  db: { vmid: 2000 }
"#), @r#"
        error[RL0215]: two guests are pinned to the VMID 2000
         --> stack.yaml:7:15
          |
        5 | containers:
        6 |   web: { vmid: 2000 }
          |                ---- first guest
        7 |   db: { vmid: 2000 }
          |               ^^^^
          |
          = help: give one of them another VMID, or leave `vmid` out

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn vmid_twice_in_two_stacks() {
    insta::assert_snapshot!(together(&[("site.yaml", SITE), ("one.yaml", &stack_of("image: debian-12\nvmid: 2000")), ("two.yaml", &stack_of("image: debian-12\nvmid: 2000").replace("shop", "blog"))]), @r#"
        error[RL0215]: two guests are pinned to the VMID 2000
         --> two.yaml:7:11
          |
        6 |     image: debian-12
        7 |     vmid: 2000
          |           ^^^^
          |
         ::: one.yaml:7:11
          |
        6 |     image: debian-12
        7 |     vmid: 2000
          |           ---- first guest
          |
          = help: give one of them another VMID, or leave `vmid` out

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn one_vmid_for_several_guests() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
count: 3
vmid: 2000
"#), @r#"
        error[RL0224]: 1 VMID for 3 guests
         --> stack.yaml:8:11
          |
        6 |     image: debian-12
        7 |     count: 3
          |            - the number of guests
        8 |     vmid: 2000
          |           ^^^^
          |
          = help: write as many VMIDs as guests, first guest first, or leave `vmid` out

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn too_few_vmids_for_the_count() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
count: 3
vmid: [2000, 2001]
"#), @r#"
        error[RL0224]: 2 VMIDs for 3 guests
         --> stack.yaml:8:11
          |
        6 |     image: debian-12
        7 |     count: 3
          |            - the number of guests
        8 |     vmid: [2000, 2001]
          |           ^^^^^^^^^^^^
          |
          = help: write as many VMIDs as guests, first guest first, or leave `vmid` out

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn address_twice() {
    insta::assert_snapshot!(stack_shown(r#"kind: stack
name: shop
site: fra1
defaults: { image: debian-12 }
containers:
  web: { nics: { eth0: { network: dmz, ipv4: 10.20.0.5 } } }
  db: { nics: { eth0: { network: dmz, ipv4: 10.20.0.5 } } }
"#), @r#"
        error[RL0216]: two NICs are pinned to the address 10.20.0.5
         --> stack.yaml:7:45
          |
        5 | containers:
        6 |   web: { nics: { eth0: { network: dmz, ipv4: 10.20.0.5 } } }
          |                                              --------- first NIC
        7 |   db: { nics: { eth0: { network: dmz, ipv4: 10.20.0.5 } } }
          |                                             ^^^^^^^^^
          |
          = help: give one of them another address, or `lease`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn address_outside_the_subnet() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
nics: { eth0: { network: dmz, ipv4: 10.21.0.5 } }
"#), @r#"
        error[RL0211]: the address 10.21.0.5 lies outside 10.20.0.0/24, the subnet of `dmz`
         --> stack.yaml:7:41
          |
        6 |     image: debian-12
        7 |     nics: { eth0: { network: dmz, ipv4: 10.21.0.5 } }
          |                                         ^^^^^^^^^
          |
         ::: site.yaml:6:43
          |
        5 | networks:
        6 |   dmz: { bridge: vmbr0, vlan: 20, subnet: 10.20.0.0/24, gateway: 10.20.0.1, addresses: 10.20.0.50-10.20.0.59 }
          |                                           ------------ the network's subnet
        7 |   lan: { bridge: vmbr1 }
          |
          = help: usable here are 10.20.0.1 to 10.20.0.254

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn address_of_the_gateway() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
nics: { eth0: { network: dmz, ipv4: 10.20.0.1 } }
"#), @r#"
        error[RL0211]: 10.20.0.1 is the gateway of `dmz`
         --> stack.yaml:7:41
          |
        6 |     image: debian-12
        7 |     nics: { eth0: { network: dmz, ipv4: 10.20.0.1 } }
          |                                         ^^^^^^^^^
          |
         ::: site.yaml:6:66
          |
        5 | networks:
        6 |   dmz: { bridge: vmbr0, vlan: 20, subnet: 10.20.0.0/24, gateway: 10.20.0.1, addresses: 10.20.0.50-10.20.0.59 }
          |                                                                  --------- the gateway is set here
        7 |   lan: { bridge: vmbr1 }
          |
          = help: choose another address

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn address_on_a_network_without_subnet() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
nics: { eth0: { network: lan, ipv4: 10.1.0.5 } }
"#), @r#"
        error[RL0225]: the network `lan` has no subnet, so the address 10.1.0.5 has no prefix
         --> stack.yaml:7:41
          |
        6 |     image: debian-12
        7 |     nics: { eth0: { network: lan, ipv4: 10.1.0.5 } }
          |                                         ^^^^^^^^
          |
         ::: site.yaml:7:3
          |
        6 |   dmz: { bridge: vmbr0, vlan: 20, subnet: 10.20.0.0/24, gateway: 10.20.0.1, addresses: 10.20.0.50-10.20.0.59 }
        7 |   lan: { bridge: vmbr1 }
          |   --- the network
        8 | images: { debian-12: "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst" }
          |
          = help: give the network `subnet: ADDRESS/PREFIX`, or the NIC `dhcp`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn one_address_for_several_guests() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
count: 2
nics: { eth0: { network: dmz, ipv4: 10.20.0.5 } }
"#), @r#"
        error[RL0224]: 1 address for 2 guests
         --> stack.yaml:8:41
          |
        6 |     image: debian-12
        7 |     count: 2
          |            - the number of guests
        8 |     nics: { eth0: { network: dmz, ipv4: 10.20.0.5 } }
          |                                         ^^^^^^^^^
          |
          = help: write as many addresses as guests, first guest first, or `lease`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn mac_twice() {
    insta::assert_snapshot!(stack_shown(r#"kind: stack
name: shop
site: fra1
defaults: { image: debian-12 }
containers:
  web: { nics: { eth0: { network: dmz, mac: "52:00:00:00:00:01" } } }
  db: { nics: { eth0: { network: lan, mac: "52:00:00:00:00:01" } } }
"#), @r#"
        error[RL0217]: two NICs are pinned to the MAC 52:00:00:00:00:01
         --> stack.yaml:7:44
          |
        5 | containers:
        6 |   web: { nics: { eth0: { network: dmz, mac: "52:00:00:00:00:01" } } }
          |                                             ------------------- first NIC
        7 |   db: { nics: { eth0: { network: lan, mac: "52:00:00:00:00:01" } } }
          |                                            ^^^^^^^^^^^^^^^^^^^
          |
          = help: remove one of them; a NIC without `mac` is given its own

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn mac_and_host_name_with_count() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
count: 2
hostname: www
nics: { eth0: { network: dmz, mac: "52:00:00:00:00:01" } }
"#), @r#"
        error[RL0224]: `hostname` cannot be set together with `count`
         --> stack.yaml:8:15
          |
        6 |     image: debian-12
        7 |     count: 2
          |            - this stands for 2 guests
        8 |     hostname: www
          |               ^^^
        9 |     nics: { eth0: { network: dmz, mac: "52:00:00:00:00:01" } }
          |
          = help: remove `hostname`; the guests are called after the container: `NAME-1`, `NAME-2`

        error[RL0224]: `mac` cannot be set together with `count`
         --> stack.yaml:9:40
          |
        6 |     image: debian-12
        7 |     count: 2
          |            - this stands for 2 guests
        8 |     hostname: www
        9 |     nics: { eth0: { network: dmz, mac: "52:00:00:00:00:01" } }
          |                                        ^^^^^^^^^^^^^^^^^^^
          |
          = help: remove `mac`; each NIC is given its own

        the stack files have 2 errors; nothing was contacted or changed
    "#);
}

#[test]
fn host_name_twice() {
    insta::assert_snapshot!(stack_shown(r#"kind: stack
name: shop
site: fra1
defaults: { image: debian-12 }
containers:
  web: { hostname: www }
  cache: { hostname: www }
  db: { hostname: web-2 }
  spare: { hostname: db }
"#), @r#"
        error[RL0218]: two guests have the host name `www`
         --> stack.yaml:7:22
          |
        5 | containers:
        6 |   web: { hostname: www }
          |                    --- first guest of that name
        7 |   cache: { hostname: www }
          |                      ^^^
        8 |   db: { hostname: web-2 }
          |
          = help: give one of them another host name

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn host_name_of_another_guest() {
    insta::assert_snapshot!(stack_shown(r#"kind: stack
name: shop
site: fra1
defaults: { image: debian-12 }
containers:
  web: { count: 3 }
  db: { hostname: web-2 }
"#), @r#"
        error[RL0218]: two guests have the host name `web-2`
         --> stack.yaml:7:19
          |
        5 | containers:
        6 |   web: { count: 3 }
          |   --- a guest of this container has that name
        7 |   db: { hostname: web-2 }
          |                   ^^^^^
          |
          = help: give one of them another host name

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn guest_name_twice() {
    insta::assert_snapshot!(stack_shown(r#"kind: stack
name: shop
site: fra1
defaults: { image: debian-12 }
containers:
  web: { count: 3 }
  web-2: {}
"#), @r#"
        error[RL0203]: two guests of the stack are called `web-2`
         --> stack.yaml:7:3
          |
        5 | containers:
        6 |   web: { count: 3 }
          |   --- this container has a guest of that name too
        7 |   web-2: {}
          |   ^^^^^
          |
          = help: with `count`, guests are called `NAME-1`, `NAME-2` and so on; rename one of the containers

        the stack files have 1 error; nothing was contacted or changed
    "#);
}
