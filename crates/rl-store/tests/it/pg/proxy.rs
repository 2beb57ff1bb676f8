//! A line between the store and the server that can be cut at a chosen moment.
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What happens to the next commit that writes the marked text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// It goes through.
    Nothing = 0,
    /// It never reaches the server.
    Request = 1,
    /// It reaches the server, its answer never comes back.
    Answer = 2,
}

/// See the module.
pub(super) struct Proxy {
    pub(super) port: u16,
    cut: Arc<AtomicU8>,
}

impl Proxy {
    /// Listens, and leads to `server` on loopback. A cut happens at the next data that contain `marked`.
    pub(super) async fn start(server: u16, marked: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(AtomicU8::new(0));
        let shared = Arc::clone(&cut);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server, marked, Arc::clone(&shared)));
            }
        });
        Self { port, cut }
    }

    pub(super) fn cut_next(&self, cut: Cut) {
        self.cut.store(cut as u8, Ordering::SeqCst);
    }

    /// The cut that was asked for has happened.
    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst) == Cut::Nothing as u8
    }
}

async fn carry(mut client: TcpStream, server: u16, marked: &str, cut: Arc<AtomicU8>) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
    let (mut from_client, mut from_server) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Ok(length @ 1..) = read else { return };
                let data = &from_client[..length];
                let is_marked = data.windows(marked.len()).any(|window| window == marked.as_bytes());
                let cut = if is_marked { cut.swap(0, Ordering::SeqCst) } else { 0 };
                if cut == Cut::Request as u8 || server.write_all(data).await.is_err() {
                    return;
                }
                if cut == Cut::Answer as u8 {
                    // The server works on it; what it says is not carried back.
                    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
                    return;
                }
            }
            read = server.read(&mut from_server) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&from_server[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
