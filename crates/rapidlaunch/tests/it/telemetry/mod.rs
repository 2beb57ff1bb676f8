//! What a running server tells about itself: figures, logs, traces, health, signs of life.

mod figures;
mod notify;
mod sink;

use serde_json::{Value, json};

use crate::harness::{Allow, Served, World, farm};
use sink::Sink;

/// A world in which two guests are to be launched by the server that is started next.
fn waiting() -> World {
    let world = World::new();
    let farm = world.write_farm(&farm(2));
    world.run_files(&["apply", "--yes", "--detach"], &farm).expect(0);
    world
}

/// Waits until the server has carried out all there is.
fn until_done(world: &World, served: &Served) {
    world.until("the server is ready", || served.get(world, "/readyz").status() == 200);
    world.until("the operation is done", || {
        let operations = served.json(world, "/v1/operations");
        operations["items"][0]["state"] == "done"
    });
}

fn finish(world: World) {
    world.finish_with(Allow { volumes: true, ..Allow::default() });
}

#[test]
fn logs_have_ids_traces_reach_the_collector_and_no_secret_leaves() {
    let world = waiting();
    let sink = Sink::start(&world.runtime);
    let args = ["--log", "json", "--log-level", "debug", "--otlp-endpoint", &sink.url()];
    let served = world.api_server(&args);
    until_done(&world, &served);
    let id = served.get(&world, "/healthz").headers()["x-request-id"].to_str().unwrap().to_owned();
    let refused = served.json(&world, "/v1/operations/none");
    let said = world.end(served).expect(0).stderr;

    let lines: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let has = |line: &Value, names: &[&str]| names.iter().all(|name| line[*name].is_string());
    let call = lines.iter().find(|line| has(line, &["operation", "job", "step", "site", "node", "template"]));
    assert!(call.is_some(), "a call to Proxmox is logged with all it belongs to:\n{said}");
    let answered = lines.iter().find(|line| line["request"] == id.as_str());
    assert_eq!(answered.unwrap_or_else(|| panic!("{said}"))["route"], "/healthz");
    assert!(lines.iter().any(|line| line["request"] == refused["request"] && line["status"] == 404), "{refused}");

    let spans = sink.spans();
    let job = spans.iter().find(|span| span.name == "job").unwrap_or_else(|| panic!("{spans:#?}"));
    let within = |name: &str, parent: &sink::Seen| {
        let found = spans.iter().find(|span| span.kind == name && span.parent == parent.id);
        found.unwrap_or_else(|| panic!("no {name} within {parent:?}: {spans:#?}")).clone()
    };
    let step = within("step", job);
    let steps: Vec<_> = spans.iter().filter(|span| span.kind == "step").collect();
    let call = spans.iter().find(|span| span.kind == "proxmox" && steps.iter().any(|step| step.id == span.parent));
    let call = call.unwrap_or_else(|| panic!("no call within a step: {spans:#?}"));
    assert!(step.trace == job.trace && call.trace == job.trace, "one trace from job to call");
    assert_eq!(call.attributes["status"], "200");
    assert!(spans.iter().any(|span| span.name == "GET /healthz"), "requests are traced");
    let everything = format!("{spans:?}");
    assert!(!everything.contains(&world.secret()), "a secret was sent to the collector");
    finish(world);
}

/// One trace from the request to the call to Proxmox, although the server that took the request is not there any more.
#[test]
fn a_trace_goes_on_with_the_server_that_comes_after_a_kill() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let world = World::new();
    world.apply(&world.write_farm(&farm(1))).expect(0);
    let sink = Sink::start(&world.runtime);
    let args = ["--otlp-endpoint", &sink.url()];
    let mut served = world.api_server(&args);
    world.until("the server is ready", || served.get(&world, "/readyz").status() == 200);
    let locked = json!({ "do": "refuse", "status": 500, "message": "can't lock file '/run/lock/lxc/pve-config-3000.lock' - got timeout" });
    world.faults(json!([{ "when": { "method": "POST", "path": "/nodes/*/lxc/*/status/*" }, "action": locked }]));
    let guest = served.json(&world, "/v1/guests")["items"][0]["id"].as_str().unwrap().to_owned();
    let request = served.request(reqwest::Method::POST, &format!("/v1/guests/{guest}/actions"));
    let request = request.header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
    let response = world.runtime.block_on(request.json(&json!({ "action": "stop" })).send()).unwrap();
    assert_eq!(response.status(), 202);
    let asked = || {
        let spans = sink.spans();
        spans.into_iter().find(|span| span.name == "POST /v1/guests/{guest}/actions" && hex(&span.trace) == TRACE)
    };
    world.until("the request has reached the collector", || asked().is_some());
    world.until("the call was refused", || world.struck(0) > 0);
    served.child().kill();
    let _ = world.wait(served.child);
    let before = sink.spans().len();
    world.sim.clear_faults();
    let served = world.api_server(&args);
    until_done(&world, &served);
    world.end(served).expect(0);
    let request = asked().unwrap();
    assert_eq!(hex(&request.parent), "00f067aa0ba902b7", "the caller's own span is above it");
    let after: Vec<_> = sink.spans().into_iter().skip(before).collect();
    let above = |span: &sink::Seen| after.iter().find(|other| other.id == span.parent).cloned();
    let calls = after.iter().filter(|span| span.kind == "proxmox" && hex(&span.trace) == TRACE);
    let done =
        calls.filter(|span| span.attributes["status"] == "200").filter_map(&above).filter(|span| span.kind == "step");
    let jobs: Vec<_> = done.filter_map(|step| above(&step)).collect();
    assert!(!jobs.is_empty(), "no call of the second server belongs to the request: {after:#?}");
    assert!(jobs.iter().all(|job| job.kind == "job" && job.parent == request.id), "{jobs:#?}");
    finish(world);
}
