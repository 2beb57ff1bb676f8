//! The control endpoint: plain HTTP and JSON on a port of its own, for tests and for people who want to see a site suffer.

mod guests;
mod inside;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use crate::faults::{Action, Fault};
use crate::http::{Request, Response, Service, body};
use crate::site::Site;

/// The service behind the control port.
pub(crate) struct ControlService {
    pub(crate) site: Arc<Site>,
}

impl Service for ControlService {
    fn admit<'a>(&'a self, _head: &'a Request) -> BoxFuture<'a, Option<Response>> {
        async { None }.boxed()
    }

    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        async move {
            let path = body::decode(request.path.as_bytes());
            let parsed = if request.body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&request.body) };
            let (status, answer) = match parsed {
                Ok(value) => handle(&self.site, &request.method, &path, value).await,
                Err(e) => (400, json!({"error": format!("the body is not JSON: {e}")})),
            };
            let reason = if status < 400 { "OK" } else { "Error" };
            Response::json(status, reason, serde_json::to_vec(&answer).unwrap_or_default())
        }
        .boxed()
    }
}

/// Answers a control request: status and body.
pub(crate) async fn handle(site: &Arc<Site>, method: &str, path: &str, value: Value) -> (u16, Value) {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let result = match (method, parts.as_slice()) {
        ("GET", []) => Ok(json!({"paths": PATHS})),
        ("GET", ["ledger"]) => Ok(json!(site.ledger.snapshot())),
        ("DELETE", ["ledger"]) => Ok(done(|| site.ledger.clear())),
        ("GET", ["state"]) => Ok(guests::state(site)),
        ("GET", ["faults"]) => Ok(json!(site.faults.list())),
        ("POST", ["faults"]) => add_faults(site, value),
        ("DELETE", ["faults"]) => Ok(done(|| site.faults.clear())),
        ("POST", ["act"]) => act(site, value),
        ("POST", ["guests"]) => guests::put(site, value),
        ("DELETE", ["guests", vmid]) => guests::delete(site, vmid),
        ("GET", ["inside", node, "tasks"]) => Ok(inside::tasks(site, node)),
        ("GET", ["inside", node, vmid]) => inside::guest(site, node, vmid),
        ("POST", ["inside", node, vmid, "unlock"]) => inside::unlock(site, node, vmid),
        ("POST", ["nodes", node, state @ ("up" | "down")]) => set_node(site, node, *state == "up"),
        ("POST", ["quorum", state @ ("lost" | "ok")]) => Ok(done(|| site.world().quorum_lost = *state == "lost")),
        ("POST", ["restart-proxy"]) => Ok(done(|| site.drop_connections())),
        ("POST", ["clock"]) => shift_clock(site, &value),
        _ => return (404, json!({"error": format!("no control path {method} {path}"), "paths": PATHS})),
    };
    match result {
        Ok(answer) => (200, answer),
        Err(error) => (400, json!({"error": error})),
    }
}

/// What there is, for a person who asks.
const PATHS: &[&str] = &[
    "GET /ledger",
    "DELETE /ledger",
    "GET /state",
    "GET /faults",
    "POST /faults",
    "DELETE /faults",
    "POST /act",
    "POST /guests",
    "DELETE /guests/{vmid}",
    "GET /inside/{node}/{vmid}",
    "POST /inside/{node}/{vmid}/unlock",
    "GET /inside/{node}/tasks",
    "POST /nodes/{node}/up",
    "POST /nodes/{node}/down",
    "POST /quorum/lost",
    "POST /quorum/ok",
    "POST /restart-proxy",
    "POST /clock",
];

fn done(act: impl FnOnce()) -> Value {
    act();
    json!({"ok": true})
}

fn add_faults(site: &Site, value: Value) -> Result<Value, String> {
    let list = if value.is_array() { value } else { json!([value]) };
    let faults: Vec<Fault> = serde_json::from_value(list).map_err(|e| format!("this is no fault: {e}"))?;
    site.faults.add(faults);
    Ok(json!(site.faults.list()))
}

/// Does one action of a fault at once.
fn act(site: &Arc<Site>, value: Value) -> Result<Value, String> {
    let action: Action = serde_json::from_value(value).map_err(|e| format!("this is no action: {e}"))?;
    match action {
        Action::HoldFlock { .. }
        | Action::HoldLock { .. }
        | Action::DropNode { .. }
        | Action::LoseQuorum { .. }
        | Action::RestartProxy {} => Ok(done(|| apply(site, &action))),
        _ => Err("this action needs a call to strike; add it as a fault".to_owned()),
    }
}

/// What ends an action after its time.
type Later = Box<dyn FnOnce(&Arc<Site>) + Send>;

/// Does an action that needs no call to strike.
pub(crate) fn apply(site: &Arc<Site>, action: &Action) {
    let later = |seconds: f64, then: Later| {
        let site = site.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs_f64(seconds.max(0.0))).await;
            then(&site);
        });
    };
    match action {
        Action::HoldFlock { vmid, seconds } => {
            let (site, vmid, wait) = (site.clone(), *vmid, Duration::from_secs_f64(seconds.max(0.0)));
            // Taken at once when it is free, so that the call that this strikes already finds it held.
            let now = site.locks.try_lock_guest(vmid);
            tokio::spawn(async move {
                let lock = match now {
                    Some(lock) => Ok(lock),
                    None => site.locks.lock_guest(&site.clock, vmid).await,
                };
                tokio::time::sleep(wait).await;
                drop(lock);
            });
        }
        Action::HoldLock { vmid, lock, seconds } => {
            let vmid = *vmid;
            if let Some(guest) = site.world().guests.get_mut(&vmid) {
                guest.config.keys.insert("lock".to_owned(), lock.clone());
            }
            let free = move |site: &Arc<Site>| {
                if let Some(guest) = site.world().guests.get_mut(&vmid) {
                    guest.config.keys.remove("lock");
                }
            };
            later(*seconds, Box::new(free));
        }
        Action::DropNode { node, seconds } => {
            let _ = set_node(site, node, false);
            let node = node.clone();
            later(*seconds, Box::new(move |site| drop(set_node(site, &node, true))));
        }
        Action::LoseQuorum { seconds } => {
            site.world().quorum_lost = true;
            later(*seconds, Box::new(|site| site.world().quorum_lost = false));
        }
        Action::RestartProxy {} => site.drop_connections(),
        _ => {}
    }
}

/// Takes a node off the network or brings it back. What ran on it when it went down was killed.
fn set_node(site: &Arc<Site>, name: &str, up: bool) -> Result<Value, String> {
    let now = site.clock.now_precise();
    {
        let mut world = site.world();
        let world = &mut *world;
        let node = world.nodes.get_mut(name).ok_or_else(|| format!("no node '{name}'"))?;
        node.up = up;
        if !up {
            for guest in world.guests.values_mut().filter(|g| g.node == name && g.running.is_some()) {
                guest.running = None;
                guest.changed_at = now;
            }
        }
    }
    if !up {
        site.tasks.active(name).iter().for_each(|task| task.kill.cancel());
        site.drop_connections();
    }
    Ok(json!({"ok": true}))
}

fn shift_clock(site: &Site, value: &Value) -> Result<Value, String> {
    let seconds = value.get("advance").and_then(Value::as_i64).ok_or("give {\"advance\": seconds}")?;
    site.clock.shift(seconds);
    Ok(json!({"now": site.now()}))
}
