//! Schedules over the API: set, changed by who saw them, paused, resumed and removed.

use reqwest::Method;
use serde_json::{Value, json};

use super::Client;
use crate::harness::{Allow, World, farm};

#[test]
fn a_schedule_is_set_changed_paused_resumed_and_removed() {
    let world = World::new();
    world.apply(&world.write_farm(&farm(2))).expect(0);
    let served = world.api_server(&[]);
    let root = Client::root(&world, &served);
    let at = "/v1/schedules/nightly";
    let body = |hour: u32| json!({ "at": format!("0 {hour} * * *"), "zone": "Europe/Berlin", "action": "restart", "guest": "w-1" });
    let put = |tag: Option<&str>, body: &Value| {
        let mut request = served.request(Method::PUT, at).json(body);
        if let Some(tag) = tag {
            request = request.header("if-match", tag);
        }
        let response = world.runtime.block_on(request.send()).unwrap();
        (response.status().as_u16(), response.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned()))
    };
    let (status, first) = put(None, &body(3));
    assert_eq!(status, 200);
    let first = first.unwrap();
    assert_eq!(put(None, &body(4)).0, 428, "it is there: the state must be named");
    let (status, second) = put(Some(&first), &body(4));
    assert_eq!(status, 200);
    assert_ne!(second.unwrap(), first);
    assert_eq!(put(Some(&first), &body(5)).0, 412, "somebody else was quicker");
    let shown = root.get(at);
    assert_eq!(
        (&shown["at"], &shown["zone"], &shown["missed"], &shown["starts"], &shown["stack"], &shown["paused"]),
        (
            &json!("0 4 * * *"),
            &json!("Europe/Berlin"),
            &json!("skip"),
            &json!("restart w-1 (nightly)"),
            &json!("farm"),
            &json!(false)
        )
    );
    assert!(shown["next_at_ms"].is_u64(), "{shown}");
    let guest = root.get("/v1/guests?q=w-1")["items"][0]["id"].clone();
    assert_eq!(shown["guest"], guest);
    assert_eq!(root.get("/v1/schedules")["items"], json!([shown]));
    let paused = root.must(Method::POST, &format!("{at}/pause"), &Value::Null);
    assert_eq!((&paused["paused"], &paused["next_at_ms"]), (&json!(true), &Value::Null));
    root.must(Method::POST, &format!("{at}/pause"), &Value::Null);
    assert_eq!(root.must(Method::POST, &format!("{at}/resume"), &Value::Null)["paused"], false);
    let wrong = |field: &str, value: Value| {
        let mut body = body(3);
        body[field] = value;
        root.refused(Method::PUT, at, &body, "RL0506");
    };
    wrong("at", json!("every day"));
    wrong("at", json!("0 3 31 2 *"));
    wrong("zone", json!("Mars/Base"));
    wrong("guest", json!("w-9"));
    wrong("catch_up_max", json!(100_000));
    let other = root.person("other", "operator", "/stacks/other");
    other.refused(Method::PUT, at, &body(3), "RL0503");
    other.refused(Method::PUT, "/v1/schedules/mine", &body(3), "RL0506");
    other.refused(Method::DELETE, at, &Value::Null, "RL0503");
    assert_eq!(other.get("/v1/schedules")["items"], json!([]));
    let viewer = root.person("viewer", "viewer", "/stacks/farm");
    viewer.refused(Method::PUT, at, &body(3), "RL0502");
    viewer.refused(Method::POST, &format!("{at}/pause"), &Value::Null, "RL0502");
    let operator = root.person("operator", "operator", "/stacks/farm");
    let by_id = json!({ "at": "30 4 * * 1", "missed": "coalesce", "action": "stop", "guest": guest });
    assert_eq!(operator.must(Method::PUT, "/v1/schedules/weekly", &by_id)["zone"], "UTC");
    operator.must(Method::DELETE, "/v1/schedules/weekly", &Value::Null);
    root.must(Method::DELETE, at, &Value::Null);
    root.refused(Method::DELETE, at, &Value::Null, "RL0503");
    let deeds: Vec<String> = root.deeds().into_iter().filter(|deed| deed.starts_with("schedule.")).collect();
    let words: Vec<&str> = deeds.iter().map(|deed| deed.strip_suffix(" /stacks/farm").unwrap()).collect();
    let wanted = ["set", "set", "pause", "resume", "set", "remove", "remove"].map(|word| format!("schedule.{word}"));
    // What the journal refuses after the audit was written stands in the audit too.
    let done: Vec<&str> = words.iter().copied().filter(|word| wanted.iter().any(|wanted| wanted == word)).collect();
    assert!(done.len() >= wanted.len(), "{deeds:?}");
    world.end(served).expect(0);
    world.finish_with(Allow { volumes: true, ..Allow::default() });
}
