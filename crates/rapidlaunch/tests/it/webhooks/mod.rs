//! Goal: a receiver gets everything it asked for, signed, in order and at least once, whatever happens to it and to the server, and
//! nothing is sent where nothing may be sent. Method: a real receiver over TLS, a real server that is killed, a look into its store.

mod receiver;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Served, World};
use receiver::{Got, Receiver};

/// A server that trusts the receiver.
fn serve(world: &World, receiver: &Receiver, args: &[&str]) -> Served {
    let authority = world.write("receiver.pem", &receiver.authority);
    let args: Vec<&str> = ["serve", "--listen", "127.0.0.1:0"].into_iter().chain(args.iter().copied()).collect();
    let mut command = world.command(&args);
    command.env("SSL_CERT_FILE", authority).env_remove("SSL_CERT_DIR");
    world.api_server_command(command)
}

fn ask(world: &World, served: &Served, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let request = served.request(method, path).header("if-match", "*").json(body);
    world.runtime.block_on(async {
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or(Value::Null))
    })
}

/// A webhook that tells of changes: its id and its key.
fn hook(world: &World, served: &Served, url: &str) -> (String, String) {
    let (status, made) = ask(world, served, "POST", "/v1/webhooks", &json!({ "url": url, "kinds": ["change."] }));
    assert_eq!(status, 201, "{made}");
    (made["id"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned())
}

/// Makes changes, each an entry of the audit.
fn changes(world: &World, served: &Served, from: usize, count: usize) {
    for number in from..from + count {
        let grant = json!({ "to": format!("group:g{number}"), "role": "viewer", "path": "/" });
        let (status, made) = ask(world, served, "POST", "/v1/grants", &grant);
        assert_eq!(status, 201, "{made}");
    }
}

/// The numbers of changes in a list, each once, in the order in which they came first.
fn first_times(got: &[Got]) -> Vec<u64> {
    let mut seen = BTreeSet::new();
    let numbers = got.iter().map(|got| got.body["data"]["seq"].as_u64().unwrap());
    numbers.filter(|seq| seen.insert(*seq)).collect()
}

/// What the page about webhooks has as the way to check a signature, asked about a delivery.
fn accepted(secret: &str, signature: &str, body: &str) -> bool {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/webhooks.md")).unwrap();
    let (_, rest) = page.split_once("```python\n").expect("a piece of Python");
    let (snippet, _) = rest.split_once("\n```").unwrap();
    let program = format!(
        "import json, sys\n{snippet}\nsecret, header, body = json.load(sys.stdin)\nsys.exit(0 if is_genuine(secret, header, body.encode()) else 9)\n"
    );
    let mut python = Command::new("python3").arg("-c").arg(program).stdin(Stdio::piped()).spawn().expect("python3");
    python.stdin.take().unwrap().write_all(json!([secret, signature, body]).to_string().as_bytes()).unwrap();
    match python.wait().unwrap().code() {
        Some(0) => true,
        Some(9) => false,
        other => panic!("the piece of Python failed: {other:?}"),
    }
}

#[test]
fn deliveries_are_signed_in_order_tried_again_and_replayed() {
    let world = World::new();
    let receiver = Receiver::start(&world.runtime);
    let served = serve(&world, &receiver, &["--webhook-private", "--log", "json", "--log-level", "debug"]);
    receiver.close(1);
    receiver.answer(&[500, 302]);
    let (id, secret) = hook(&world, &served, &receiver.url("127.0.0.1"));
    changes(&world, &served, 0, 4);
    world.until("all is delivered", || receiver.taken().len() >= 5);
    let got = receiver.got();
    assert_eq!(first_times(&got), [1, 2, 3, 4, 5], "in order");
    assert_eq!(got.iter().map(|got| got.answered).collect::<Vec<_>>(), [500, 302, 204, 204, 204, 204, 204]);
    assert!(got[..3].iter().all(|got| got.id == format!("{id}-1")), "one id over all tries: {got:#?}");
    assert_eq!((&got[0].body["event"], &got[0].body["data"]["action"]), (&json!("change"), &json!("webhook.create")));
    for got in &got {
        assert!(accepted(&secret, &got.signature, &got.text), "{got:?}");
        assert!(!accepted(&secret, &got.signature, &format!("{} ", got.text)));
        assert!(!accepted("rlw_another", &got.signature, &got.text));
    }
    let path = format!("/v1/webhooks/{id}");
    world.until("the book is closed", || served.json(&world, &path)["pending"] == 0);
    let listed = served.json(&world, &format!("{path}/deliveries"));
    let first = listed["items"].as_array().unwrap().last().unwrap();
    assert_eq!((&first["n"], &first["state"], &first["attempts"]), (&json!(1), &json!("delivered"), &json!(4)));

    let (status, rotated) = ask(&world, &served, "PATCH", &path, &json!({ "rotate": true, "kinds": ["job."] }));
    assert_eq!(status, 200, "{rotated}");
    let second = rotated["secret"].as_str().unwrap().to_owned();
    assert_eq!(ask(&world, &served, "POST", &format!("{path}/deliveries/2/replay"), &json!({})).0, 202);
    assert_eq!(ask(&world, &served, "POST", &format!("{path}/deliveries/99/replay"), &json!({})).0, 404);
    world.until("it is sent again", || receiver.got().len() == 8);
    let again = receiver.got().remove(7);
    world.until("the book is closed again", || served.json(&world, &path)["pending"] == 0);
    assert_eq!((&again.text, &again.id), (&got[3].text, &format!("{id}-6")));
    assert!(accepted(&secret, &again.signature, &again.text) && accepted(&second, &again.signature, &again.text));

    let figures = served.text(&world, "/metrics");
    assert!(figures.contains("rapidlaunch_webhook_deliveries_total{result=\"delivered\"} 6"), "{figures}");
    assert!(figures.contains("rapidlaunch_webhook_deliveries_total{result=\"retried\"} 3"), "{figures}");
    let answers = [served.text(&world, &path), served.text(&world, "/v1/webhooks"), served.text(&world, "/v1/audit")];
    let said = world.end(served).expect(0);
    let mut bytes = Vec::new();
    for file in ["rapidlaunch.db", "rapidlaunch.db-wal"] {
        bytes.extend(std::fs::read(world.data.join(file)).unwrap_or_default());
    }
    for key in [&secret, &second] {
        let hidden = key.strip_prefix("rlw_").unwrap();
        assert!(!said.stderr.contains(hidden) && !said.stdout.contains(hidden), "a key is in the log");
        assert!(answers.iter().all(|answer| !answer.contains(hidden)), "a key is in an answer");
        assert!(!bytes.windows(hidden.len()).any(|part| part == hidden.as_bytes()), "a key is in the store");
    }
    assert!(!said.stderr.contains("only-for-us"), "the URL may hold what opens the receiver: {}", said.stderr);
    world.finish();
}

#[test]
fn a_kill_in_the_middle_loses_nothing() {
    let world = World::new();
    let receiver = Receiver::start(&world.runtime);
    let mut served = serve(&world, &receiver, &["--webhook-private"]);
    let (id, _) = hook(&world, &served, &receiver.url("localhost"));
    changes(&world, &served, 0, 20);
    world.until("some are there", || receiver.taken().len() >= 3);
    served.child.kill();
    let _ = world.wait(served.child);
    let before = first_times(&receiver.taken()).len();
    let served = serve(&world, &receiver, &["--webhook-private"]);
    changes(&world, &served, 20, 5);
    world.until("all are there", || first_times(&receiver.taken()).len() >= 26);
    assert!(before < 26);
    assert_eq!(first_times(&receiver.taken()), (1..=26).collect::<Vec<u64>>(), "each once at least, in order");
    let by_id: BTreeSet<(String, String)> = receiver.taken().into_iter().map(|got| (got.id, got.text)).collect();
    assert_eq!(by_id.len(), 26, "what came again came under its id");
    world.until("the book is closed", || served.json(&world, &format!("/v1/webhooks/{id}"))["pending"] == 0);
    world.end(served).expect(0);
    world.finish();
}

#[test]
fn nothing_is_sent_where_only_the_server_can_reach() {
    let world = World::new();
    let receiver = Receiver::start(&world.runtime);
    let served = serve(&world, &receiver, &[]);
    for bad in [
        receiver.url("127.0.0.1"),
        receiver.url("[::1]"),
        receiver.url("10.0.0.1"),
        "https://169.254.169.254/latest".to_owned(),
        "http://hooks.example/".to_owned(),
        "https://user:word@hooks.example/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "nonsense".to_owned(),
    ] {
        let (status, refused) = ask(&world, &served, "POST", "/v1/webhooks", &json!({ "url": bad }));
        assert_eq!((status, &refused["code"]), (422, &json!("RL0506")), "{bad}");
    }
    let (id, _) = hook(&world, &served, &receiver.url("localhost"));
    let path = format!("/v1/webhooks/{id}/deliveries");
    let mut last = Value::Null;
    world.until("it was tried", || {
        last = served.json(&world, &path)["items"][0].clone();
        last["error"].is_string()
    });
    assert!(last["error"].as_str().unwrap().contains("is not public"), "{last}");
    assert_eq!((&last["state"], &last["status"]), (&json!("pending"), &Value::Null));
    assert!(receiver.got().is_empty());
    let (status, paused) = ask(&world, &served, "PATCH", &format!("/v1/webhooks/{id}"), &json!({ "paused": true }));
    assert_eq!((status, &paused["paused"], &paused["why_paused"]), (200, &json!(true), &Value::Null));
    assert_eq!(ask(&world, &served, "DELETE", &format!("/v1/webhooks/{id}"), &Value::Null).0, 204);
    assert_eq!(served.json(&world, "/v1/webhooks")["items"], json!([]));
    world.end(served).expect(0);
    world.finish();
}

#[test]
fn with_a_thousand_waiting_the_log_keeps_the_rest_and_a_gap_is_told() {
    let world = World::new();
    let receiver = Receiver::start(&world.runtime);
    receiver.answer_always(Some(500));
    let served = serve(&world, &receiver, &["--webhook-private"]);
    let (id, _) = hook(&world, &served, &receiver.url("127.0.0.1"));
    world.end(served).expect(0);
    let base = rusqlite::Connection::open(world.data.join("rapidlaunch.db")).unwrap();
    let entries = "with recursive n(seq) as (select 2 union all select seq + 1 from n where seq < 1600)
        insert into audit (seq, at, actor, via, action, path, prev, hash)
        select n.seq, 1, 'maria', 'local', 'plan.create', '/stacks/shop', a.hash, a.hash from n, audit a where a.seq = 1";
    base.execute(entries, []).unwrap();
    drop(base);
    let served = serve(&world, &receiver, &["--webhook-private"]);
    let path = format!("/v1/webhooks/{id}");
    let place =
        |served: &Served| served.json(&world, &path)["place"].as_str().unwrap().rsplit_once('-').unwrap().1.to_owned();
    world.until("a thousand wait", || served.json(&world, &path)["pending"] == 1_000);
    changes(&world, &served, 0, 3);
    world.until("it was tried", || receiver.got().len() >= 2);
    assert_eq!((place(&served), &served.json(&world, &path)["pending"]), ("1000".to_owned(), &json!(1_000)));
    world.end(served).expect(0);
    let base = rusqlite::Connection::open(world.data.join("rapidlaunch.db")).unwrap();
    base.execute(
        "update webhook_delivery set state = 'delivered', next_at = null, claimed_by = null where n < 990",
        [],
    )
    .unwrap();
    base.execute("delete from audit where seq between 1001 and 1200", []).unwrap();
    drop(base);
    receiver.answer_always(None);
    let served = serve(&world, &receiver, &["--webhook-private"]);
    world.until("it went on to the end", || place(&served) == "1603");
    let kinds = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|one| one["event"].as_str().unwrap().to_owned()).collect()
    };
    let mut events = Vec::new();
    let mut query = format!("{path}/deliveries?limit=200");
    loop {
        let page = served.json(&world, &query);
        events.extend(kinds(&page));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("{path}/deliveries?limit=200&cursor={next}");
    }
    events.reverse();
    let numbers = |range: std::ops::RangeInclusive<u64>| range.map(|seq| format!("change/{seq}"));
    let expected: Vec<String> = numbers(1..=1_000).chain(["resync".to_owned()]).chain(numbers(1_201..=1_603)).collect();
    assert_eq!(events, expected, "the gap is told, and nothing else is missing");
    world.until("the gap reaches the receiver", || receiver.taken().iter().any(|got| got.body["event"] == "resync"));
    world.end(served).expect(0);
    world.finish_tampered();
}
