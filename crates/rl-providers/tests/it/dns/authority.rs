//! The built-in server, asked by strangers: dig, kdig, a BIND that copies its zone, and packets that are none.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rl_model::RecordType;
use rl_model::dns::{DnsServer, ZoneRecords};
use rl_providers::dns::server::{Authority, ServedSecondary, ServedZone, ZoneView, answer_packet};
use rl_providers::dns::{Answer, Builtin, DnsProvider, ZoneBook, ask};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::conformance::{answered, change, conforms, everything, lists_a_large_zone, name, part, set, write};
use super::lab::{self, KEY, KEY_NAME, key, program, zone};
use super::memory::Book;

/// Longest wait for something that another process does.
const LIMIT: Duration = Duration::from_secs(90);

/// A running server with its book; ended when dropped.
struct Running {
    address: SocketAddr,
    book: Arc<Book>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    async fn start(secondaries: Vec<ServedSecondary>) -> Self {
        let book = Arc::new(Book::default());
        let authority = Authority::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let address = authority.address();
        let zones = vec![ServedZone { name: zone(), nameservers: vec![name("ns1.example.org")], secondaries }];
        let task = tokio::spawn(authority.run(Arc::new(zones), Arc::clone(&book) as Arc<dyn ZoneBook>));
        Self { address, book, task }
    }

    fn server(&self) -> DnsServer {
        self.address.to_string().parse().unwrap()
    }

    fn provider(&self) -> Builtin {
        Builtin::new(&zone(), Arc::clone(&self.book) as Arc<dyn ZoneBook>, vec![self.server()])
    }

    /// Writes the records of the suite and waits until they are answered.
    async fn filled(&self) {
        let all = everything();
        let create = part(all.iter().map(|(at, kind, set)| change(at, *kind, None, Some(set))).collect());
        write(&self.provider(), &create).await.unwrap();
        answered(Some(&self.server()), all[0].0, all[0].1, Some(&all[0].2)).await;
    }

    /// What a tool prints, without blank lines.
    async fn tool(&self, tool: &str, package: &str, args: &str) -> String {
        let mut command = Command::new(program(tool, package));
        let port = self.address.port().to_string();
        command.args(["@127.0.0.1", "-p", &port]).args(args.split(' '));
        let out = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        rows.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    }

    async fn dig(&self, args: &str) -> String {
        self.tool("dig", "bind9-dnsutils", &format!("+norecurse +nocookie {args}")).await
    }
}

