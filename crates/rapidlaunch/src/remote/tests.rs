#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::error::{Problem, RemoteError};
use super::stream::{Lines, Told};
use crate::error::{CommandError, ErrorKind};

fn told(kind: &str, id: &str, data: &str) -> Told {
    Told { kind: kind.to_owned(), id: Some(id.to_owned()), data: data.to_owned() }
}

#[test]
fn events_are_read_out_of_a_stream() {
    let text = ": hello\n\nevent: ready\nid: 3-0\nretry: 1000\ndata: {}\n\n:\n\nevent:job.done\r\nid:4-0\r\ndata: one\r\ndata:two\r\n\r\nevent: cut";
    let found = Lines::default().take(text.as_bytes()).unwrap();
    assert_eq!(found, [told("ready", "3-0", "{}"), told("job.done", "4-0", "one\ntwo")]);
    let endless = vec![b'x'; 2 << 20];
    assert!(Lines::default().take(&endless).is_err(), "a line without an end is not kept");
}

proptest! {
    /// However a stream is cut into pieces, the same events come out.
    #[test]
    fn pieces_do_not_matter(
        events in prop::collection::vec(("[a-z.]{1,8}", 1u32..1000, "[ -~äé]{1,20}"), 0..8),
        size in 1usize..9,
    ) {
        let text: String = events
            .iter()
            .map(|(kind, id, data)| format!("event: {kind}\nid: {id}-0\ndata: {data}\n\n: alive\n\n"))
            .collect();
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for piece in text.as_bytes().chunks(size) {
            found.extend(lines.take(piece).unwrap());
        }
        let wanted: Vec<Told> =
            events.iter().map(|(kind, id, data)| told(kind, &format!("{id}-0"), data)).collect();
        prop_assert_eq!(found, wanted);
    }
}

fn refused(problem: serde_json::Value, release: Option<&str>) -> CommandError {
    let problem: Problem = serde_json::from_value(problem).unwrap();
    RemoteError::Refused(Box::new(problem), release.map(str::to_owned)).into()
}

#[test]
fn a_problem_reads_like_the_error_it_was() {
    let below = std::io::Error::other("the disk is gone");
    let error = CommandError::input("site lab is not read").because(below).hinted("look at it");
    let problem = serde_json::json!({ "code": "RL0506", "status": 422, "detail": "site lab is not read: the disk is gone",
        "causes": ["the disk is gone"], "hints": ["look at it"] });
    assert_eq!(refused(problem, None).text(false), error.text(false));
    assert_eq!(error.text(false), "error: site lab is not read\n  because: the disk is gone\nhint: look at it\n");
}

#[test]
fn the_code_of_a_problem_chooses_the_exit_code() {
    for (code, kind) in [
        ("RL0501", ErrorKind::Input),
        ("RL0503", ErrorKind::Input),
        ("RL0514", ErrorKind::Blocked),
        ("RL0517", ErrorKind::Blocked),
        ("RL0515", ErrorKind::Failed),
        ("RL0519", ErrorKind::Failed),
    ] {
        assert_eq!(refused(serde_json::json!({ "code": code, "detail": "no" }), None).kind, kind, "{code}");
    }
}

#[test]
fn releases_that_do_not_understand_each_other_are_named() {
    let refusal = || serde_json::json!({ "code": "RL0505", "detail": "`wish` of the body is not known" });
    let text = refused(refusal(), Some("9.9.9")).text(false);
    assert!(text.contains("the server is of release 9.9.9") && text.contains(env!("CARGO_PKG_VERSION")), "{text}");
    let same = refused(refusal(), Some(env!("CARGO_PKG_VERSION"))).text(false);
    assert!(!same.contains("release"), "{same}");
    let strange =
        RemoteError::Strange { url: "https://x:1".to_owned(), why: "it is a teapot".to_owned(), release: None };
    let text = CommandError::from(strange).text(false);
    assert!(text.contains("it is a teapot") && text.contains("check address and port"), "{text}");
}

/// Whoever speaks TLS for this machine, and the certificate to trust.
fn vouched() -> (tokio_rustls::TlsAcceptor, String) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    (tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config)), made.cert.pem())
}

fn way(url: String, authority: &str) -> super::way::Way {
    let client = rl_providers::web::client_of(Some(authority.as_bytes())).unwrap();
    super::way::Way { url, client, token: rl_model::SecretValue::new("rlt_x".to_owned()) }
}

/// A server that gives these answers one after the other, byte for byte, each on a connection of its own.
pub(crate) async fn answering(answers: Vec<String>) -> super::Remote {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (acceptor, authority) = vouched();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for answer in answers {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            stream.read_exact(&mut body).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _ = stream.shutdown().await;
        }
    });
    super::client::Remote::over(way(url, &authority), None)
}

/// An answer whose body is this.
pub(crate) fn whole(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn lines_come_whole_and_an_answer_that_breaks_off_is_told() {
    let chunked = "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    for (answer, lines, is_whole) in [
        (whole("{}\n[1]\n"), "{}\n[1]\n", true),
        (whole(""), "", true),
        (format!("{chunked}{}{}{}0\r\n\r\n", chunk("{}"), chunk("\n[1"), chunk("]\n")), "{}\n[1]\n", true),
        // The end is missing: of the connection's words, or of the last line.
        (format!("{chunked}{}", chunk("{}\n")), "{}\n", false),
        (whole("{}\n[1]"), "{}\n", false),
        (whole(&"x".repeat(3 << 20)), "", false),
    ] {
        let remote = answering(vec![answer.clone()]).await;
        let mut came = Vec::new();
        let read = remote.lines("/v1/audit/export", |lines| came.extend_from_slice(lines)).await;
        assert_eq!(String::from_utf8(came).unwrap(), lines);
        assert_eq!(read.is_ok(), is_whole, "{read:?}");
    }
}

/// A server that takes the first request and never answers it, and answers the ones after it; gives the keys that it saw.
async fn forgetful() -> (super::way::Way, tokio::task::JoinHandle<Vec<String>>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (acceptor, authority) = vouched();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let mut keys = Vec::new();
        while keys.len() < 2 {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"{}") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let key = head.lines().find_map(|line| line.strip_prefix("idempotency-key: ")).unwrap();
            keys.push(key.to_owned());
            if keys.len() == 2 {
                let body = r#"{"done":"once"}"#;
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        }
        keys
    });
    (way(url, &authority), serving)
}

#[tokio::test]
async fn a_request_whose_answer_is_lost_is_sent_again_under_its_key() {
    let (way, serving) = forgetful().await;
    let remote = super::client::Remote::over(way, None);
    let answer: serde_json::Value = remote.post("/v1/plans", &serde_json::json!({})).await.unwrap();
    assert_eq!(answer["done"], "once");
    let keys = serving.await.unwrap();
    assert_eq!(keys[0], keys[1]);
}
