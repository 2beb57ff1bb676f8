//! One connection of an agent, from its greeting to its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::Config;
use super::agents::{Agents, Connected};
use super::rolls::{KnownAgent, NewAgent};
use crate::courier::{Post, Stream};
use crate::frame::{self, Frame, FrameError};
use crate::message::{FromAgent, PROTOCOL, ToAgent};
use crate::seal::sha256;

/// Longest wait for an agent's first message.
const FIRST_LIMIT: Duration = Duration::from_secs(10);
/// Frames that wait to be sent to an agent.
const FRAMES_WAITING_MAX: usize = 64;
/// Heartbeats that may fail to come before an agent is away.
const BEATS_MISSED_MAX: u32 = 3;
/// How often it is noted that an agent is there, and looked whether it still may be.
const NOTE_EVERY: Duration = Duration::from_secs(10);

type Secured = TlsStream<TcpStream>;

/// Serves a connection until it ends.
pub(super) async fn serve(mut stream: Secured, config: &Config, agents: &Arc<Agents>) {
    let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let fingerprint = leaf.map(|certificate| sha256(certificate));
    let first = tokio::time::timeout(FIRST_LIMIT, frame::read_message(&mut stream)).await;
    let Ok(Ok(Some(first))) = first else { return };
    let ended = match (fingerprint, first) {
        (None, join @ FromAgent::Join { .. }) => take_in(&mut stream, config, join).await,
        (Some(fingerprint), FromAgent::Hello { oldest, newest, release }) => {
            if oldest > PROTOCOL.1 || newest < PROTOCOL.0 {
                let why =
                    format!("it speaks protocol {oldest} to {newest}, this server {} to {}", PROTOCOL.0, PROTOCOL.1);
                refuse(&mut stream, why).await
            } else {
                enter(stream, config, agents, fingerprint, release, newest.min(PROTOCOL.1)).await
            }
        }
        _ => refuse(&mut stream, "it must join first".to_owned()).await,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

async fn refuse(stream: &mut Secured, why: String) -> Result<(), FrameError> {
    frame::write(stream, &Frame::message(&ToAgent::Refuse { why })).await?;
    Ok(tokio::io::AsyncWriteExt::shutdown(stream).await?)
}

/// Takes an agent in that shows a token.
async fn take_in(stream: &mut Secured, config: &Config, join: FromAgent) -> Result<(), FrameError> {
    match joined(config, join).await {
        Ok(answer) => frame::write(stream, &Frame::message(&answer)).await?,
        Err(why) => return refuse(stream, why).await,
    }
    Ok(tokio::io::AsyncWriteExt::shutdown(stream).await?)
}

async fn joined(config: &Config, join: FromAgent) -> Result<ToAgent, String> {
    let FromAgent::Join { id, secret, public_key, recipient, release, .. } = join else {
        return Err("it does not join".to_owned());
    };
    let unknown = || super::JoinRefused::NoToken.to_string();
    let post = config.rolls.token_post(&id).await.map_err(|error| error.to_string())?.ok_or_else(unknown)?;
    if recipient.parse::<age::x25519::Recipient>().is_err() {
        return Err("its recipient is none".to_owned());
    }
    let key = unhex(&public_key).ok_or("its key cannot be read")?;
    let issued = config.authority.issue(&post, &key, config.certificate_life).map_err(|error| error.to_string())?;
    let agent = NewAgent {
        post: post.clone(),
        fingerprint: issued.fingerprint,
        recipient,
        release,
        ends_at_ms: issued.ends_at_ms,
    };
    let digest = sha256(secret.as_bytes());
    config.rolls.join(&id, &digest, agent).await.map_err(|error| error.to_string())?.map_err(|no| no.to_string())?;
    tracing::info!(%post, "an agent has joined");
    Ok(ToAgent::Joined {
        site: post.site,
        node: post.node,
        certificate: issued.pem,
        authority: config.authority.pem().to_owned(),
        ends_at_ms: issued.ends_at_ms,
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() > 1_000 || !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

/// Lets a known agent in and serves it.
async fn enter(
    mut stream: Secured,
    config: &Config,
    agents: &Arc<Agents>,
    fingerprint: String,
    release: String,
    protocol: u32,
) -> Result<(), FrameError> {
    let known = match config.rolls.identify(&fingerprint).await {
        Ok(Some(known)) => known,
        Ok(None) => {
            let why = "its certificate was revoked or replaced; revoke it, make a new token and let it join again";
            return refuse(&mut stream, why.to_owned()).await;
        }
        // Not known now: it comes again by itself.
        Err(_) => return Ok(()),
    };
    let heartbeat_ms = u64::try_from(config.heartbeat.as_millis()).unwrap_or(u64::MAX);
    let welcome = ToAgent::Welcome { protocol, release: config.release.clone(), heartbeat_ms };
    frame::write(&mut stream, &Frame::message(&welcome)).await?;
    let (out, waiting) = mpsc::channel(FRAMES_WAITING_MAX);
    let close = CancellationToken::new();
    let connected = Arc::new(Connected { out, calls: std::sync::Mutex::default(), close });
    let session = Session { config, fingerprint, release, connected: Arc::clone(&connected) };
    agents.enter(&known.post, &connected);
    tracing::info!(post = %known.post, "the agent is connected");
    // Left also when the task is dropped with the listener.
    let _left = Leaving { agents, post: &known.post, connected: &connected };
    session.run(stream, waiting, &known).await
}

struct Leaving<'a> {
    agents: &'a Agents,
    post: &'a Post,
    connected: &'a Arc<Connected>,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.connected.close.cancel();
        self.agents.leave(self.post, self.connected);
        tracing::info!(post = %self.post, "the agent is away");
    }
}

struct Session<'a> {
    config: &'a Config,
    fingerprint: String,
    release: String,
    connected: Arc<Connected>,
}

impl Session<'_> {
    async fn run(
        &self,
        stream: Secured,
        mut waiting: mpsc::Receiver<Frame>,
        known: &KnownAgent,
    ) -> Result<(), FrameError> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let send = async move {
            while let Some(frame) = waiting.recv().await {
                frame::write(&mut writer, &frame).await?;
            }
            Ok::<(), FrameError>(())
        };
        let receive = async {
            loop {
                let limit = self.config.heartbeat * BEATS_MISSED_MAX;
                match tokio::time::timeout(limit, frame::read(&mut reader)).await {
                    Ok(Ok(Some(frame))) => self.take(frame, known).await?,
                    Ok(Ok(None)) => return Ok::<(), FrameError>(()),
                    Ok(Err(error)) => return Err(error),
                    Err(_) => return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
                }
            }
        };
        tokio::select! {
            ended = send => ended,
            ended = receive => ended,
            () = self.beat() => Ok(()),
            () = self.connected.close.cancelled() => Ok(()),
        }
    }

    /// Gives signs of life, and notes that the agent is there. Ends when it may not be there any more.
    async fn beat(&self) {
        let mut ticks = tokio::time::interval(self.config.heartbeat);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut n, mut noted) = (0, None::<Instant>);
        loop {
            ticks.tick().await;
            n += 1;
            if self.connected.out.send(Frame::message(&ToAgent::Ping { n })).await.is_err() {
                return;
            }
            if noted.is_none_or(|at| at.elapsed() >= NOTE_EVERY) {
                match self.config.rolls.seen(&self.fingerprint, &self.release).await {
                    Ok(true) => noted = Some(Instant::now()),
                    Ok(false) => return,
                    Err(error) => tracing::warn!(%error, "that an agent is there cannot be noted"),
                }
            }
        }
    }

    async fn take(&self, frame: Frame, known: &KnownAgent) -> Result<(), FrameError> {
        match frame {
            Frame::Piece { id, stream, bytes } => {
                if let Some(call) = self.connected.calls().get_mut(&id) {
                    // More than was asked for is never kept, whatever the agent says.
                    let taken = usize::try_from(call.room).unwrap_or(usize::MAX).min(bytes.len());
                    call.room -= taken as u64;
                    if let (Some(output), 1..) = (&call.output, taken) {
                        let stream = if stream == 0 { Stream::Out } else { Stream::Err };
                        let _ = output.send((stream, bytes[..taken].to_vec()));
                    }
                }
                Ok(())
            }
            Frame::Json(text) => match serde_json::from_slice(&text)? {
                FromAgent::Done { id, answer } => {
                    self.end(id, Ok(answer));
                    Ok(())
                }
                FromAgent::Refused { id, refusal } => {
                    self.end(id, Err(refusal));
                    Ok(())
                }
                FromAgent::May { id } => {
                    let now = std::time::Instant::now();
                    let wanted = |call: &super::agents::Call| call.until.is_none_or(|until| now < until);
                    let yes = self.connected.calls().get(&id).is_some_and(wanted);
                    self.say(&ToAgent::Go { id, yes }).await
                }
                FromAgent::Renew { public_key } => self.renew(&public_key, known).await,
                FromAgent::Pong { .. } | FromAgent::Unknown => Ok(()),
                FromAgent::Hello { .. } | FromAgent::Join { .. } => Err(FrameError::Malformed),
            },
        }
    }

    fn end(&self, id: u64, answer: Result<crate::answer::Answer, crate::answer::Refusal>) {
        let call = self.connected.calls().remove(&id);
        if let Some(call) = call {
            let _ = call.done.send(answer);
        }
    }

    async fn say(&self, message: &ToAgent) -> Result<(), FrameError> {
        let sent = self.connected.out.send(Frame::message(message)).await;
        sent.map_err(|_| FrameError::Io(std::io::ErrorKind::ConnectionReset.into()))
    }

    async fn renew(&self, public_key: &str, known: &KnownAgent) -> Result<(), FrameError> {
        let Some(key) = unhex(public_key) else { return Err(FrameError::Malformed) };
        let issued = match self.config.authority.issue(&known.post, &key, self.config.certificate_life) {
            Ok(issued) => issued,
            Err(error) => {
                tracing::warn!(post = %known.post, %error, "the agent's certificate cannot be renewed");
                return Ok(());
            }
        };
        match self.config.rolls.renew(&self.fingerprint, &issued.fingerprint, issued.ends_at_ms).await {
            Ok(true) => {
                let ends_at_ms = issued.ends_at_ms;
                self.say(&ToAgent::Certificate { certificate: issued.pem, ends_at_ms }).await
            }
            Ok(false) => Err(FrameError::Malformed),
            // It asks again.
            Err(_) => Ok(()),
        }
    }
}