fn mail() -> ZoneRecords {
    let records = set(300, RecordType::A, &["192.0.2.77"]);
    ZoneRecords::from([((name("mail.example.org"), RecordType::A), records)])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_passes_on_what_the_server_answers() {
    let running = Running::start(Vec::new()).await;
    running.book.put(&zone(), mail());
    let server = running.server();
    conforms(&running.provider(), Some(&server)).await;
    lists_a_large_zone(&running.provider()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dig_understands_every_answer() {
    let running = Running::start(Vec::new()).await;
    running.filled().await;
    let short = async |args: &str| {
        let mut lines: Vec<String> = running.dig(&format!("+short {args}")).await.lines().map(str::to_owned).collect();
        lines.sort();
        lines.join("\n")
    };
    assert_eq!(short("www.example.org A").await, "192.0.2.1\n192.0.2.2");
    assert_eq!(short("WwW.eXample.ORG AAAA").await, "2001:db8::1");
    assert_eq!(short("shop.example.org A").await, "192.0.2.1\n192.0.2.2\nwww.example.org.");
    assert_eq!(short("_https._tcp.example.org SRV").await, "10 5 443 www.example.org.\n20 0 8443 mail.example.org.");
    assert_eq!(short("text.example.org TXT").await, "\"v=spf1 -all; \\\"quoted\\\" \\\\ and \\195\\188\"");
    assert_eq!(short("deep.below.any.example.org A").await, "192.0.2.9");
    assert_eq!(short("7.sub.example.org PTR").await, "www.example.org.");
    assert_eq!(short("example.org NS").await, "ns1.example.org.");
    assert!(short("example.org SOA").await.starts_with("ns1.example.org. hostmaster.example.org. "));
    for tcp in ["+notcp", "+tcp"] {
        let absent = running.dig(&format!("{tcp} nobody.example.org A")).await;
        assert!(
            absent.contains("status: NXDOMAIN") && absent.contains("flags: qr aa") && absent.contains("SOA"),
            "{absent}"
        );
        let empty = running.dig(&format!("{tcp} sub.example.org A")).await;
        assert!(empty.contains("status: NOERROR") && empty.contains("ANSWER: 0") && empty.contains("SOA"), "{empty}");
        let elsewhere = running.dig(&format!("{tcp} www.example.net A")).await;
        assert!(elsewhere.contains("status: REFUSED") && !elsewhere.contains("aa;"), "{elsewhere}");
    }
    let versioned = running.dig("+edns=1 +noednsneg www.example.org A").await;
    assert!(versioned.contains("status: BADVERS"), "{versioned}");
    let any = running.dig("+notcp +ignore www.example.org ANY").await;
    assert!(any.contains("status: NOERROR") && !any.contains("ANSWER: 0"), "{any}");
    assert!(running.dig("example.org AXFR").await.contains("Transfer failed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn long_answers_are_cut_over_udp_and_whole_over_tcp() {
    let running = Running::start(Vec::new()).await;
    let values: Vec<String> = (0..200).map(|n| format!("198.51.100.{n}")).collect();
    let large = set(60, RecordType::A, &values.iter().map(String::as_str).collect::<Vec<_>>());
    let create = part(vec![change("large.example.org", RecordType::A, None, Some(&large))]);
    write(&running.provider(), &create).await.unwrap();
    answered(Some(&running.server()), "large.example.org", RecordType::A, Some(&large)).await;
    for edns in ["+noedns", "+bufsize=512", "+bufsize=4096"] {
        let cut = running.dig(&format!("+notcp +ignore {edns} large.example.org A")).await;
        assert!(cut.contains("flags: qr aa tc") && cut.contains("ANSWER: 0"), "{cut}");
    }
    let whole = running.dig("+tcp +short large.example.org A").await;
    assert_eq!(whole.lines().count(), 200);
    let followed = running.dig("+short large.example.org A").await;
    assert_eq!(followed.lines().filter(|line| !line.starts_with(';')).count(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn kdig_copies_the_zone_where_address_or_key_allow_it() {
    let local = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 1))];
    let open = Running::start(vec![ServedSecondary { addresses: local, key: None }]).await;
    open.filled().await;
    lists_a_large_zone(&open.provider()).await;
    let records = open.provider().list().await.unwrap().records;
    let expected: usize = records.values().map(|set| set.values.len()).sum();
    answered(
        Some(&open.server()),
        "host-1199.example.org",
        RecordType::Txt,
        records.get(&(name("host-1199.example.org"), RecordType::Txt)),
    )
    .await;
    let rows = |text: &str| text.lines().filter(|line| line.contains(" IN ")).count();
    let copied = open.tool("kdig", "knot-dnsutils", "+tcp example.org AXFR").await;
    // Every record, the name server, and the SOA at both ends.
    assert_eq!(rows(&copied), expected + 3, "{copied}");

    let elsewhere = vec![SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 53))];
    let closed = Running::start(vec![ServedSecondary { addresses: elsewhere, key: Some(key()) }]).await;
    closed.filled().await;
    let with = async |key: &str| closed.tool("kdig", "knot-dnsutils", &format!("{key} +tcp example.org AXFR")).await;
    assert!(rows(&with(&format!("-y hmac-sha256:{KEY_NAME}:{KEY}")).await) > 10);
    assert_eq!(rows(&with("+retry=0").await), 0);
    let wrong = with(&format!("-y hmac-sha256:{KEY_NAME}:b3RoZXItb3RoZXItb3RoZXI=")).await;
    assert!(rows(&wrong) == 0, "{wrong}");
    let unknown = with(&format!("-y hmac-sha256:nobody.example:{KEY}")).await;
    assert!(rows(&unknown) == 0, "{unknown}");
}

/// Our own reader of transfers checks the chain of signatures.
#[tokio::test(flavor = "multi_thread")]
async fn a_signed_transfer_of_many_messages_holds_together() {
    let nowhere = vec![SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 53))];
    let running = Running::start(vec![ServedSecondary { addresses: nowhere, key: Some(key()) }]).await;
    lists_a_large_zone(&running.provider()).await;
    let expected = running.provider().list().await.unwrap().records;
    let last = (name("host-1199.example.org"), RecordType::Txt);
    answered(Some(&running.server()), "host-1199.example.org", RecordType::Txt, expected.get(&last)).await;
    let reader = rl_providers::dns::Rfc2136::new(&zone(), running.server(), key(), Vec::new());
    assert_eq!(reader.list().await.unwrap().records, expected);
    // It takes no updates: changes come by the book alone.
    let late =
        part(vec![change("late.example.org", RecordType::A, None, Some(&set(60, RecordType::A, &["192.0.2.1"])))]);
    assert!(write(&reader, &late).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bind_secondary_follows_every_change() {
    let (running, secondary) = loop {
        // The port is told to the primary before the secondary takes it, so somebody else may be faster.
        let port = lab::free_port();
        let addresses = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))];
        let running = Running::start(vec![ServedSecondary { addresses, key: Some(key()) }]).await;
        running.filled().await;
        if let Some(secondary) = lab::bind_secondary(port, running.address.port()).await {
            break (running, secondary);
        }
    };
    let all = everything();
    for (at, kind, set) in &all {
        answered(Some(&secondary.address), at, *kind, Some(set)).await;
    }
    // Told by a notice: it would look by itself only after five minutes, longer than the suite waits.
    let new = set(60, RecordType::A, &["192.0.2.99"]);
    write(&running.provider(), &part(vec![change("www.example.org", RecordType::A, Some(&all[0].2), Some(&new))]))
        .await
        .unwrap();
    answered(Some(&secondary.address), "www.example.org", RecordType::A, Some(&new)).await;
}

