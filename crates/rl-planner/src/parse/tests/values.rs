//! Values that break the rule of their kind or their limits.

use super::*;

#[test]
fn name_that_is_no_host_name() {
    insta::assert_snapshot!(stack_shown(r#"kind: stack
name: My_Shop
site: fra1
containers: { Web_1: { image: debian-12 }, -db: { image: debian-12 } }
"#), @r#"
        error[RL0201]: `My_Shop` is no valid stack name
         --> stack.yaml:2:7
          |
        1 | kind: stack
        2 | name: My_Shop
          |       ^^^^^^^ the character `_` is not allowed, only letters, digits and `-`
        3 | site: fra1
          |
          = help: did you mean `my-shop`?

        error[RL0201]: `Web_1` is no valid container name
         --> stack.yaml:4:15
          |
        3 | site: fra1
        4 | containers: { Web_1: { image: debian-12 }, -db: { image: debian-12 } }
          |               ^^^^^ the character `_` is not allowed, only letters, digits and `-`
          |
          = help: did you mean `web-1`?

        error[RL0201]: `-db` is no valid container name
         --> stack.yaml:4:44
          |
        3 | site: fra1
        4 | containers: { Web_1: { image: debian-12 }, -db: { image: debian-12 } }
          |                                            ^^^ it must not begin or end with `-`
          |
          = help: did you mean `db`?

        the stack files have 3 errors; nothing was contacted or changed
    "#);
}

#[test]
fn name_that_is_too_long() {
    insta::assert_snapshot!(stack_shown(r#"kind: stack
name: shop
site: fra1
containers: { wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww: { image: debian-12 } }
"#), @r#"
        error[RL0201]: `wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww…` is no valid container name
         --> stack.yaml:4:15
          |
        3 | site: fra1
        4 | containers: { wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww: { image: debian-12 } }
          |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ it has 56 characters, at most 55 are allowed
          |
          = help: write it like `web-1`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn hostname_with_underscore() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
hostname: web_1.example.org
"#), @r#"
        error[RL0201]: `web_1.example.org` is no valid host name
         --> stack.yaml:7:15
          |
        6 |     image: debian-12
        7 |     hostname: web_1.example.org
          |               ^^^^^^^^^^^^^^^^^ the character `_` is not allowed, only letters, digits and `-`
          |
          = help: did you mean `web-1.example.org`?

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn memory_and_disk_of_zero() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
memory: 0 MiB
disk: 0 GiB
"#), @r#"
        error[RL0202]: `memory: 0 MiB` is out of its limits
         --> stack.yaml:7:13
          |
        6 |     image: debian-12
        7 |     memory: 0 MiB
          |             ^^^^^ allowed: 16 MiB to 16 TiB
        8 |     disk: 0 GiB
          |
          = help: write an amount from 16 MiB to 16 TiB

        error[RL0202]: a disk of 0 MiB is out of the limits
         --> stack.yaml:8:11
          |
        7 |     memory: 0 MiB
        8 |     disk: 0 GiB
          |           ^^^^^ allowed: 32 MiB to 1024 TiB
          |
          = help: write a size from 32 MiB to 1024 TiB

        the stack files have 2 errors; nothing was contacted or changed
    "#);
}

#[test]
fn memory_and_disk_of_absurd_size() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
memory: 900 TiB
disk: 5000 TiB
volumes: { data: { path: /data, size: 9000000 GiB } }
"#), @r#"
        error[RL0202]: `memory: 900 TiB` is out of its limits
         --> stack.yaml:7:13
          |
        6 |     image: debian-12
        7 |     memory: 900 TiB
          |             ^^^^^^^ allowed: 16 MiB to 16 TiB
        8 |     disk: 5000 TiB
          |
          = help: write an amount from 16 MiB to 16 TiB

        error[RL0202]: a disk of 5000 TiB is out of the limits
         --> stack.yaml:8:11
          |
        7 |     memory: 900 TiB
        8 |     disk: 5000 TiB
          |           ^^^^^^^^ allowed: 32 MiB to 1024 TiB
        9 |     volumes: { data: { path: /data, size: 9000000 GiB } }
          |
          = help: write a size from 32 MiB to 1024 TiB

        error[RL0202]: a disk of 9000000 GiB is out of the limits
         --> stack.yaml:9:43
          |
        8 |     disk: 5000 TiB
        9 |     volumes: { data: { path: /data, size: 9000000 GiB } }
          |                                           ^^^^^^^^^^^ allowed: 32 MiB to 1024 TiB
          |
          = help: write a size from 32 MiB to 1024 TiB

        the stack files have 3 errors; nothing was contacted or changed
    "#);
}

#[test]
fn unknown_unit() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
memory: 1 Gigabyte
disk: 8G
"#), @r#"
        error[RL0201]: `1 Gigabyte` is no valid amount of memory
         --> stack.yaml:7:13
          |
        6 |     image: debian-12
        7 |     memory: 1 Gigabyte
          |             ^^^^^^^^^^ its unit is unknown, write MiB, GiB or TiB
        8 |     disk: 8G
          |
          = help: did you mean `1 GiB`?

        error[RL0201]: `8G` is no valid disk size
         --> stack.yaml:8:11
          |
        7 |     memory: 1 Gigabyte
        8 |     disk: 8G
          |           ^^ its unit is unknown, write MiB, GiB or TiB
          |
          = help: did you mean `8 GiB`?

        the stack files have 2 errors; nothing was contacted or changed
    "#);
}

#[test]
fn memory_that_is_no_whole_number_of_mib() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
memory: 1 GB
"#), @r#"
        error[RL0201]: `1 GB` is no valid amount of memory
         --> stack.yaml:7:13
          |
        6 |     image: debian-12
        7 |     memory: 1 GB
          |             ^^^^ it is no whole number of MiB
          |
          = help: did you mean `1 GiB`?

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn cores_out_of_limits() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
cores: 0
"#), @r#"
        error[RL0202]: 0 is out of the limits for a number of cores
         --> stack.yaml:7:12
          |
        6 |     image: debian-12
        7 |     cores: 0
          |            ^ allowed: 1 to 8192
          |
          = help: write a whole number from 1 to 8192

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn count_of_zero_and_too_large() {
    insta::assert_snapshot!(stack_shown(r#"kind: stack
name: shop
site: fra1
containers: { web: { image: debian-12, count: 0 }, db: { image: debian-12, count: 1000000 } }
"#), @r#"
        error[RL0202]: 0 is out of the limits for a count
         --> stack.yaml:4:47
          |
        3 | site: fra1
        4 | containers: { web: { image: debian-12, count: 0 }, db: { image: debian-12, count: 1000000 } }
          |                                               ^ allowed: 1 to 10000
          |
          = help: write a whole number from 1 to 10000

        error[RL0202]: 1000000 is out of the limits for a count
         --> stack.yaml:4:83
          |
        3 | site: fra1
        4 | containers: { web: { image: debian-12, count: 0 }, db: { image: debian-12, count: 1000000 } }
          |                                                                                   ^^^^^^^ allowed: 1 to 10000
          |
          = help: write a whole number from 1 to 10000

        the stack files have 2 errors; nothing was contacted or changed
    "#);
}

#[test]
fn negative_number() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
startup: { order: -1, up_delay: 99999999999 }
"#), @r#"
        error[RL0202]: -1 is out of the limits for a place in the start order
         --> stack.yaml:7:23
          |
        6 |     image: debian-12
        7 |     startup: { order: -1, up_delay: 99999999999 }
          |                       ^^ allowed: 0 to 1000000
          |
          = help: write a whole number from 0 to 1000000

        error[RL0202]: 99999999999 is out of the limits for a delay in seconds
         --> stack.yaml:7:37
          |
        6 |     image: debian-12
        7 |     startup: { order: -1, up_delay: 99999999999 }
          |                                     ^^^^^^^^^^^ allowed: 0 to 86400
          |
          = help: write a whole number from 0 to 86400

        the stack files have 2 errors; nothing was contacted or changed
    "#);
}

#[test]
fn wrong_word() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
state: runing
spread: nodes
"#), @r#"
        error[RL0201]: `runing` is no state
         --> stack.yaml:7:12
          |
        6 |     image: debian-12
        7 |     state: runing
          |            ^^^^^^
        8 |     spread: nodes
          |
          = help: did you mean `running`?

        error[RL0201]: `nodes` is no way to spread guests
         --> stack.yaml:8:13
          |
        7 |     state: runing
        8 |     spread: nodes
          |             ^^^^^
          |
          = help: did you mean `node`?

        the stack files have 2 errors; nothing was contacted or changed
    "#);
}

#[test]
fn wrong_way_to_get_an_address() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
nics: { eth0: { network: dmz, ipv4: dhpc, ipv6: static } }
"#), @r#"
        error[RL0201]: `dhpc` is no way to get an address
         --> stack.yaml:7:41
          |
        6 |     image: debian-12
        7 |     nics: { eth0: { network: dmz, ipv4: dhpc, ipv6: static } }
          |                                         ^^^^
          |
          = help: did you mean `dhcp`?

        error[RL0201]: `static` is no way to get an address
         --> stack.yaml:7:53
          |
        6 |     image: debian-12
        7 |     nics: { eth0: { network: dmz, ipv4: dhpc, ipv6: static } }
          |                                                     ^^^^^^
          |
          = help: write `lease`, `dhcp`, `none`, or an address

        the stack files have 2 errors; nothing was contacted or changed
    "#);
}

#[test]
fn address_with_prefix() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
nics: { eth0: { network: dmz, ipv4: 10.20.0.50/24 } }
"#), @r#"
        error[RL0201]: `10.20.0.50/24` is no valid address
         --> stack.yaml:7:41
          |
        6 |     image: debian-12
        7 |     nics: { eth0: { network: dmz, ipv4: 10.20.0.50/24 } }
          |                                         ^^^^^^^^^^^^^
          |
          = help: write it without the prefix length: `10.20.0.50`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn address_of_the_other_family() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
nics: { eth0: { network: dmz, ipv4: "2001:db8::5" } }
"#), @r#"
        error[RL0201]: 2001:db8::5 is an IPv6 address
         --> stack.yaml:7:41
          |
        6 |     image: debian-12
        7 |     nics: { eth0: { network: dmz, ipv4: "2001:db8::5" } }
          |                                         ^^^^^^^^^^^^^
          |
          = help: put it under the key `ipv6`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn multicast_mac() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
nics: { eth0: { network: dmz, mac: "01:00:5E:00:00:01" } }
"#), @r#"
        error[RL0201]: `01:00:5E:00:00:01` is no valid MAC address
         --> stack.yaml:7:40
          |
        6 |     image: debian-12
        7 |     nics: { eth0: { network: dmz, mac: "01:00:5E:00:00:01" } }
          |                                        ^^^^^^^^^^^^^^^^^^^ it is a multicast address, a NIC needs a unicast one
          |
          = help: write it like `52:54:00:12:34:56`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn nic_named_lo() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
nics: { lo: { network: dmz }, a-very-long-nic-name: { network: dmz } }
"#), @r#"
        error[RL0201]: `lo` is no valid NIC name
         --> stack.yaml:7:13
          |
        6 |     image: debian-12
        7 |     nics: { lo: { network: dmz }, a-very-long-nic-name: { network: dmz } }
          |             ^^ `lo` is the loopback interface
          |
          = help: write it like `eth0`

        error[RL0201]: `a-very-long-nic-name` is no valid NIC name
         --> stack.yaml:7:35
          |
        6 |     image: debian-12
        7 |     nics: { lo: { network: dmz }, a-very-long-nic-name: { network: dmz } }
          |                                   ^^^^^^^^^^^^^^^^^^^^ it must have 1 to 15 characters
          |
          = help: write it like `eth0`

        the stack files have 2 errors; nothing was contacted or changed
    "#);
}

