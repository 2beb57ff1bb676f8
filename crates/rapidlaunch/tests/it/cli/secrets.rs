//! Secrets as a person and as a script meet them. Every test ends with a hunt for the values.

use std::io::Write;
use std::process::Stdio;

use pg_lab::{Options, PgServer};
use rl_model::SealedValue;
use rl_providers::secrets::IdentityFile;
use serde_json::{Value, json};

use crate::harness::{Run, World, farm, site};

const VALUE: &str = "Xq7-pf2Lm9ZtRw4c";
const OTHER: &str = "Kd8+vh3Nn0BuSx5e";

impl World {
    /// Runs a command with this on its standard input.
    pub(crate) fn tell(&self, args: &[&str], input: &str) -> Run {
        let mut command = self.command(args);
        command.stdin(Stdio::piped());
        let mut child = self.spawn_command(command);
        child.input().write_all(input.as_bytes()).unwrap();
        self.wait(child)
    }

    fn set(&self, name: &str, value: &str) -> serde_json::Value {
        self.hide(value);
        self.tell(&["secret", "set", name, "--output", "json", "-vv"], &format!("{value}\n")).expect(0).json()
    }
}

#[test]
fn value_is_set_listed_rotated_and_removed() {
    let world = World::new();
    assert_eq!(world.set("shop/db", VALUE), json!({ "name": "shop/db", "version": 1, "held": [] }));
    assert_eq!(world.set("shop/db", OTHER)["version"], 2);
    let refused = world.run(&["secret", "rotate", "shop/db"]).expect(2);
    assert!(refused.stderr.contains("secret set shop/db --generate 32"), "{refused:?}");
    world.run(&["secret", "set", "shop/db", "--generate", "40"]).expect(0);
    let rotated = world.run(&["secret", "rotate", "shop/db", "--output", "json"]).expect(0).json();
    assert_eq!(rotated["version"], 4);
    let listed = world.run(&["secret", "ls", "--output", "json"]).expect(0).json();
    assert_eq!(listed["secrets"][0]["generated_length"], 40);
    assert_eq!(listed["secrets"][0]["set_by"], "tester");
    let history = world.run(&["secret", "history", "shop/db", "--output", "json"]).expect(0).json();
    let origins: Vec<&str> =
        history["versions"].as_array().unwrap().iter().map(|v| v["origin"].as_str().unwrap()).collect();
    assert_eq!(origins, ["generated", "generated", "given", "given"]);
    world.run(&["secret", "rm", "shop/db"]).expect(0);
    world.run(&["secret", "rm", "shop/db"]).expect(2);
    assert_eq!(world.run(&["secret", "ls", "--output", "json"]).expect(0).json(), json!({ "secrets": [] }));
    let history = world.run(&["secret", "history", "shop/db", "--output", "json"]).expect(0).json();
    assert_eq!(history["removed"]["by"], "tester");
    assert!(history["versions"].as_array().unwrap().iter().all(|version| version["wiped_at"].is_string()));
    let audit = world.run(&["audit", "ls", "--path", "/secrets/shop/db", "--output", "json"]).expect(0).json();
    let told =
        |entry: &Value| (entry["action"].clone(), entry["actor"].clone(), entry["via"].clone(), entry["after"].clone());
    let deed = |action: &str, after: Value| (json!(action), json!("tester"), json!("local"), after);
    let set = |version: u64, length: Option<u64>| json!({ "version": version, "generated_length": length });
    assert_eq!(
        audit["entries"].as_array().unwrap().iter().rev().map(told).collect::<Vec<_>>(),
        [
            deed("secret.set", set(1, None)),
            deed("secret.set", set(2, None)),
            deed("secret.set", set(3, Some(40))),
            deed("secret.rotate", set(4, Some(40))),
            deed("secret.remove", json!({ "forced": false })),
        ]
    );
    // A version number is never used twice: what a guest holds as version 1 is not what is set now.
    assert_eq!(world.set("shop/db", VALUE)["version"], 5);
    world.finish();
}

#[test]
fn file_is_taken_byte_for_byte_and_a_bad_value_not_at_all() {
    let world = World::new();
    world.hide(VALUE);
    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().join("value");
    std::fs::write(&path, VALUE).unwrap();
    world.run(&["secret", "set", "a", "--file", path.to_str().unwrap()]).expect(0);
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    world.run(&["secret", "set", "a", "--file", path.to_str().unwrap()]).expect(2);
    world.tell(&["secret", "set", "a"], "\n").expect(2);
    world.tell(&["secret", "set", "a"], &"x".repeat((64 << 10) + 1)).expect(2);
    let told = world.run(&["secret", "set", "a", OTHER]).expect(2);
    assert!(!told.text().contains(OTHER) && told.text().contains("command line"), "{told:?}");
    world.run(&["secret", "set", "No Name"]).expect(2);
    let history = world.run(&["secret", "history", "a", "--output", "json"]).expect(0).json();
    assert_eq!(history["versions"].as_array().unwrap().len(), 1, "{history}");
    world.finish();
}

