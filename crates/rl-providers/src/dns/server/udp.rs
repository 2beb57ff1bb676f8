//! Questions over UDP.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;

use super::{Shelf, answer};

/// Largest packet.
const PACKET_BYTES: usize = 65_535;
/// Wait after an error of the socket that is not about one packet.
const ERROR_PAUSE: Duration = Duration::from_millis(50);
/// Answers after which the task lets others run: it never has to wait while packets are there.
const BURST: u32 = 64;

/// Answers until the task is dropped.
pub(super) async fn run(socket: Arc<UdpSocket>, shelf: Arc<Shelf>) {
    let mut packet = vec![0; PACKET_BYTES];
    let mut answered = 0_u32;
    loop {
        let (length, from) = match socket.recv_from(&mut packet).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "a DNS packet could not be received");
                tokio::time::sleep(ERROR_PAUSE).await;
                continue;
            }
        };
        let Some(answer) = answer::over_udp(&shelf.zones(), &packet[..length]) else { continue };
        shelf.answers.count(&answer);
        // A full buffer means that whoever asks too much loses an answer, not that others wait.
        if let Err(error) = socket.try_send_to(&answer, from) {
            tracing::debug!(%error, %from, "a DNS answer could not be sent");
        }
        answered = answered.wrapping_add(1);
        if answered.is_multiple_of(BURST) {
            tokio::task::yield_now().await;
        }
    }
}
