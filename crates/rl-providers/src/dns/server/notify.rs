//! Tells a secondary that a zone has changed (RFC 1996).

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::RecordType as WireType;
use rl_model::dns::DnsName;
use tokio::net::UdpSocket;

use super::ServedSecondary;
use crate::dns::message::wire_name;

/// Times it is told before the secondary is left to look by itself (RFC 1996 section 3.6).
const TRIES: u32 = 5;
/// Wait for the first acknowledgement; doubled each time.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// Largest acknowledgement that is read.
const PACKET_BYTES: usize = 4096;

/// Tells until it is acknowledged, or given up.
pub(super) async fn notify(zone: DnsName, secondary: ServedSecondary) {
    let Some(address) = secondary.addresses.first().copied() else { return };
    if let Err(error) = tell(&zone, address, &secondary).await {
        tracing::debug!(%error, %address, %zone, "a secondary could not be told of a change");
    }
}

async fn tell(zone: &DnsName, address: SocketAddr, secondary: &ServedSecondary) -> std::io::Result<()> {
    let any: SocketAddr = if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    let mut message = Message::new(Message::query().id, MessageType::Query, OpCode::Notify);
    message.metadata.authoritative = true;
    message.add_query(Query::query(wire_name(zone), WireType::SOA));
    if let Some(key) = &secondary.key {
        message.finalize(key.signer(), key.now_s()).map_err(std::io::Error::other)?;
    }
    let bytes = message.to_vec().map_err(std::io::Error::other)?;
    let mut wait = FIRST_WAIT;
    for _ in 0..TRIES {
        socket.send(&bytes).await?;
        if tokio::time::timeout(wait, acknowledged(&socket, message.id)).await.is_ok_and(|done| done) {
            return Ok(());
        }
        wait *= 2;
    }
    Err(std::io::Error::other("it does not acknowledge"))
}

/// Waits for the acknowledgement; what else arrives is passed over, and a refusing socket ends this try.
async fn acknowledged(socket: &UdpSocket, id: u16) -> bool {
    let mut packet = vec![0; PACKET_BYTES];
    loop {
        let Ok(length) = socket.recv(&mut packet).await else {
            tokio::time::sleep(FIRST_WAIT).await;
            return false;
        };
        let answer = Message::from_vec(&packet[..length]);
        if answer.is_ok_and(|answer| answer.id == id && answer.message_type == MessageType::Response) {
            return true;
        }
    }
}