#[test]
fn relative_mount_path() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
volumes:
  data: { path: data, size: 1 GiB }
  logs: { path: /var/../log, size: 1 GiB }
  proc: { path: /proc/x, size: 1 GiB }
"#), @r#"
        error[RL0201]: `data` is no valid path in the guest
         --> stack.yaml:8:21
          |
        7 |     volumes:
        8 |       data: { path: data, size: 1 GiB }
          |                     ^^^^ it must be absolute and not `/` itself
        9 |       logs: { path: /var/../log, size: 1 GiB }
          |
          = help: did you mean `/data`?

        error[RL0201]: `/var/../log` is no valid path in the guest
          --> stack.yaml:9:21
           |
         8 |       data: { path: data, size: 1 GiB }
         9 |       logs: { path: /var/../log, size: 1 GiB }
           |                     ^^^^^^^^^^^ empty parts, `.` and `..` are not allowed
        10 |       proc: { path: /proc/x, size: 1 GiB }
           |
           = help: write it like `/var/lib/data`

        error[RL0201]: a volume cannot be mounted at `/proc/x`
          --> stack.yaml:10:21
           |
         9 |       logs: { path: /var/../log, size: 1 GiB }
        10 |       proc: { path: /proc/x, size: 1 GiB }
           |                     ^^^^^^^ `/proc` belongs to the system
           |
           = help: choose another folder

        the stack files have 3 errors; nothing was contacted or changed
    "#);
}

