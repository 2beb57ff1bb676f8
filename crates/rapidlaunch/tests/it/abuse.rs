//! Strangers at the API: slow, huge, malformed and too many. Each is refused with the right code, nothing is lost, and somebody who
//! behaves is answered all the while.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::harness::{Served, World};

/// A server that gives no answer within this is taken for one that gives none.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most of an answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A connection that speaks HTTP/1.1 within TLS.
fn secure(served: &Served) -> Tls {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(served.authority.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), connect(served.address()))
}

/// All that comes until the other end closes, or says no more after the head of an answer was read. Nothing that still waits to
/// be sent is tried again: who refuses may have closed before all of it came, and its answer is there all the same.
fn answer(stream: &mut Tls) -> String {
    let mut bytes = Vec::new();
    let over = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    loop {
        match stream.conn.read_tls(&mut stream.sock) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if over.contains(&error.kind()) => break,
            Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&bytes)),
        }
        stream.conn.process_new_packets().unwrap();
        match stream.conn.reader().read_to_end(&mut bytes) {
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if over.contains(&error.kind()) => break,
            Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&bytes)),
        }
        assert!(bytes.len() < ANSWER_BYTES_MAX);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends bytes and gives the answer; the server is asked to close after it.
fn send(served: &Served, bytes: &[u8]) -> String {
    let mut stream = secure(served);
    // Whoever refuses may close before all was sent.
    let _ = stream.write_all(bytes);
    let _ = stream.flush();
    answer(&mut stream)
}

/// A request whose first line and further fields are as given.
fn request(served: &Served, line: &[u8], fields: &[u8], body: &[u8]) -> Vec<u8> {
    let token = format!("\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n", served.token);
    [line, b" HTTP/1.1", token.as_bytes(), fields, b"\r\n", body].concat()
}

fn status(answer: &str) -> u16 {
    let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    status.unwrap_or_else(|| panic!("no status: {answer:?}"))
}

/// Somebody who behaves is answered.
fn is_well(world: &World, served: &Served) {
    let response = served.get(world, "/v1/operations?limit=1");
    assert_eq!(response.status(), 200);
}

fn with_server(test: impl FnOnce(&World, &Served)) {
    let world = World::new();
    let served = world.api_server(&[]);
    test(&world, &served);
    is_well(&world, &served);
    let figures = served.text(&world, "/metrics");
    assert!(figures.contains("rapidlaunch_step_panics_total 0"), "{figures}");
    world.end(served).expect(0);
    world.finish();
}

