//! A way between agent and server that can be cut.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    lines: Arc<Mutex<CancellationToken>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let lines = Arc::new(Mutex::new(CancellationToken::new()));
        let current = Arc::clone(&lines);
        let serving = tokio::spawn(async move {
            while let Ok((mut one, _)) = listener.accept().await {
                let cut = current.lock().unwrap().clone();
                tokio::spawn(async move {
                    let Ok(mut other) = TcpStream::connect(server).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut one, &mut other) => {}
                        () = cut.cancelled() => {}
                    }
                });
            }
        });
        Self { address, lines, serving }
    }

    /// Cuts every line; new ones may be opened.
    pub(crate) fn cut(&self) {
        let mut lines = self.lines.lock().unwrap();
        lines.cancel();
        *lines = CancellationToken::new();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
