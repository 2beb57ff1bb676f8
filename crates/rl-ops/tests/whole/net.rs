//! The network between one run of a server and the sites: byte streams in memory that stop when either end does.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rl_model::Endpoint;
use rl_pve::{ByteStream, Dial, Dialled};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use crate::life::Life;
use crate::place::Place;

/// Bytes on their way in one direction: more than most requests have, so that few need two turns.
const PIPE_BYTES: usize = 64 * 1024;
/// Time a connection takes.
const CONNECT: Duration = Duration::from_millis(2);

/// Makes connections of one run of a server to one site.
pub(crate) struct Net {
    pub(crate) place: Arc<Place>,
    pub(crate) life: Arc<Life>,
}

impl Dial for Net {
    fn dial(&self, endpoint: &Endpoint) -> Dialled {
        let (place, life) = (Arc::clone(&self.place), Arc::clone(&self.life));
        let at = place.node_at(endpoint);
        Box::pin(async move {
            tokio::time::sleep(CONNECT).await;
            life.wait(|state| !state.stopped).await;
            if life.state().no_sites {
                return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
            }
            let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
            tokio::spawn(place.sim.serve(at, theirs));
            Ok(Box::new(Wire { stream: ours, life, waiting: None }) as Box<dyn ByteStream>)
        })
    }
}

/// One connection. While its process stands still or is cut off it neither takes nor gives a byte.
struct Wire {
    stream: DuplexStream,
    life: Arc<Life>,
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Wire {
    /// Ready when bytes may pass.
    fn open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(waiting) = &mut self.waiting {
                std::task::ready!(waiting.as_mut().poll(cx));
                self.waiting = None;
            }
            let state = self.life.state();
            if !state.stopped && !state.no_sites && !self.life.is_dead() {
                return Poll::Ready(());
            }
            let life = Arc::clone(&self.life);
            self.waiting = Some(Box::pin(async move { life.wait(|state| !state.stopped && !state.no_sites).await }));
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.open(cx));
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.open(cx));
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
