//! Secrets over the API: names, versions and places, and never a value.

use reqwest::Method;
use serde_json::{Value, json};

use super::Client;
use crate::harness::{World, farm};

const VALUE: &str = "Wp5-gt8Qn1YsLv6d";

fn names(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[test]
fn secrets_are_listed_and_shown_without_their_values() {
    let world = World::new();
    world.hide(VALUE);
    let file = world.write_private("value", VALUE);
    world.run(&["secret", "set", "shop/db", "--file", file.to_str().unwrap()]).expect(0);
    std::fs::remove_file(file).unwrap();
    world.run(&["secret", "set", "shop/db", "--generate", "40"]).expect(0);
    world.run(&["secret", "set", "shop/gone", "--generate", "20"]).expect(0);
    world.run(&["secret", "rm", "shop/gone"]).expect(0);
    world.run(&["secret", "set", "sites/fra1", "--generate", "20"]).expect(0);
    let served = world.api_server(&[]);
    let first = served.json(&world, "/v1/secrets?limit=1");
    assert_eq!(names(&first), ["shop/db"], "{first}");
    assert_eq!(first["next"], "shop/db");
    let item = &first["items"][0];
    assert_eq!((&item["version"], &item["generated_length"], &item["files"]), (&json!(2), &json!(40), &json!(0)));
    let second = served.json(&world, "/v1/secrets?limit=1&cursor=shop%2Fdb");
    assert_eq!((names(&second), &second["next"]), (vec!["sites/fra1"], &Value::Null));
    let shown = served.json(&world, "/v1/secrets/shop%2Fdb");
    let origins: Vec<&Value> = shown["versions"].as_array().unwrap().iter().map(|version| &version["origin"]).collect();
    assert_eq!(origins, ["generated", "given"]);
    assert_eq!((&shown["versions"][0]["set_by"], &shown["delivered"]), (&json!("tester"), &json!([])));
    let gone = served.json(&world, "/v1/secrets/shop%2Fgone");
    assert_eq!((&gone["removed_by"], gone["removed_at_ms"].is_u64()), (&json!("tester"), true));
    assert_eq!(served.get(&world, "/v1/secrets/shop%2Fnone").status(), 404);
    assert_eq!(served.get(&world, "/v1/secrets/..%2F..").status(), 404);
    assert_eq!(served.get(&world, "/v1/secrets?limit=0").status(), 400);
    world.end(served).expect(0);
    world.finish();
}

#[test]
fn a_value_is_set_rotated_and_removed_and_is_found_nowhere() {
    let world = World::new();
    world.hide(VALUE);
    let served = world.api_server(&[]);
    let root = Client::root(&world, &served);
    let at = "/v1/secrets/shop%2Fdb";
    let set = root.must(Method::PUT, at, &json!({ "value": VALUE }));
    assert_eq!(set, json!({ "name": "shop/db", "version": 1, "held": [] }));
    let late = served.request(Method::PUT, at).header("if-match", "\"7\"").json(&json!({ "value": VALUE }));
    assert_eq!(world.runtime.block_on(late.send()).unwrap().status(), 412);
    for wrong in
        [json!({}), json!({ "value": VALUE, "generate": 8 }), json!({ "value": "" }), json!({ "generate": 4096 })]
    {
        root.refused(Method::PUT, at, &wrong, "RL0506");
    }
    let misplaced = root.refused(Method::PUT, at, &json!({ "value": [VALUE] }), "RL0505");
    assert!(!misplaced.to_string().contains(VALUE), "{misplaced}");
    root.refused(Method::POST, &format!("{at}/rotate"), &json!({}), "RL0506");
    let rotated = root.keyed(Method::POST, &format!("{at}/rotate"), "r", &json!({ "length": 40 }));
    assert_eq!((rotated.0.as_u16(), &rotated.1["version"]), (200, &json!(2)), "{}", rotated.1);
    let again = root.keyed(Method::POST, &format!("{at}/rotate"), "r", &json!({ "length": 40 }));
    assert_eq!(again, rotated, "asked again, it makes no third version");
    assert_eq!(root.must(Method::POST, &format!("{at}/rotate"), &json!({}))["version"], 3);
    assert_eq!(root.must(Method::PUT, "/v1/secrets/shop%2Fmade", &json!({ "generate": 20 }))["version"], 1);
    let whole = root.get(at);
    assert_eq!((&whole["version"], &whole["generated_length"]), (&json!(3), &json!(40)));
    root.must(Method::DELETE, at, &Value::Null);
    root.refused(Method::DELETE, at, &Value::Null, "RL0503");
    root.refused(Method::POST, &format!("{at}/rotate"), &json!({}), "RL0503");
    let deeds = root.deeds();
    let of = ["set", "rotate", "rotate", "set", "remove"].map(|deed| {
        let name = if deed == "set" { "" } else { "shop/db" };
        (format!("secret.{deed}"), name)
    });
    assert_eq!(deeds.len(), of.len(), "{deeds:?}");
    for (deed, (action, name)) in deeds.iter().zip(of) {
        assert!(deed.starts_with(&action) && deed.contains(name), "{deeds:?}");
    }
    world.end(served).expect(0);
    world.no_hidden_value_in(&world.data);
    world.finish();
}

#[test]
fn secrets_are_set_and_granted_by_whom_they_belong_to() {
    let world = World::new();
    world.apply(&world.write_farm(&farm(1))).expect(0);
    let served = world.api_server(&[]);
    let root = Client::root(&world, &served);
    root.must(Method::PUT, "/v1/secrets/bank%2Fkey", &json!({ "generate": 32 }));
    let value = json!({ "value": "gX7-some-value-of-mine" });
    let shop = root.person("shop", "deployer", "/stacks/farm");
    shop.must(Method::PUT, "/v1/secrets/farm%2Fown", &value);
    for other in ["bank%2Fkey", "sites%2Flab", "alone"] {
        shop.refused(Method::PUT, &format!("/v1/secrets/{other}"), &value, "RL0503");
        shop.refused(Method::DELETE, &format!("/v1/secrets/{other}"), &Value::Null, "RL0503");
    }
    assert_eq!(names(&shop.get("/v1/secrets")), ["farm/own"]);
    let viewer = root.person("viewer", "viewer", "/");
    viewer.refused(Method::PUT, "/v1/secrets/farm%2Fown", &value, "RL0502");
    assert_eq!(names(&viewer.get("/v1/secrets")), ["bank/key", "farm/own"]);
    let deployer = root.person("deployer", "deployer", "/");
    deployer.refused(Method::PUT, "/v1/secrets/sites%2Flab", &value, "RL0502");
    // Who may not set a secret does not get it into a guest of theirs either.
    root.must(Method::POST, "/v1/grants", &json!({ "to": "user:shop", "role": "viewer", "path": "/sites/lab" }));
    let stack = |secret: &str| {
        let text = farm(1).yaml() + &format!("    secrets:\n      - from: {secret}\n");
        json!({ "files": [{ "name": "farm.yaml", "text": text }] })
    };
    let refused = shop.refused(Method::POST, "/v1/plans", &stack("bank/key"), "RL0503");
    assert!(refused["detail"].as_str().unwrap().contains("secret `bank/key`"), "{refused}");
    shop.must(Method::POST, "/v1/plans", &stack("farm/own"));
    world.end(served).expect(0);
    world.finish_with(crate::harness::Allow { volumes: true, ..Default::default() });
}
