//! Goal: a stack is launched over the API alone, once however often it is asked for, and approved by another person where it is
//! protected. Method: a real server over HTTPS, a simulated site, requests as a program sends them, SIGKILL in between.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Allow, Served, World, farm, site};

/// An answer: status, whether it was given before, body.
type Answered = (StatusCode, bool, Value);

fn post(world: &World, served: &Served, token: &str, path: &str, key: &str, body: &Value) -> Answered {
    let request = served.client.request(Method::POST, format!("{}{path}", served.url)).bearer_auth(token);
    world.runtime.block_on(async {
        let response = request.header("idempotency-key", key).json(body).send().await.unwrap();
        let again = response.headers().contains_key("idempotency-replayed");
        let status = response.status();
        let text = response.text().await.unwrap();
        (status, again, serde_json::from_str(&text).unwrap_or(Value::Null))
    })
}

fn declare(world: &World, served: &Served) {
    let text = site(&world.sim.urls(), world.sim.fingerprint(), "{ secret: sites/lab }");
    let body = json!({ "text": text, "token": world.sim.token() });
    let (status, _, answer) = post(world, served, &served.token, "/v1/sites", "declare", &body);
    assert_eq!(status, 201, "{answer}");
    let checked = post(world, served, &served.token, "/v1/sites/lab/check", "check", &json!({})).2;
    assert_eq!(checked["ok"], true, "{checked}");
}

fn plan_body() -> Value {
    json!({ "files": [{ "name": "farm.yaml", "text": farm(2).yaml() }] })
}

fn settled(world: &World, served: &Served, operation: &str) -> Value {
    let mut last = Value::Null;
    world.until("the operation is done", || {
        last = served.json(world, &format!("/v1/operations/{operation}"));
        last["state"] == "done"
    });
    last
}

