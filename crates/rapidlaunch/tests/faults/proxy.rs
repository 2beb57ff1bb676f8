//! A TCP proxy whose way through can be cut: both ways or one, silently or with a reset, or in the moment of a commit.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often a held direction looks whether it may go on.
const LOOK: Duration = Duration::from_millis(5);
/// The statement that a client prepares to make transactions durable, between its name and its parameters.
const COMMIT: &[u8] = b"\0commit\0";
/// What closes a TLS connection is no longer than this, in bytes; every request is longer.
const ALERT_MAX: usize = 64;

/// Switches of a proxy.
#[derive(Debug, Default)]
struct Switches {
    /// Nothing of the client reaches the server.
    hold_requests: AtomicBool,
    /// Nothing of the server reaches the client.
    hold_answers: AtomicBool,
    /// So many commits from now are sent on, and their answer is never seen.
    cut_commits: AtomicU64,
    cuts: AtomicU64,
    /// When the client sent something the last time.
    last_request: Mutex<Option<Instant>>,
}

/// A running proxy. Its threads end with the connections.
pub(crate) struct Proxy {
    address: SocketAddr,
    switches: Arc<Switches>,
}

impl Proxy {
    /// A proxy before a server.
    pub(crate) fn before(server: SocketAddr) -> Self {
        Self::at("127.0.0.1:0", server)
    }

    /// The same on another address.
    pub(crate) fn at(address: &str, server: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let switches = Arc::new(Switches::default());
        let shared = Arc::clone(&switches);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(server) else { continue };
                join(client, server, &shared);
            }
        });
        Self { address, switches }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Holds what the client sends, what the server sends, or both.
    pub(crate) fn hold(&self, requests: bool, answers: bool) {
        self.switches.hold_requests.store(requests, Ordering::SeqCst);
        self.switches.hold_answers.store(answers, Ordering::SeqCst);
    }

    /// Cuts the connection at each of the next commits, after the server has got it.
    pub(crate) fn cut_commits(&self, count: u64) {
        self.switches.cut_commits.store(count, Ordering::SeqCst);
    }

    /// How long after a moment the client has sent something last; nothing when it has not since.
    pub(crate) fn last_request_after(&self, moment: Instant) -> Option<Duration> {
        self.switches.last_request.lock().unwrap().and_then(|last| last.checked_duration_since(moment))
    }

    /// Connections cut at a commit so far.
    pub(crate) fn cuts(&self) -> u64 {
        self.switches.cuts.load(Ordering::SeqCst)
    }
}

fn join(client: TcpStream, server: TcpStream, switches: &Arc<Switches>) {
    let (from, to, shared) = (client.try_clone().unwrap(), server.try_clone().unwrap(), Arc::clone(switches));
    std::thread::spawn(move || requests(from, to, &shared));
    let shared = Arc::clone(switches);
    std::thread::spawn(move || answers(server, client, &shared));
}

fn requests(mut client: TcpStream, mut server: TcpStream, switches: &Switches) {
    let mut bytes = [0; 16 * 1024];
    let mut commit = None;
    while let Ok(count @ 1..) = client.read(&mut bytes) {
        if count > ALERT_MAX {
            *switches.last_request.lock().unwrap() = Some(Instant::now());
        }
        while switches.hold_requests.load(Ordering::SeqCst) {
            std::thread::sleep(LOOK);
        }
        let sent = &bytes[..count];
        commit = prepared_commit(sent).or(commit);
        let commits = commit
            .as_ref()
            .is_some_and(|bound: &Vec<u8>| sent.windows(bound.len()).any(|window| window == bound.as_slice()));
        let take = |left: u64| left.checked_sub(1);
        let cut = commits && switches.cut_commits.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok();
        if cut {
            // The client loses its connection; the server has the commit and does not know.
            switches.cuts.fetch_add(1, Ordering::SeqCst);
            let _ = client.shutdown(Shutdown::Both);
        }
        if server.write_all(&bytes[..count]).is_err() || cut {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Write);
}

/// The name under which a client prepares its commit, as a later Bind message has it: after an empty portal, closed by a zero
/// (PostgreSQL, "Message Formats").
fn prepared_commit(sent: &[u8]) -> Option<Vec<u8>> {
    let at = sent.windows(COMMIT.len()).position(|window| window == COMMIT)?;
    let begin = sent[..at].iter().rposition(|byte| !byte.is_ascii_alphanumeric()).map_or(0, |before| before + 1);
    (begin < at).then(|| [&[0], &sent[begin..at], &[0]].concat())
}

fn answers(mut server: TcpStream, mut client: TcpStream, switches: &Switches) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(count @ 1..) = server.read(&mut bytes) {
        while switches.hold_answers.load(Ordering::SeqCst) {
            std::thread::sleep(LOOK);
        }
        if client.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}
