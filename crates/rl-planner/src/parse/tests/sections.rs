//! Firewall, secrets and DNS records.

use super::*;

#[test]
fn wrong_policy_and_unknown_service() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
firewall:
  inbound: deny
  rules:
    - { allow: htps }
    - { allow: tcp/70000 }
    - { allow: gopher }
"#), @r#"
        error[RL0201]: `deny` is no verdict
         --> stack.yaml:8:16
          |
        7 |     firewall:
        8 |       inbound: deny
          |                ^^^^
        9 |       rules:
          |
          = help: write `allow` or `reject` or `drop`

        error[RL0201]: `htps` is no known service
          --> stack.yaml:10:20
           |
         9 |       rules:
        10 |         - { allow: htps }
           |                    ^^^^
        11 |         - { allow: tcp/70000 }
           |
           = help: did you mean `https`?

        error[RL0201]: `tcp/70000` names no ports
          --> stack.yaml:11:20
           |
        10 |         - { allow: htps }
        11 |         - { allow: tcp/70000 }
           |                    ^^^^^^^^^
        12 |         - { allow: gopher }
           |
           = help: write ports from 1 to 65535, as in `tcp/5432`, `tcp/80,443` or `udp/8000-8100`

        error[RL0201]: `gopher` is no known service
          --> stack.yaml:12:20
           |
        11 |         - { allow: tcp/70000 }
        12 |         - { allow: gopher }
           |                    ^^^^^^
           |
           = help: write protocol and port, as in `tcp/5432`

        the stack files have 4 errors; nothing was contacted or changed
    "#);
}

#[test]
fn rule_without_verdict_and_with_two() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
firewall:
  rules:
    - { from: anywhere }
    - { allow: https, drop: ssh }
    - { allow: https, from: anywhere, to: anywhere }
"#), @r#"
        error[RL0106]: a rule needs one of `allow`, `reject`, `drop`
          --> stack.yaml:9:11
           |
         8 |       rules:
         9 |         - { from: anywhere }
           |           ^^^^^^^^^^^^^^^^^^
        10 |         - { allow: https, drop: ssh }
           |
           = help: say what happens to which traffic, as in `{ allow: https, from: anywhere }`

        error[RL0113]: a rule has only one of `allow`, `reject`, `drop`
          --> stack.yaml:10:27
           |
         9 |         - { from: anywhere }
        10 |         - { allow: https, drop: ssh }
           |             -----         ^^^^
           |             |
           |             the rule already says this
        11 |         - { allow: https, from: anywhere, to: anywhere }
           |
           = help: write two rules

        error[RL0113]: a rule has either `from` or `to`
          --> stack.yaml:11:43
           |
        10 |         - { allow: https, drop: ssh }
        11 |         - { allow: https, from: anywhere, to: anywhere }
           |                           ----            ^^
           |                           |
           |                           this makes it a rule for traffic towards the guest
           |
           = help: the guest itself is always the other end; write two rules for two directions

        the stack files have 3 errors; nothing was contacted or changed
    "#);
}

