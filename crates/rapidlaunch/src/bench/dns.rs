//! Answers of the built-in DNS server, to questions over loopback: the server on one core, who asks on another. The zone lies in a
//! store, as it does for users.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rl_model::dns::{RecordPut, RecordSet, RecordValue, ZoneChange};
use rl_model::{Fqdn, RecordType};
use rl_providers::dns::ZoneBook;
use rl_providers::dns::server::{Authority, ServedZone, ZoneView, answer_packet};
use rl_store::Store;
use tokio_util::sync::CancellationToken;

use super::store::{failed, median, open};
use crate::error::CommandError;
use crate::work::zones::StoreBook;

/// Names in the zone.
const NAMES: usize = 1_000;
/// Questions under way at once: far fewer than a socket's buffer holds, so that none is lost.
const UNDER_WAY: usize = 64;
/// Answers that are counted in one run.
const ANSWERS: usize = 200_000;
/// Times a figure is taken; the median counts.
const RUNS: usize = 3;
/// Longest wait for an answer; a question that gets none fails the bench.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Longest wait until the server has read its zone.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// Bytes of a header, and where in it stand the second byte of flags, with the code, and the number of answers (RFC 1035
/// section 4.1.1).
const HEADER_BYTES: usize = 12;
const CODE_AT: usize = 3;
const ANSWERS_AT: usize = 7;

/// What was measured.
pub(super) struct Measured {
    /// Answers a second over UDP.
    pub(super) answers: f64,
    /// Answers a second made from packets in memory.
    pub(super) packets: f64,
}

/// Measures both.
pub(super) async fn answers(dir: &Path) -> Result<Measured, CommandError> {
    let store = open(&dir.join("dns")).await?;
    let zone: Fqdn = "example.org".parse().map_err(failed)?;
    fill(&store, &zone).await?;
    let served = ServedZone { name: zone.clone(), nameservers: Vec::new(), secondaries: Vec::new() };
    let (serial, records) = store.dns_zone(&zone).await.map_err(failed)?;
    let view = Arc::new(ZoneView::new(&served, serial, &records));
    let packets = median((0..RUNS).map(|_| in_memory(&view)).collect());
    let end = CancellationToken::new();
    let (told, address) = std::sync::mpsc::channel();
    let server = std::thread::spawn({
        let (end, book) = (end.clone(), Arc::new(StoreBook(store)));
        move || serve(vec![served], book, &told, &end)
    });
    let address = address.recv().map_err(failed)?;
    let rates =
        tokio::task::spawn_blocking(move || (0..RUNS).map(|_| over_udp(address)).collect::<Result<Vec<f64>, _>>());
    let rates = rates.await.map_err(failed)?;
    end.cancel();
    server.join().map_err(|_| CommandError::failed("the DNS server panicked"))?.map_err(failed)?;
    Ok(Measured { answers: median(rates.map_err(failed)?), packets })
}

async fn fill(store: &Store, zone: &Fqdn) -> Result<(), CommandError> {
    let mut puts = Vec::with_capacity(NAMES);
    for n in 0..NAMES {
        let (high, low) = (u8::try_from(n / 250).map_err(failed)?, u8::try_from(n % 250).map_err(failed)?);
        let value = RecordValue::A(Ipv4Addr::new(10, 50, high, low));
        let name = format!("host-{n}.{zone}").parse().map_err(failed)?;
        puts.push(RecordPut { name, kind: RecordType::A, set: Some(RecordSet::new(300, [value])) });
    }
    let change = ZoneChange { expect: Vec::new(), puts };
    store.change_dns_zone(zone, change).await.map_err(failed)?.map_err(failed)?;
    Ok(())
}

/// Serves on this thread alone.
fn serve(
    zones: Vec<ServedZone>,
    book: Arc<dyn ZoneBook>,
    told: &std::sync::mpsc::Sender<SocketAddr>,
    end: &CancellationToken,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let authority = Authority::bind((Ipv4Addr::LOCALHOST, 0).into()).await?;
        let _ = told.send(authority.address());
        tokio::select! {
            () = authority.run(Arc::new(zones), book) => {}
            () = end.cancelled() => {}
        }
        Ok(())
    })
}

/// The question for the address of a name; its number stands in its id.
fn question(number: usize) -> Vec<u8> {
    let name = number % NAMES;
    let id = u16::try_from(number % usize::from(u16::MAX)).unwrap_or_default().to_be_bytes();
    let mut packet = vec![id[0], id[1], 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in [format!("host-{name}"), "example".to_owned(), "org".to_owned()] {
        packet.push(u8::try_from(label.len()).unwrap_or_default());
        packet.extend_from_slice(label.as_bytes());
    }
    packet.extend_from_slice(&[0, 0, 1, 0, 1]);
    packet
}

/// Whether a packet has an address in it.
fn answered(packet: &[u8]) -> bool {
    packet.len() > HEADER_BYTES && packet[CODE_AT] & 0x0f == 0 && packet[ANSWERS_AT] == 1
}

/// Answers a second without any socket.
fn in_memory(view: &Arc<ZoneView>) -> f64 {
    let questions: Vec<Vec<u8>> = (0..NAMES).map(question).collect();
    let began = Instant::now();
    let made =
        (0..ANSWERS).filter(|n| answer_packet(view, &questions[n % NAMES]).is_some_and(|packet| answered(&packet)));
    made.count() as f64 / began.elapsed().as_secs_f64()
}

/// Answers a second over UDP. Each question must be answered.
fn over_udp(server: SocketAddr) -> std::io::Result<f64> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(ANSWER_LIMIT))?;
    let questions: Vec<Vec<u8>> = (0..NAMES).map(question).collect();
    let mut packet = [0; 2048];
    ready(&socket, &questions[0], &mut packet)?;
    let began = Instant::now();
    let mut sent = 0;
    for received in 0..ANSWERS {
        while sent < ANSWERS && sent - received < UNDER_WAY {
            socket.send(&questions[sent % NAMES])?;
            sent += 1;
        }
        let length = socket.recv(&mut packet)?;
        if !answered(&packet[..length]) {
            return Err(std::io::Error::other("an answer has no address in it"));
        }
    }
    Ok(ANSWERS as f64 / began.elapsed().as_secs_f64())
}

/// Waits until the server answers from the zone.
fn ready(socket: &UdpSocket, question: &[u8], packet: &mut [u8]) -> std::io::Result<()> {
    let began = Instant::now();
    while began.elapsed() < READY_LIMIT {
        socket.send(question)?;
        let length = socket.recv(packet)?;
        if answered(&packet[..length]) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(std::io::Error::other("the server does not answer from its zone"))
}
