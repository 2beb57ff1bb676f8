//! One connection to one server: orders come in, answers go out, both sides give signs of life.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::desk::{Beside, ORDERS_MAX};
use super::dial::{Server, dial};
use super::identity_error::NodeError;
use super::{Node, now_ms};
use crate::answer::Refusal;
use crate::authority;
use crate::courier::Stream;
use crate::frame::{self, CHUNK, Frame};
use crate::message::{FromAgent, PROTOCOL, ToAgent};
use crate::seal::hex;
use crate::work::{CONTENT_MAX, Order};

/// Frames that wait to be sent. Output waits for room, so that a slow connection slows the command down instead of filling memory.
const FRAMES_WAITING_MAX: usize = 64;
/// Longest wait for the server's greeting.
const GREETING_LIMIT: Duration = Duration::from_secs(30);
/// Heartbeats that may fail to come before the connection is given up.
const BEATS_MISSED_MAX: u32 = 3;
/// How often it is looked whether the certificate is due.
const RENEWAL_LOOK: Duration = Duration::from_millis(500);
/// Pause after a certificate was asked for: an answer takes a moment.
const RENEWAL_PAUSE_MS: u64 = 30_000;

/// An order whose input is still coming.
struct Incoming {
    order: serde_json::Value,
    input: Zeroizing<Vec<u8>>,
    bytes: usize,
}

struct Link {
    node: Arc<Node>,
    out: mpsc::Sender<Frame>,
    incoming: HashMap<u64, Incoming>,
    asked: Arc<Mutex<HashMap<u64, oneshot::Sender<bool>>>>,
    work: JoinSet<()>,
    new_key: Option<(String, u64)>,
}

/// Serves one server until the connection ends; notes when it was welcomed.
pub(super) async fn serve(
    node: &Arc<Node>,
    server: &Server,
    welcomed: &mut Option<tokio::time::Instant>,
) -> Result<(), NodeError> {
    let identity = node.identity();
    let tls = authority::client(&identity.authority, &identity.certificate, &identity.key)?;
    let mut stream = dial(server, tls).await?;
    let hello = FromAgent::Hello { oldest: PROTOCOL.0, newest: PROTOCOL.1, release: node.release.clone() };
    frame::write(&mut stream, &Frame::message(&hello)).await?;
    let greeting = tokio::time::timeout(GREETING_LIMIT, frame::read_message(&mut stream)).await;
    let heartbeat = match greeting.map_err(|_| NodeError::Silent)?? {
        Some(ToAgent::Welcome { heartbeat_ms, .. }) => Duration::from_millis(heartbeat_ms.max(1)),
        Some(ToAgent::Refuse { why }) => return Err(NodeError::Refused(why)),
        Some(_) => return Err(NodeError::Frame("the server does not greet".to_owned())),
        None => return Err(NodeError::Lost),
    };
    *welcomed = Some(tokio::time::Instant::now());
    tracing::info!(%server, post = %identity.post, "connected");
    if let Some(connected) = &node.connected {
        let _ = connected.send(server.to_string());
    }
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (out, mut waiting) = mpsc::channel(FRAMES_WAITING_MAX);
    let mut link = Link {
        node: Arc::clone(node),
        out,
        incoming: HashMap::new(),
        asked: Arc::default(),
        work: JoinSet::new(),
        new_key: None,
    };
    let send = async move {
        while let Some(frame) = waiting.recv().await {
            frame::write(&mut writer, &frame).await?;
        }
        Ok::<(), NodeError>(())
    };
    let receive = async {
        loop {
            let limit = heartbeat * BEATS_MISSED_MAX;
            let frame =
                tokio::time::timeout(limit, frame::read(&mut reader)).await.map_err(|_| NodeError::Silent)??;
            let Some(frame) = frame else { return Ok::<(), NodeError>(()) };
            link.take(frame).await?;
            while link.work.try_join_next().is_some() {}
        }
    };
    let renewal = ask_for_renewal(node);
    tokio::select! {
        ended = send => ended,
        ended = receive => ended,
        // A new certificate is used from the next connection on.
        () = renewal => Ok(()),
    }
}

