//! Goal: who follows what happens misses nothing without being told, gets nothing twice, and hears of what they may read alone.
//! Method: a real server over HTTPS that is killed and started again, followers by tokens with roles, two logs.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Allow, Farm, Served, World, farm, site};

/// An event of a stream.
#[derive(Debug, Clone, PartialEq)]
struct Heard {
    name: String,
    id: String,
    data: Value,
}

/// Somebody who follows.
struct Follower {
    response: Response,
    text: String,
}

impl Follower {
    fn open(world: &World, served: &Served, token: &str, query: &str, last: Option<&str>) -> Self {
        let request = served.client.get(format!("{}/v1/events{query}", served.url)).bearer_auth(token);
        let request = last.iter().fold(request, |request, last| request.header("last-event-id", *last));
        let response = world.runtime.block_on(request.send()).unwrap();
        assert_eq!(response.status(), 200);
        Self { response, text: String::new() }
    }

    /// The next event; none when the stream has ended.
    fn next(&mut self, world: &World) -> Option<Heard> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let found = event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                    found.unwrap_or_default().to_owned()
                };
                let (name, id, data) = (field("event"), field("id"), field("data"));
                self.text = rest.to_owned();
                if name.is_empty() {
                    continue;
                }
                return Some(Heard { name, id, data: serde_json::from_str(&data).unwrap() });
            }
            let limit = Duration::from_secs(60);
            let chunk = world.runtime.block_on(async { tokio::time::timeout(limit, self.response.chunk()).await });
            // A server that is killed breaks the connection.
            let chunk = chunk.expect("something is sent within a minute, if only a comment").ok()??;
            self.text += std::str::from_utf8(&chunk).unwrap();
        }
    }

    /// Everything up to an event that `is_last` knows.
    fn until(&mut self, world: &World, is_last: impl Fn(&Heard) -> bool) -> Vec<Heard> {
        let mut all = Vec::new();
        loop {
            let heard = self.next(world).unwrap_or_else(|| panic!("the stream ended after {all:#?}"));
            all.push(heard);
            if is_last(&all[all.len() - 1]) {
                return all;
            }
        }
    }
}

/// Makes something, as whoever holds the data directory.
fn post(world: &World, served: &Served, path: &str, body: &Value) -> Value {
    let request = served.request(Method::POST, path).json(body);
    world.runtime.block_on(async {
        let response = request.send().await.unwrap();
        assert!(response.status().is_success(), "{path}: {}", response.text().await.unwrap());
        response.json().await.unwrap()
    })
}

/// A user with a role on a path: the token, and the id of the grant.
fn person(world: &World, served: &Served, name: &str, role: &str, path: &str) -> (String, String) {
    post(world, served, "/v1/users", &json!({ "name": name, "password": "correct horse battery" }));
    let grant = json!({ "to": format!("user:{name}"), "role": role, "path": path });
    let grant = post(world, served, "/v1/grants", &grant);
    let scopes = json!([{ "role": "admin", "path": "/" }]);
    let token = post(world, served, "/v1/tokens", &json!({ "label": "t", "owner": name, "scopes": scopes }));
    (token["token"].as_str().unwrap().to_owned(), grant["id"].as_str().unwrap().to_owned())
}

/// A change of the rules of a stack, which is in the audit.
fn govern(world: &World, served: &Served, stack: &str, owner: &str) {
    let request = served.request(Method::PATCH, &format!("/v1/stacks/{stack}")).header("if-match", "*");
    let response = world.runtime.block_on(request.json(&json!({ "owner": owner })).send()).unwrap();
    assert_eq!(response.status(), 200);
}

fn finish(world: World, served: Served) {
    world.end(served).expect(0);
    world.finish_with(Allow { volumes: true, ..Allow::default() });
}

/// What the logs have, as name and number.
fn numbers(heard: &[Heard]) -> Vec<(bool, u64)> {
    let told = heard.iter().filter(|heard| heard.name != "ready");
    told.map(|heard| (heard.name == "change", heard.data["seq"].as_u64().unwrap())).collect()
}

