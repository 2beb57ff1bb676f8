//! Users, grants, tokens and the audit as a person and as a script meet them.
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Run, Served, World};

const PASSWORD: &str = "correct horse battery";

fn json_of(world: &World, args: &[&str]) -> Value {
    world.run(&[args, &["--output", "json"]].concat()).expect(0).json()
}

fn add(world: &World, name: &str) -> Run {
    world.hide(PASSWORD);
    world.tell(&["user", "add", name, "--output", "json", "-vv"], &format!("{PASSWORD}\n"))
}

#[test]
fn users_are_added_shut_out_and_removed_and_the_last_administrator_stays() {
    let world = World::new();
    let short = world.tell(&["user", "add", "maria"], "too short\n").expect(2);
    assert!(short.stderr.contains("fewer than 12 characters"), "{short:?}");
    let maria = add(&world, "maria").expect(0).json();
    assert_eq!((&maria["name"], &maria["password"], &maria["totp"]), (&json!("maria"), &json!(true), &json!("off")));
    let taken = add(&world, "maria").expect(4);
    assert!(taken.stderr.contains("there is a user maria already"), "{taken:?}");
    world.run(&["user", "add", "robot", "--no-password"]).expect(0);
    let given = json_of(&world, &["grant", "add", "user:maria", "admin", "/"]);
    let last = world.run(&["user", "rm", "maria"]).expect(4);
    assert!(last.stderr.contains("give another user"), "{last:?}");
    world.run(&["user", "disable", "maria"]).expect(4);
    world.run(&["grant", "rm", given["id"].as_str().unwrap()]).expect(4);
    let refused = world.run(&["grant", "add", "user:nobody", "viewer", "/"]).expect(2);
    assert!(refused.stderr.contains("there is no such user: user:nobody"), "{refused:?}");
    world.run(&["grant", "add", "group:ops", "operator", "/stacks"]).expect(0);
    world.run(&["grant", "add", "group:ops", "operator", "/stacks"]).expect(4);
    world.run(&["grant", "add", "maria", "viewer", "/"]).expect(2);
    assert_eq!(json_of(&world, &["grant", "ls"])["grants"].as_array().unwrap().len(), 2);

    world.run(&["user", "disable", "robot"]).expect(0);
    let table = world.run(&["user", "ls"]).expect(0).stdout;
    let of = |name: &str| table.lines().find(|line| line.trim().starts_with(name)).unwrap().to_owned();
    assert!(of("robot").contains("shut out") && of("maria").contains("in force"), "{table}");
    world.run(&["user", "enable", "robot"]).expect(0);
    world.run(&["user", "rm", "robot"]).expect(0);
    world.run(&["user", "rm", "robot"]).expect(2);
    let users = json_of(&world, &["user", "ls"]);
    assert_eq!(users["users"].as_array().unwrap().len(), 1, "{users}");
    world.finish();
}

#[test]
fn what_is_made_here_is_good_at_a_server_and_what_is_revoked_is_not() {
    let world = World::new();
    add(&world, "maria").expect(0);
    world.run(&["grant", "add", "user:maria", "viewer", "/"]).expect(0);
    let made = json_of(&world, &["token", "add", "maria", "--label", "x", "--scope", "admin:/", "--days", "1"]);
    let (id, token) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    let listed = json_of(&world, &["token", "ls", "--owner", "maria"]);
    assert_eq!(listed["tokens"][0]["id"], json!(id));
    assert!(listed["tokens"][0].get("token").is_none(), "{listed}");
    for wrong in ["admin", "king:/", "admin:stacks"] {
        world.run(&["token", "add", "maria", "--label", "x", "--scope", wrong]).expect(2);
    }
    let ask = |served: &Served, expected: u16| {
        let request = served.client.request(Method::GET, format!("{}/v1/session", served.url)).bearer_auth(token);
        assert_eq!(world.runtime.block_on(request.send()).unwrap().status(), expected);
        let body = json!({ "name": "maria", "password": "another long one" });
        let request = served.client.request(Method::POST, format!("{}/v1/session", served.url)).json(&body);
        assert_eq!(world.runtime.block_on(request.send()).unwrap().status(), if expected == 200 { 401 } else { 200 });
    };
    let asked = |expected: u16| world.with_server(|served| ask(served, expected));
    asked(200);
    world.run(&["token", "rm", id]).expect(0);
    world.run(&["token", "rm", id]).expect(4);
    world.tell(&["user", "password", "maria"], "another long one\n").expect(0);
    asked(401);
    world.finish();
}

#[test]
fn audit_is_shown_exported_and_every_broken_link_named() {
    let world = World::new();
    for name in ["a", "b", "c", "d"] {
        world.run(&["user", "add", name, "--no-password"]).expect(0);
    }
    let listed = json_of(&world, &["audit", "ls", "--path", "/users/b"]);
    assert_eq!(
        (&listed["entries"][0]["action"], &listed["entries"][0]["via"]),
        (&json!("user.create"), &json!("local"))
    );
    assert_eq!(json_of(&world, &["audit", "ls", "--limit", "3"])["entries"].as_array().unwrap().len(), 3);
    let table = world.run(&["audit", "ls", "--action", "user"]).expect(0).stdout;
    assert_eq!(table.lines().count(), 5, "{table}");
    let exported = world.run(&["audit", "export"]).expect(0).stdout;
    let lines: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let verdict = json_of(&world, &["audit", "verify"]);
    let head = verdict["head"].as_str().unwrap();
    assert_eq!((&verdict["count"], head), (&json!(4), lines[3]["hash"].as_str().unwrap()));

    let change = |sql: &str| {
        let database = rusqlite::Connection::open(world.data.join("rapidlaunch.db")).unwrap();
        database.execute_batch(sql).unwrap();
    };
    let broken = |seq: u64, said: &str| {
        let run = world.run(&["audit", "verify"]).expect(1);
        assert!(run.stderr.contains(&format!("entry {seq} {said}")), "{run:?}");
        let error = world.run(&["audit", "verify", "--output", "json"]).expect(1).json();
        assert_eq!(error["error"]["details"]["broken_seq"], json!(seq), "{error}");
    };
    change("create table copied as select * from audit; update audit set actor = 'eve' where seq = 2");
    broken(2, "is not what it was");
    let whole = "delete from audit; insert into audit select * from copied;";
    change(&format!("{whole} delete from audit where seq = 3"));
    broken(3, "is missing");
    change(&format!(
        "{whole} update audit set seq = 9 where seq = 1; update audit set seq = 1 where seq = 2; update audit set seq = 2 where seq = 9"
    ));
    broken(1, "does not follow");
    change(&format!("{whole} delete from audit where seq = 4"));
    world.run(&["audit", "verify"]).expect(0);
    let cut = world.run(&["audit", "verify", "--head", head]).expect(1);
    assert!(cut.stderr.contains("entry 4 is not there"), "{cut:?}");
    change(&format!("{whole} drop table copied"));
    world.run(&["audit", "verify", "--head", head]).expect(0);
    world.run(&["audit", "verify", "--head", "x"]).expect(2);
    world.finish();
}

also_through_a_server![
    users_are_added_shut_out_and_removed_and_the_last_administrator_stays,
    what_is_made_here_is_good_at_a_server_and_what_is_revoked_is_not,
    audit_is_shown_exported_and_every_broken_link_named,
];