#[test]
fn token_of_a_site_comes_from_the_store() {
    let world = World::new();
    let token = world.sim.token().to_owned();
    let text = site(&world.sim.urls(), world.sim.fingerprint(), "{ secret: sites/lab }");
    let site = world.write("lab.yaml", &text).display().to_string();
    let stack = world.write("farm.yaml", &farm(1).yaml()).display().to_string();
    let files = ["-f".to_owned(), site, "-f".to_owned(), stack];
    let refused = world.run_files(&["plan"], &files).expect(2);
    assert!(refused.stderr.contains("secret set sites/lab"), "{refused:?}");
    world.tell(&["secret", "set", "sites/lab"], &token).expect(0);
    world.apply(&files).expect(0);
    world.run(&["verify", "farm"]).expect(0);
    world.finish();
}

#[test]
fn values_are_for_the_installation_and_for_the_recovery_key_alone() {
    let world = World::new();
    world.set("shop/db", VALUE);
    let outside = tempfile::tempdir().unwrap();
    let offline = IdentityFile::create(&outside.path().join("offline.key")).unwrap();
    let sealed = || -> SealedValue {
        let args = ["store", "row", "secret_version", "shop/db/1", "--column", "sealed"];
        world.run(&args).expect(0).stdout.parse().unwrap()
    };
    let name = "shop/db".parse().unwrap();
    assert!(offline.open(&name, 1, &sealed()).is_err());
    let recipient = offline.recipient().to_string();
    let named = world.run(&["secret", "recovery", "set", &recipient, "--output", "json"]).expect(0).json();
    assert_eq!(named, json!({ "recovery": recipient, "values": 1 }));
    assert_eq!(offline.open(&name, 1, &sealed()).unwrap().expose(), VALUE);
    assert_eq!(world.run(&["secret", "recovery", "show", "--output", "json"]).expect(0).json()["recovery"], recipient);
    world.run(&["secret", "recovery", "off"]).expect(0);
    assert!(offline.open(&name, 1, &sealed()).is_err());
    let audit = world.run(&["audit", "ls", "--action", "secret.recovery", "-o", "json"]).expect(0).json();
    let told = |at: usize, what: &str| audit["entries"][at][what]["recovery"].clone();
    assert_eq!((told(1, "before"), told(1, "after")), (Value::Null, json!(recipient)), "{audit}");
    assert_eq!((told(0, "before"), told(0, "after")), (json!(recipient), Value::Null), "{audit}");
    // A key of somebody else is not taken for the installation's.
    let path = outside.path().join("offline.key").display().to_string();
    let refused = world.run(&["secret", "recovery", "set", &recipient, "--identity", &path]).expect(2);
    assert!(refused.stderr.contains("--identity FILE"), "{refused:?}");
    world.finish();
}

#[test]
fn a_database_holds_no_value_and_a_process_leaves_no_image() {
    let mut world = World::new();
    let server = PgServer::start(&Options::default()).unwrap();
    world.database = Some(server.url());
    let identity = world.path("secrets.key").display().to_string();
    world.hide(VALUE);
    world.tell(&["secret", "set", "shop/db", "--identity", &identity], VALUE).expect(0);
    world.run(&["secret", "set", "shop/db", "--generate", "40", "--identity", &identity]).expect(0);
    let history = world.run(&["secret", "history", "shop/db", "--output", "json"]).expect(0).json();
    assert_eq!(history["versions"].as_array().unwrap().len(), 2, "{history}");
    let mut running = world.spawn(&["serve", "--identity", &identity, "--output", "json"]);
    world.until("core dumps are off", || {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", running.id())).unwrap();
        limits.lines().any(|line| line.starts_with("Max core file size") && line.contains(" 0 "))
    });
    running.kill();
    assert!(world.wait(running).killed());
    server.psql("rapidlaunch", "checkpoint").unwrap();
    world.no_hidden_value_in(&server.data());
    world.finish();
}

also_through_a_server![
    value_is_set_listed_rotated_and_removed,
    file_is_taken_byte_for_byte_and_a_bad_value_not_at_all,
    token_of_a_site_comes_from_the_store,
];
