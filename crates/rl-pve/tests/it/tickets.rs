//! Users with a password: one login for many calls, a new one when the ticket is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rl_model::SecretValue;
use rl_pve::api::{cluster, lxc, version};
use rl_pve::{Credentials, ErrorKind, Pve};
use serde_json::json;

use crate::fake::{Fake, Reply, Seen, ok, refuse};
use crate::samples::{node, upid, vmid};

fn client(fake: &Fake) -> Pve {
    let mut connection = fake.connection();
    connection.credentials =
        Credentials::Password { user: "root@pam".into(), password: SecretValue::new("pass word&1") };
    Pve::connect(connection).unwrap()
}

/// Gives out tickets `PVE:t1`, `PVE:t2`, …; only the newest after `valid_from` is taken.
fn ticket_server(valid_from: usize) -> impl Fn(&Seen) -> Reply + Send + Sync {
    let issued = Arc::new(AtomicUsize::new(0));
    move |seen| {
        if seen.target == "/access/ticket" {
            let n = issued.fetch_add(1, Ordering::SeqCst) + 1;
            return ok(
                json!({"username": "root@pam", "ticket": format!("PVE:t{n}="), "CSRFPreventionToken": format!("csrf{n}")}),
            );
        }
        let n = issued.load(Ordering::SeqCst);
        let cookie = seen.headers.get("cookie").cloned().unwrap_or_default();
        if n < valid_from || cookie != format!("PVEAuthCookie=PVE%3At{n}%3D") {
            return refuse(401, "No ticket");
        }
        if seen.method != "GET" && seen.headers.get("csrfpreventiontoken") != Some(&format!("csrf{n}")) {
            return refuse(401, "Permission denied - invalid csrf token");
        }
        if seen.method == "GET" { ok(json!({"version": "9.1.6"})) } else { ok(upid().as_str()) }
    }
}

#[tokio::test]
async fn many_calls_at_once_log_in_once() {
    let fake = Fake::start(ticket_server(1)).await;
    let pve = client(&fake);
    let all = futures::future::join_all((0..20).map(|_| pve.send(version::get()))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(fake.count("POST", "/access/ticket"), 1);
    let login = fake.seen().into_iter().find(|seen| seen.target == "/access/ticket").unwrap();
    assert_eq!(login.body, "username=root%40pam&password=pass+word%261");
    assert!(!login.headers.contains_key("authorization"));
}

#[tokio::test]
async fn writes_carry_the_token_against_forgery_and_reads_do_not() {
    let fake = Fake::start(ticket_server(1)).await;
    let pve = client(&fake);
    pve.send(lxc::start(&node(), vmid())).await.unwrap();
    pve.send(version::get()).await.unwrap();
    let read = fake.seen().into_iter().find(|seen| seen.method == "GET").unwrap();
    assert!(!read.headers.contains_key("csrfpreventiontoken"));
}

#[tokio::test]
async fn a_refused_ticket_is_replaced_once_and_the_call_goes_on() {
    let fake = Fake::start(ticket_server(2)).await;
    client(&fake).send(lxc::start(&node(), vmid())).await.unwrap();
    assert_eq!(fake.count("POST", "/access/ticket"), 2);
    assert_eq!(fake.count("POST", "/nodes"), 2);
}

#[tokio::test]
async fn a_ticket_that_is_always_refused_is_not_asked_for_without_end() {
    let fake = Fake::start(ticket_server(usize::MAX)).await;
    let error = client(&fake).send(cluster::status()).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unauthorized);
    assert_eq!(fake.count("POST", "/access/ticket"), 2);
}

#[tokio::test]
async fn a_wrong_password_is_tried_once() {
    let fake = Fake::start(|_| refuse(401, "authentication failure")).await;
    let pve = client(&fake);
    for _ in 0..4 {
        let error = pve.send(version::get()).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Unauthorized);
        assert!(!format!("{error:?}").contains("pass word"));
    }
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn a_second_factor_is_told() {
    let fake =
        Fake::start(|_| ok(json!({"username": "root@pam", "ticket": "x", "CSRFPreventionToken": "y", "NeedTFA": 1})))
            .await;
    let error = client(&fake).send(version::get()).await.unwrap_err();
    assert!(error.text().contains("second factor"), "{error}");
}
