//! A TCP proxy that holds what passes: one way or both, without either side being told.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often a held direction looks whether it may go on.
const LOOK: Duration = Duration::from_millis(5);
/// Bytes passed on at a time.
const PIECE: usize = 16 << 10;

/// One switch for each way.
#[derive(Debug, Default)]
struct Switches {
    up: AtomicBool,
    down: AtomicBool,
}

/// A running proxy. Its threads end with the connections.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    switches: Arc<Switches>,
}

impl Proxy {
    /// A proxy before a server, which need not listen yet.
    pub(crate) fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let switches = Arc::new(Switches::default());
        let shared = Arc::clone(&switches);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(server) else { continue };
                for up in [true, false] {
                    let (client, server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                    let switches = Arc::clone(&shared);
                    std::thread::spawn(move || match up {
                        true => pass(client, server, &switches.up),
                        false => pass(server, client, &switches.down),
                    });
                }
            }
        });
        Self { address, switches }
    }

    /// Holds what goes up to the server, what comes down from it, or both; what is held goes on when it is let.
    pub(crate) fn hold(&self, up: bool, down: bool) {
        self.switches.up.store(up, Ordering::SeqCst);
        self.switches.down.store(down, Ordering::SeqCst);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, held: &AtomicBool) {
    let mut bytes = [0; PIECE];
    loop {
        let read = from.read(&mut bytes).unwrap_or(0);
        while held.load(Ordering::SeqCst) {
            std::thread::sleep(LOOK);
        }
        if read == 0 || to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
