//! Questions and transfers over TCP (RFC 7766).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::RecordType as WireType;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Shelf, answer, transfer};

/// Connections at once; more wait in the kernel's queue. Each holds a buffer of one message.
const CONNECTIONS_MAX: usize = 128;
/// How long a connection may stay silent, or take to accept an answer.
const IDLE_LIMIT: Duration = Duration::from_secs(10);
/// Questions on one connection, so that nobody holds one for ever.
const QUESTIONS_MAX: u32 = 10_000;
/// Wait after an accept failed, as when the process has no file descriptor left.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// Answers until the task is dropped; its connections end with it.
pub(super) async fn run(listener: TcpListener, shelf: Arc<Shelf>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, from)) => {
                let shelf = Arc::clone(&shelf);
                connections.spawn(async move {
                    if let Err(error) = serve(stream, from, &shelf).await {
                        tracing::debug!(%error, %from, "a DNS connection ended");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a DNS connection could not be accepted");
                tokio::time::sleep(ERROR_PAUSE).await;
            }
        }
    }
}

async fn serve(mut stream: TcpStream, from: SocketAddr, shelf: &Shelf) -> std::io::Result<()> {
    _ = stream.set_nodelay(true);
    for _ in 0..QUESTIONS_MAX {
        let Some(packet) = receive(&mut stream).await? else { return Ok(()) };
        let zones = shelf.zones();
        let messages = match answer::read(&packet) {
            answer::Read::Asked(asked) if matches!(asked.query.query_type(), WireType::AXFR | WireType::IXFR) => {
                transfer::messages(&zones, &asked, &packet, from.ip())
            }
            answer::Read::Asked(asked) => {
                answer::finish(&zones, &asked, &packet, &mut answer::respond(&zones, &asked)).into_iter().collect()
            }
            answer::Read::Refused(refusal) => vec![refusal],
            answer::Read::Silence => return Ok(()),
        };
        for message in messages {
            shelf.answers.count(&message);
            send(&mut stream, &message).await?;
        }
    }
    Ok(())
}

/// The next message; nothing when the other end has closed.
async fn receive(stream: &mut TcpStream) -> std::io::Result<Option<Vec<u8>>> {
    let read = async {
        let length = match stream.read_u16().await {
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut packet = vec![0; usize::from(length)];
        stream.read_exact(&mut packet).await?;
        Ok(Some(packet))
    };
    tokio::time::timeout(IDLE_LIMIT, read).await.unwrap_or(Ok(None))
}

async fn send(stream: &mut TcpStream, message: &[u8]) -> std::io::Result<()> {
    let length = u16::try_from(message.len()).map_err(std::io::Error::other)?;
    let mut framed = Vec::with_capacity(message.len() + 2);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    tokio::time::timeout(IDLE_LIMIT, stream.write_all(&framed)).await?
}
