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
pub(crate) fn guarded() -> World {
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

const SITE_FIREWALL: &str = "firewall:
  enable: true
  management: 10.0.0.0/24
  aliases:
    monitor: { address: 192.0.2.9 }
  ipsets:
    office: { entries: 192.0.2.0/24, except: 192.0.2.66, comment: people }
  groups:
    admin:
      rules:
        - { allow: ssh, from: [office, monitor], comment: to look after it }
";

const FILTERED: &str = "kind: stack
name: shop
site: lab
containers:
  web:
    image: debian-12
    disk: 1 GiB
    nics: { eth0: { network: lan } }
    firewall:
      rules:
        - { group: admin, on: eth0 }
        - { allow: [https, Ceph], from: anywhere }
  db:
    image: debian-12
    disk: 1 GiB
    nics: { eth0: { network: lan } }
    firewall: { rules: [{ allow: tcp/5432, from: web }] }
";

/// A command with the files.
fn with<'a>(first: &[&'a str], files: &[&'a str; 4]) -> Vec<&'a str> {
    [first, &files[..]].concat()
}

/// Lines of a plan that speak of the site's firewall, without indentation.
fn of_site(plan: &str) -> Vec<String> {
    let words = ["alias ", "IP set ", "security group ", "datacenter"];
    let lines = plan.lines().map(str::trim).filter(|line| line.starts_with(['+', '-', '~']));
    lines.filter(|line| words.iter().any(|word| line.contains(word))).map(str::to_owned).collect()
}

#[test]
fn what_a_site_declares_is_planned_written_and_proven_and_a_rule_above_ours_is_told() {
    let world = World::new();
    call(&world, "POST", "/cluster/firewall/ipset", &json!({ "name": "management" }));
    let files = world.write_stack("shop", FILTERED);
    let site = std::fs::read_to_string(&files[1]).unwrap();
    std::fs::write(&files[1], format!("{site}{SITE_FIREWALL}")).unwrap();
    let files: [&str; 4] = std::array::from_fn(|at| files[at].as_str());

    // Nobody in `management` reaches the nodes once the firewall is on.
    let refused = world.run(&with(&["apply", "--yes"], &files));
    assert_ne!(refused.code, Some(0), "{}", refused.stdout);
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(said.contains("would cut the management network 10.0.0.0/24 off from port 22, 8006 of"), "{said}");
    call(&world, "POST", "/cluster/firewall/ipset/management", &json!({ "cidr": "10.0.0.0/24" }));

    let plan = world.run(&with(&["plan"], &files)).expect(0).stdout;
    let expected = [
        "+ alias monitor: 192.0.2.9",
        "+ IP set office: !192.0.2.66, 192.0.2.0/24",
        "+ security group admin: 2 rules",
        "+ security group admin: rule 1: IN ACCEPT -source +dc/office -p tcp -dport 22",
        "+ security group admin: rule 2: IN ACCEPT -source dc/monitor -p tcp -dport 22",
        "+ IP set rl-shop-web: 10.50.0.11",
        "~ the datacenter's firewall is switched on",
    ];
    assert_eq!(of_site(&plan), expected, "{plan}");
    world.run(&with(&["apply", "--yes"], &files)).expect(0);
    world.run(&["verify", "shop"]).expect(0);
    let explain =
        |from: &str, to: &str, code: i32| world.run(&["firewall", "explain", "--from", from, "--to", to]).expect(code);
    explain("192.0.2.7", "web:22", 0);
    explain("192.0.2.66", "web:22", 3);
    explain("192.0.2.9", "web:22", 0);
    explain("web", "db:5432", 0);
    explain("192.0.2.7", "db:5432", 3);
    world.needs_nothing(&files.map(str::to_owned));

    // Somebody puts a rule above ours, and takes a member out of the set.
    let guests = world.run(&["guest", "ls", "-o", "json"]).expect(0).json();
    let web = guests["guests"].as_array().unwrap().iter().find(|guest| guest["name"] == "web").unwrap();
    let base = format!("/nodes/{}/lxc/{}/firewall", web["node"].as_str().unwrap(), web["vmid"]);
    let theirs = json!({ "type": "in", "action": "DROP", "proto": "tcp", "dport": "443", "enable": "1" });
    call(&world, "POST", &format!("{base}/rules"), &theirs);
    call(&world, "DELETE", "/cluster/firewall/ipset/office/192.0.2.66", &json!({}));
    let told = world.run(&["verify", "shop"]).expect(1).stdout;
    assert!(told.contains("IN DROP -p tcp -dport 443"), "{told}");
    assert!(told.contains("IP set office") && told.contains("192.0.2.0/24"), "{told}");
    let drift = world.run(&["drift", "shop"]).stdout;
    assert!(drift.contains("IP set office") && drift.contains("rules of others above ours"), "{drift}");

    // An apply mends what is ours and tells of what is not.
    let mended = world.run(&with(&["apply", "--yes"], &files));
    let said = format!("{}{}", mended.stdout, mended.stderr);
    assert!(said.contains("~ IP set office: 192.0.2.0/24 -> !192.0.2.66, 192.0.2.0/24"), "{said}");
    assert!(
        said.contains("a rule that is not ours stands above rules of `web`: `IN DROP -p tcp -dport 443`"),
        "{said}"
    );
    call(&world, "DELETE", &format!("{base}/rules/0"), &json!({}));
    world.run(&["verify", "shop"]).expect(0);

    // What is no longer declared goes, after the guests that named it.
    let text = std::fs::read_to_string(files[1]).unwrap();
    let fewer = text.split("  aliases:").next().unwrap().to_owned() + "  aliases: {}\n  ipsets: {}\n  groups: {}\n";
    std::fs::write(files[1], fewer).unwrap();
    let stack = FILTERED.replace("        - { group: admin, on: eth0 }\n", "");
    std::fs::write(files[3], stack).unwrap();
    let plan = world.run(&with(&["plan"], &files)).expect(0).stdout;
    let gone: Vec<String> = of_site(&plan).into_iter().filter(|line| line.starts_with('-')).collect();
    assert_eq!(gone.len(), 5, "{plan}");
    world.run(&with(&["apply", "--yes"], &files)).expect(0);
    world.run(&["verify", "shop"]).expect(0);
    world.needs_nothing(&files.map(str::to_owned));
    world.finish();
}

also_through_a_server![the_rule_that_decides_is_named, a_question_without_sense_says_what_is_wrong];