#[test]
fn nothing_is_lost_and_nothing_told_twice_across_a_kill() {
    let world = World::new();
    let files = world.write_farm(&farm(2));
    world.run_files(&["apply", "--yes", "--detach"], &files).expect(0);
    let served = world.api_server(&[]);
    let mut follower = Follower::open(&world, &served, &served.token, "?after=0-0", None);
    govern(&world, &served, "farm", "first");
    let mut seen = follower.until(&world, |heard| heard.name == "change");
    seen.extend(follower.until(&world, |heard| heard.name.starts_with("step.") || heard.name.starts_with("job.")));
    let mut served = served;
    served.child.kill();
    let _ = world.wait(served.child);
    while let Some(heard) = follower.next(&world) {
        seen.push(heard);
    }
    let last = seen.last().unwrap().id.clone();
    assert_ne!(last, "0-0");
    let served = world.api_server(&[]);
    govern(&world, &served, "farm", "second");
    let mut follower = Follower::open(&world, &served, &served.token, "?after=0-0", Some(&last));
    world.until("the operation is done", || served.json(&world, "/v1/operations")["items"][0]["state"] == "done");
    govern(&world, &served, "farm", "third");
    let is_end = |heard: &Heard| heard.name == "operation.state" && heard.data["body"]["state"] == "done";
    let is_change = |heard: &&Heard| heard.name == "change";
    while !seen.iter().any(is_end) || seen.iter().filter(is_change).count() < 3 {
        let heard = follower.next(&world).unwrap();
        assert_ne!(heard.name, "resync");
        seen.push(heard);
    }
    let mut whole = Follower::open(&world, &served, &served.token, "?after=0-0", None);
    let end = seen.last().unwrap().id.clone();
    let (events, changes) = end.split_once('-').unwrap();
    let (events, changes): (u64, u64) = (events.parse().unwrap(), changes.parse().unwrap());
    let mut all = BTreeSet::new();
    while all.len() < seen.iter().filter(|heard| heard.name != "ready").count() {
        let heard = whole.next(&world).unwrap();
        if heard.name == "ready" {
            continue;
        }
        let (is_change, seq) = (heard.name == "change", heard.data["seq"].as_u64().unwrap());
        if seq <= if is_change { changes } else { events } {
            assert!(all.insert((is_change, seq)), "told twice in one stream: {heard:?}");
        }
    }
    let told = numbers(&seen);
    let once: BTreeSet<(bool, u64)> = told.iter().copied().collect();
    assert_eq!(once.len(), told.len(), "told twice: {told:?}");
    assert_eq!(once, all, "all that happened, and nothing else");
    finish(world, served);
}

#[test]
fn what_is_gone_is_told_and_nonsense_refused() {
    let world = World::new();
    let files = world.write_farm(&farm(1));
    world.apply(&files).expect(0);
    let served = world.api_server(&[]);
    govern(&world, &served, "farm", "first");
    govern(&world, &served, "farm", "second");
    let mut newest = String::new();
    world.until("the server has read what was done", || {
        let ready = Follower::open(&world, &served, &served.token, "", None).next(&world).unwrap();
        assert_eq!((ready.name.as_str(), &ready.data), ("ready", &json!({})));
        newest = ready.id;
        newest.ends_with("-2")
    });
    let events: u64 = newest.split_once('-').unwrap().0.parse().unwrap();
    assert!(events > 1, "{newest}");
    world.end(served).expect(0);
    let base = rusqlite::Connection::open(world.data.join("rapidlaunch.db")).unwrap();
    base.execute("insert into meta (key, value) values ('events_deleted_to', ?1)", [events.to_string()]).unwrap();
    base.execute("delete from audit where seq = 1", []).unwrap();
    drop(base);
    let served = world.api_server(&[]);
    let first = |query: &str, last: Option<&str>| {
        let mut follower = Follower::open(&world, &served, &served.token, query, last);
        follower.next(&world).unwrap();
        follower.next(&world).unwrap()
    };
    for gone in ["1-2".to_owned(), format!("{events}-0"), format!("{}-2", events + 1), format!("{events}-9")] {
        let heard = first("", Some(&gone));
        assert_eq!((heard.name.as_str(), heard.id.as_str()), ("resync", newest.as_str()), "{gone}");
    }
    let kept = first(&format!("?after={events}-1"), None);
    assert_eq!((kept.name.as_str(), &kept.data["action"]), ("change", &json!("stack.govern")));
    for nonsense in ["17", "a-b", "-1-0", "1-1-1"] {
        let response = served.get(&world, &format!("/v1/events?after={nonsense}"));
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{nonsense}");
    }
    world.end(served).expect(0);
    world.finish_tampered();
}

