//! Zones of sites and records of stacks.

use super::*;

/// The manifest of files without mistakes.
fn read(text: &str) -> Manifest {
    parse_all(&[Source { name: "site.yaml", text }], &Known::default()).map(|(manifest, _)| manifest).unwrap()
}

fn records_read(text: &str) -> Manifest {
    read(&format!("{SITE}---\n{text}"))
}

#[test]
fn records_of_every_type_are_read() {
    let manifest = records_read(
        r#"kind: stack
name: shop
site: fra1
containers: { web: { image: debian-12, nics: { eth0: { network: dmz } } } }
dns:
  - { zone: example.org, name: www, type: A, to: web.eth0 }
  - { zone: example.org, name: shop, type: CNAME, target: www.example.org }
  - { zone: example.org, name: _https._tcp, type: SRV, target: www.example.org, port: 443, priority: 10 }
  - { zone: example.org, name: "@", type: TXT, text: ["v=spf1 -all", "second"] }
"#,
    );
    insta::assert_snapshot!(serde_json::to_string_pretty(&manifest.stacks.into_values().next().unwrap().dns).unwrap(), @r#"
        [
          {
            "zone": "example.org",
            "name": "www",
            "kind": "A",
            "to": {
              "container": "web",
              "nic": "eth0"
            },
            "ttl_s": 300
          },
          {
            "zone": "example.org",
            "name": "shop",
            "kind": "CNAME",
            "target": "www.example.org",
            "ttl_s": 300
          },
          {
            "zone": "example.org",
            "name": "_https._tcp",
            "kind": "SRV",
            "priority": 10,
            "weight": 0,
            "port": 443,
            "target": "www.example.org",
            "ttl_s": 300
          },
          {
            "zone": "example.org",
            "name": "@",
            "kind": "TXT",
            "texts": [
              "v=spf1 -all",
              "second"
            ],
            "ttl_s": 300
          }
        ]
    "#);
}

#[test]
fn records_with_keys_of_other_types() {
    insta::assert_snapshot!(stack_shown(r#"kind: stack
name: shop
site: fra1
containers: { web: { image: debian-12, nics: { eth0: { network: dmz } } } }
dns:
  - { zone: example.org, name: a, type: A, to: web.eth0, port: 443 }
  - { zone: example.org, name: b, type: SRV, target: www.example.org }
  - { zone: example.org, name: c, type: PTR, to: web.eth0 }
  - { zone: example.org, name: _rl-a.d, type: A, to: web.eth0 }
  - { zone: example.org, name: e, type: CNAME, target: www.example.org }
  - { zone: example.org, name: e, type: CNAME, target: web.example.org }
"#), @r#"
        error[RL0104]: a record of type A has no key `port`
         --> stack.yaml:6:58
          |
        5 | dns:
        6 |   - { zone: example.org, name: a, type: A, to: web.eth0, port: 443 }
          |                                                          ^^^^
        7 |   - { zone: example.org, name: b, type: SRV, target: www.example.org }
          |
          = help: `port` is a key of records of type SRV

        error[RL0106]: a DNS record needs the key `port`
         --> stack.yaml:7:5
          |
        6 |   - { zone: example.org, name: a, type: A, to: web.eth0, port: 443 }
        7 |   - { zone: example.org, name: b, type: SRV, target: www.example.org }
          |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ the key is missing here
        8 |   - { zone: example.org, name: c, type: PTR, to: web.eth0 }
          |
          = help: add it, as in `port: 443`

        error[RL0201]: PTR records come by themselves
         --> stack.yaml:8:41
          |
        7 |   - { zone: example.org, name: b, type: SRV, target: www.example.org }
        8 |   - { zone: example.org, name: c, type: PTR, to: web.eth0 }
          |                                         ^^^
        9 |   - { zone: example.org, name: _rl-a.d, type: A, to: web.eth0 }
          |
          = help: declare the reverse zone under `dns:` of the site; each address then gets its PTR record

        error[RL0201]: `_rl-a.d` is no valid name in a zone
          --> stack.yaml:9:32
           |
         8 |   - { zone: example.org, name: c, type: PTR, to: web.eth0 }
         9 |   - { zone: example.org, name: _rl-a.d, type: A, to: web.eth0 }
           |                                ^^^^^^^
        10 |   - { zone: example.org, name: e, type: CNAME, target: www.example.org }
           |
           = help: names that begin with `_rl-` tell whose a record is

        error[RL0203]: the record `e` of the zone `example.org` is declared twice
          --> stack.yaml:11:5
           |
         9 |   - { zone: example.org, name: _rl-a.d, type: A, to: web.eth0 }
        10 |   - { zone: example.org, name: e, type: CNAME, target: www.example.org }
           |     -------------------------------------------------------------------- first record
        11 |   - { zone: example.org, name: e, type: CNAME, target: web.example.org }
           |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = help: keep one of the two

        the stack files have 5 errors; nothing was contacted or changed
    "#);
}

#[test]
fn zones_of_every_provider_are_read() {
    let site = read(&format!("{SITE}{ZONES}")).sites.into_values().next().unwrap();
    insta::assert_snapshot!(serde_json::to_string(&site.zones).unwrap(), @r#"
        {"20.10.in-addr.arpa":{"name":"20.10.in-addr.arpa","provider":{"rfc2136":{"server":"ns1.example.org:53","key":{"name":"rl","algorithm":"hmac-sha512","secret":{"file":"rl.key"}}}},"servers":["ns1.example.org:53","ns2.example.org:53"]},"example.com":{"name":"example.com","provider":{"powerdns":{"url":"http://127.0.0.1:8081","server":"localhost","key":{"secret":"dns/powerdns"}}},"servers":[]},"example.info":{"name":"example.info","provider":{"cloudflare":{"url":null,"token":{"file":"cloudflare.token"}}},"servers":[]},"example.net":{"name":"example.net","provider":{"builtin":{"nameservers":["ns1.example.net"],"secondaries":[{"address":"192.0.2.2:53","key":{"name":"copy","algorithm":"hmac-sha256","secret":{"env":"COPY_KEY"}}}]}},"servers":[]},"example.org":{"name":"example.org","provider":{"builtin":{"nameservers":[],"secondaries":[]}},"servers":["192.0.2.1:5353"]}}
    "#);
}

const ZONES: &str = r#"dns:
  example.org: { provider: builtin, servers: ["192.0.2.1:5353"] }
  example.net:
    provider:
      builtin: { nameservers: [ns1.example.net], secondaries: [{ address: 192.0.2.2, key: { name: copy, value: { env: COPY_KEY } } }] }
  20.10.in-addr.arpa:
    provider:
      rfc2136: { server: ns1.example.org, key: { name: rl, algorithm: hmac-sha512, value: { file: rl.key } } }
    servers: [ns1.example.org, ns2.example.org]
  example.com: { provider: { powerdns: { url: "http://127.0.0.1:8081", api_key: { secret: dns/powerdns } } } }
  example.info: { provider: { cloudflare: { token: { file: cloudflare.token } } } }
"#;

#[test]
fn zones_wrong_in_several_ways() {
    insta::assert_snapshot!(site_with("storage: local-zfs\n", r#"storage: local-zfs
dns:
  example.org: { provider: bind }
  org: { provider: builtin }
  example.net: { provider: { rfc2136: { server: "ns1:0", key: { name: rl, algorithm: hmac-md5, value: hunter2 } } } }
  example.com: { provider: { powerdns: { url: "127.0.0.1" }, cloudflare: {} } }
  example.info: { provider: { cloudflare: { token: abc } }, servers: ["a b"] }
  example.biz: {}
"#), @r#"
        error[RL0201]: `bind` is no provider without settings
          --> site.yaml:11:28
           |
        10 | dns:
        11 |   example.org: { provider: bind }
           |                            ^^^^
        12 |   org: { provider: builtin }
           |
           = help: write `builtin`

        error[RL0201]: `org` is no valid domain name
          --> site.yaml:12:3
           |
        11 |   example.org: { provider: bind }
        12 |   org: { provider: builtin }
           |   ^^^ it has no dot
        13 |   example.net: { provider: { rfc2136: { server: "ns1:0", key: { name: rl, algorithm: hmac-md5, value: ********} } } }
           |
           = help: write it like `example.org`

        error[RL0201]: `ns1:0` is no valid DNS server
          --> site.yaml:13:49
           |
        12 |   org: { provider: builtin }
        13 |   example.net: { provider: { rfc2136: { server: "ns1:0", key: { name: rl, algorithm: hmac-md5, value: ********} } } }
           |                                                 ^^^^^^^ write host or host:port, with a port from 1 to 65535
        14 |   example.com: { provider: { powerdns: { url: "127.0.0.1" }, cloudflare: {} } }
           |

        error[RL0201]: `hmac-md5` is no algorithm of a key
          --> site.yaml:13:86
           |
        12 |   org: { provider: builtin }
        13 |   example.net: { provider: { rfc2136: { server: "ns1:0", key: { name: rl, algorithm: hmac-md5, value: ********} } } }
           |                                                                                      ^^^^^^^^
        14 |   example.com: { provider: { powerdns: { url: "127.0.0.1" }, cloudflare: {} } }
           |
           = help: write `hmac-sha256` or `hmac-sha384` or `hmac-sha512`

        error[RL0114]: `value` must not stand in a site file
          --> site.yaml:13:103
           |
        12 |   org: { provider: builtin }
        13 |   example.net: { provider: { rfc2136: { server: "ns1:0", key: { name: rl, algorithm: hmac-md5, value: ********} } } }
           |                                                                                                       ^^^^^^^
        14 |   example.com: { provider: { powerdns: { url: "127.0.0.1" }, cloudflare: {} } }
           |
           = help: write it into a file only you can read and name it: `value: { file: dns.key }`

        error[RL0113]: `provider` takes only one of `builtin`, `rfc2136`, `powerdns`, `cloudflare`
          --> site.yaml:14:62
           |
        13 |   example.net: { provider: { rfc2136: { server: "ns1:0", key: { name: rl, algorithm: hmac-md5, value: ********} } } }
        14 |   example.com: { provider: { powerdns: { url: "127.0.0.1" }, cloudflare: {} } }
           |                              -------- already given by this  ^^^^^^^^^^ one too many
        15 |   example.info: { provider: { cloudflare: { token: ****} }, servers: ["a b"] }
           |
           = help: keep the one that is meant

        error[RL0114]: `token` must not stand in a site file
          --> site.yaml:15:52
           |
        14 |   example.com: { provider: { powerdns: { url: "127.0.0.1" }, cloudflare: {} } }
        15 |   example.info: { provider: { cloudflare: { token: ****} }, servers: ["a b"] }
           |                                                    ^^^
        16 |   example.biz: {}
           |
           = help: write it into a file only you can read and name it: `token: { file: cloudflare.token }`

        error[RL0201]: `a b` is no valid DNS server
          --> site.yaml:15:71
           |
        14 |   example.com: { provider: { powerdns: { url: "127.0.0.1" }, cloudflare: {} } }
        15 |   example.info: { provider: { cloudflare: { token: ****} }, servers: ["a b"] }
           |                                                                       ^^^^^ its host is neither a name nor an address
        16 |   example.biz: {}
           |
           = help: did you mean `a-b`?

        error[RL0106]: a zone needs the key `provider`
          --> site.yaml:16:3
           |
        15 |   example.info: { provider: { cloudflare: { token: ****} }, servers: ["a b"] }
        16 |   example.biz: {}
           |   ^^^^^^^^^^^ the key is missing here
        17 | storages: [local-zfs, ceph]
           |
           = help: add it, as in `provider: builtin`

        the stack files have 9 errors; nothing was contacted or changed
    "#);
}