#[test]
fn a_stack_is_launched_over_the_api_alone() {
    let world = World::new();
    let served = world.api_server(&[]);
    declare(&world, &served);
    let token = served.token.clone();
    let (status, again, plan) = post(&world, &served, &token, "/v1/plans", "p1", &plan_body());
    assert_eq!((status.as_u16(), again), (201, false), "{plan}");
    assert_eq!(plan["document"]["actions"].as_array().unwrap().len(), 2);
    let (status, again, same) = post(&world, &served, &token, "/v1/plans", "p1", &plan_body());
    assert_eq!(
        (status.as_u16(), again, &same["id"]),
        (201, true, &plan["id"]),
        "the same request is answered the same"
    );
    let (status, _, refused) = post(&world, &served, &token, "/v1/plans", "p1", &json!({ "stack": "farm" }));
    assert_eq!((status.as_u16(), &refused["code"]), (422, &json!("RL0512")));
    let apply = format!("/v1/plans/{}/apply", plan["id"].as_str().unwrap());
    let (status, _, accepted) = post(&world, &served, &token, &apply, "a1", &json!({}));
    assert_eq!(status, 202, "{accepted}");
    let operation = accepted["operation"].as_str().unwrap().to_owned();
    let whole = settled(&world, &served, &operation);
    assert_eq!(whole["jobs"].as_array().unwrap().len(), 2);
    let (status, _, refused) = post(&world, &served, &token, &apply, "a2", &json!({}));
    assert_eq!((status.as_u16(), &refused["code"]), (409, &json!("RL0518")), "a plan is applied once: {refused}");
    world.until("the stack is proven", || served.get(&world, "/v1/stacks/farm/proof").status() == 200);
    assert_eq!(served.json(&world, "/v1/stacks/farm/proof")["ok"], true);
    let audit = served.json(&world, "/v1/audit");
    let actions: Vec<&str> = audit["items"].as_array().unwrap().iter().map(|e| e["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["stack.apply", "plan.create", "site.declare", "secret.set"]);
    let verdict = post(&world, &served, &token, "/v1/audit/verify", "v1", &json!({})).2;
    assert_eq!((&verdict["ok"], &verdict["count"]), (&json!(true), &json!(4)));
    let overview = served.json(&world, "/v1/overview");
    assert_eq!(overview["sites"][0]["reachable"], true);
    assert_eq!(overview["stacks"][0]["proof"]["ok"], true, "{overview}");
    assert_eq!(served.json(&world, "/v1/search?q=w-1")["items"][0]["kind"], "guest");
    world.end(served).expect(0);
    world.finish_with(Allow { volumes: true, ..Allow::default() });
}

#[test]
fn a_request_is_carried_out_once_also_across_a_kill() {
    let world = World::new();
    let mut served = world.api_server(&[]);
    declare(&world, &served);
    let plan = post(&world, &served, &served.token, "/v1/plans", "p", &plan_body()).2;
    let apply = format!("/v1/plans/{}/apply", plan["id"].as_str().unwrap());
    let (status, _, first) = post(&world, &served, &served.token, &apply, "once", &json!({}));
    assert_eq!(status, 202, "{first}");
    served.child.kill();
    let _ = world.wait(served.child);
    let served = world.api_server(&[]);
    let (status, again, second) = post(&world, &served, &served.token, &apply, "once", &json!({}));
    assert_eq!((status.as_u16(), again, &second), (202, true, &first), "the answer outlives the server");
    settled(&world, &served, first["operation"].as_str().unwrap());
    assert_eq!(world.creates(), 2);
    world.end(served).expect(0);
    world.finish_with(Allow { volumes: true, ..Allow::default() });
}

#[test]
fn a_protected_stack_needs_another_person() {
    let world = World::new();
    let served = world.api_server(&[]);
    declare(&world, &served);
    let root = served.token.clone();
    let plan = post(&world, &served, &root, "/v1/plans", "p0", &plan_body()).2;
    let apply = format!("/v1/plans/{}/apply", plan["id"].as_str().unwrap());
    let accepted = post(&world, &served, &root, &apply, "a0", &json!({})).2;
    settled(&world, &served, accepted["operation"].as_str().unwrap());
    let request = served.request(Method::PATCH, "/v1/stacks/farm").header("if-match", "\"0\"");
    let governed = world.runtime.block_on(request.json(&json!({ "protected": true })).send()).unwrap();
    assert_eq!(governed.status(), 200);
    let person = |name: &str, role: &str| {
        let key = |what: &str| format!("{name}-{what}");
        post(
            &world,
            &served,
            &root,
            "/v1/users",
            &key("user"),
            &json!({ "name": name, "password": "correct horse battery" }),
        );
        let grant = json!({ "to": format!("user:{name}"), "role": role, "path": "/" });
        post(&world, &served, &root, "/v1/grants", &key("grant"), &grant);
        let scopes = json!([{ "role": "admin", "path": "/" }]);
        let token = json!({ "label": "t", "owner": name, "scopes": scopes });
        post(&world, &served, &root, "/v1/tokens", &key("token"), &token).2["token"].as_str().unwrap().to_owned()
    };
    let (author, approver) = (person("author", "admin"), person("approver", "approver"));
    let more = json!({ "files": [{ "name": "farm.yaml", "text": farm(3).yaml() }] });
    let plan = post(&world, &served, &author, "/v1/plans", "p1", &more).2;
    assert_eq!(plan["needs_approval"], true, "{plan}");
    let path = format!("/v1/plans/{}", plan["id"].as_str().unwrap());
    let (apply, approve) = (format!("{path}/apply"), format!("{path}/approve"));
    let refused = post(&world, &served, &author, &apply, "a1", &json!({}));
    assert_eq!((refused.0.as_u16(), &refused.2["code"]), (409, &json!("RL0517")), "{}", refused.2);
    let own = post(&world, &served, &author, &approve, "b1", &json!({}));
    assert_eq!((own.0.as_u16(), &own.2["code"]), (409, &json!("RL0517")), "nobody approves a plan of their own");
    assert_eq!(post(&world, &served, &approver, &apply, "a2", &json!({})).0, 403);
    assert_eq!(post(&world, &served, &approver, &approve, "b2", &json!({})).0, 200);
    let accepted = post(&world, &served, &author, &apply, "a3", &json!({}));
    assert_eq!(accepted.0, 202, "{}", accepted.2);
    settled(&world, &served, accepted.2["operation"].as_str().unwrap());
    world.end(served).expect(0);
    world.finish_with(Allow { volumes: true, ..Allow::default() });
}