/// Ends when another link has renewed the certificate this link began with.
async fn ask_for_renewal(node: &Arc<Node>) {
    let began_with = node.identity().certificate;
    while node.identity().certificate == began_with {
        tokio::time::sleep(RENEWAL_LOOK).await;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // A command that was begun is ended, whoever still listens. What waits for leave learns that none will come.
        self.work.detach_all();
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Link {
    async fn take(&mut self, frame: Frame) -> Result<(), NodeError> {
        match frame {
            Frame::Piece { id, bytes, .. } => self.piece(id, bytes).await,
            Frame::Json(text) => {
                let message = serde_json::from_slice(&text).map_err(|error| NodeError::Frame(error.to_string()))?;
                self.message(message).await
            }
        }
    }

    async fn message(&mut self, message: ToAgent) -> Result<(), NodeError> {
        match message {
            ToAgent::Ping { n } => {
                self.say(&FromAgent::Pong { n }).await;
                self.renew_when_due().await?;
            }
            ToAgent::Order { id, order, input_bytes } => {
                let full = self.incoming.len() >= ORDERS_MAX || input_bytes > 2 * CONTENT_MAX;
                if full {
                    self.refuse(id, Refusal::Busy { limit: ORDERS_MAX }).await;
                } else {
                    let bytes = usize::try_from(input_bytes).unwrap_or(usize::MAX);
                    self.incoming.insert(id, Incoming { order, input: Zeroizing::default(), bytes });
                    self.begin_when_whole(id).await;
                }
            }
            ToAgent::Go { id, yes } => {
                let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                if let Some(asked) = asked {
                    let _ = asked.send(yes);
                }
            }
            ToAgent::Certificate { certificate, ends_at_ms } => self.renewed(certificate, ends_at_ms)?,
            ToAgent::Refuse { why } => return Err(NodeError::Refused(why)),
            ToAgent::Welcome { .. } | ToAgent::Joined { .. } | ToAgent::Unknown => {}
        }
        Ok(())
    }

    async fn piece(&mut self, id: u64, bytes: Vec<u8>) -> Result<(), NodeError> {
        let Some(incoming) = self.incoming.get_mut(&id) else { return Ok(()) };
        if incoming.input.len() + bytes.len() > incoming.bytes {
            return Err(NodeError::Frame("the server sent more input than it announced".to_owned()));
        }
        incoming.input.extend_from_slice(&Zeroizing::new(bytes));
        self.begin_when_whole(id).await;
        Ok(())
    }

    async fn begin_when_whole(&mut self, id: u64) {
        if self.incoming.get(&id).is_none_or(|incoming| incoming.input.len() < incoming.bytes) {
            return;
        }
        let Some(Incoming { order, input, .. }) = self.incoming.remove(&id) else { return };
        let order: Order = match serde_json::from_value(order) {
            Ok(order) => order,
            Err(error) => return self.refuse(id, Refusal::NotUnderstood { what: error.to_string() }).await,
        };
        let (node, out, asked) = (Arc::clone(&self.node), self.out.clone(), Arc::clone(&self.asked));
        self.work.spawn(async move {
            let answer = perform(&node, id, order, input, &out, asked).await;
            let message = match answer {
                Ok(answer) => FromAgent::Done { id, answer },
                Err(refusal) => FromAgent::Refused { id, refusal },
            };
            let _ = out.send(Frame::message(&message)).await;
        });
    }

    async fn say(&self, message: &FromAgent) {
        let _ = self.out.send(Frame::message(message)).await;
    }

    async fn refuse(&self, id: u64, refusal: Refusal) {
        self.say(&FromAgent::Refused { id, refusal }).await;
    }

    async fn renew_when_due(&mut self) -> Result<(), NodeError> {
        let now = now_ms();
        let asked_lately = self.new_key.as_ref().is_some_and(|(_, at)| now < at.saturating_add(RENEWAL_PAUSE_MS));
        if !self.node.identity().is_due(now) || asked_lately {
            return Ok(());
        }
        let (key, public_key) = authority::new_key()?;
        self.new_key = Some((key, now));
        self.say(&FromAgent::Renew { public_key: hex(&public_key) }).await;
        Ok(())
    }

    fn renewed(&mut self, certificate: String, ends_at_ms: u64) -> Result<(), NodeError> {
        let Some((key, _)) = self.new_key.take() else { return Ok(()) };
        let identity = self.node.identity();
        let (made_at_ms, authority, post, seal) = (now_ms(), identity.authority, identity.post, identity.seal);
        let renewed = super::Identity { post, authority, certificate, key, seal, made_at_ms, ends_at_ms };
        self.node.renewed(renewed)?;
        tracing::info!("the certificate was renewed");
        Ok(())
    }
}

/// Carries out one order, sending its output as it comes and before its answer.
async fn perform(
    node: &Arc<Node>,
    id: u64,
    order: Order,
    input: Zeroizing<Vec<u8>>,
    out: &mpsc::Sender<Frame>,
    asked: Arc<Mutex<HashMap<u64, oneshot::Sender<bool>>>>,
) -> Result<crate::answer::Answer, Refusal> {
    let (output, mut pieces) = mpsc::unbounded_channel::<crate::courier::Output>();
    let ask = out.clone();
    let may = Box::new(move || {
        let (answer, answered) = oneshot::channel();
        asked.lock().unwrap_or_else(PoisonError::into_inner).insert(id, answer);
        tokio::spawn(async move {
            if ask.send(Frame::message(&FromAgent::May { id })).await.is_err() {
                asked.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            }
        });
        answered
    });
    let forward = async {
        while let Some((stream, bytes)) = pieces.recv().await {
            for chunk in bytes.chunks(CHUNK) {
                let stream = u8::from(stream == Stream::Err);
                if out.send(Frame::Piece { id, stream, bytes: chunk.to_vec() }).await.is_err() {
                    return;
                }
            }
        }
    };
    let work = node.desk.perform(order, Beside { input, output, may });
    let (answer, ()) = tokio::join!(work, forward);
    answer
}
