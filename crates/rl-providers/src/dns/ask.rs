//! Asks one authoritative server what it answers, as a resolver would; or a zone of the store, as its server would answer.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use rl_model::RecordType;
use rl_model::dns::{DnsName, DnsServer, RecordValue};
use tokio::net::UdpSocket;

use super::error::DnsError;
use super::exchange::Conn;
use super::message::{collect, wire_name, wire_type};
use super::resolve::addresses;
use super::server::ZoneView;

/// Longest wait for an answer over UDP; a packet may be lost, so it is sent again.
const UDP_LIMIT: Duration = Duration::from_secs(2);
/// Times a question is sent over UDP before TCP is tried.
const UDP_TRIES: u32 = 2;
/// Largest answer over UDP that is asked for (DNS flag day 2020).
const UDP_BYTES: u16 = 1232;

/// What a server answers about one name and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is an authority, and these are the values; none when the record does not exist.
    Values(BTreeSet<RecordValue>),
    /// It is no authority for the name, or does not serve the zone.
    NoAuthority(String),
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Values(values) if values.is_empty() => f.write_str("no such record"),
            Self::Values(values) => f.write_str(&values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
            Self::NoAuthority(why) => write!(f, "no authority: {why}"),
        }
    }
}

impl Answer {
    /// Reads it from a message.
    pub(crate) fn of(message: &Message, name: &DnsName, kind: RecordType) -> Self {
        let code = message.response_code;
        let known = code == ResponseCode::NoError || code == ResponseCode::NXDomain;
        if !known || !message.authoritative {
            return Self::NoAuthority(if known { "it answers from elsewhere".to_owned() } else { code.to_string() });
        }
        let (mut sets, _) = collect(&message.answers);
        Self::Values(sets.remove(&(name.clone(), kind)).map_or_else(BTreeSet::new, |set| set.values))
    }
}

/// Whose answer counts.
#[derive(Clone)]
pub enum Witness {
    /// An authoritative server.
    Server(DnsServer),
    /// A zone as the store has it: what the built-in server would answer, where none is known that could be asked.
    Store(Arc<ZoneView>),
}

impl std::fmt::Display for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Server(server) => write!(f, "{server}"),
            Self::Store(_) => f.write_str("the store (no server is known to be asked)"),
        }
    }
}

impl Witness {
    /// What is answered about one name and type.
    pub async fn ask(&self, name: &DnsName, kind: RecordType) -> Result<Answer, DnsError> {
        match self {
            Self::Server(server) => ask(server, name, kind).await,
            Self::Store(zone) => Ok(zone.answer(name, kind)),
        }
    }
}

/// The question as it is sent.
pub(crate) fn question(name: &DnsName, kind: RecordType) -> Message {
    let mut request = Message::query();
    request.add_query(Query::query(wire_name(name), wire_type(kind)));
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_BYTES);
    request.set_edns(edns);
    request
}

/// Asks a server, over UDP first, without recursion.
pub async fn ask(server: &DnsServer, name: &DnsName, kind: RecordType) -> Result<Answer, DnsError> {
    let addresses = addresses(server).await?;
    let request = question(name, kind);
    let over_udp = match addresses.first() {
        Some(address) => udp(*address, &request).await,
        None => None,
    };
    let answer = match over_udp {
        Some(answer) => answer,
        None => Conn::open(&addresses, None).await?.ask(request).await?,
    };
    Ok(Answer::of(&answer, name, kind))
}

/// The answer over UDP; `None` where TCP must be tried.
async fn udp(server: SocketAddr, request: &Message) -> Option<Message> {
    let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await.ok()?;
    socket.connect(server).await.ok()?;
    let bytes = request.to_vec().ok()?;
    for _ in 0..UDP_TRIES {
        socket.send(&bytes).await.ok()?;
        let answer = tokio::time::timeout(UDP_LIMIT, matching(&socket, request)).await;
        match answer {
            Ok(Some(answer)) if answer.truncation => return None,
            Ok(answer) => return answer,
            Err(_) => {}
        }
    }
    None
}

/// The answer to this very question; anything else that arrives is passed over.
async fn matching(socket: &UdpSocket, request: &Message) -> Option<Message> {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut buffer).await.ok()?;
        let Ok(answer) = Message::from_vec(&buffer[..length]) else { continue };
        if answer.id == request.id && answer.queries == request.queries {
            return Some(answer);
        }
    }
}