#[test]
fn rule_on_an_unknown_nic() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
nics: { eth0: { network: dmz } }
firewall: { rules: [{ allow: https, on: eth1 }] }
"#), @r#"
        error[RL0208]: the container `web` has no NIC `eth1`
         --> stack.yaml:8:45
          |
        7 |     nics: { eth0: { network: dmz } }
        8 |     firewall: { rules: [{ allow: https, on: eth1 }] }
          |                                             ^^^^
          |
          = help: did you mean `eth0`?

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn rule_on_a_nic_that_is_not_filtered() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
nics: { eth0: { network: dmz, firewall: false } }
firewall: { rules: [{ allow: https, on: eth0 }] }
"#), @r#"
        error[RL0113]: the rule is on a NIC that is not filtered
         --> stack.yaml:8:45
          |
        6 |     image: debian-12
        7 |     nics: { eth0: { network: dmz, firewall: false } }
          |                                             ----- the firewall of this NIC is switched off
        8 |     firewall: { rules: [{ allow: https, on: eth0 }] }
          |                                             ^^^^
          |
          = help: remove `firewall: false` from the NIC, or the rule

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn rule_from_nowhere() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
firewall: { rules: [{ allow: https, from: [wbe, 10.0.0.0/33, anywhere] }] }
"#), @r#"
        error[RL0209]: `wbe` is no container of the stack and no network, alias or IP set of the site
         --> stack.yaml:7:48
          |
        6 |     image: debian-12
        7 |     firewall: { rules: [{ allow: https, from: [wbe, 10.0.0.0/33, anywhere] }] }
          |                                                ^^^
          |
          = help: did you mean `web`?

        error[RL0201]: `10.0.0.0/33` is no valid network
         --> stack.yaml:7:53
          |
        6 |     image: debian-12
        7 |     firewall: { rules: [{ allow: https, from: [wbe, 10.0.0.0/33, anywhere] }] }
          |                                                     ^^^^^^^^^^^ write it as address/prefix, as in 10.20.0.0/24
          |
          = help: write it like `10.20.0.0/24`

        error[RL0113]: `anywhere` stands among other ends
         --> stack.yaml:7:66
          |
        6 |     image: debian-12
        7 |     firewall: { rules: [{ allow: https, from: [wbe, 10.0.0.0/33, anywhere] }] }
          |                                                                  ^^^^^^^^ this covers all of them
          |
          = help: keep `anywhere`, or the others

        the stack files have 3 errors; nothing was contacted or changed
    "#);
}

#[test]
fn empty_lists_where_something_is_needed() {
    insta::assert_snapshot!(container_shown("image: debian-12\nfirewall: { rules: [{ allow: [] }, { allow: https, from: [] }] }"), @r#"
        error[RL0201]: the list is empty
         --> stack.yaml:7:34
          |
        6 |     image: debian-12
        7 |     firewall: { rules: [{ allow: [] }, { allow: https, from: [] }] }
          |                                  ^^
          |
          = help: name at least one, or remove the key

        error[RL0201]: the list is empty
         --> stack.yaml:7:62
          |
        6 |     image: debian-12
        7 |     firewall: { rules: [{ allow: [] }, { allow: https, from: [] }] }
          |                                                              ^^
          |
          = help: name at least one, or remove the key

        the stack files have 2 errors; nothing was contacted or changed
    "#);
}

#[test]
fn secrets_wrong_in_several_ways() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
secrets:
  - { from: Shop/DB, to: /run/a }
  - { from: shop/db, to: run/b }
  - { from: shop/db, to: /run/c, mode: "999" }
  - { from: shop/db, to: /run/d, owner: "0:0:0" }
  - { frm: shop/db, to: /run/e }
"#), @r#"
        error[RL0201]: `Shop/DB` is no valid secret name
         --> stack.yaml:8:17
          |
        7 |     secrets:
        8 |       - { from: Shop/DB, to: /run/a }
          |                 ^^^^^^^ write lower-case parts joined by `/`, as in shop/db-password
        9 |       - { from: shop/db, to: run/b }
          |
          = help: did you mean `shop/db`?

        error[RL0201]: `run/b` is no valid path in the guest
          --> stack.yaml:9:30
           |
         8 |       - { from: Shop/DB, to: /run/a }
         9 |       - { from: shop/db, to: run/b }
           |                              ^^^^^ it must be absolute and not `/` itself
        10 |       - { from: shop/db, to: /run/c, mode: "999" }
           |
           = help: did you mean `/run/b`?

        error[RL0201]: `999` are no permissions
          --> stack.yaml:10:44
           |
         9 |       - { from: shop/db, to: run/b }
        10 |       - { from: shop/db, to: /run/c, mode: "999" }
           |                                            ^^^^^
        11 |       - { from: shop/db, to: /run/d, owner: "0:0:0" }
           |
           = help: write three octal digits, as in "0400" or "640"

        error[RL0201]: `0:0:0` is no user
          --> stack.yaml:11:45
           |
        10 |       - { from: shop/db, to: /run/c, mode: "999" }
        11 |       - { from: shop/db, to: /run/d, owner: "0:0:0" }
           |                                             ^^^^^^^
        12 |       - { frm: shop/db, to: /run/e }
           |
           = help: write `user` or `user:group`, as in `postgres`

        error[RL0106]: a secret needs the key `from`
          --> stack.yaml:12:9
           |
        11 |       - { from: shop/db, to: /run/d, owner: "0:0:0" }
        12 |       - { frm: shop/db, to: /run/e }
           |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^ the key is missing here
           |
           = help: add it, as in `from: shop/db-password`

        error[RL0104]: a secret has no key `frm`
          --> stack.yaml:12:11
           |
        11 |       - { from: shop/db, to: /run/d, owner: "0:0:0" }
        12 |       - { frm: shop/db, to: /run/e }
           |           ^^^ unknown key
           |
           = help: did you mean `from`?

        the stack files have 6 errors; nothing was contacted or changed
    "#);
}

