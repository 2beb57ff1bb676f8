//! Connections that break, answers that are lost, certificates that are wrong.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rl_model::{SecretValue, TlsTrust};
use rl_pve::api::lxc::{self, ConfigPatch};
use rl_pve::api::{cluster, nodes, pools, tasks, version};
use rl_pve::{ApiToken, CallLimits, ErrorKind, Pve};

use crate::fake::{Fake, Reply, connection, ok, refuse};
use crate::samples::{full_guest, node, p, stamp, upid, vmid};

fn version_answer() -> Reply {
    ok(serde_json::json!({"version": "9.1.6", "release": "9.1", "repoid": "c389"}))
}

/// An address where nobody listens.
async fn closed_address() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// Answers the first `n` requests with `first`, the others with `then`.
fn first(n: usize, first: Reply, then: Reply) -> impl Fn(&crate::fake::Seen) -> Reply + Send + Sync {
    let count = AtomicUsize::new(0);
    move |_| if count.fetch_add(1, Ordering::SeqCst) < n { first.clone() } else { then.clone() }
}

#[tokio::test]
async fn a_request_looks_as_proxmox_wants_it() {
    let fake = Fake::start(|_| ok(upid().as_str())).await;
    let pve = fake.client();
    pve.send(lxc::start(&node(), vmid())).await.unwrap();
    pve.send(lxc::create(&node(), &full_guest(), &stamp(&full_guest()), true)).await.unwrap();
    pve.send(lxc::destroy(&node(), vmid(), lxc::Destroy { purge: true, ..Default::default() })).await.unwrap();
    let seen = fake.seen();
    for request in &seen {
        assert_eq!(request.headers["authorization"], "PVEAPIToken=deploy@pve!full=s3cr3t-value");
        assert!(!request.headers.contains_key("transfer-encoding"), "pveproxy refuses chunked bodies");
    }
    assert_eq!((seen[0].method.as_str(), seen[0].target.as_str()), ("POST", "/nodes/pve1/lxc/2000/status/start"));
    assert_eq!(seen[0].headers["content-length"], "0");
    assert_eq!(seen[1].headers["content-type"], "application/x-www-form-urlencoded");
    assert!(seen[1].body.contains("hostname=web-1.example.org&"), "{}", seen[1].body);
    assert_eq!(seen[2].method, "DELETE");
    assert_eq!(seen[2].target, "/nodes/pve1/lxc/2000?purge=1&force=0&destroy-unreferenced-disks=0");
    assert_eq!((seen[2].body.as_str(), seen[2].headers.contains_key("transfer-encoding")), ("", false));
    assert!(seen.iter().all(|request| request.connection == 0), "one connection is kept");
}

#[tokio::test]
async fn a_kept_connection_that_is_closed_at_the_other_end_costs_no_call() {
    let body = r#"{"data":{"version":"9.1.6"}}"#;
    let fake = Fake::start(move |_| Reply::AnswerAndClose { body: body.into() }).await;
    let pve = fake.client();
    for _ in 0..20 {
        pve.send(version::get()).await.unwrap();
    }
}

#[tokio::test]
async fn a_read_is_repeated_when_its_answer_is_lost() {
    for lost in [Reply::Close, Reply::Cut] {
        let fake = Fake::start(first(2, lost, version_answer())).await;
        assert_eq!(fake.client().send(version::get()).await.unwrap().version, "9.1.6");
        assert_eq!(fake.seen().len(), 3);
    }
    let fake = Fake::start(|_| Reply::Close).await;
    let error = fake.client().send(version::get()).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unreachable);
    assert!(!error.may_have_happened());
    assert_eq!(fake.seen().len(), 5, "and no more often than five times");
}

