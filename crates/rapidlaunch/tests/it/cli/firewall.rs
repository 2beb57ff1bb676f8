//! `firewall explain` against a simulated site.

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::settings;
use crate::harness::World;

const STACK: &str = "kind: stack
name: shop
site: lab
containers:
  web:
    image: debian-12
    disk: 1 GiB
    nics: { eth0: { network: lan, firewall: true } }
  db:
    image: debian-12
    disk: 1 GiB
    nics: { eth0: { network: lan, firewall: true } }
";

/// Calls the site's API as an administrator would.
fn call(world: &World, method: &str, path: &str, form: &Value) {
    let client = reqwest::Client::builder().danger_accept_invalid_certs(true).build().unwrap();
    let url = format!("{}/api2/json{path}", world.sim.urls()[0]);
    let request = client
        .request(method.parse().unwrap(), url)
        .header("Authorization", format!("PVEAPIToken={}", world.sim.token()))
        .form(form);
    let status = world.runtime.block_on(async { request.send().await.unwrap().status() });
    assert!(status.is_success(), "{method} {path}: {status}");
}

/// A site whose firewall is on, with a stack whose guests have rules.
fn guarded() -> World {
    let world = World::new();
    let files = world.write_stack("shop", STACK);
    world.apply(&files).expect(0);
    let guests = world.run(&["guest", "ls", "-o", "json"]).expect(0).json();
    let find =
        |name: &str| guests["guests"].as_array().unwrap().iter().find(|guest| guest["name"] == name).unwrap().clone();
    let base = |name: &str| {
        let guest = find(name);
        format!("/nodes/{}/lxc/{}/firewall", guest["node"].as_str().unwrap(), guest["vmid"])
    };
    call(&world, "PUT", "/cluster/firewall/options", &json!({ "enable": "1" }));
    call(&world, "POST", "/cluster/firewall/ipset", &json!({ "name": "office" }));
    call(&world, "POST", "/cluster/firewall/ipset/office", &json!({ "cidr": "192.0.2.0/24" }));
    call(&world, "POST", "/cluster/firewall/ipset/office", &json!({ "cidr": "192.0.2.66", "nomatch": "1" }));
    call(&world, "POST", "/cluster/firewall/groups", &json!({ "group": "admin" }));
    let ssh = json!({ "type": "in", "action": "ACCEPT", "macro": "SSH", "source": "+office", "enable": "1", "comment": "from the office" });
    call(&world, "POST", "/cluster/firewall/groups/admin", &ssh);
    for name in ["web", "db"] {
        call(&world, "PUT", &format!("{}/options", base(name)), &json!({ "enable": "1" }));
    }
    // Each new rule comes to stand at the top.
    for rule in [
        json!({ "type": "in", "action": "REJECT", "proto": "tcp", "dport": "25", "enable": "1" }),
        json!({ "type": "in", "action": "ACCEPT", "proto": "tcp", "dport": "https", "enable": "1", "comment": "shop" }),
        json!({ "type": "group", "action": "admin", "enable": "1" }),
        json!({ "type": "in", "action": "ACCEPT", "proto": "tcp", "dport": "22" }),
    ] {
        call(&world, "POST", &format!("{}/rules", base("web")), &rule);
    }
    let out = json!({ "type": "out", "action": "DROP", "dest": "10.50.0.0/24", "proto": "udp", "enable": "1" });
    call(&world, "POST", &format!("{}/rules", base("db")), &out);
    world
}

fn explain(world: &World, from: &str, to: &str, code: i32) -> String {
    world.run(&["firewall", "explain", "--from", from, "--to", to]).expect(code).stdout
}

#[test]
fn the_rule_that_decides_is_named() {
    let world = guarded();
    settings(&world).bind(|| {
        assert_snapshot!(explain(&world, "192.0.2.7", "shop/web:22", 0), @r"
        ACCEPT from 192.0.2.7 to web (10.50.0.11, tcp port 22)
          decided by rule 0 of group admin, called by rule 1 on the way in to web: IN SSH(ACCEPT) -source +office  # from the office

        In to web, net0 on pve2 (pve-firewall)
          0        left out IN ACCEPT -p tcp -dport 22  (it is switched off)
          1        enter    GROUP admin
            0      ACCEPT   IN SSH(ACCEPT) -source +office  # from the office
        ");
        assert_snapshot!(explain(&world, "192.0.2.66", "web:22", 3), @r"
        DROP from 192.0.2.66 to web (10.50.0.11, tcp port 22)
          decided by the policy on the way in to web: policy_in DROP

        In to web, net0 on pve2 (pve-firewall)
          0        left out IN ACCEPT -p tcp -dport 22  (it is switched off)
          1        enter    GROUP admin
            0      -        IN SSH(ACCEPT) -source +office  # from the office  (source 192.0.2.66 is not in +office)
          2        -        IN ACCEPT -p tcp -dport https  # shop  (destination port 22 is not in https)
          3        -        IN REJECT -p tcp -dport 25  (destination port 22 is not in 25)
          policy   DROP     policy_in DROP
        ");
        assert_snapshot!(explain(&world, "db", "web@eth0:53/udp", 3), @r"
        DROP from db, 10.50.0.10 to web (10.50.0.11, udp port 53)
          decided by rule 0 on the way out of db: OUT DROP -dest 10.50.0.0/24 -p udp

        Out of db, net0 on pve1 (pve-firewall)
          0        DROP     OUT DROP -dest 10.50.0.0/24 -p udp
        ");
        assert_snapshot!(explain(&world, "192.0.2.64/30", "web:22", 3), @r"
        ACCEPT from 192.0.2.64/31 to web
          decided by rule 0 of group admin, called by rule 1 on the way in to web: IN SSH(ACCEPT) -source +office  # from the office
        DROP from 192.0.2.66 to web
          decided by the policy on the way in to web: policy_in DROP
        ACCEPT from 192.0.2.67 to web
          decided by rule 0 of group admin, called by rule 1 on the way in to web: IN SSH(ACCEPT) -source +office  # from the office

        The rules treat the network in 3 parts; -v shows the walk of each.
        ");
    });
    let said = world.run(&["firewall", "explain", "--from", "db", "--to", "web:25", "-o", "json"]).expect(3).json();
    assert_eq!(said["verdict"], "reject");
    assert_eq!(said["decided_by"]["position"], 3);
    assert_eq!((&said["stages"][0]["way"], &said["stages"][1]["way"]), (&json!("out"), &json!("in")));
    assert_eq!(said["packet"]["port"], 25);
    world.finish();
}

#[test]
fn a_question_without_sense_says_what_is_wrong() {
    let world = guarded();
    for (from, to, code, word) in [
        ("192.0.2.7", "nobody:22", 2, "there is no guest `nobody`"),
        ("192.0.2.7", "web", 2, "names no port"),
        ("192.0.2.7", "web@eth9:22", 2, "has no NIC `eth9`"),
        ("192.0.2.7/24", "web:22", 2, "host bits"),
        ("2001:db8::1", "web:22", 2, "no IPv6 address of web is known"),
        ("web", "web:22", 2, "sender and receiver"),
    ] {
        let run = world.run(&["firewall", "explain", "--from", from, "--to", to]).expect(code);
        assert!(run.stderr.contains(word), "{from} {to}: {}", run.stderr);
    }
    world.finish();
}