#[test]
fn tag_with_capitals_and_tag_of_stamps() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
tags: [Web, rl-abc, "a b"]
"#), @r#"
        error[RL0201]: `Web` is no valid tag
         --> stack.yaml:7:12
          |
        6 |     image: debian-12
        7 |     tags: [Web, rl-abc, "a b"]
          |            ^^^ it must begin with a lower-case letter, a digit or `_`
          |
          = help: did you mean `web`?

        error[RL0201]: the tag `rl-abc` begins with `rl-`
         --> stack.yaml:7:17
          |
        6 |     image: debian-12
        7 |     tags: [Web, rl-abc, "a b"]
          |                 ^^^^^^ kept for stamps
          |
          = help: such tags mark the guests of RapidLaunch; choose another word

        error[RL0201]: `a b` is no valid tag
         --> stack.yaml:7:25
          |
        6 |     image: debian-12
        7 |     tags: [Web, rl-abc, "a b"]
          |                         ^^^^^ the character ` ` is not allowed, only a-z, 0-9, `_`, `-`, `+` and `.`
          |
          = help: did you mean `a-b`?

        the stack files have 3 errors; nothing was contacted or changed
    "#);
}

#[test]
fn ssh_keys() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
ssh_keys:
  - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me@home
  - AAAAB3NzaC1yc2EAAAADAQABAAABAQ
  - |
    -----BEGIN OPENSSH PRIVATE KEY-----
    b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ
    -----END OPENSSH PRIVATE KEY-----
