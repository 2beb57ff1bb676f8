//! What an observer is shown of calls: which, about which node, how each try ended; never a parameter.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rl_pve::api::{lxc, version};
use rl_pve::{CallEnd, CallInfo, CallObserver, Pve};

use crate::fake::{Fake, Reply, ok, refuse};
use crate::samples::{node, upid, vmid};

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl CallObserver for Notes {
    fn ended(&self, call: &CallInfo<'_>, end: CallEnd, _took: Duration, _span: &tracing::Span) {
        let node = call.node.map_or("-", |node| node.as_str());
        let note = format!("{} {} {node} {} {end:?}", call.method, call.template, call.class.as_str());
        self.0.lock().unwrap().push(note);
    }
}

fn watched(pve: Pve) -> (Pve, Arc<Notes>) {
    let notes = Arc::new(Notes::default());
    (pve.watched_by(Arc::clone(&notes) as _), notes)
}

#[tokio::test]
async fn every_try_is_shown_with_its_end() {
    let fake = Fake::start(|seen| match seen.target.as_str() {
        "/version" => Reply::Close,
        target if target.ends_with("/start") => ok(upid().as_str()),
        _ => refuse(500, "got no worker upid"),
    })
    .await;
    let (pve, notes) = watched(fake.client());
    pve.clone().send(lxc::start(&node(), vmid())).await.unwrap();
    pve.send(lxc::shutdown(&node(), vmid(), 1, false)).await.unwrap_err();
    pve.send(version::get()).await.unwrap_err();
    let notes = notes.0.lock().unwrap().clone();
    assert_eq!(notes[0], "POST /nodes/{node}/lxc/{vmid}/status/start pve1 write Status(200)");
    assert!(notes[1].ends_with("pve1 write Status(500)"), "{notes:?}");
    assert!(notes.len() > 3, "every repetition is a try of its own: {notes:?}");
    assert!(notes[2..].iter().all(|note| note == "GET /version - read Lost"), "{notes:?}");
}

#[tokio::test]
async fn a_call_that_never_left_is_shown_as_that() {
    let address = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let connection = crate::fake::connection(&[address], rl_model::TlsTrust::System);
    let (pve, notes) = watched(Pve::connect(connection).unwrap());
    pve.send(version::get()).await.unwrap_err();
    assert!(notes.0.lock().unwrap().iter().all(|note| note == "GET /version - read NotSent"));
}
