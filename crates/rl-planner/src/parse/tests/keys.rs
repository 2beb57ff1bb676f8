//! Keys: unknown, missing, twice, in conflict.

use super::*;

#[test]
fn several_unknown_keys_at_once() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
memroy: 1 GiB
ram: 2 GiB
disks: 8 GiB
frobnicate: true
"#), @r#"
        error[RL0104]: a container has no key `memroy`
         --> stack.yaml:7:5
          |
        6 |     image: debian-12
        7 |     memroy: 1 GiB
          |     ^^^^^^ unknown key
        8 |     ram: 2 GiB
          |
          = help: did you mean `memory`?

        error[RL0104]: a container has no key `ram`
         --> stack.yaml:8:5
          |
        7 |     memroy: 1 GiB
        8 |     ram: 2 GiB
          |     ^^^ unknown key
        9 |     disks: 8 GiB
          |
          = help: it is called `memory` here

        error[RL0104]: a container has no key `disks`
          --> stack.yaml:9:5
           |
         8 |     ram: 2 GiB
         9 |     disks: 8 GiB
           |     ^^^^^ unknown key
        10 |     frobnicate: true
           |
           = help: did you mean `disk`?

        error[RL0104]: a container has no key `frobnicate`
          --> stack.yaml:10:5
           |
         9 |     disks: 8 GiB
        10 |     frobnicate: true
           |     ^^^^^^^^^^ unknown key
           |
           = help: known keys: `count`, `site`, `image`, `cores`, `memory`, `swap`, `disk`, `storage`, `nics`, `volumes`, `node`, `vmid`, `spread`, `hostname`, `nameservers`, `search_domain`, `tags`, `notes`, `onboot`, `startup`, `unprivileged`, `features`, `protection`, `state`, `pool`, `ssh_keys`, `timezone`, `after`, `firewall`, `secrets`

        the stack files have 4 errors; nothing was contacted or changed
    "#);
}