#[tokio::test]
async fn a_create_is_sent_once_and_told_as_open_when_its_answer_is_lost() {
    for lost in [Reply::Close, Reply::Cut, Reply::Hang, Reply::Stall, refuse(596, "Connection timed out")] {
        let fake = Fake::start(move |_| lost.clone()).await;
        let mut connection = fake.connection();
        connection.limits = CallLimits { answer: Duration::from_millis(300), ..CallLimits::default() };
        let pve = Pve::connect(connection).unwrap();
        let error = pve.send(lxc::create(&node(), &full_guest(), &stamp(&full_guest()), true)).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::MayHaveHappened, "{error}");
        assert!(error.may_have_happened() && error.retry_after().is_none());
        assert_eq!(fake.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_guarded_write_is_repeated_and_an_echo_is_told_as_open() {
    let patch = ConfigPatch { digest: Some("0".repeat(40)), ..ConfigPatch::default() };
    let fake = Fake::start(first(1, Reply::Close, ok(serde_json::Value::Null))).await;
    fake.client().send(lxc::set_config(&node(), vmid(), &patch)).await.unwrap();
    assert_eq!(fake.seen().len(), 2);

    let mismatch = refuse(500, "detected modified configuration - file changed by other user? Try again.");
    let fake = Fake::start(first(1, Reply::Close, mismatch.clone())).await;
    let error = fake.client().send(lxc::set_config(&node(), vmid(), &patch)).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::MayHaveHappened, "the first try may have changed the digest");

    let fake = Fake::start(move |_| mismatch.clone()).await;
    let error = fake.client().send(lxc::set_config(&node(), vmid(), &patch)).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::DigestMismatch, "without a repetition it is what it says");
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn a_read_behind_a_proxy_that_gave_up_is_repeated() {
    let fake = Fake::start(first(1, refuse(595, "Connection refused"), ok(serde_json::json!([])))).await;
    fake.client().send(nodes::list()).await.unwrap();
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn the_next_endpoint_takes_over_for_writes_too_and_is_remembered() {
    let fake = Fake::start(|_| ok(upid().as_str())).await;
    let dead = closed_address().await;
    let trust = TlsTrust::Fingerprints(vec![fake.fingerprint.clone()]);
    let pve = Pve::connect(connection(&[dead, fake.address], trust.clone())).unwrap();
    pve.send(lxc::create(&node(), &full_guest(), &stamp(&full_guest()), true)).await.unwrap();
    pve.send(lxc::start(&node(), vmid())).await.unwrap();
    assert_eq!(fake.seen().len(), 2);
    assert_eq!(pve.calls_total(), 2, "what never left is not counted");

    let nobody = Pve::connect(connection(&[dead, closed_address().await], trust)).unwrap();
    let error = nobody.send(lxc::start(&node(), vmid())).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unreachable);
    assert!(error.retry_after().is_some() && !error.may_have_happened());
}

#[tokio::test]
async fn an_endpoint_that_accepts_and_says_nothing_costs_the_connect_limit_and_no_certainty() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let good = Fake::start(|_| ok(upid().as_str())).await;
    let trust = TlsTrust::Fingerprints(vec![good.fingerprint.clone()]);
    let limits = CallLimits { connect: Duration::from_millis(200), ..CallLimits::default() };
    let with = |addresses: &[SocketAddr]| {
        let mut connection = connection(addresses, trust.clone());
        connection.limits = limits;
        Pve::connect(connection).unwrap()
    };
    let create = || lxc::create(&node(), &full_guest(), &stamp(&full_guest()), true);
    let address = silent.local_addr().unwrap();
    let error = with(&[address]).send(create()).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unreachable, "nothing was sent: {error}");
    with(&[address, good.address]).send(create()).await.unwrap();
    assert_eq!(good.seen().len(), 1);
}

#[tokio::test]
async fn after_a_lost_answer_only_safe_calls_go_to_the_next_endpoint() {
    let broken = Fake::start(|_| Reply::Close).await;
    let good = Fake::start(|_| ok(upid().as_str())).await;
    let trust = TlsTrust::Fingerprints(vec![broken.fingerprint.clone(), good.fingerprint.clone()]);
    let both = [broken.address, good.address];
    let pve = Pve::connect(connection(&both, trust.clone())).unwrap();
    let error = pve.send(lxc::create(&node(), &full_guest(), &stamp(&full_guest()), false)).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::MayHaveHappened);
    assert_eq!((broken.seen().len(), good.seen().len()), (1, 0));
    let pve = Pve::connect(connection(&both, trust)).unwrap();
    pve.send(lxc::stop(&node(), vmid())).await.unwrap();
    assert_eq!((broken.seen().len(), good.seen().len()), (2, 1));
}

