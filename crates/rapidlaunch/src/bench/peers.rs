//! Peers, run on the same disk in the same run: a list in Redis that writes through, and SQLite without shared commits.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::task::JoinSet;

use super::store::{failed, open};
use crate::error::CommandError;

/// Pushes by all clients together.
const PUSHES: usize = 100_000;
/// Clients at once.
const CLIENTS: usize = 64;
/// Bytes of one entry.
const ENTRY_BYTES: usize = 300;
/// How long Redis may take to start.
const START: Duration = Duration::from_secs(5);
/// Submits one after the other.
const SINGLE: usize = 2_000;

/// Durable pushes a second to a Redis with `appendfsync always`; `None` where there is no Redis.
pub(super) async fn redis(dir: &Path) -> Result<Option<f64>, CommandError> {
    std::fs::create_dir_all(dir).map_err(failed)?;
    let socket = dir.join("redis.sock");
    let started = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "always", "--dir"])
        .arg(dir)
        .arg("--unixsocket")
        .arg(&socket)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let Ok(mut server) = started else { return Ok(None) };
    let began = Instant::now();
    while UnixStream::connect(&socket).await.is_err() {
        if began.elapsed() > START {
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(push(socket.clone()));
    }
    while let Some(ended) = clients.join_next().await {
        ended.map_err(failed)?.map_err(failed)?;
    }
    let rate = PUSHES as f64 / began.elapsed().as_secs_f64();
    server.kill().await.map_err(failed)?;
    Ok(Some(rate))
}

async fn push(socket: std::path::PathBuf) -> std::io::Result<()> {
    let mut stream = UnixStream::connect(socket).await?;
    let entry = "x".repeat(ENTRY_BYTES);
    let request = format!("*3\r\n$5\r\nLPUSH\r\n$1\r\nq\r\n${ENTRY_BYTES}\r\n{entry}\r\n");
    let mut answer = [0; 64];
    for _ in 0..PUSHES / CLIENTS {
        stream.write_all(request.as_bytes()).await?;
        let mut length = 0;
        while !answer[..length].ends_with(b"\r\n") {
            match stream.read(&mut answer[length..]).await? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                more => length += more,
            }
        }
    }
    Ok(())
}

/// Durable submits a second where each has a commit of its own.
pub(super) async fn unshared(dir: &Path) -> Result<f64, CommandError> {
    let store = open(dir).await?;
    Ok(rl_store::load::submits(store.journal(), 1, SINGLE).await.map_err(failed)?.per_second())
}
