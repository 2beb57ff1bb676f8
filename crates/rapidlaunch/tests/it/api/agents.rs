//! Agents over the API: invited, seen and revoked.

use reqwest::Method;
use serde_json::{Value, json};

use super::Client;
use crate::harness::{Allow, World, farm, free_address};

fn state(root: &Client<'_>, node: &str) -> Value {
    let agents = root.get("/v1/agents");
    let found = agents["items"].as_array().unwrap().iter().find(|agent| agent["node"] == node).cloned();
    found.unwrap_or(Value::Null)
}

#[test]
fn an_agent_is_invited_seen_and_revoked() {
    let world = World::new();
    world.apply(&world.write_farm(&farm(1))).expect(0);
    let address = free_address();
    let served = world.api_server(&["--agents", &address.to_string()]);
    let root = Client::root(&world, &served);
    let wanted = json!({ "site": "lab", "node": "pve1", "hours": 2 });
    let (status, made) = root.keyed(Method::POST, "/v1/agents/tokens", "invite", &wanted);
    assert_eq!(status, 201, "{made}");
    let token = made["token"].as_str().unwrap().to_owned();
    world.hide(token.split('-').nth(2).unwrap());
    let (status, again) = root.keyed(Method::POST, "/v1/agents/tokens", "invite", &wanted);
    assert_eq!((status.as_u16(), &again["token"], &again["node"]), (201, &Value::Null, &json!("pve1")), "shown once");
    for (wrong, code) in [
        (json!({ "site": "lab", "node": "pve1", "hours": 0 }), "RL0506"),
        (json!({ "site": "no site", "node": "pve1" }), "RL0506"),
        (json!({ "site": "lab" }), "RL0505"),
    ] {
        root.refused(Method::POST, "/v1/agents/tokens", &wrong, code);
    }
    assert_eq!(made["note"], Value::Null);
    let early = root.must(Method::POST, "/v1/agents/tokens", &json!({ "site": "later", "node": "pve1" }));
    assert!(early["note"].as_str().unwrap().contains("no site `later` is known yet"), "{}", early["note"]);
    world.hide(early["token"].as_str().unwrap().split('-').nth(2).unwrap());
    root.person("viewer", "viewer", "/sites/lab").refused(Method::POST, "/v1/agents/tokens", &wanted, "RL0502");
    let file = world.write_private("join", &token);
    let mut agent = world.agent("pve1", address, Some(file.to_str().unwrap()));
    world.until("the agent is connected", || state(&root, "pve1")["connected"] == true);
    let seen = state(&root, "pve1");
    assert_eq!((&seen["site"], &seen["state"]), (&json!("lab"), &json!("connected")), "{seen}");
    assert!(seen["last_seen_ms"].is_u64() && seen["certificate_ends_ms"].is_u64() && seen["version"].is_string());
    assert_eq!(root.person("other", "viewer", "/stacks/farm").get("/v1/agents")["items"], json!([]));
    root.must(Method::DELETE, "/v1/agents/lab/pve1", &Value::Null);
    assert_eq!(state(&root, "pve1")["state"], "revoked");
    root.refused(Method::DELETE, "/v1/agents/lab/pve1", &Value::Null, "RL0503");
    root.refused(Method::DELETE, "/v1/agents/lab/pve2", &Value::Null, "RL0503");
    let deeds: Vec<String> = root.deeds().into_iter().filter(|deed| deed.starts_with("agent.")).collect();
    assert_eq!(deeds, ["agent.invite /sites/lab", "agent.invite /sites/later", "agent.revoke /sites/lab"]);
    agent.kill();
    let _ = world.wait(agent);
    std::fs::remove_file(file).unwrap();
    world.end(served).expect(0);
    world.no_hidden_value_in(&world.data);
    world.finish_with(Allow { volumes: true, ..Allow::default() });
}