#[tokio::test]
async fn after_a_refused_token_nothing_more_is_sent_for_a_while() {
    let fake = Fake::start(|_| refuse(401, "Authentication failed!")).await;
    let pve = fake.client();
    for _ in 0..5 {
        let error = pve.send(version::get()).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Unauthorized);
        assert_eq!(error.text(), "Authentication failed!");
        assert!(!format!("{error} {error:?}").contains("s3cr3t"));
    }
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn the_reason_phrase_is_read_where_the_body_is_empty() {
    let reason = "Configuration file 'nodes/pve1/lxc/2000.conf' does not exist";
    let fake = Fake::start(move |_| Reply::Answer { status: 500, reason: reason.into(), body: String::new() }).await;
    let error = fake.client().send(lxc::status(&node(), vmid())).await.unwrap_err();
    assert_eq!((error.kind(), error.text(), error.status()), (&ErrorKind::DoesNotExist, reason, Some(500)));
}

#[tokio::test]
async fn certificates_are_trusted_as_the_site_says_and_no_other_way() {
    let fake = Fake::start(|_| version_answer()).await;
    let with = |trust| Pve::connect(connection(&[fake.address], trust)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &fake.certificate_pem).unwrap();
    with(TlsTrust::CaFile(ca)).send(version::get()).await.unwrap();
    let wrong = TlsTrust::Fingerprints(vec!["AB:".repeat(31) + "AB"]);
    let two = TlsTrust::Fingerprints(vec!["AB:".repeat(31) + "AB", fake.fingerprint.to_lowercase()]);
    with(two).send(version::get()).await.unwrap();
    let other = Fake::start(|_| version_answer()).await;
    let other_ca = folder.path().join("other.pem");
    std::fs::write(&other_ca, &other.certificate_pem).unwrap();
    for trust in [wrong, TlsTrust::System, TlsTrust::CaFile(other_ca)] {
        let error = with(trust).send(version::get()).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Unreachable);
        assert!(error.text().starts_with("its certificate"), "{error}");
    }
    assert_eq!(fake.seen().len(), 2, "no request reaches a server that is not trusted");
}

#[tokio::test]
async fn names_are_resolved_without_the_c_library() {
    let fake = Fake::start(|_| version_answer()).await;
    for host in ["pve.test", "localhost"] {
        let mut by_name = fake.connection();
        by_name.endpoints = vec![p(&format!("https://{host}:{}", fake.address.port()))];
        Pve::connect(by_name).unwrap().send(version::get()).await.unwrap();
    }
}

#[tokio::test]
async fn answers_too_large_or_too_slow_are_given_up() {
    let fake = Fake::start(|_| Reply::Announce(1 << 40)).await;
    let error = fake.client().send(version::get()).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Decode { field: "body".into() });
    assert_eq!(fake.seen().len(), 1);

    let fake = Fake::start(|_| Reply::Stall).await;
    let mut connection = fake.connection();
    connection.limits = CallLimits { answer: Duration::from_millis(200), ..CallLimits::default() };
    let began = Instant::now();
    let error = Pve::connect(connection).unwrap().send(version::get()).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unreachable);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_request_larger_than_proxmox_takes_is_not_sent() {
    let fake = Fake::start(|_| ok(serde_json::Value::Null)).await;
    let mut patch = ConfigPatch::default();
    patch.set.insert("description".into(), "x".repeat(70_000));
    let error = fake.client().send(lxc::set_config(&node(), vmid(), &patch)).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::RequestTooLarge);
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn nothing_else_is_followed_or_believed() {
    let redirect = Reply::Answer { status: 302, reason: "Found".into(), body: String::new() };
    let fake = Fake::start(move |_| redirect.clone()).await;
    assert_eq!(*fake.client().send(version::get()).await.unwrap_err().kind(), ErrorKind::Server);
    assert_eq!(fake.seen().len(), 1);

    let page = Reply::Answer { status: 200, reason: "OK".into(), body: "<html>hello</html>".into() };
    let fake = Fake::start(move |_| page.clone()).await;
    let error = fake.client().send(version::get()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Decode { .. }));

    let fake = Fake::start(|_| ok(serde_json::json!([{"type": "lxc", "vmid": [1]}]))).await;
    let error = fake.client().send(cluster::resources(None)).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Decode { field: "data[0].vmid".into() });
}