#[test]
fn two_secrets_in_one_file() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
secrets:
  - { from: shop/db, to: /run/secrets/db }
  - { from: shop/key, to: /run/secrets/db }
"#), @r#"
        error[RL0222]: two secrets are written to `/run/secrets/db`
         --> stack.yaml:9:31
          |
        7 |     secrets:
        8 |       - { from: shop/db, to: /run/secrets/db }
          |                              --------------- first secret
        9 |       - { from: shop/key, to: /run/secrets/db }
          |                               ^^^^^^^^^^^^^^^
          |
          = help: give one of them another path

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn records_that_point_nowhere() {
    insta::assert_snapshot!(stack_shown(r#"kind: stack
name: shop
site: fra1
containers: { web: { image: debian-12, nics: { eth0: { network: dmz } } } }
dns:
  - { zone: example.org, name: www, type: A, to: wbe.eth0 }
  - { zone: example.org, name: api, type: A, to: web.eth1 }
  - { zone: example.org, name: six, type: AAAA, to: web.eth0 }
  - { zone: example.org, name: ip, type: A, to: 10.20.0.50 }
"#), @r#"
        error[RL0209]: the stack has no container `wbe`
         --> stack.yaml:6:50
          |
        5 | dns:
        6 |   - { zone: example.org, name: www, type: A, to: wbe.eth0 }
          |                                                  ^^^^^^^^
        7 |   - { zone: example.org, name: api, type: A, to: web.eth1 }
          |
          = help: did you mean `web`?

        error[RL0208]: the container `web` has no NIC `eth1`
         --> stack.yaml:7:50
          |
        6 |   - { zone: example.org, name: www, type: A, to: wbe.eth0 }
        7 |   - { zone: example.org, name: api, type: A, to: web.eth1 }
          |                                                  ^^^^^^^^
        8 |   - { zone: example.org, name: six, type: AAAA, to: web.eth0 }
          |
          = help: did you mean `eth0`?

        error[RL0225]: a record of type AAAA cannot point at `web.eth0`
         --> stack.yaml:8:53
          |
        7 |   - { zone: example.org, name: api, type: A, to: web.eth1 }
        8 |   - { zone: example.org, name: six, type: AAAA, to: web.eth0 }
          |                                                     ^^^^^^^^ this NIC has `ipv6: none`
        9 |   - { zone: example.org, name: ip, type: A, to: 10.20.0.50 }
          |
          = help: give the NIC an address with `ipv6`, or change the record's type

        error[RL0201]: `10.20.0.50` names no NIC
         --> stack.yaml:9:49
          |
        8 |   - { zone: example.org, name: six, type: AAAA, to: web.eth0 }
        9 |   - { zone: example.org, name: ip, type: A, to: 10.20.0.50 }
          |                                                 ^^^^^^^^^^
          |
          = help: write container and NIC, as in `web.eth0`; addresses are not typed here, so that they cannot go stale

        the stack files have 4 errors; nothing was contacted or changed
    "#);
}

#[test]
fn records_with_wrong_values() {
    insta::assert_snapshot!(stack_shown(r#"kind: stack
name: shop
site: fra1
containers: { web: { image: debian-12, nics: { eth0: { network: dmz } } } }
dns:
  - { zone: org, name: www, type: A, to: web.eth0 }
  - { zone: example.org, name: "www..shop", type: A, to: web.eth0 }
  - { zone: example.org, name: www, type: CNAME, to: web.eth0 }
  - { zone: example.org, name: www, type: A, to: web.eth0, ttl: 0 }
  - { zone: example.org, name: x, to: web.eth0 }
"#), @r#"
        error[RL0201]: `org` is no valid domain name
         --> stack.yaml:6:13
          |
        5 | dns:
        6 |   - { zone: org, name: www, type: A, to: web.eth0 }
          |             ^^^ it has no dot
        7 |   - { zone: example.org, name: "www..shop", type: A, to: web.eth0 }
          |
          = help: write it like `example.org`

        error[RL0201]: `www..shop` is no valid name in a zone
         --> stack.yaml:7:32
          |
        6 |   - { zone: org, name: www, type: A, to: web.eth0 }
        7 |   - { zone: example.org, name: "www..shop", type: A, to: web.eth0 }
          |                                ^^^^^^^^^^^
        8 |   - { zone: example.org, name: www, type: CNAME, to: web.eth0 }
          |
          = help: write it without the zone, as in `www` or `www.shop`; `@` is the zone itself

        error[RL0104]: a record of type CNAME has no key `to`
         --> stack.yaml:8:50
          |
        7 |   - { zone: example.org, name: "www..shop", type: A, to: web.eth0 }
        8 |   - { zone: example.org, name: www, type: CNAME, to: web.eth0 }
          |                                                  ^^
        9 |   - { zone: example.org, name: www, type: A, to: web.eth0, ttl: 0 }
          |
          = help: write `target:` with a whole name, as in `target: www.example.org`

        error[RL0202]: 0 is out of the limits for a time to live in seconds
          --> stack.yaml:9:65
           |
         8 |   - { zone: example.org, name: www, type: CNAME, to: web.eth0 }
         9 |   - { zone: example.org, name: www, type: A, to: web.eth0, ttl: 0 }
           |                                                                 ^ allowed: 1 to 2147483647
        10 |   - { zone: example.org, name: x, to: web.eth0 }
           |
           = help: write a whole number from 1 to 2147483647

        error[RL0106]: a DNS record needs the key `type`
          --> stack.yaml:10:5
           |
         9 |   - { zone: example.org, name: www, type: A, to: web.eth0, ttl: 0 }
        10 |   - { zone: example.org, name: x, to: web.eth0 }
           |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ the key is missing here
           |
           = help: add it, as in `type: A`

        the stack files have 5 errors; nothing was contacted or changed
    "#);
}

#[test]
fn record_twice() {
    insta::assert_snapshot!(stack_shown(r#"kind: stack
name: shop
site: fra1
containers: { web: { image: debian-12, nics: { eth0: { network: dmz } } } }
dns:
  - { zone: example.org, name: www, type: A, to: web.eth0 }
  - { zone: example.org, name: www, type: A, to: web.eth0, ttl: 60 }
"#), @r#"
        error[RL0203]: the record `www` of the zone `example.org` is declared twice
         --> stack.yaml:7:50
          |
        5 | dns:
        6 |   - { zone: example.org, name: www, type: A, to: web.eth0 }
          |                                                  -------- first record
        7 |   - { zone: example.org, name: www, type: A, to: web.eth0, ttl: 60 }
          |                                                  ^^^^^^^^
          |
          = help: keep one of the two

        the stack files have 1 error; nothing was contacted or changed
    "#);
}
