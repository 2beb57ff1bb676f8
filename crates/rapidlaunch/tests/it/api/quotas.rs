//! Quotas: set by administrators, and held wherever a plan is applied.

use reqwest::Method;
use serde_json::{Value, json};

use super::Client;
use crate::harness::{Allow, Farm, World, farm};

fn named(name: &'static str, count: usize) -> Farm {
    Farm { name, ..farm(count) }
}

/// A world with two stacks of one guest each that belong to one team.
fn owned() -> World {
    let world = World::new();
    for name in ["barn", "farm"] {
        world.apply(&world.write_farm(&named(name, 1))).expect(0);
    }
    world.with_server(|served| {
        let root = Client::root(&world, served);
        for name in ["barn", "farm"] {
            root.must(Method::PATCH, &format!("/v1/stacks/{name}"), &json!({ "owner": "team" }));
        }
    });
    world
}

fn plan(root: &Client<'_>, name: &'static str, count: usize) -> String {
    let files = json!([{ "name": "stack.yaml", "text": named(name, count).yaml() }]);
    let plan = root.must(Method::POST, "/v1/plans", &json!({ "files": files }));
    format!("/v1/plans/{}/apply", plan["id"].as_str().unwrap())
}

#[test]
fn quotas_are_set_shown_and_removed() {
    let world = owned();
    let served = world.api_server(&[]);
    let root = Client::root(&world, &served);
    let limits = json!({ "guests": 3, "memory_bytes": 8u64 << 30, "disk_bytes": 64u64 << 30 });
    let put = |tag: Option<&str>| {
        let mut request = served.request(Method::PUT, "/v1/quotas/team").json(&limits);
        if let Some(tag) = tag {
            request = request.header("if-match", tag);
        }
        let response = world.runtime.block_on(request.send()).unwrap();
        (response.status().as_u16(), response.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned()))
    };
    assert_eq!(put(None), (200, Some("\"1\"".to_owned())));
    assert_eq!(put(None).0, 428, "it is there: the version must be named");
    assert_eq!(put(Some("\"7\"")).0, 412);
    assert_eq!(put(Some("\"1\"")), (200, Some("\"2\"".to_owned())));
    let shown = root.get("/v1/quotas/team");
    assert_eq!(
        shown["limits"],
        json!({ "guests": 3, "cores": null, "memory_bytes": 8u64 << 30, "disk_bytes": 64u64 << 30, "addresses": null })
    );
    assert_eq!((&shown["used"]["guests"], &shown["used"]["addresses"]), (&json!(2), &json!(2)), "{shown}");
    assert_eq!(root.get("/v1/quotas")["items"], json!([shown]));
    root.refused(Method::PUT, "/v1/quotas/team", &json!({ "disk_bytes": 1 }), "RL0506");
    root.refused(Method::GET, "/v1/quotas/nobody", &Value::Null, "RL0503");
    root.person("deployer", "deployer", "/").refused(Method::PUT, "/v1/quotas/team", &limits, "RL0502");
    root.must(Method::DELETE, "/v1/quotas/team", &Value::Null);
    root.refused(Method::DELETE, "/v1/quotas/team", &Value::Null, "RL0503");
    let deeds: Vec<String> = root.deeds().into_iter().filter(|deed| deed.starts_with("quota.")).collect();
    assert_eq!(deeds, ["quota.set /quotas/team", "quota.set /quotas/team", "quota.remove /quotas/team"]);
    world.end(served).expect(0);
    world.finish_with(Allow { volumes: true, ..Allow::default() });
}

#[test]
fn a_plan_that_would_go_over_is_refused_at_apply_also_when_two_race() {
    let world = owned();
    let served = world.api_server(&[]);
    let root = Client::root(&world, &served);
    root.must(Method::PUT, "/v1/quotas/team", &json!({ "guests": 3 }));
    let refused = root.refused(Method::POST, &plan(&root, "farm", 3), &json!({}), "RL0522");
    let told = json!({ "owner": "team", "what": "guests", "used": 2, "wanted": 4, "allowed": 3 });
    assert_eq!(refused["details"], told, "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("may have 3 guests, has 2, and would have 4"), "{refused}");
    // Each of the two fits alone; both together do not.
    let paths = [plan(&root, "barn", 2), plan(&root, "farm", 2)];
    let apply = |path: &String| {
        let request = served.request(Method::POST, path).header("idempotency-key", path.len().to_string() + path);
        async {
            let response = request.json(&json!({})).send().await.unwrap();
            (response.status().as_u16(), response.json::<Value>().await.unwrap())
        }
    };
    let (one, two) = world.runtime.block_on(async { tokio::join!(apply(&paths[0]), apply(&paths[1])) });
    let mut both = [one, two];
    both.sort_by_key(|(status, _)| *status);
    let [(202, accepted), (409, refused)] = both else { panic!("{both:?}") };
    assert_eq!(refused["code"], "RL0522", "{refused}");
    let operation = accepted["operation"].as_str().unwrap();
    world.until("the operation is done", || root.get(&format!("/v1/operations/{operation}"))["state"] == "done");
    assert_eq!(root.get("/v1/quotas/team")["used"]["guests"], 3);
    world.end(served).expect(0);
    world.finish_with(Allow { volumes: true, ..Allow::default() });
}

#[test]
fn the_command_line_is_held_to_quotas_and_what_shrinks_is_never_refused() {
    let world = owned();
    let said = world.run(&["quota", "set", "team", "--guests", "3", "--memory", "8GiB"]).expect(0).stdout;
    assert!(said.contains("team") && said.contains("2 of 3") && said.contains("512 MiB of 8192 MiB"), "{said}");
    world.run(&["quota", "set", "team"]).expect(2);
    world.run(&["quota", "show", "nobody"]).expect(2);
    world.apply(&world.write_farm(&named("farm", 2))).expect(0);
    let over = world.apply(&world.write_farm(&named("barn", 2))).expect(4);
    assert!(over.stderr.contains("team may have 3 guests, has 3, and would have 4"), "{}", over.stderr);
    // With less allowed than there is, taking away is not refused, and adding is.
    world.run(&["quota", "set", "team", "--guests", "1"]).expect(0);
    world.apply(&world.write_farm(&named("farm", 1))).expect(0);
    world.apply(&world.write_farm(&named("farm", 2))).expect(4);
    let listed = world.run(&["quota", "ls", "--output", "json"]).expect(0).json();
    let quota = &listed["quotas"][0];
    assert_eq!(
        (&quota["owner"], &quota["used"]["guests"], &quota["limits"]["guests"]),
        (&json!("team"), &json!(2), &json!(1))
    );
    world.run(&["quota", "rm", "team"]).expect(0);
    world.run(&["quota", "rm", "team"]).expect(2);
    world.apply(&world.write_farm(&named("farm", 2))).expect(0);
    world.finish_with(Allow { volumes: true, ..Allow::default() });
}

mod through_a_server {
    #[test]
    fn the_command_line_is_held_to_quotas_and_what_shrinks_is_never_refused() {
        crate::harness::through_a_server(super::the_command_line_is_held_to_quotas_and_what_shrinks_is_never_refused);
    }
}
