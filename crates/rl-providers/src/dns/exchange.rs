//! One connection to a DNS server: messages over TCP, signed where there is a key.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::TSigVerifier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::error::{DnsError, KeyFault};
use super::tsig::{Key, fault_of};

/// Longest wait for a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Longest wait for one message: a server that signs a large transfer needs some time for each.
const MESSAGE_LIMIT: Duration = Duration::from_secs(10);

/// A connection.
pub(crate) struct Conn<'k> {
    stream: TcpStream,
    server: SocketAddr,
    key: Option<&'k Key>,
}

/// What checks the answers to one request.
pub(crate) type Verifier = Option<TSigVerifier>;

impl<'k> Conn<'k> {
    /// Connects to the first address that answers.
    pub(crate) async fn open(addresses: &[SocketAddr], key: Option<&'k Key>) -> Result<Self, DnsError> {
        let mut last = DnsError::unreachable("named", "it has no address");
        for server in addresses {
            match tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(server)).await {
                Ok(Ok(stream)) => {
                    _ = stream.set_nodelay(true);
                    return Ok(Self { stream, server: *server, key });
                }
                Ok(Err(error)) => last = DnsError::unreachable(server, error),
                Err(_) => last = DnsError::unreachable(server, "no connection within 5 s"),
            }
        }
        Err(last)
    }

    pub(crate) fn server(&self) -> SocketAddr {
        self.server
    }

    /// Sends a request and reads the one answer to it.
    pub(crate) async fn ask(&mut self, request: Message) -> Result<Message, DnsError> {
        let mut verifier = self.send(request).await?;
        self.receive(&mut verifier).await
    }

    /// Sends a request, signed where there is a key.
    pub(crate) async fn send(&mut self, mut request: Message) -> Result<Verifier, DnsError> {
        let odd = |error: hickory_proto::ProtoError| DnsError::odd(self.server, error);
        let verifier = match self.key {
            Some(key) => request.finalize(key.signer(), key.now_s()).map_err(odd)?,
            None => None,
        };
        let bytes = request.to_vec().map_err(odd)?;
        let length = u16::try_from(bytes.len()).map_err(|_| DnsError::odd(self.server, "the request is too long"))?;
        let mut framed = Vec::with_capacity(bytes.len() + 2);
        framed.extend_from_slice(&length.to_be_bytes());
        framed.extend_from_slice(&bytes);
        let sent = tokio::time::timeout(MESSAGE_LIMIT, self.stream.write_all(&framed)).await;
        self.in_time(sent).map(|()| verifier)
    }

    /// Reads the next message and checks its signature.
    pub(crate) async fn receive(&mut self, verifier: &mut Verifier) -> Result<Message, DnsError> {
        let read = tokio::time::timeout(MESSAGE_LIMIT, read_message(&mut self.stream)).await;
        let bytes = self.in_time(read)?;
        let message = Message::from_vec(&bytes).map_err(|error| DnsError::odd(self.server, error))?;
        let Some((key, verifier)) = self.key.zip(verifier.as_mut()) else { return Ok(message) };
        if let Some(fault) = fault_of(&message) {
            return Err(key.refused(self.server, fault));
        }
        if message.signature().is_none() && message.response_code != hickory_proto::op::ResponseCode::NoError {
            // A refusal that carries no signature proves nothing, but tells the person more than its absence.
            return Ok(message);
        }
        match verifier.verify(&bytes) {
            Ok(_) => Ok(message),
            Err(error) => {
                tracing::debug!(server = %self.server, %error, "an answer's signature was refused");
                Err(key.refused(self.server, KeyFault::Answer))
            }
        }
    }

    fn in_time<T>(&self, done: Result<std::io::Result<T>, tokio::time::error::Elapsed>) -> Result<T, DnsError> {
        match done {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(DnsError::unreachable(self.server, error)),
            Err(_) => Err(DnsError::unreachable(self.server, "no answer within 10 s")),
        }
    }
}

async fn read_message(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}