"#), @r#"
        error[RL0201]: `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me@…` is no public SSH key
         --> stack.yaml:8:9
          |
        7 |     ssh_keys:
        8 |       - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me@home
          |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ its key part is not complete, it may be cut off
        9 |       - AAAAB3NzaC1yc2EAAAADAQABAAABAQ
          |
          = help: copy the whole line of the `.pub` file

        error[RL0201]: `AAAAB3NzaC1yc2EAAAADAQABAAABAQ` is no public SSH key
          --> stack.yaml:9:9
           |
         8 |       - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me@home
         9 |       - AAAAB3NzaC1yc2EAAAADAQABAAABAQ
           |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ it does not begin with a kind such as `ssh-ed25519`
        10 |       - |
           |
           = help: copy the whole line of the `.pub` file

        error[RL0114]: this is a private key, which must not stand in a stack file
          --> stack.yaml:11:9
           |
        10 |       - |
        11 |         -----BEGIN OPENSSH PRIVATE KEY-----
           |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        12 | **************************************************
           |
           = help: name the public key, the line in the file that ends in `.pub`, and make a new pair if this one was shared

        the stack files have 3 errors; nothing was contacted or changed
    "#);
}

#[test]
fn time_zone() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
timezone: "Europe / Berlin"
"#), @r#"
        error[RL0201]: `Europe / Berlin` is no name of a time zone
         --> stack.yaml:7:15
          |
        6 |     image: debian-12
        7 |     timezone: "Europe / Berlin"
          |               ^^^^^^^^^^^^^^^^^
          |
          = help: write a name such as `Europe/Berlin`, or `host`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn image_that_is_no_template() {
    insta::assert_snapshot!(container_shown(r#"image: "local:iso/debian-12.iso"
"#), @r#"
        error[RL0201]: `local:iso/debian-12.iso` is no container template
         --> stack.yaml:6:12
          |
        5 |   web:
        6 |     image: "local:iso/debian-12.iso"
          |            ^^^^^^^^^^^^^^^^^^^^^^^^^ its name does not begin with `vztmpl/`
          |
          = help: name a template as `pveam list STORAGE` shows it: `local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn endpoints() {
    insta::assert_snapshot!(site_with(r#"["https://pve1.example:8006"]"#, r#"["pve1.example:8006", "http://pve2", "https://pve3:8006/api2", "https://pve4:99999"]"#), @r#"
        error[RL0201]: `pve1.example:8006` is no valid endpoint
         --> site.yaml:3:24
          |
        2 | name: fra1
        3 | proxmox: { endpoints: ["pve1.example:8006", "http://pve2", "https://pve3:8006/api2", "https://pve4:99999"], token: { file: fra1.token...
          |                        ^^^^^^^^^^^^^^^^^^^ it must begin with https://
        4 | vmids: 2000-2999
          |
          = help: did you mean `https://pve1.example:8006`?

        error[RL0201]: `http://pve2` is no valid endpoint
         --> site.yaml:3:45
          |
        2 | name: fra1
        3 | proxmox: { endpoints: ["pve1.example:8006", "http://pve2", "https://pve3:8006/api2", "https://pve4:99999"], token: { file: fra1.token...
          |                                             ^^^^^^^^^^^^^ it must begin with https://
        4 | vmids: 2000-2999
          |
          = help: did you mean `https://pve2`?

        error[RL0201]: `https://pve3:8006/api2` is no valid endpoint
         --> site.yaml:3:60
          |
        2 | ...
        3 | ...e:8006", "http://pve2", "https://pve3:8006/api2", "https://pve4:99999"], token: { file: fra1.token } }
          |                            ^^^^^^^^^^^^^^^^^^^^^^^^ write only https://host:port, without path, query or user
        4 | ...
          |
          = help: write it like `https://pve1.example:8006`

        error[RL0201]: `https://pve4:99999` is no valid endpoint
         --> site.yaml:3:86
          |
        2 | ...
        3 | ...://pve2", "https://pve3:8006/api2", "https://pve4:99999"], token: { file: fra1.token } }
          |                                        ^^^^^^^^^^^^^^^^^^^^ its port is no number from 1 to 65535
        4 | ...
          |
          = help: write it like `https://pve1.example:8006`

        the stack files have 4 errors; nothing was contacted or changed
    "#);
}

#[test]
fn endpoint_given_twice_and_none() {
    insta::assert_snapshot!(site_with(r#"["https://pve1.example:8006"]"#, r#"["https://pve1.example:8006", "https://pve1.example"]"#), @r#"
        error[RL0227]: the endpoint https://pve1.example:8006 is given twice
         --> site.yaml:3:53
          |
        2 | name: fra1
        3 | proxmox: { endpoints: ["https://pve1.example:8006", "https://pve1.example"], token: { file: fra1.token } }
          |                        ---------------------------  ^^^^^^^^^^^^^^^^^^^^^^
          |                        |
          |                        first time
        4 | vmids: 2000-2999
          |
          = help: name each node's address once

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn no_endpoints() {
    insta::assert_snapshot!(site_with(r#"["https://pve1.example:8006"]"#, "[]"), @r#"
        error[RL0106]: `endpoints` is empty
         --> site.yaml:3:23
          |
        2 | name: fra1
        3 | proxmox: { endpoints: [], token: { file: fra1.token } }
          |                       ^^
        4 | vmids: 2000-2999
          |
          = help: name at least one API address, as in `["https://pve1.example:8006"]`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn fingerprint() {
    insta::assert_snapshot!(site_with("token: { file: fra1.token }", r#"token: { file: fra1.token }, tls: { fingerprint: "DA:39:A3:EE:5E:6B:4B:0D:32:55:BF:EF:95:60:18:90:AF:D8:07:09" }"#), @r#"
        error[RL0201]: `DA:39:A3:EE:5E:6B:4B:0D:32:55:BF:EF:95:6…` is no SHA-256 fingerprint
         --> site.yaml:3:103
          |
        2 | ...
        3 | ...{ fingerprint: "DA:39:A3:EE:5E:6B:4B:0D:32:55:BF:EF:95:60:18:90:AF:D8:07:09" } }
          |                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ 20 bytes: this is a SHA-1 fingerprint
        4 | ...
          |
          = help: the node shows it under System, Certificates, or by: openssl x509 -in /etc/pve/local/pve-ssl.pem -noout -fingerprint -sha256

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn environment_variable() {
    insta::assert_snapshot!(site_with("file: fra1.token", "env: $FRA1_TOKEN"), @r#"
        error[RL0201]: this is no name of an environment variable
         --> site.yaml:3:68
          |
        2 | name: fra1
        3 | proxmox: { endpoints: ["https://pve1.example:8006"], token: { env: $FRA1_TOKEN } }
          |                                                                    ^^^^^^^^^^^
        4 | vmids: 2000-2999
          |
          = help: write only its name, as in `PVE_TOKEN_FRA1`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn vmid_range() {
    insta::assert_snapshot!(site_with("2000-2999", "2999-2000"), @r#"
        error[RL0201]: `2999-2000` is no valid VMID range
         --> site.yaml:4:8
          |
        3 | proxmox: { endpoints: ["https://pve1.example:8006"], token: { file: fra1.token } }
        4 | vmids: 2999-2000
          |        ^^^^^^^^^ its first number is greater than its last
        5 | networks:
          |
          = help: write it like `2000-2999`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn vmid_range_below_100() {
    insta::assert_snapshot!(site_with("2000-2999", "1-50"), @r#"
        error[RL0201]: `1-50` is no valid VMID range
         --> site.yaml:4:8
          |
        3 | proxmox: { endpoints: ["https://pve1.example:8006"], token: { file: fra1.token } }
        4 | vmids: 1-50
          |        ^^^^ it must lie between 100 and 999999999
        5 | networks:
          |
          = help: write it like `2000-2999`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn vlan_and_mtu() {
    insta::assert_snapshot!(site_with("vlan: 20", "vlan: 5000, mtu: 64"), @r#"
        error[RL0202]: 5000 is out of the limits for a VLAN tag
         --> site.yaml:6:31
          |
        5 | networks:
        6 |   dmz: { bridge: vmbr0, vlan: 5000, mtu: 64, subnet: 10.20.0.0/24, gateway: 10.20.0.1, addresses: 10.20.0.50-10.20.0.59 }
          |                               ^^^^ allowed: 1 to 4094
        7 |   lan: { bridge: vmbr1 }
          |
          = help: write a whole number from 1 to 4094

        error[RL0202]: 64 is out of the limits for an MTU in bytes
         --> site.yaml:6:42
          |
        5 | networks:
        6 |   dmz: { bridge: vmbr0, vlan: 5000, mtu: 64, subnet: 10.20.0.0/24, gateway: 10.20.0.1, addresses: 10.20.0.50-10.20.0.59 }
          |                                          ^^ allowed: 576 to 65535
        7 |   lan: { bridge: vmbr1 }
          |
          = help: write a whole number from 576 to 65535

        the stack files have 2 errors; nothing was contacted or changed
    "#);
}

#[test]
fn limits_of_zero() {
    insta::assert_snapshot!(site_with(r#"storage: local-zfs
"#, r#"limits: { creates_per_node: 0 }
storage: local-zfs
"#), @r#"
        error[RL0202]: 0 is out of the limits for creates at once on a node
          --> site.yaml:9:29
           |
         8 | images: { debian-12: "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst" }
         9 | limits: { creates_per_node: 0 }
           |                             ^ allowed: 1 to 64
        10 | storage: local-zfs
           |
           = help: write a whole number from 1 to 64

        the stack files have 1 error; nothing was contacted or changed
    "#);
}