#[test]
fn malformed_requests_are_refused_and_nothing_else() {
    with_server(|world, served| {
        let ask = |line: &[u8], fields: &[u8], body: &[u8]| send(served, &request(served, line, fields, body));
        let long = format!("GET /v1/operations?stack={}", "x".repeat(9_000));
        let longer = format!("GET /{}", "x".repeat(100_000));
        let many: String = (0..200).map(|number| format!("X-{number}: 1\r\n")).collect();
        let huge = format!("X-Huge: {}\r\n", "x".repeat(64 << 10));
        let deep = "[".repeat(100_000);
        let json = |length: usize| format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
        let post: &[u8] = b"POST /v1/operations/01J9Z3M6Q8T4X2V7B5N1K0HCDE/cancel";
        let validate: &[u8] = b"POST /v1/validate";
        let cases: Vec<(&str, String, &[u16])> = vec![
            ("a path that is no UTF-8", ask(b"GET /v1/operations/%ff%fe", b"", b""), &[400, 404]),
            ("raw bytes in the path", ask(b"GET /v1/operations/\xff\xfe", b"", b""), &[400, 404]),
            ("a query that is no UTF-8", ask(b"GET /v1/operations?stack=%ff", b"", b""), &[200, 400]),
            ("a zero byte", ask(b"GET /v1/operations/a%00b", b"", b""), &[404]),
            ("a raw zero byte", ask(b"GET /v1/\0operations", b"", b""), &[400]),
            ("a way up", ask(b"GET /v1/../../etc/passwd", b"", b""), &[404]),
            ("a hidden way up", ask(b"GET /errors/%2e%2e%2f%2e%2e%2fCargo.toml", b"", b""), &[404]),
            ("an encoded slash", ask(b"GET /errors/..%2fREADME", b"", b""), &[404]),
            ("empty segments", ask(b"GET //v1//operations", b"", b""), &[404]),
            ("a target of its own scheme", ask(b"GET file:///etc/passwd", b"", b""), &[400, 404]),
            ("an unknown method", ask(b"BREW /v1/operations", b"", b""), &[405]),
            ("no method at all", ask(b"", b"", b""), &[400]),
            ("a long query", ask(long.as_bytes(), b"", b""), &[414]),
            ("a very long path", ask(longer.as_bytes(), b"", b""), &[414, 431]),
            ("many fields", ask(b"GET /healthz", many.as_bytes(), b""), &[431]),
            ("a huge field", ask(b"GET /healthz", huge.as_bytes(), b""), &[431]),
            (
                "a field that is no text",
                ask(b"GET /v1/operations", b"Authorization: \xff\xfe\r\n", b""),
                &[200, 400, 401],
            ),
            ("a field with a zero byte", ask(b"GET /healthz", b"X-Zero: a\0b\r\n", b""), &[400]),
            ("a folded field", ask(b"GET /healthz", b"X-Fold: a\r\n b\r\n", b""), &[400]),
            ("a limit that is no number", ask(b"GET /v1/operations?limit=many", b"", b""), &[400]),
            ("a limit that is too high", ask(b"GET /v1/operations?limit=100000", b"", b""), &[400]),
            ("a cursor of somebody else", ask(b"GET /v1/operations?cursor=%27%3B--", b"", b""), &[400]),
            ("a body that goes deep", ask(validate, json(deep.len()).as_bytes(), deep.as_bytes()), &[400, 404]),
            ("a body that is no UTF-8", ask(validate, json(4).as_bytes(), b"\"\xff\xfe\""), &[400, 404]),
            (
                "a body of another kind",
                ask(validate, b"Content-Type: text/xml\r\nContent-Length: 1\r\n", b"<"),
                &[404, 415],
            ),
            ("a body that is too long by its own word", ask(validate, json(5 << 20).as_bytes(), b"["), &[404, 413]),
            ("two lengths", ask(post, b"Content-Length: 1\r\nContent-Length: 2\r\n", b"ab"), &[400]),
            ("a length that is no number", ask(post, b"Content-Length: +1\r\n", b"a"), &[400]),
            ("an unknown coding", ask(post, b"Transfer-Encoding: gzip\r\n", b"a"), &[400]),
            (
                "chunks that are none",
                ask(validate, b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n", b"zz\r\n"),
                &[400, 404],
            ),
        ];
        for (what, answer, expected) in cases {
            let found = status(&answer);
            assert!(expected.contains(&found), "{what}: {found}, expected one of {expected:?}\n{answer}");
            assert!(!answer.contains("root:") && !answer.contains("[workspace]"), "{what}: {answer}");
        }
        is_well(world, served);
    });
}

/// A length and chunks at once are how one request hides another from a proxy. Whatever is made of it, the hidden one is not
/// answered as if somebody had sent it.
#[test]
fn a_request_hidden_in_another_is_not_answered() {
    with_server(|_, served| {
        let hidden = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n";
        let body = [b"0\r\n\r\n".as_slice(), hidden].concat();
        let both = format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", body.len());
        let reverse = format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n", body.len());
        let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n".to_owned();
        for fields in [both, reverse, twice] {
            let answer = send(served, &request(served, b"POST /v1/none", fields.as_bytes(), &body));
            assert!([400, 404].contains(&status(&answer)), "{fields}: {answer}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{fields}: {answer}");
            assert!(!answer.contains("\"openapi\""), "{fields}: {answer}");
        }
    });
}

/// A body without an end is given up at the limit, not kept.
#[test]
fn a_body_without_end_is_given_up() {
    with_server(|world, served| {
        let mut stream = secure(served);
        let fields = b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
        // A route that reads a body: one that is asked of whoever may change something.
        stream.write_all(&request(served, b"POST /v1/validate", fields, b"")).unwrap();
        let chunk = [format!("{:x}\r\n", 64 << 10).as_bytes(), &vec![b'['; 64 << 10], b"\r\n"].concat();
        let mut sent = 0_u64;
        while stream.write_all(&chunk).is_ok() {
            sent += chunk.len() as u64;
            assert!(sent < 1 << 30, "the server takes whatever comes");
        }
        is_well(world, served);
    });
}

#[test]
fn slow_and_silent_clients_hold_nobody_up() {
    with_server(|world, served| {
        let silent: Vec<TcpStream> = (0..100).map(|_| connect(served.address())).collect();
        let mut slow: Vec<Tls> = (0..20).map(|_| secure(served)).collect();
        for stream in &mut slow {
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHo").unwrap();
            stream.flush().unwrap();
        }
        let mut garbage: Vec<TcpStream> = (0..20).map(|_| connect(served.address())).collect();
        for stream in &mut garbage {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: this is no TLS\r\n\r\n").unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            assert!(!rest.starts_with(b"HTTP"), "without TLS nothing is answered");
        }
        is_well(world, served);
        for stream in &mut slow {
            let told = answer(stream);
            assert!(told.is_empty() || status(&told) == 408 || status(&told) == 400, "{told}");
            is_well(world, served);
        }
        for mut stream in silent {
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
        }
        world.until("their places are free again", || {
            let figures = served.text(world, "/metrics");
            let open = figures.lines().find_map(|line| line.strip_prefix("rapidlaunch_http_connections "));
            // The client keeps some of its own.
            open.unwrap().parse::<u32>().unwrap() < 10
        });
        let refused = "rapidlaunch_http_refused_total{why=\"handshake\"} 120";
        assert!(served.text(world, "/metrics").contains(refused), "{}", served.text(world, "/metrics"));
    });
}

/// One caller who asks without end is told to wait; others are answered meanwhile.
#[test]
fn whoever_asks_too_much_is_told_to_wait() {
    let world = World::new();
    let mut command = world.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("RAPIDLAUNCH_RATE", "1");
    let served = world.api_server_command(command);
    let ask = |token: &str| {
        let request = format!(
            "GET /v1/operations HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        send(&served, request.as_bytes()).to_lowercase()
    };
    let mut refused = String::new();
    world.until("one who asks on and on is refused", || {
        refused = ask("rlt_nobody_knows-this-one");
        refused.starts_with("http/1.1 429")
    });
    assert!(refused.contains("retry-after: ") && refused.contains("rl0511"), "{refused}");
    assert!(ask("rlt_another_nobody-knows").starts_with("http/1.1 401"), "others have an allowance of their own");
    for _ in 0..10 {
        is_well(&world, &served);
    }
    world.end(served).expect(0);
    world.finish();
}
