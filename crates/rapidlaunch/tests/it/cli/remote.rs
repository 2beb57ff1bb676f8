//! Commands that work through a server: the same output, the way to the server, and what is said where there is none.

use std::path::{Path, PathBuf};
use std::process::Command;

use insta::assert_snapshot;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::people_remote::people;
use super::settings;
use crate::harness::{Allow, Run, Served, World, farm, free_address};

fn through(world: &World, served: &Served, args: &[&str]) -> Run {
    let mut command = world.command_here(args);
    served.name_to(world, &mut command);
    world.wait(world.spawn_command(command))
}

/// Byte for byte, what a command prints beside a server and what it prints by asking the server.
#[test]
fn looking_shows_the_same_bytes() {
    let world = World::new();
    let files = world.write_farm(&farm(2));
    world.apply(&files).expect(0);
    world.run(&["guest", "snapshot", "create", "w-2", "before"]).expect(0);
    world.run(&["secret", "set", "shop/db", "--generate", "40"]).expect(0);
    people(&world);
    world.run(&["schedule", "set", "nightly", "--at", "0 3 * * *", "restart", "w-1"]).expect(0);
    let served = world.api_server(&[]);
    world.until("the server is ready", || served.get(&world, "/readyz").status() == 200);
    let more = world.write_farm(&crate::harness::Farm { cores: 2, ..farm(3) });
    let planned: Vec<&str> = ["plan"].into_iter().chain(more.iter().map(String::as_str)).collect();
    for (command, code) in [
        (&["op", "show", "last"][..], 0),
        (&["op", "show", "nothing"], 2),
        (&["stack", "ls"], 0),
        (&["stack", "show", "farm"], 0),
        (&["stack", "show", "nothing"], 2),
        (&["guest", "ls"], 0),
        (&["guest", "ls", "nothing"], 0),
        (&["guest", "show", "farm/w-1"], 0),
        (&["guest", "show", "w-7"], 2),
        (&["guest", "snapshot", "ls", "w-2"], 0),
        (&["site", "ls"], 0),
        (&["site", "check", "nowhere"], 2),
        (&["secret", "ls"], 0),
        (&["secret", "history", "shop/db"], 0),
        (&["secret", "history", "nothing"], 2),
        (&["user", "ls"], 0),
        (&["grant", "ls"], 0),
        (&["token", "ls"], 0),
        (&["token", "ls", "--owner", "otto"], 0),
        (&["quota", "ls"], 0),
        (&["quota", "show", "team"], 0),
        (&["quota", "show", "nobody"], 2),
        (&["audit", "ls"], 0),
        (&["audit", "ls", "--actor", "tester", "--action", "user", "--path", "/users", "--limit", "1"], 0),
        (&["audit", "verify"], 0),
        (&["audit", "export"], 0),
        (&["schedule", "ls"], 0),
        (&["schedule", "rm", "nothing"], 2),
        (&["agent", "ls"], 0),
        (&["agent", "revoke", "--site", "lab", "--node", "pve1"], 2),
        (&["firewall", "explain", "--from", "w-2", "--to", "w-1:22"], 0),
        (&["firewall", "explain", "--from", "192.0.2.0/28", "--to", "w-1:ping", "-v"], 0),
        (&["firewall", "explain", "--from", "192.0.2.7", "--to", "w-9:22"], 2),
        (&["site", "rm", "nowhere"], 2),
        (&["stack", "protect", "nothing"], 2),
        (&["drift", "farm"], 0),
        (&["drift", "nothing"], 2),
        (&["plan", "farm"], 0),
        (&["plan", "farm", "--destroy", "--exit-code"], 3),
        (&["plan", "nothing"], 2),
        (&planned, 0),
    ] {
        // An error is rendered from one document in both forms; once is enough.
        let formats: &[&str] = if code == 2 { &["json"] } else { &["text", "json"] };
        for format in formats {
            let args: Vec<&str> = command.iter().copied().chain(["-o", *format]).collect();
            let here = world.run(&args).expect(code);
            let there = through(&world, &served, &args).expect(code);
            assert_eq!(here.stdout, there.stdout, "{args:?}");
            assert_eq!(here.stderr, there.stderr, "{args:?}");
        }
    }
    let verified = through(&world, &served, &["verify", "farm"]).expect(0);
    assert_eq!(world.run(&["verify", "farm"]).expect(0).stdout, verified.stdout);
    for list in [&["op", "ls", "-o", "json"][..], &["op", "ls", "--stack", "farm", "-o", "json"]] {
        assert_eq!(world.run(list).expect(0).stdout, through(&world, &served, list).expect(0).stdout);
    }
    // How long each endpoint took is told as well, and differs.
    let steady = |run: Run| {
        run.stdout
            .split("answered in ")
            .map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned())
            .collect::<String>()
    };
    for format in ["text", "json"] {
        let check = ["site", "check", "lab", "-o", format];
        assert_eq!(steady(world.run(&check).expect(0)), steady(through(&world, &served, &check).expect(0)));
    }
    world.end(served).expect(0);
    world.finish();
}