#[test]
fn unknown_keys_of_a_site() {
    insta::assert_snapshot!(site_with(r#"storage: local-zfs
"#, r#"storag: local-zfs
cluster: yes
"#), @r#"
        error[RL0104]: a site has no key `storag`
          --> site.yaml:9:1
           |
         8 | images: { debian-12: "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst" }
         9 | storag: local-zfs
           | ^^^^^^ unknown key
        10 | cluster: yes
           |
           = help: did you mean `storage`?

        error[RL0104]: a site has no key `cluster`
          --> site.yaml:10:1
           |
         9 | storag: local-zfs
        10 | cluster: yes
           | ^^^^^^^ unknown key
        11 | storages: [local-zfs, ceph]
           |
           = help: known keys: `kind`, `name`, `datacenter`, `proxmox`, `vmids`, `networks`, `images`, `storage`, `storages`, `nodes`, `pool`, `limits`, `firewall`, `dns`, `providers`

        the stack files have 2 errors; nothing was contacted or changed
    "#);
}

#[test]
fn unknown_key_of_a_nic() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
nics: { eth0: { network: dmz, ip: 10.20.0.50, gw: 10.20.0.1 } }
"#), @r#"
        error[RL0104]: a NIC has no key `ip`
         --> stack.yaml:7:35
          |
        6 |     image: debian-12
        7 |     nics: { eth0: { network: dmz, ip: 10.20.0.50, gw: 10.20.0.1 } }
          |                                   ^^ unknown key
          |
          = help: it is called `ipv4` here

        error[RL0104]: a NIC has no key `gw`
         --> stack.yaml:7:51
          |
        6 |     image: debian-12
        7 |     nics: { eth0: { network: dmz, ip: 10.20.0.50, gw: 10.20.0.1 } }
          |                                                   ^^ unknown key
          |
          = help: `gateway` is a key of a network

        the stack files have 2 errors; nothing was contacted or changed
    "#);
}

#[test]
fn unknown_key_of_a_network() {
    insta::assert_snapshot!(site_with("bridge: vmbr1", "bridge: vmbr1, tag: 30"), @r#"
        error[RL0104]: a network has no key `tag`
         --> site.yaml:7:25
          |
        6 |   dmz: { bridge: vmbr0, vlan: 20, subnet: 10.20.0.0/24, gateway: 10.20.0.1, addresses: 10.20.0.50-10.20.0.59 }
        7 |   lan: { bridge: vmbr1, tag: 30 }
          |                         ^^^ unknown key
        8 | images: { debian-12: "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst" }
          |
          = help: it is called `vlan` here

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn missing_image() {
    insta::assert_snapshot!(container_shown(r#"cores: 2
"#), @r#"
        error[RL0106]: a container needs the key `image`
         --> stack.yaml:5:3
          |
        4 | containers:
        5 |   web:
          |   ^^^ the key is missing here
        6 |     cores: 2
          |
          = help: add it, as in `image: debian-12`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn missing_network_of_a_nic() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
nics: { eth0: { ipv4: dhcp } }
"#), @r#"
        error[RL0106]: a NIC needs the key `network`
         --> stack.yaml:7:13
          |
        6 |     image: debian-12
        7 |     nics: { eth0: { ipv4: dhcp } }
          |             ^^^^ the key is missing here
          |
          = help: add it, as in `network: dmz`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn missing_keys_of_a_site() {
    insta::assert_snapshot!(shown(r#"kind: site
name: fra1
networks: { lan: { vlan: 20 } }
"#), @r#"
        error[RL0106]: a site needs the key `proxmox`
         --> site.yaml:2:7
          |
        1 | kind: site
        2 | name: fra1
          |       ^^^^ the key is missing here
        3 | networks: { lan: { vlan: 20 } }
          |
          = help: add it, as in `proxmox: { endpoints: ["https://pve1.example:8006"], token: { file: site.token } }`

        error[RL0106]: a site needs the key `vmids`
         --> site.yaml:2:7
          |
        1 | kind: site
        2 | name: fra1
          |       ^^^^ the key is missing here
        3 | networks: { lan: { vlan: 20 } }
          |
          = help: add it, as in `vmids: 2000-2999`

        error[RL0106]: a network needs the key `bridge`
         --> site.yaml:3:13
          |
        2 | name: fra1
        3 | networks: { lan: { vlan: 20 } }
          |             ^^^ the key is missing here
          |
          = help: add it, as in `bridge: vmbr0`

        the stack files have 3 errors; nothing was contacted or changed
    "#);
}

#[test]
fn missing_name() {
    insta::assert_snapshot!(shown(r#"kind: stack
containers: { web: { image: "local:vztmpl/a.tar.zst" } }
"#), @r#"
        error[RL0106]: a stack needs the key `name`
         --> site.yaml:1:7
          |
        1 | kind: stack
          |       ^^^^^ the key is missing here
        2 | containers: { web: { image: "local:vztmpl/a.tar.zst" } }
          |
          = help: add it, as in `name: shop`

        error[RL0106]: the container names no site
         --> site.yaml:2:15
          |
        1 | kind: stack
        2 | containers: { web: { image: "local:vztmpl/a.tar.zst" } }
          |               ^^^
          |
          = help: give the stack `site: NAME`, or the container its own

        the stack files have 2 errors; nothing was contacted or changed
    "#);
}

#[test]
fn missing_path_and_size_of_a_volume() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
volumes: { data: { backup: false } }
"#), @r#"
        error[RL0106]: a volume needs the key `path`
         --> stack.yaml:7:16
          |
        6 |     image: debian-12
        7 |     volumes: { data: { backup: false } }
          |                ^^^^ the key is missing here
          |
          = help: add it, as in `path: /var/lib/data`

        error[RL0106]: a volume needs the key `size`
         --> stack.yaml:7:16
          |
        6 |     image: debian-12
        7 |     volumes: { data: { backup: false } }
          |                ^^^^ the key is missing here
          |
          = help: add it, as in `size: 20 GiB`

        the stack files have 2 errors; nothing was contacted or changed
    "#);
}

#[test]
fn missing_containers() {
    insta::assert_snapshot!(shown(r#"kind: stack
name: shop
"#), @r#"
        error[RL0106]: a stack needs the key `containers`
         --> site.yaml:2:7
          |
        1 | kind: stack
        2 | name: shop
          |       ^^^^ the key is missing here
          |
          = help: add it, as in `containers: { web: { image: debian-12, nics: { eth0: { network: dmz } } } }`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn no_containers() {
    insta::assert_snapshot!(shown(r#"kind: stack
name: shop
containers: {}
"#), @r#"
        error[RL0111]: the stack has no containers
         --> site.yaml:3:13
          |
        2 | name: shop
        3 | containers: {}
          |             ^^
          |
          = help: declare at least one

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn no_site_named() {
    insta::assert_snapshot!(shown(r#"kind: stack
name: shop
containers: { web: { image: debian-12 } }
"#), @r#"
        error[RL0106]: the container names no site
         --> site.yaml:3:15
          |
        2 | name: shop
        3 | containers: { web: { image: debian-12 } }
          |               ^^^
          |
          = help: give the stack `site: NAME`, or the container its own

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn duplicate_key() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
cores: 2
memory: 1 GiB
cores: 4
"#), @r#"
        error[RL0107]: the key `cores` is given twice
         --> stack.yaml:9:5
          |
        6 |     image: debian-12
        7 |     cores: 2
          |     ----- first time
        8 |     memory: 1 GiB
        9 |     cores: 4
          |     ^^^^^ second time
          |
          = help: keep one of the two, or give one another name

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn duplicate_container() {
    insta::assert_snapshot!(stack_shown(r#"kind: stack
name: shop
site: fra1
containers:
  web: { image: debian-12 }
  web: { image: debian-12 }
"#), @r#"
        error[RL0107]: the key `web` is given twice
         --> stack.yaml:6:3
          |
        4 | containers:
        5 |   web: { image: debian-12 }
          |   --- first time
        6 |   web: { image: debian-12 }
          |   ^^^ second time
          |
          = help: keep one of the two, or give one another name

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn two_sources_of_the_token() {
    insta::assert_snapshot!(site_with("token: { file: fra1.token }", "token: { file: fra1.token, env: FRA1 }"), @r#"
        error[RL0113]: `token` takes only one of `file`, `env`, `secret`
         --> site.yaml:3:81
          |
        2 | name: fra1
        3 | proxmox: { endpoints: ["https://pve1.example:8006"], token: { file: fra1.token, env: FRA1 } }
          |                                                               ----              ^^^ one too many
          |                                                               |
          |                                                               already given by this
        4 | vmids: 2000-2999
          |
          = help: keep the one that is meant

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn no_source_of_the_token() {
    insta::assert_snapshot!(site_with("token: { file: fra1.token }", "token: {}"), @r#"
        error[RL0106]: `token` needs one of `file`, `env`, `secret`
         --> site.yaml:3:54
          |
        2 | name: fra1
        3 | proxmox: { endpoints: ["https://pve1.example:8006"], token: {} }
          |                                                      ^^^^^
        4 | vmids: 2000-2999
          |
          = help: give `token` exactly one of them

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn token_in_the_file() {
    insta::assert_snapshot!(site_with("token: { file: fra1.token }", r#"token: "rl@pve!main=0b5f1c1e-7a53-4f6c-9d63-3c6c3d5c9a11""#), @r#"
        error[RL0114]: the API token must not stand in a stack file
         --> site.yaml:3:61
          |
        2 | name: fra1
        3 | proxmox: { endpoints: ["https://pve1.example:8006"], token: ************************************************** }
          |                                                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        4 | vmids: 2000-2999
          |
          = help: write the token into a file only you can read and name it: `token: { file: site.token }`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn token_as_path() {
    insta::assert_snapshot!(site_with("file: fra1.token", r#"file: "rl@pve!main=0b5f1c1e-7a53-4f6c-9d63-3c6c3d5c9a11""#), @r#"
        error[RL0114]: this looks like a secret, not like a path
         --> site.yaml:3:69
          |
        2 | name: fra1
        3 | proxmox: { endpoints: ["https://pve1.example:8006"], token: { file: "rl@pve!main=************************************" } }
          |                                                                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        4 | vmids: 2000-2999
          |
          = help: write the token into a file only you can read and name it: `token: { file: site.token }`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn addresses_without_subnet() {
    insta::assert_snapshot!(site_with("lan: { bridge: vmbr1 }", "lan: { bridge: vmbr1, gateway: 10.1.0.1, addresses: 10.1.0.5-10.1.0.9 }"), @r#"
        error[RL0113]: `gateway` is given without `subnet`
         --> site.yaml:7:34
          |
        6 |   dmz: { bridge: vmbr0, vlan: 20, subnet: 10.20.0.0/24, gateway: 10.20.0.1, addresses: 10.20.0.50-10.20.0.59 }
        7 |   lan: { bridge: vmbr1, gateway: 10.1.0.1, addresses: 10.1.0.5-10.1.0.9 }
          |                                  ^^^^^^^^
        8 | images: { debian-12: "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst" }
          |
          = help: add the network's range, as in `subnet: 10.20.0.0/24`

        error[RL0113]: `addresses` is given without `subnet`
         --> site.yaml:7:55
          |
        6 |   dmz: { bridge: vmbr0, vlan: 20, subnet: 10.20.0.0/24, gateway: 10.20.0.1, addresses: 10.20.0.50-10.20.0.59 }
        7 |   lan: { bridge: vmbr1, gateway: 10.1.0.1, addresses: 10.1.0.5-10.1.0.9 }
          |                                                       ^^^^^^^^^^^^^^^^^
        8 | images: { debian-12: "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst" }
          |
          = help: add the network's range, as in `subnet: 10.20.0.0/24`

        the stack files have 2 errors; nothing was contacted or changed
    "#);
}

#[test]
fn spread_and_node() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
spread: node
node: pve1
"#), @r#"
        error[RL0113]: `spread: node` cannot be set together with `node`
         --> stack.yaml:7:13
          |
        6 |     image: debian-12
        7 |     spread: node
          |             ^^^^
        8 |     node: pve1
          |           ---- all guests are pinned to this node
          |
          = help: keep the one that is meant

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn mistake_in_the_defaults_is_told_once() {
    insta::assert_snapshot!(stack_shown(r#"kind: stack
name: shop
site: fra1
defaults: { image: debian-12, memory: 1 Gib, colour: red }
containers: { web: {}, db: {}, cache: {} }
"#), @r#"
        error[RL0201]: `1 Gib` is no valid amount of memory
         --> stack.yaml:4:39
          |
        3 | site: fra1
        4 | defaults: { image: debian-12, memory: 1 Gib, colour: red }
          |                                       ^^^^^ its unit is unknown, write MiB, GiB or TiB
        5 | containers: { web: {}, db: {}, cache: {} }
          |
          = help: did you mean `1 GiB`?

        error[RL0104]: a container has no key `colour`
         --> stack.yaml:4:46
          |
        3 | site: fra1
        4 | defaults: { image: debian-12, memory: 1 Gib, colour: red }
          |                                              ^^^^^^ unknown key
        5 | containers: { web: {}, db: {}, cache: {} }
          |
          = help: known keys: `count`, `site`, `image`, `cores`, `memory`, `swap`, `disk`, `storage`, `nics`, `volumes`, `node`, `vmid`, `spread`, `hostname`, `nameservers`, `search_domain`, `tags`, `notes`, `onboot`, `startup`, `unprivileged`, `features`, `protection`, `state`, `pool`, `ssh_keys`, `timezone`, `after`, `firewall`, `secrets`

        the stack files have 2 errors; nothing was contacted or changed
    "#);
}
