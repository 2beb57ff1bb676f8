//! Files that are right, and what becomes of them.

use super::*;

/// The example files of the project.
fn example(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    std::fs::read_to_string(&path).unwrap()
}

#[test]
fn the_examples_are_right() {
    for name in ["first.yaml", "shop.yaml", "two-sites.yaml", "three-tiers.yaml"] {
        assert_eq!(together(&[(name, &example(name))]), "nothing is wrong", "{name}");
    }
}

/// A value of the model as JSON, one key a line.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

fn manifest(text: &str) -> Manifest {
    parse(text, "stacks/file.yaml")
        .unwrap_or_else(|e| panic!("{}", e.render(&[Source { name: "stacks/file.yaml", text }], false)))
}

fn container(text: &str, name: &str) -> rl_model::manifest::Container {
    let manifest = manifest(&format!("{SITE}---\n{text}"));
    manifest.stacks.values().next().unwrap().containers[&name.parse().unwrap()].clone()
}

#[test]
fn what_is_left_out_has_its_default() {
    let made =
        container(&stack_of("image: debian-12\nnics: { eth0: { network: dmz }, eth1: { network: lan } }"), "web");
    insta::assert_snapshot!(json(&made), @r#"
        {
          "name": "web",
          "count": null,
          "site": "fra1",
          "image": "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst",
          "storage": "local-zfs",
          "cores": 1,
          "memory": "512 MiB",
          "swap": "512 MiB",
          "disk": "4 GiB",
          "volumes": [],
          "nics": [
            {
              "name": "eth0",
              "network": "dmz",
              "ipv4": "lease",
              "ipv6": "none",
              "mac": null,
              "rate_mbps": null,
              "firewall": false
            },
            {
              "name": "eth1",
              "network": "lan",
              "ipv4": "dhcp",
              "ipv6": "none",
              "mac": null,
              "rate_mbps": null,
              "firewall": false
            }
          ],
          "node": null,
          "vmids": [],
          "spread": "none",
          "hostname": null,
          "nameservers": [],
          "search_domain": null,
          "tags": [],
          "notes": "",
          "onboot": true,
          "startup": null,
          "unprivileged": true,
          "features": {
            "nesting": true,
            "keyctl": false,
            "fuse": false
          },
          "protection": false,
          "running": true,
          "pool": null,
          "ssh_keys": [],
          "timezone": null,
          "after": [],
          "firewall": null,
          "secrets": []
        }
    "#);
}

#[test]
fn every_key_of_a_container() {
    let text = stack_of(
        r#"
count: 2
site: fra1
image: "local:vztmpl/alpine-3.20-default_20240908_amd64.tar.xz"
cores: 4
memory: 1.5 GiB
swap: 0 MiB
disk: 8GiB
storage: ceph
nics:
  eth0: { network: dmz, ipv4: [10.20.0.5, 10.20.0.6], ipv6: auto, rate: 100, firewall: true }
  eth1: { network: lan, ipv4: none, ipv6: dhcp }
volumes:
  data: { path: /var/lib/data, size: 20 GiB, storage: local-zfs, backup: false, read_only: true }
vmid: [2000, 2001]
spread: node
nameservers: [10.20.0.2, "2001:db8::53"]
search_domain: shop.example.org
tags: [shop, web]
notes: Serves the shop.
onboot: false
startup: { order: 3, up_delay: 10, down_delay: 60 }
unprivileged: false
features: { nesting: false, keyctl: true, fuse: true }
protection: true
state: stopped
pool: shop/web
ssh_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@home"]
timezone: Europe/Berlin
after: []
"#,
    );
    insta::assert_snapshot!(json(&container(&text, "web")), @r#"
        {
          "name": "web",
          "count": 2,
          "site": "fra1",
          "image": "local:vztmpl/alpine-3.20-default_20240908_amd64.tar.xz",
          "storage": "ceph",
          "cores": 4,
          "memory": "1536 MiB",
          "swap": "0 MiB",
          "disk": "8 GiB",
          "volumes": [
            {
              "name": "data",
              "path": "/var/lib/data",
              "size": "20 GiB",
              "storage": "local-zfs",
              "backup": false,
              "read_only": true
            }
          ],
          "nics": [
            {
              "name": "eth0",
              "network": "dmz",
              "ipv4": {
                "pinned": [
                  "10.20.0.5",
                  "10.20.0.6"
                ]
              },
              "ipv6": "auto",
              "mac": null,
              "rate_mbps": 100,
              "firewall": true
            },
            {
              "name": "eth1",
              "network": "lan",
              "ipv4": "none",
              "ipv6": "dhcp",
              "mac": null,
              "rate_mbps": null,
              "firewall": false
            }
          ],
          "node": null,
          "vmids": [
            2000,
            2001
          ],
          "spread": "node",
          "hostname": null,
          "nameservers": [
            "10.20.0.2",
            "2001:db8::53"
          ],
          "search_domain": "shop.example.org",
          "tags": [
            "shop",
            "web"
          ],
          "notes": "Serves the shop.",
          "onboot": false,
          "startup": {
            "order": 3,
            "up_delay_s": 10,
            "down_delay_s": 60
          },
          "unprivileged": false,
          "features": {
            "nesting": false,
            "keyctl": true,
            "fuse": true
          },
          "protection": true,
          "running": false,
          "pool": "shop/web",
          "ssh_keys": [
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@home"
          ],
          "timezone": "Europe/Berlin",
          "after": [],
          "firewall": null,
          "secrets": []
        }
    "#);
}

#[test]
fn every_key_of_a_site() {
    let text = r#"
kind: site
name: fra1
datacenter: Frankfurt am Main
proxmox:
  endpoints: ["https://pve1.example", "https://[2001:db8::1]:443"]
  token: { file: ../tokens/fra1.token }
  tls: { fingerprint: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
vmids: 2000 - 2999
networks:
  dmz:
    bridge: vmbr0
    vlan: 20
    mtu: 1400
    subnet: 10.20.0.0/24
    gateway: 10.20.0.1
    addresses: [10.20.0.50-10.20.0.99, 10.20.0.200]
    nameservers: [10.20.0.2]
    search_domain: dmz.example.org
images: { debian-12: "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst" }
storage: local-zfs
storages: [local-zfs, ceph]
nodes: [pve1, pve2]
pool: shop
limits: { creates_per_node: 1, starts_per_node: 2, requests_per_node: 8 }
"#;
    insta::assert_snapshot!(json(manifest(text).sites.values().next().unwrap()), @r#"
        {
          "name": "fra1",
          "datacenter": "Frankfurt am Main",
          "endpoints": [
            "https://pve1.example:8006",
            "https://[2001:db8::1]:443"
          ],
          "token": {
            "file": "stacks/../tokens/fra1.token"
          },
          "tls": {
            "fingerprints": [
              "E3:B0:C4:42:98:FC:1C:14:9A:FB:F4:C8:99:6F:B9:24:27:AE:41:E4:64:9B:93:4C:A4:95:99:1B:78:52:B8:55"
            ]
          },
          "vmids": "2000-2999",
          "networks": {
            "dmz": {
              "name": "dmz",
              "bridge": "vmbr0",
              "vlan": 20,
              "mtu": 1400,
              "subnet": "10.20.0.0/24",
              "gateway": "10.20.0.1",
              "addresses": [
                "10.20.0.50-10.20.0.99",
                "10.20.0.200"
              ],
              "nameservers": [
                "10.20.0.2"
              ],
              "search_domain": "dmz.example.org"
            }
          },
          "images": {
            "debian-12": "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"
          },
          "storage": "local-zfs",
          "storages": [
            "local-zfs",
            "ceph"
          ],
          "nodes": [
            "pve1",
            "pve2"
          ],
          "pool": "shop",
          "limits": {
            "creates_per_node": 1,
            "starts_per_node": 2,
            "requests_per_node": 8
          }
        }
    "#);
}

#[test]
fn defaults_are_laid_under_each_container() {
    let text = "kind: stack\nname: shop\nsite: fra1\n\
        defaults:\n  image: debian-12\n  cores: 2\n  tags: [shop]\n  nics: { eth0: { network: dmz, rate: 10 } }\n\
        containers:\n  web: {}\n  db:\n    cores: 4\n    tags: []\n    nics: { eth1: { network: lan }, eth0: { ipv4: 10.20.0.5 } }\n";
    let (web, db) = (container(text, "web"), container(text, "db"));
    assert_eq!((web.cores, web.tags.len(), web.nics.len()), (2, 1, 1));
    assert_eq!((db.cores, db.tags.len()), (4, 0));
    let nics: Vec<String> =
        db.nics.iter().map(|nic| format!("{} {} {:?} {:?}", nic.name, nic.network, nic.ipv4, nic.rate_mbps)).collect();
    assert_eq!(nics, ["eth0 dmz Pinned([10.20.0.5]) Some(10)", "eth1 lan Dhcp None"]);
}

#[test]
fn an_ipv6_network_leases_ipv6() {
    let site = SITE.replace(
        "lan: { bridge: vmbr1 }",
        "lan: { bridge: vmbr1, subnet: \"2001:db8::/64\", addresses: \"2001:db8::50-2001:db8::59\" }",
    );
    let made = manifest(&format!("{site}---\n{}", stack_of("image: debian-12\nnics: { eth0: { network: lan } }")));
    let nic = &made.stacks.values().next().unwrap().containers.values().next().unwrap().nics[0];
    assert_eq!((&nic.ipv4, &nic.ipv6), (&rl_model::manifest::NicAddress::None, &rl_model::manifest::NicAddress::Lease));
}

#[test]
fn anchors_and_aliases_may_be_used() {
    let text =
        "kind: stack\nname: shop\nsite: fra1\ncontainers:\n  web: &web { image: debian-12, cores: 3 }\n  db: *web\n";
    assert_eq!(container(text, "db").cores, 3);
}

#[test]
fn paths_start_from_the_folder_of_their_file() {
    let made = parse(SITE, "conf/fra1.yaml").unwrap();
    let site = made.sites.values().next().unwrap();
    assert_eq!(site.token, rl_model::TokenSource::File("conf/fra1.token".into()));
    let made = parse(&SITE.replace("fra1.token", "/etc/fra1.token"), "conf/fra1.yaml").unwrap();
    assert_eq!(made.sites.values().next().unwrap().token, rl_model::TokenSource::File("/etc/fra1.token".into()));
}

#[test]
fn a_stack_alone_may_name_a_known_site() {
    let known = Known {
        sites: parse(
            &format!(
                "{SITE}---\n{}",
                SITE.replace("fra1", "ams1").replace("pve1.", "pve9.").replace("10.20.", "10.40.")
            ),
            "x",
        )
        .unwrap()
        .sites,
    };
    let text = stack_of("image: debian-12");
    let source = [Source { name: "stack.yaml", text: &text }];
    let (made, warnings) = parse_all(&source, &known).unwrap();
    assert_eq!((made.sites.len(), made.stacks.len(), warnings.len()), (1, 1, 0));
    let wrong = text.replace("site: fra1", "site: ams2");
    let shown = parse_all(&[Source { name: "stack.yaml", text: &wrong }], &known).unwrap_err();
    insta::assert_snapshot!(shown.render(&[Source { name: "stack.yaml", text: &wrong }], false), @r#"
        error[RL0204]: there is no site `ams2`
         --> stack.yaml:3:7
          |
        2 | name: shop
        3 | site: ams2
          |       ^^^^
        4 | containers:
          |
          = help: did you mean `ams1`?

        the stack files have 1 error; nothing was contacted or changed
    "#);
    // A file's own site goes before the known one.
    let both = [source[0], Source { name: "site.yaml", text: &SITE.replace("2000-2999", "5000-5999") }];
    let (made, _) = parse_all(&both, &known).unwrap();
    assert_eq!(made.sites.values().next().unwrap().vmids.to_string(), "5000-5999");
}

#[test]
fn origins_lead_to_what_was_written() {
    let text = format!(
        "{SITE}---\n{}",
        stack_of(
            "image: debian-12\ncount: 2\nvmid: [2000, 2001]\nnics:\n  eth0: { network: dmz, ipv4: [10.20.0.5, 10.20.0.6] }"
        )
    );
    let made = manifest(&text);
    let written = |path: &str| &text[made.origins.find(path).unwrap().span.clone()];
    assert_eq!(written("stacks.shop.containers.web.image"), "debian-12");
    assert_eq!(written("stacks.shop.containers.web.vmid.1"), "2001");
    assert_eq!(written("stacks.shop.containers.web.nics.eth0.network"), "dmz");
    assert_eq!(written("stacks.shop.containers.web.cores"), "web", "the nearest parent");
    assert_eq!(written("sites.fra1.networks.dmz.addresses"), "10.20.0.50-10.20.0.59");
    assert_eq!(written("sites.fra1.vmids"), "2000-2999");
    assert_eq!(written("sites.fra1.nothing"), "fra1");
    assert!(made.origins.find("sites.ams1").is_none());
}

#[test]
fn firewall_secrets_and_records_are_kept_and_listed() {
    let text = r#"kind: stack
name: shop
site: fra1
containers:
  web:
    image: debian-12
    nics: { eth0: { network: dmz } }
    firewall:
      rules:
        - { allow: https, on: eth0, from: anywhere }
        - { allow: [tcp/5432, udp/8000-8100, dns], from: [web, 10.20.0.0/24, dmz, 10.1.2.3] }
        - { reject: any, to: "2001:db8::/32" }
    secrets:
      - { from: shop/db-password, to: /run/secrets/db-password, mode: "0440", owner: "root:www-data" }
      - { from: shop/key, to: /run/secrets/key }
dns:
  - { zone: example.org, name: www.shop, type: A, to: web.eth0, ttl: 60 }
  - { zone: example.org, name: "@", type: A, to: web.eth0 }
"#;
    let made = manifest(&format!("{SITE}---\n{text}"));
    let stack = made.stacks.values().next().unwrap();
    let web = stack.containers.values().next().unwrap();
    assert!(web.nics[0].firewall, "a container with a firewall filters its NICs");
    let sections: Vec<String> =
        stack.sections.iter().map(|s| format!("{} of {:?} at {}", s.kind, s.container, s.location)).collect();
    insta::assert_snapshot!(sections.join("\n"), @r#"
        firewall of Some(ContainerName(web)) at stacks/file.yaml:20:5
        secrets of Some(ContainerName(web)) at stacks/file.yaml:25:5
        dns of None at stacks/file.yaml:28:1
    "#);
    let parts = serde_json::json!({ "firewall": web.firewall, "secrets": web.secrets, "dns": stack.dns });
    insta::assert_snapshot!(serde_json::to_string(&parts).unwrap().replace("},{", "},\n{"), @r#"
        {"firewall":{"inbound":"drop","outbound":"allow","rules":[{"verdict":"allow","traffic":[{"tcp":[{"first":443,"last":443}]}],"on":"eth0","direction":"in","peers":[]},
        {"verdict":"allow","traffic":[{"tcp":[{"first":5432,"last":5432}]},
        {"udp":[{"first":8000,"last":8100}]},
        {"tcp":[{"first":53,"last":53}]},
        {"udp":[{"first":53,"last":53}]}],"on":null,"direction":"in","peers":[{"container":"web"},
        {"cidr":"10.20.0.0/24"},
        {"network":"dmz"},
        {"address":"10.1.2.3"}]},
        {"verdict":"reject","traffic":["any"],"on":null,"direction":"out","peers":[{"cidr":"2001:db8::/32"}]}]},"secrets":[{"from":"shop/db-password","to":"/run/secrets/db-password","mode":288,"owner":"root:www-data"},
        {"from":"shop/key","to":"/run/secrets/key","mode":256,"owner":"root"}],"dns":[{"zone":"example.org","name":"www.shop","kind":"A","to":{"container":"web","nic":"eth0"},"ttl_s":60},
        {"zone":"example.org","name":"@","kind":"A","to":{"container":"web","nic":"eth0"},"ttl_s":300}]}
    "#);
}

#[test]
fn sizes_may_be_written_with_and_without_space() {
    for (text, mib) in [
        ("1 GiB", 1024),
        ("1GiB", 1024),
        ("1.5 GiB", 1536),
        ("2048 MiB", 2048),
        ("1 TiB", 1 << 20),
        ("262144 KiB", 256),
    ] {
        assert_eq!(
            container(&stack_of(&format!("image: debian-12\nmemory: {text}")), "web").memory.mib(),
            mib,
            "{text}"
        );
    }
}

/// A stack of 10,000 containers written out, and one by count, are read in a time that is no power of their number.
#[test]
fn large_stacks_are_read() {
    let containers: String = (0..10_000)
        .map(|n| format!("  c{n}:\n    image: debian-12\n    hostname: h{n}\n    after: [c{}]\n    nics: {{ eth0: {{ network: lan }} }}\n", n + 1))
        .collect();
    let site = SITE.replace("2000-2999", "2000-99999");
    let text = format!(
        "{site}---\nkind: stack\nname: big\nsite: fra1\ncontainers:\n{containers}  c10000: {{ image: debian-12, count: 10000 }}\n"
    );
    let made = manifest(&text);
    assert_eq!(made.stacks.values().next().unwrap().containers.len(), 10_001);
}
