//! What sites hold and show, over the API: leases, zones, and a guest with its firewall.

use reqwest::Method;
use serde_json::{Value, json};

use super::Client;
use crate::cli::firewall::guarded;
use crate::harness::{Allow, World, farm, site};

#[test]
fn leases_are_listed_with_those_in_quarantine() {
    let world = World::new();
    world.apply(&world.write_farm(&farm(2))).expect(0);
    world.apply(&world.write_farm(&farm(1))).expect(0);
    let served = world.api_server(&[]);
    let root = Client::root(&world, &served);
    let all = root.get("/v1/leases?site=lab");
    let items = all["items"].as_array().unwrap();
    let kinds: Vec<&str> = items.iter().map(|item| item["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["address", "address", "mac", "mac", "vmid", "vmid"], "{all}");
    let resting: Vec<&Value> = items.iter().filter(|item| item["state"] == "quarantined").collect();
    assert_eq!(resting.len(), 3, "{all}");
    assert!(resting.iter().all(|item| item["until_ms"].is_u64() && item["guest"] == "w-2"), "{all}");
    let held = items.iter().find(|item| item["state"] == "held" && item["kind"] == "address").unwrap();
    assert_eq!((&held["stack"], &held["guest"], &held["nic"]), (&json!("farm"), &json!("w-1"), &json!("eth0")));
    assert_eq!(held["until_ms"], Value::Null);
    let mut paged = Vec::new();
    let mut next = String::new();
    loop {
        let page = root.get(&format!("/v1/leases?limit=4{next}"));
        paged.extend(page["items"].as_array().unwrap().clone());
        let Some(cursor) = page["next"].as_str() else { break };
        next = format!("&cursor={}", cursor.replace('/', "%2F").replace(':', "%3A"));
    }
    assert_eq!(&paged, items);
    assert_eq!(root.get("/v1/leases?site=none")["items"], json!([]));
    root.refused(Method::GET, "/v1/leases?cursor=none", &Value::Null, "RL0505");
    assert_eq!(root.person("ours", "viewer", "/stacks/farm").get("/v1/leases")["items"].as_array().unwrap().len(), 6);
    assert_eq!(root.person("other", "viewer", "/stacks/other").get("/v1/leases")["items"], json!([]));
    world.end(served).expect(0);
    world.finish_with(Allow { volumes: true, ..Allow::default() });
}

#[test]
fn zones_are_listed_with_their_records_and_who_wrote_them() {
    let world = World::new();
    let text = farm(2).yaml() + "dns:\n  - { zone: example.org, name: www, type: A, to: w.eth0, ttl: 60 }\n";
    let files = world.write_stack("farm", &text);
    let site = std::fs::read_to_string(&files[1]).unwrap();
    std::fs::write(&files[1], site + "dns:\n  example.org: { provider: builtin }\n").unwrap();
    world.apply(&files).expect(0);
    let served = world.api_server(&[]);
    let root = Client::root(&world, &served);
    let zones = root.get("/v1/zones");
    let zone = &zones["items"][0];
    assert_eq!(
        (&zone["name"], &zone["provider"], &zone["sites"], &zone["records"]),
        (&json!("example.org"), &json!("builtin"), &json!(["lab"]), &json!(1)),
        "{zones}"
    );
    assert!(zone["serial"].is_u64(), "{zones}");
    let records = root.get("/v1/zones/example.org/records");
    let record = &records["items"][0];
    assert_eq!(
        (&record["name"], &record["type"], &record["ttl_s"], &record["stack"]),
        (&json!("www.example.org"), &json!("A"), &json!(60), &json!("farm")),
        "{records}"
    );
    assert_eq!(record["values"].as_array().unwrap().len(), 2, "{records}");
    root.refused(Method::GET, "/v1/zones/example.net/records", &Value::Null, "RL0503");
    let other = root.person("other", "viewer", "/stacks/farm");
    assert_eq!(other.get("/v1/zones")["items"], json!([]), "a zone is its site's");
    other.refused(Method::GET, "/v1/zones/example.org/records", &Value::Null, "RL0503");
    world.end(served).expect(0);
    world.finish_with(Allow { volumes: true, ..Allow::default() });
}

#[test]
fn a_guest_is_shown_with_its_firewall_and_packets_are_explained() {
    let world = guarded();
    let served = world.api_server(&[]);
    let root = Client::root(&world, &served);
    let guests = root.get("/v1/guests?q=web");
    let id = guests["items"][0]["id"].as_str().unwrap().to_owned();
    let whole = root.get(&format!("/v1/guests/{id}"));
    let firewall = &whole["firewall"];
    let options = &firewall["options"];
    assert_eq!(
        (&options["datacenter"], &options["enable"], &options["net0"]),
        (&json!(true), &json!(true), &json!(true))
    );
    let levels: Vec<(&str, usize)> = firewall["levels"].as_array().unwrap().iter().map(level).collect();
    assert_eq!(levels, [("guest", 4), ("group admin", 1)], "{firewall}");
    assert_eq!(whole["unread"], json!([]));
    let task = &whole["tasks"][0];
    assert!(task["upid"].as_str().unwrap().starts_with("UPID:") && task["started_at_ms"].is_u64(), "{task}");
    assert!(task["user"].is_string() && task["kind"].is_string(), "{task}");

    let explain = |question: &Value| root.must(Method::POST, "/v1/firewall/explain", question);
    let told = explain(
        &json!({ "site": "lab", "guest": id, "direction": "in", "protocol": "tcp", "port": 22, "from": "192.0.2.7" }),
    );
    assert_eq!((&told["verdict"], &told["packet"]["port"]), (&json!("accept"), &json!(22)), "{told}");
    assert_eq!(told["decided_by"]["level"], json!({ "at": "group", "name": "admin" }), "{told}");
    let command = ["firewall", "explain", "--from", "192.0.2.7", "--to", "web:22", "--output", "json"];
    assert_eq!(told, world.run(&command).expect(0).json(), "as the command prints it");
    let told = explain(&json!({ "guest": "shop/web", "port": "ssh", "from": "192.0.2.64/30" }));
    assert_eq!((&told["verdict"], told["parts"].as_array().unwrap().len()), (&json!("unclear"), 3), "{told}");
    let told = explain(&json!({ "guest": "db", "direction": "out", "protocol": "udp", "port": 53, "to": "web" }));
    assert_eq!((&told["verdict"], &told["stages"][0]["way"]), (&json!("drop"), &json!("out")), "{told}");
    let told = explain(&json!({ "guest": "db", "direction": "out", "port": 443, "to": "198.51.100.9" }));
    let stages = told["stages"].as_array().unwrap();
    assert_eq!((&told["verdict"], stages.len(), &stages[0]["way"]), (&json!("accept"), 1, &json!("out")), "{told}");
    assert_eq!((&told["packet"]["guest"], &told["packet"]["destination"]), (&Value::Null, &json!("198.51.100.9")));
    assert_eq!(explain(&json!({ "guest": "web", "protocol": "icmp", "from": "db" }))["packet"]["port"], Value::Null);
    for wrong in [
        json!({ "guest": "web", "from": "192.0.2.7" }),
        json!({ "guest": "web", "from": "192.0.2.7", "protocol": "icmp", "port": 1 }),
        json!({ "guest": "web", "from": "192.0.2.7", "to": "db", "port": 1 }),
        json!({ "guest": "web", "port": 1 }),
        json!({ "guest": "web", "from": "web", "port": 1 }),
        json!({ "guest": "web", "from": "nobody", "port": 1 }),
        json!({ "guest": "web", "direction": "out", "to": "192.0.2.0/24", "port": 1 }),
        json!({ "site": "fra1", "guest": "web", "from": "192.0.2.7", "port": 1 }),
    ] {
        root.refused(Method::POST, "/v1/firewall/explain", &wrong, "RL0506");
    }
    let other = root.person("other", "viewer", "/stacks/other");
    let question = json!({ "guest": id, "port": 22, "from": "192.0.2.7" });
    other.refused(Method::POST, "/v1/firewall/explain", &question, "RL0506");
    world.end(served).expect(0);
    world.finish();
}

fn level(level: &Value) -> (&str, usize) {
    (level["level"].as_str().unwrap(), level["rules"].as_array().unwrap().len())
}

#[test]
fn a_site_is_removed_once_nothing_lies_on_it() {
    let world = World::new();
    world.apply(&world.write_farm(&farm(1))).expect(0);
    let served = world.api_server(&[]);
    let root = Client::root(&world, &served);
    root.refused(Method::DELETE, "/v1/sites/lab", &Value::Null, "RL0507");
    world.run(&["destroy", "farm", "--yes"]).expect(0);
    let delete = |tag: Option<&str>| {
        let request = served.request(Method::DELETE, "/v1/sites/lab");
        let request = tag.into_iter().fold(request, |request, tag| request.header("if-match", tag));
        world.runtime.block_on(request.send()).unwrap().status().as_u16()
    };
    let read = served.get(&world, "/v1/sites/lab").headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!((delete(None), delete(Some("\"1\"")), delete(Some(&read)), delete(Some(&read))), (428, 412, 200, 404));
    root.refused(Method::GET, "/v1/sites/lab", &Value::Null, "RL0503");
    let entry = &root.get("/v1/audit")["items"][0];
    assert_eq!((&entry["action"], &entry["before"]["name"]), (&json!("site.remove"), &json!("lab")), "{entry}");
    world.end(served).expect(0);
    world.finish_with(Allow { volumes: true, ..Allow::default() });
}

#[test]
fn a_site_is_declared_anew_by_who_saw_it() {
    let world = World::new();
    let served = world.api_server(&[]);
    let root = Client::root(&world, &served);
    let at = "/v1/sites/lab";
    let text = |storage: &str| {
        let text = site(&world.sim.urls(), world.sim.fingerprint(), "{ secret: sites/lab }");
        text.replace("local-zfs", storage)
    };
    let put = |tag: Option<&str>, body: &Value| {
        let request = served.request(Method::PUT, at).json(body);
        let request = tag.into_iter().fold(request, |request, tag| request.header("if-match", tag));
        let response = world.runtime.block_on(request.send()).unwrap();
        (response.status().as_u16(), response.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned()))
    };
    let body = |storage: &str| json!({ "text": text(storage) });
    assert_eq!(put(Some("\"1\""), &body("one")).0, 412, "there is none");
    let (status, first) = put(None, &json!({ "text": text("one"), "token": world.sim.token() }));
    assert_eq!(status, 200);
    assert_eq!(put(None, &body("two")).0, 428, "it is there: the state must be named");
    let (status, second) = put(first.as_deref(), &body("two"));
    assert_eq!((status, second != first), (200, true));
    // A token that comes with a state that is no more is not kept either.
    assert_eq!(put(first.as_deref(), &json!({ "text": text("three"), "token": world.sim.token() })).0, 412);
    assert_eq!(root.get("/v1/secrets/sites%2Flab")["version"], 1);
    assert_eq!(put(second.as_deref(), &body("two")).1, second, "the same is no change");
    assert_eq!(root.get(at)["declared"]["storage"], "two");
    root.refused(Method::PUT, "/v1/sites/other", &body("one"), "RL0506");
    let stack = json!({ "text": format!("{}---\n{}", text("one"), farm(1).yaml()) });
    root.refused(Method::PUT, at, &stack, "RL0506");
    root.person("deployer", "deployer", "/").refused(Method::PUT, at, &body("four"), "RL0502");
    // Who else needs the token is told to whoever may see that.
    let spare = text("one").replace("name: lab", "name: spare").replace("127.0.0.1", "spare.example");
    root.must(Method::POST, "/v1/sites", &json!({ "text": spare }));
    let removed = root.person("keeper", "admin", "/sites/lab").must(Method::DELETE, at, &Value::Null);
    let secret = json!({ "name": "sites/lab", "removed": false, "used_by": "something that you may not see" });
    assert_eq!(removed, json!({ "name": "lab", "secret": secret }));
    let deeds = root.deeds().into_iter().filter(|deed| deed.ends_with("/lab")).collect::<Vec<_>>();
    assert_eq!(
        deeds,
        [
            "secret.set /secrets/sites/lab",
            "site.declare /sites/lab",
            "site.declare /sites/lab",
            "site.remove /sites/lab"
        ]
    );
    world.end(served).expect(0);
    world.finish();
}
