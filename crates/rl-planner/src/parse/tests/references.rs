//! References that lead nowhere.

use super::*;

#[test]
fn unknown_site() {
    insta::assert_snapshot!(stack_shown(r#"kind: stack
name: shop
site: fra2
containers: { web: { image: debian-12 } }
"#), @r#"
        error[RL0204]: there is no site `fra2`
         --> stack.yaml:3:7
          |
        2 | name: shop
        3 | site: fra2
          |       ^^^^
        4 | containers: { web: { image: debian-12 } }
          |
          = help: did you mean `fra1`?

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn no_site_given_at_all() {
    insta::assert_snapshot!(shown(r#"kind: stack
name: shop
site: fra1
containers: { web: { image: debian-12 } }
"#), @r#"
        error[RL0204]: there is no site `fra1`
         --> site.yaml:3:7
          |
        2 | name: shop
        3 | site: fra1
          |       ^^^^
        4 | containers: { web: { image: debian-12 } }
          |
          = help: give the file that declares the site too, with another `-f`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn unknown_network() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
nics: { eth0: { network: dnz } }
"#), @r#"
        error[RL0205]: the site `fra1` has no network `dnz`
         --> stack.yaml:7:30
          |
        6 |     image: debian-12
        7 |     nics: { eth0: { network: dnz } }
          |                              ^^^
          |
         ::: site.yaml:5:1
          |
        4 | vmids: 2000-2999
        5 | networks:
          | -------- the site's networks
        6 |   dmz: { bridge: vmbr0, vlan: 20, subnet: 10.20.0.0/24, gateway: 10.20.0.1, addresses: 10.20.0.50-10.20.0.59 }
          |
          = help: did you mean `dmz`?

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn unknown_image() {
    insta::assert_snapshot!(container_shown(r#"image: debian-13
"#), @r#"
        error[RL0206]: the site `fra1` has no image `debian-13`
         --> stack.yaml:6:12
          |
        5 |   web:
        6 |     image: debian-13
          |            ^^^^^^^^^
          |
         ::: site.yaml:8:1
          |
        7 |   lan: { bridge: vmbr1 }
        8 | images: { debian-12: "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst" }
          | ------ the site's images
        9 | storage: local-zfs
          |
          = help: did you mean `debian-12`?

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn unknown_image_far_from_any() {
    insta::assert_snapshot!(container_shown(r#"image: alpine
"#), @r#"
        error[RL0206]: the site `fra1` has no image `alpine`
         --> stack.yaml:6:12
          |
        5 |   web:
        6 |     image: alpine
          |            ^^^^^^
          |
         ::: site.yaml:8:1
          |
        7 |   lan: { bridge: vmbr1 }
        8 | images: { debian-12: "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst" }
          | ------ the site's images
        9 | storage: local-zfs
          |
          = help: known images: `debian-12`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn unknown_storage() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
storage: local-zf
volumes: { data: { path: /data, size: 1 GiB, storage: nfs-1 } }
"#), @r#"
        error[RL0207]: the site `fra1` has no storage `local-zf`
          --> stack.yaml:7:14
           |
         6 |     image: debian-12
         7 |     storage: local-zf
           |              ^^^^^^^^
         8 |     volumes: { data: { path: /data, size: 1 GiB, storage: nfs-1 } }
           |
          ::: site.yaml:10:11
           |
         9 | storage: local-zfs
        10 | storages: [local-zfs, ceph]
           |           ----------------- the site's storages
        11 | nodes: [pve1, pve2]
           |
           = help: did you mean `local-zfs`?

        error[RL0207]: the site `fra1` has no storage `nfs-1`
          --> stack.yaml:8:59
           |
         7 |     storage: local-zf
         8 |     volumes: { data: { path: /data, size: 1 GiB, storage: nfs-1 } }
           |                                                           ^^^^^
           |
          ::: site.yaml:10:11
           |
         9 | storage: local-zfs
        10 | storages: [local-zfs, ceph]
           |           ----------------- the site's storages
        11 | nodes: [pve1, pve2]
           |
           = help: known storages: `local-zfs`, `ceph`

        the stack files have 2 errors; nothing was contacted or changed
    "#);
}

#[test]
fn default_storage_not_listed() {
    insta::assert_snapshot!(site_with("storages: [local-zfs, ceph]", "storages: [ceph]"), @r#"
        error[RL0207]: the storage `local-zfs` is not among `storages`
          --> site.yaml:9:10
           |
         8 | images: { debian-12: "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst" }
         9 | storage: local-zfs
           |          ^^^^^^^^^
        10 | storages: [ceph]
           |           ------ the storages containers may use
        11 | nodes: [pve1, pve2]
           |
           = help: known storages: `ceph`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn no_storage() {
    insta::assert_snapshot!(together(&[("site.yaml", &SITE.replace("storage: local-zfs\n", "")), ("stack.yaml", &stack_of("image: debian-12"))]), @r#"
        error[RL0226]: the container names no storage, and the site `fra1` has no default
         --> stack.yaml:5:3
          |
        4 | containers:
        5 |   web:
          |   ^^^
        6 |     image: debian-12
          |
         ::: site.yaml:2:7
          |
        1 | kind: site
        2 | name: fra1
          |       ---- the site
        3 | proxmox: { endpoints: ["https://pve1.example:8006"], token: { file: fra1.token } }
          |
          = help: give the container `storage: NAME`, or the site a default

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn unknown_node() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
node: pve3
"#), @r#"
        error[RL0210]: the site `fra1` does not use the node `pve3`
          --> stack.yaml:7:11
           |
         6 |     image: debian-12
         7 |     node: pve3
           |           ^^^^
           |
          ::: site.yaml:11:8
           |
        10 | storages: [local-zfs, ceph]
        11 | nodes: [pve1, pve2]
           |        ------------ the site's nodes
           |
           = help: did you mean `pve1`?

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn unknown_container_in_after() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
after: [wbe, db]
"#), @r#"
        error[RL0209]: the stack has no container `wbe`
         --> stack.yaml:7:13
          |
        6 |     image: debian-12
        7 |     after: [wbe, db]
          |             ^^^
          |
          = help: did you mean `web`?

        error[RL0209]: the stack has no container `db`
         --> stack.yaml:7:18
          |
        6 |     image: debian-12
        7 |     after: [wbe, db]
          |                  ^^
          |
          = help: known containers: `web`

        the stack files have 2 errors; nothing was contacted or changed
    "#);
}

#[test]
fn a_broken_site_hides_nothing_in_its_stack() {
    insta::assert_snapshot!(together(&[("site.yaml", &SITE.replace("token: { file: fra1.token }", "tken: x").replace("vmbr1", "9bad")), ("stack.yaml", &stack_of("image: debian-13\nnics: { eth0: { network: lan }, eth1: { network: wan } }"))]), @r#"
        error[RL0106]: `proxmox` needs the key `token`
         --> site.yaml:3:1
          |
        2 | name: fra1
        3 | proxmox: { endpoints: ["https://pve1.example:8006"], tken: x }
          | ^^^^^^^ the key is missing here
        4 | vmids: 2000-2999
          |
          = help: add it, as in `token: { file: site.token }`

        error[RL0104]: `proxmox` has no key `tken`
         --> site.yaml:3:54
          |
        2 | name: fra1
        3 | proxmox: { endpoints: ["https://pve1.example:8006"], tken: x }
          |                                                      ^^^^ unknown key
        4 | vmids: 2000-2999
          |
          = help: did you mean `token`?

        error[RL0201]: `9bad` is no valid bridge name
         --> site.yaml:7:18
          |
        6 |   dmz: { bridge: vmbr0, vlan: 20, subnet: 10.20.0.0/24, gateway: 10.20.0.1, addresses: 10.20.0.50-10.20.0.59 }
        7 |   lan: { bridge: 9bad }
          |                  ^^^^ it must begin with a letter
        8 | images: { debian-12: "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst" }
          |
          = help: write it like `vmbr0`

        error[RL0206]: the site `fra1` has no image `debian-13`
         --> stack.yaml:6:12
          |
        5 |   web:
        6 |     image: debian-13
          |            ^^^^^^^^^
        7 |     nics: { eth0: { network: lan }, eth1: { network: wan } }
          |
         ::: site.yaml:8:1
          |
        7 |   lan: { bridge: 9bad }
        8 | images: { debian-12: "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst" }
          | ------ the site's images
        9 | storage: local-zfs
          |
          = help: did you mean `debian-12`?

        error[RL0205]: the site `fra1` has no network `wan`
         --> stack.yaml:7:54
          |
        6 |     image: debian-13
        7 |     nics: { eth0: { network: lan }, eth1: { network: wan } }
          |                                                      ^^^
          |
         ::: site.yaml:5:1
          |
        4 | vmids: 2000-2999
        5 | networks:
          | -------- the site's networks
        6 |   dmz: { bridge: vmbr0, vlan: 20, subnet: 10.20.0.0/24, gateway: 10.20.0.1, addresses: 10.20.0.50-10.20.0.59 }
          |
          = help: known networks: `dmz`

        the stack files have 5 errors; nothing was contacted or changed
    "#);
}

#[test]
fn two_sites_of_one_name() {
    insta::assert_snapshot!(together(&[("one.yaml", SITE), ("two.yaml", SITE)]), @r#"
        error[RL0203]: there are two sites named `fra1`
         --> two.yaml:2:7
          |
        1 | kind: site
        2 | name: fra1
          |       ^^^^ second site
        3 | proxmox: { endpoints: ["https://pve1.example:8006"], token: { file: fra1.token } }
          |
         ::: one.yaml:2:7
          |
        1 | kind: site
        2 | name: fra1
          |       ---- first site
        3 | proxmox: { endpoints: ["https://pve1.example:8006"], token: { file: fra1.token } }
          |
          = help: give one of them another name, or remove it; a file given twice counts twice

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn two_stacks_of_one_name() {
    insta::assert_snapshot!(together(&[("site.yaml", SITE), ("one.yaml", &stack_of("image: debian-12")), ("two.yaml", &stack_of("image: debian-12"))]), @r#"
        error[RL0203]: there are two stacks named `shop`
         --> two.yaml:2:7
          |
        1 | kind: stack
        2 | name: shop
          |       ^^^^ second stack
        3 | site: fra1
          |
         ::: one.yaml:2:7
          |
        1 | kind: stack
        2 | name: shop
          |       ---- first stack
        3 | site: fra1
          |
          = help: give one of them another name, or remove it; a file given twice counts twice

        the stack files have 1 error; nothing was contacted or changed
    "#);
}