#[tokio::test]
async fn no_more_requests_than_allowed_are_under_way_to_one_node() {
    let fake = Fake::start(|_| Reply::Later(Duration::from_millis(30), r#"{"data":[]}"#.into())).await;
    let pve = fake.client();
    let calls = (0..30).map(|_| pve.send(lxc::list(&p("pve1"))));
    let all = futures::future::join_all(calls).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(fake.busy_max(), 3);

    let nodes: Vec<rl_model::NodeName> = (1..=4).map(|n| p(&format!("pve{n}"))).collect();
    let calls = nodes.iter().flat_map(|node| (0..5).map(|_| pve.send(lxc::list(node))));
    futures::future::join_all(calls).await;
    assert!(fake.busy_max() > 3, "other nodes do not wait for this one");
}

#[tokio::test]
async fn a_call_that_is_dropped_gives_its_place_back() {
    let hang = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let hangs = hang.clone();
    let fake =
        Fake::start(move |_| if hangs.load(Ordering::SeqCst) { Reply::Hang } else { ok(serde_json::json!([])) }).await;
    let pve = fake.client();
    for _ in 0..9 {
        let call = pve.send(lxc::list(&node()));
        assert!(tokio::time::timeout(Duration::from_millis(60), call).await.is_err());
    }
    hang.store(false, Ordering::SeqCst);
    pve.send(lxc::list(&node())).await.unwrap();
}

#[tokio::test]
async fn calls_are_counted_by_their_template() {
    let fake = Fake::start(|_| ok(serde_json::json!([]))).await;
    let pve = fake.client();
    for n in 1..=3 {
        pve.send(lxc::list(&p(&format!("pve{n}")))).await.unwrap();
    }
    pve.send(pools::list()).await.unwrap();
    let counts: Vec<_> = pve.calls().into_iter().map(|call| (call.template, call.count)).collect();
    assert_eq!(counts, [("/nodes/{node}/lxc", 3), ("/pools", 1)]);
}

#[tokio::test]
async fn the_end_of_a_log_is_read_in_at_most_two_calls() {
    let fake = Fake::start(|seen| {
        let start: u64 = if seen.target.contains("start=480") { 480 } else { 0 };
        let lines: Vec<_> = (start..start + 20)
            .map(|n| serde_json::json!({"n": n + 1, "t": format!("line {}\u{1b}", n + 1)}))
            .collect();
        let body = serde_json::json!({"data": lines, "total": 500}).to_string();
        Reply::Answer { status: 200, reason: "OK".into(), body }
    })
    .await;
    let lines = fake.client().task_log_tail(&upid(), 20).await.unwrap();
    assert_eq!((lines.len(), lines[19].as_str()), (20, "line 500"));
    assert_eq!(fake.seen().len(), 2);
    assert_eq!(tasks::log(&upid(), 0, 20).param_value("limit"), Some("20"));
}

#[test]
fn tokens_are_read_and_never_shown() {
    let token = |text: &str| ApiToken::parse(&SecretValue::new(text));
    let good = token(" deploy@pve!full=0123-abcd\n").unwrap();
    assert_eq!((good.user(), good.id()), ("deploy@pve", "full"));
    assert!(!format!("{good:?}").contains("0123"));
    for bad in ["", "deploy@pve!full", "deploy@pve=x", "deploy!full=x", "@!=", "a@b!c=", "a@b!c=d e", "a@b!c=ü"] {
        let error = token(bad).unwrap_err().to_string();
        assert!(bad.is_empty() || !error.contains(bad), "{error}");
    }
    let shared: Arc<ApiToken> = Arc::new(good);
    assert_eq!(shared.user(), "deploy@pve");
}