#[test]
fn everybody_hears_of_what_they_may_read_and_no_longer_than_that() {
    let world = World::new();
    for name in ["farm", "ranch"] {
        world.apply(&world.write_farm(&Farm { name, ..farm(1) })).expect(0);
    }
    let served = world.api_server(&[]);
    let (of_farm, _) = person(&world, &served, "farmer", "viewer", "/stacks/farm");
    let (of_lab, _) = person(&world, &served, "lab", "viewer", "/sites/lab");
    let (gone, grant) = person(&world, &served, "gone", "viewer", "/stacks/farm");
    let mut farmer = Follower::open(&world, &served, &of_farm, "", None);
    let mut lab = Follower::open(&world, &served, &of_lab, "", None);
    let mut leaving = Follower::open(&world, &served, &gone, "", None);
    let mut others = Follower::open(&world, &served, &served.token, "?stack=ranch", None);
    let mut jobs = Follower::open(&world, &served, &served.token, "?kinds=change.token,job.", None);
    for follower in [&mut farmer, &mut lab, &mut leaving, &mut others, &mut jobs] {
        assert_eq!(follower.next(&world).unwrap().name, "ready");
    }
    govern(&world, &served, "farm", "first");
    let change = |follower: &mut Follower| {
        let heard = follower.next(&world).unwrap();
        assert_eq!(heard.name, "change", "{heard:?}");
        (heard.data["action"].as_str().unwrap().to_owned(), heard.data["path"].as_str().unwrap().to_owned())
    };
    let governed = ("stack.govern".to_owned(), "/stacks/farm".to_owned());
    assert_eq!((change(&mut farmer), change(&mut leaving)), (governed.clone(), governed.clone()));
    let removed = world
        .runtime
        .block_on(served.request(Method::DELETE, &format!("/v1/grants/{grant}")).header("if-match", "*").send());
    assert!(removed.unwrap().status().is_success());
    govern(&world, &served, "ranch", "other");
    govern(&world, &served, "farm", "second");
    assert_eq!(change(&mut farmer), governed, "and nothing of another stack");
    assert_eq!(leaving.next(&world), None, "who may read nothing any more follows nothing");
    assert_eq!(change(&mut others).1, "/stacks/ranch");
    let guest = served.json(&world, "/v1/guests?stack=farm")["items"][0]["id"].as_str().unwrap().to_owned();
    post(&world, &served, &format!("/v1/guests/{guest}/actions"), &json!({ "action": "stop" }));
    // A stream may begin with what was written down in the moment before it.
    let told = jobs.until(&world, |heard| heard.name.starts_with("job."));
    let made = |heard: &Heard| heard.data["action"] == "token.create";
    assert!(told[..told.len() - 1].iter().all(made), "neither changes of stacks nor other events: {told:?}");
    let text = site(&world.sim.urls(), world.sim.fingerprint(), "{ secret: sites/lab }");
    post(&world, &served, "/v1/sites", &json!({ "text": text, "token": world.sim.token() }));
    assert_eq!(change(&mut lab).1, "/sites/lab", "and nothing of stacks");
    world.until("it is stopped", || served.json(&world, "/v1/operations")["items"][0]["state"] == "done");
    finish(world, served);
}

#[test]
fn one_caller_follows_so_often_and_no_more() {
    let world = World::new();
    let served = world.api_server(&[]);
    let (token, _) = person(&world, &served, "maria", "viewer", "/");
    let mut open: Vec<Follower> = (0..100).map(|_| Follower::open(&world, &served, &token, "", None)).collect();
    let ask = || {
        let request = served.client.get(format!("{}/v1/events", served.url)).bearer_auth(&token);
        world.runtime.block_on(request.send()).unwrap()
    };
    let refused = ask();
    assert!(refused.status() == 429 && refused.headers().contains_key("retry-after"));
    let problem: Value = world.runtime.block_on(refused.json()).unwrap();
    assert_eq!(problem["code"], "RL0511", "{problem}");
    drop(Follower::open(&world, &served, &served.token, "", None));
    open.pop();
    world.until("the place is free", || ask().status() == 200);
    drop(open);
    world.end(served).expect(0);
    world.finish();
}