/// A question as bytes.
fn question(at: &str, kind: u16) -> Vec<u8> {
    let mut packet = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in at.split('.').filter(|label| !label.is_empty()) {
        packet.push(u8::try_from(label.len()).unwrap());
        packet.extend_from_slice(label.as_bytes());
    }
    packet.push(0);
    packet.extend_from_slice(&kind.to_be_bytes());
    packet.extend_from_slice(&[0, 1]);
    packet
}

/// A packet of some kind of badness: noise, or a good question with some bytes changed, cut or added.
fn bad_packet(rng: &mut SmallRng) -> Vec<u8> {
    let names = ["www.example.org", "example.org", "a.any.example.org", "shop.example.org", "x.net", ""];
    let mut packet = question(names[rng.random_range(0..names.len())], rng.random_range(0..300));
    if rng.random_bool(0.2) {
        packet = (0..rng.random_range(0..600)).map(|_| rng.random()).collect();
    }
    for _ in 0..rng.random_range(0..6) {
        let at = rng.random_range(0..packet.len().max(1));
        if let Some(byte) = packet.get_mut(at) {
            *byte = rng.random();
        }
    }
    if rng.random_bool(0.2) {
        packet.truncate(rng.random_range(0..=packet.len()));
    }
    if rng.random_bool(0.2) {
        packet.extend((0..rng.random_range(0..80)).map(|_| rng.random::<u8>()));
    }
    packet
}

#[test]
fn no_packet_does_harm() {
    let served = ServedZone { name: zone(), nameservers: Vec::new(), secondaries: Vec::new() };
    let records = everything().into_iter().map(|(at, kind, set)| ((name(at), kind), set)).collect();
    let view = Arc::new(ZoneView::new(&served, 7, &records));
    let (mut answers, mut silent) = (0, 0);
    for seed in 0..20_000 {
        let packet = bad_packet(&mut SmallRng::seed_from_u64(seed));
        match answer_packet(&view, &packet) {
            Some(answer) => {
                answers += 1;
                assert!(answer.len() <= 1232, "seed {seed}: {} bytes", answer.len());
                assert_eq!(answer[..2], packet[..2], "seed {seed}: the number of the question");
                assert!(answer[2] & 0x80 != 0, "seed {seed}: an answer says that it is one");
            }
            None => {
                silent += 1;
                assert!(packet.len() < 12 || packet[2] & 0x80 != 0, "seed {seed}: a question without an answer");
            }
        }
    }
    assert!(answers > 1000 && silent > 100, "{answers} answers, {silent} without");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_outlives_bad_packets() {
    let running = Running::start(Vec::new()).await;
    running.filled().await;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for seed in 0..3000 {
        _ = socket.send_to(&bad_packet(&mut SmallRng::seed_from_u64(seed)), running.address);
    }
    for seed in 0..200_u64 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let Ok(mut stream) = tokio::net::TcpStream::connect(running.address).await else { continue };
        let packet = bad_packet(&mut rng);
        let claimed = if rng.random_bool(0.5) { u16::try_from(packet.len()).unwrap() } else { rng.random() };
        _ = stream.write_all(&claimed.to_be_bytes()).await;
        _ = stream.write_all(&packet).await;
        _ = stream.shutdown().await;
        let mut answer = Vec::new();
        _ = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer)).await.unwrap();
    }
    let begun = Instant::now();
    let want = Answer::Values(everything()[0].2.values.clone());
    while ask(&running.server(), &name("www.example.org"), RecordType::A).await.ok() != Some(want.clone()) {
        assert!(begun.elapsed() < LIMIT, "the server does not answer any more");
    }
}