/// Beside a server, a command that changes something finds the server by itself.
#[test]
fn the_server_that_holds_the_directory_is_found() {
    let world = World::new();
    let files = world.write_farm(&farm(1));
    let served = world.api_server(&[]);
    let applied = world.apply(&files).expect(0).json();
    assert_eq!(applied["stacks"][0]["proof"]["ok"], true, "{applied:#}");
    world.run(&["guest", "stop", "w-1"]).expect(0);
    assert_eq!(world.guest(3000)["running"], false);
    let audit = served.json(&world, "/v1/audit");
    let actions: Vec<&str> = audit["items"].as_array().unwrap().iter().map(|e| e["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["guest.stop", "stack.apply", "plan.create"]);
    world.end(served).expect(0);
    world.finish();
}

/// A follower goes on when the server comes back, and nothing is done twice.
#[test]
fn a_command_outlives_its_server() {
    const CONTAINERS: usize = 8;
    let world = World::with(|config| {
        config.time_scale = 20.0;
        config.max_creates = 1;
    });
    let files = world.write_farm(&farm(CONTAINERS));
    let mut served = world.api_server(&[]);
    let child = world.spawn_files(&["apply", "--yes"], &files);
    world.until("some containers are made", || world.creates() >= 2);
    served.child.kill();
    assert!(world.wait(served.child).killed());
    let served = world.api_server(&[]);
    let run = world.wait(child).expect(0);
    assert!(run.stdout.contains("Proven: 8 guests"), "{run:?}");
    assert_eq!(world.creates(), CONTAINERS as u64);
    world.end(served).expect(0);
    world.finish_with(Allow { volumes: true, ..Allow::default() });
}

/// Ctrl-C leaves the work to the server, and says how to come back to it.
#[test]
fn ctrl_c_leaves_the_work_to_the_server() {
    let world = World::new();
    let files = world.write_farm(&farm(1));
    world.faults(
        json!([{ "when": { "method": "POST", "path": "/nodes/*/lxc" }, "action": { "do": "delay", "seconds": 2.0 } }]),
    );
    let served = world.api_server(&[]);
    let child = world.spawn_files(&["apply", "--yes"], &files);
    world.until("a create waits at the door", || world.struck(0) > 0);
    child.signal(Signal::INT);
    let run = world.wait(child);
    // Whoever listens late hears of the end instead.
    assert!(matches!(run.code, Some(0 | 130)), "{run:?}");
    if run.code == Some(130) {
        assert!(run.stderr.contains("The server goes on") && run.stderr.contains("op cancel"), "{}", run.stderr);
    }
    world.run(&["op", "watch", "last"]).expect(0);
    assert_eq!(world.creates(), 1);
    world.end(served).expect(0);
    world.finish();
}

fn told(world: &World, change: impl FnOnce(&mut Command), args: &[&str]) -> String {
    let mut command = world.command_here(args);
    change(&mut command);
    world.wait(world.spawn_command(command)).expect_not(0).text()
}

#[test]
fn each_trouble_on_the_way_tells_what_to_do() {
    let world = World::new();
    let served = world.api_server(&[]);
    let nobody = format!("https://{}", free_address());
    let authority = world.write("ca.pem", &served.authority);
    let with = |server: &str, token: &str, ca: bool| {
        let (server, token) = (server.to_owned(), token.to_owned());
        let authority = authority.clone();
        move |command: &mut Command| {
            command.env("RAPIDLAUNCH_SERVER", server).env("RAPIDLAUNCH_TOKEN", token);
            if ca {
                command.env("RAPIDLAUNCH_CA", authority);
            }
        }
    };
    let list = ["stack", "ls"];
    let mut text = String::new();
    for said in [
        told(&world, with(&nobody, "rlt_x", true), &list),
        told(&world, with(&served.url, &served.token, false), &list),
        told(&world, with(&served.url, "rlt_wrong", true), &list),
        told(&world, with(&served.url, "", true), &list),
        told(&world, with("http://plain.example", "rlt_x", true), &list),
        told(&world, with(&served.url, "rlt_x", true), &["store", "check"]),
    ] {
        text.push_str(&said);
    }
    settings(&world).bind(|| assert_snapshot!(text.trim(), @r#"
    error: the server at https://127.0.0.1:PORT cannot be reached
      because: Connection refused (os error 111)
    hint: check that it runs, and that its address and port are right: `rapidlaunch serve --listen ADDR` says where it is

    error: the certificate of the server at https://127.0.0.1:PORT is not trusted
      because: invalid peer certificate: UnknownIssuer
    hint: name the certificate of its authority with --ca-file FILE or RAPIDLAUNCH_CA: the server keeps it in DATA/api/ca.pem
    hint: a certificate is for names: reach the server by one of them, or give it another with `serve --name NAME`

    error: the token is not known, has ended, or was revoked
    hint: give another token with RAPIDLAUNCH_TOKEN or --token-file FILE; tokens are made on the server's page, under Tokens

    error: no API token is given, and the server wants to know who asks
    hint: set RAPIDLAUNCH_TOKEN, or name a file with --token-file FILE
    hint: tokens are made on the server's page, under Tokens

    error: invalid value 'http://plain.example' for '--server <URL>': `http://plain.example` is no server; write https://HOST or https://HOST:PORT

    For more information, try '--help'.

    error: `store` is not done through a server: it looks into the data directory or database itself
    hint: run it on the machine of the server, without --server and RAPIDLAUNCH_SERVER
    "#));
    world.end(served).expect(0);
    world.finish();
}

/// A user with a role on everything: a token of theirs, and a file that holds it.
pub(super) fn person(world: &World, served: &Served, name: &str, role: &str) -> (String, PathBuf) {
    let scopes = json!([{ "role": "admin", "path": "/" }]);
    asked(world, served, None, "/v1/users", json!({ "name": name, "password": "correct horse battery" }));
    asked(world, served, None, "/v1/grants", json!({ "to": format!("user:{name}"), "role": role, "path": "/" }));
    let made = asked(world, served, None, "/v1/tokens", json!({ "label": "cli", "owner": name, "scopes": scopes }));
    let token = made["token"].as_str().unwrap().to_owned();
    let file = world.write_private(&format!("{name}.token"), &token);
    (token, file)
}

/// The answer to a POST, with a token or as whoever holds the data directory.
fn asked(world: &World, served: &Served, token: Option<&str>, path: &str, body: Value) -> Value {
    let request = served.client.post(format!("{}{path}", served.url)).json(&body);
    let request = request.bearer_auth(token.unwrap_or(&served.token));
    let key = format!("{}-{}", path.replace('/', "-"), body.to_string().len());
    let answer = world.runtime.block_on(async {
        let response = request.header("idempotency-key", key).send().await.unwrap();
        assert!(response.status().is_success(), "{path}: {}", response.status());
        response.text().await.unwrap()
    });
    serde_json::from_str(&answer).unwrap()
}

pub(super) fn with_token(world: &World, served: &Served, token: &Path, args: &[&str]) -> Run {
    let mut command = world.command_here(args);
    served.name_to(world, &mut command);
    command.env_remove("RAPIDLAUNCH_TOKEN").arg("--token-file").arg(token);
    world.wait(world.spawn_command(command))
}

/// A plan that another person must approve is carried out by the same command, given again.
#[test]
fn an_approved_plan_is_carried_out() {
    let world = World::new();
    world.apply(&world.write_farm(&farm(1))).expect(0);
    let served = world.api_server(&[]);
    let (_, author) = person(&world, &served, "anna", "deployer");
    let (approver, _) = person(&world, &served, "berta", "approver");
    let protect = served.request(reqwest::Method::PATCH, "/v1/stacks/farm").header("if-match", "*");
    let protect = world.runtime.block_on(protect.json(&json!({ "protected": true })).send()).unwrap();
    assert_eq!(protect.status(), 200);
    let stack = world.write("more.yaml", &farm(2).yaml()).display().to_string();
    let apply = ["apply", "--yes", "-f", &stack];
    let waits = with_token(&world, &served, &author, &apply).expect(4);
    assert!(waits.stderr.contains("then give the same command again"), "{}", waits.stderr);
    assert_eq!(world.creates(), 1);
    let plans = served.json(&world, "/v1/plans?stack=farm&state=open");
    let plan = plans["items"][0]["id"].as_str().unwrap();
    asked(&world, &served, Some(&approver), &format!("/v1/plans/{plan}/approve"), json!({}));
    with_token(&world, &served, &author, &apply).expect(0);
    assert_eq!(served.json(&world, &format!("/v1/plans/{plan}"))["state"], "applied");
    assert_eq!(world.creates(), 2);
    world.end(served).expect(0);
    world.finish();
}

/// What only this machine has is told before anything is sent.
#[test]
fn files_of_this_machine_are_told_plainly() {
    let world = World::new();
    let files = world.write_farm(&farm(1));
    let served = world.api_server(&[]);
    let (_, token) = person(&world, &served, "anna", "admin");
    let args: Vec<&str> = ["apply", "--yes"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let run = with_token(&world, &served, &token, &args).expect(2);
    settings(&world).bind(|| {
        assert_snapshot!(run.text().trim(), @r#"
    error: site lab names the file DIR/lab.token of this machine
    hint: the work is done by the server at https://127.0.0.1:PORT, which has its own files and variables
    hint: store the value there as a secret, and name that: `{ secret: sites/lab }`
    "#)
    });
    assert_eq!(world.state()["guests"], json!({}));
    world.end(served).expect(0);
    world.finish();
}
