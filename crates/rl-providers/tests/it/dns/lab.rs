//! Real DNS servers in folders and on ports of their own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rl_model::dns::{DnsServer, TsigAlgorithm, TsigKey, ZoneUrl};
use rl_model::{Fqdn, RecordType, SecretValue, TokenSource};
use rl_providers::dns::{Answer, DnsProvider, Key, Rfc2136, ask};

/// Value of the one key that servers know.
pub(crate) const KEY: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ=";
/// Its name.
pub(crate) const KEY_NAME: &str = "rl.example";
/// Key of the HTTP API.
pub(crate) const API_KEY: &str = "api-key-of-the-test";
/// Longest wait for a server to answer; far longer than any needs on a loaded machine.
const READY_LIMIT: Duration = Duration::from_secs(90);
/// Starts of one server: a free port may be taken by somebody else before the server binds it.
const STARTS_MAX: u32 = 4;

/// A running server; ended when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: DnsServer,
    pub(crate) api: Option<ZoneUrl>,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

pub(crate) fn zone() -> Fqdn {
    "example.org".parse().unwrap()
}

pub(crate) fn declared(name: &str, algorithm: TsigAlgorithm) -> TsigKey {
    TsigKey { name: name.parse().unwrap(), algorithm, secret: TokenSource::Env("KEY".into()) }
}

pub(crate) fn key() -> Key {
    Key::new(&declared(KEY_NAME, TsigAlgorithm::HmacSha256), &SecretValue::new(KEY)).unwrap()
}

/// A port that was free over UDP and TCP a moment ago.
pub(crate) fn free_port() -> u16 {
    loop {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

pub(crate) fn program(name: &str, package: &str) -> PathBuf {
    let folders = ["/usr/sbin", "/usr/bin", "/sbin", "/usr/local/sbin", "/usr/local/bin"];
    let found = folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{name} is missing: run `scripts/setup test`, or apt-get install {package}"))
}

/// What a server needs to be started in a folder: files are written, and the command is given back.
type Prepare<'a> = &'a dyn Fn(&Path, u16) -> (Command, Option<ZoneUrl>);

async fn start(prepare: Prepare<'_>) -> Server {
    for _ in 0..STARTS_MAX {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let (mut command, api) = prepare(folder.path(), port);
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string().parse().unwrap();
        let mut server = Server { child, address, api, _folder: folder };
        if ready(&mut server).await {
            return server;
        }
        let log = std::fs::read_to_string(server._folder.path().join("log")).unwrap_or_default();
        println!("a server ended before it answered: {log}");
    }
    panic!("the server did not start in {STARTS_MAX} tries; its output is above");
}

/// Waits until the server answers for its zone; false when it has ended before.
async fn ready(server: &mut Server) -> bool {
    let (name, begun) = (zone().as_str().parse().unwrap(), Instant::now());
    while begun.elapsed() < READY_LIMIT {
        if server.child.try_wait().unwrap().is_some() {
            return false;
        }
        let answered = matches!(ask(&server.address, &name, RecordType::A).await, Ok(Answer::Values(_)));
        if answered && api_ready(server) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = std::fs::read_to_string(server._folder.path().join("log")).unwrap_or_default();
    panic!("the server at {} did not answer within {READY_LIMIT:?}: {log}", server.address);
}

fn api_ready(server: &Server) -> bool {
    let Some(api) = &server.api else { return true };
    let address: SocketAddr = api.as_str().trim_start_matches("http://").parse().unwrap();
    std::net::TcpStream::connect(address).is_ok()
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

const ZONE_FILE: &str = "$ORIGIN example.org.\n$TTL 300\n@ IN SOA ns1 hostmaster 1 3600 600 86400 60\n\
                         @ IN NS ns1\nns1 IN A 127.0.0.1\nmail IN A 192.0.2.77\n@ IN MX 10 mail\n";
/// A zone with nothing in it.
const EMPTY_ZONE_FILE: &str = "$TTL 300\n@ IN SOA ns1.example.org. hostmaster.example.org. 1 3600 600 86400 60\n\
                               @ IN NS ns1.example.org.\n";
/// Options of every BIND.
const BIND_OPTIONS: &str = "listen-on-v6 { none; }; pid-file none; session-keyfile none; lock-file none; recursion no;\n\
                            dnssec-validation no; notify no; empty-zones-enable no; allow-query { any; };";

pub(crate) async fn bind() -> Server {
    bind_with(&[]).await
}

/// A BIND with the zone, and further ones with nothing in them.
pub(crate) async fn bind_with(more: &[&str]) -> Server {
    start(&|folder, port| {
        write(folder, "zone", ZONE_FILE);
        more.iter().for_each(|name| drop(write(folder, name, EMPTY_ZONE_FILE)));
        let at = folder.display();
        let zone = |name: &str, file: &str| {
            format!(
                "zone \"{name}\" {{ type primary; file \"{at}/{file}\"; update-policy {{ grant {KEY_NAME} zonesub any; }}; }};\n"
            )
        };
        let zones: String = more.iter().map(|name| zone(name, name)).chain([zone("example.org", "zone")]).collect();
        let conf = format!(
            "options {{ directory \"{at}\"; listen-on port {port} {{ 127.0.0.1; }}; {BIND_OPTIONS}\n\
             allow-transfer {{ key \"{KEY_NAME}\"; }}; }};\ncontrols {{ }};\n{}{zones}",
            bind_key(KEY)
        );
        let conf = write(folder, "named.conf", &conf);
        let mut command = Command::new(program("named", "bind9"));
        command.args(["-g", "-n", "1", "-c"]).arg(conf).current_dir(folder);
        (command, None)
    })
    .await
}

fn bind_key(value: &str) -> String {
    format!("key \"{KEY_NAME}\" {{ algorithm hmac-sha256; secret \"{value}\"; }};\n")
}

impl Server {
    /// Lets a BIND exchange the value of its key, and waits until it has.
    pub(crate) async fn exchange_key(&self, from: &str, to: &str) {
        let conf = self._folder.path().join("named.conf");
        let text = std::fs::read_to_string(&conf).unwrap().replace(&bind_key(from), &bind_key(to));
        std::fs::write(&conf, text).unwrap();
        let key = Key::new(&declared(KEY_NAME, TsigAlgorithm::HmacSha256), &SecretValue::new(to)).unwrap();
        let provider = Rfc2136::new(&zone(), self.address.clone(), key, Vec::new());
        let begun = Instant::now();
        while let Err(error) = provider.list().await {
            assert!(begun.elapsed() < READY_LIMIT, "the server does not take the other key: {error}");
            run(Command::new("kill").args(["-HUP", &self.child.id().to_string()]));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// A BIND on a given port that copies the zone from the primary on another; nothing when it ended, as when the port was taken.
pub(crate) async fn bind_secondary(port: u16, primary: u16) -> Option<Server> {
    copying_bind(port, primary, "").await
}

/// The same, on a port of its own; it looks for changes every second.
pub(crate) async fn bind_follower(primary: u16) -> Server {
    let every_second = "min-refresh-time 1; max-refresh-time 1; min-retry-time 1; max-retry-time 1;";
    for _ in 0..STARTS_MAX {
        if let Some(server) = copying_bind(free_port(), primary, every_second).await {
            return server;
        }
    }
    panic!("the server did not start in {STARTS_MAX} tries; its output is above");
}

async fn copying_bind(port: u16, primary: u16, options: &str) -> Option<Server> {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    let conf = format!(
        "options {{ directory \"{at}\"; listen-on port {port} {{ 127.0.0.1; }}; {BIND_OPTIONS} {options} }};\ncontrols {{ }};\n{}\
         zone \"example.org\" {{ type secondary; file \"{at}/copy\"; \
         primaries {{ 127.0.0.1 port {primary} key \"{KEY_NAME}\"; }}; }};\n",
        bind_key(KEY)
    );
    let conf = write(folder.path(), "named.conf", &conf);
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let mut command = Command::new(program("named", "bind9"));
    command.args(["-g", "-n", "1", "-c"]).arg(conf).current_dir(folder.path());
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string().parse().unwrap();
    let mut server = Server { child: command.spawn().unwrap(), address, api: None, _folder: folder };
    if ready(&mut server).await {
        return Some(server);
    }
    println!("{}", std::fs::read_to_string(server._folder.path().join("log")).unwrap_or_default());
    None
}

pub(crate) async fn knot() -> Server {
    start(&|folder, port| {
        write(folder, "zone", ZONE_FILE);
        std::fs::create_dir(folder.join("db")).unwrap();
        let at = folder.display();
        let conf = format!(
            "server:\n    rundir: \"{at}\"\n    listen: 127.0.0.1@{port}\n    udp-workers: 1\n    tcp-workers: 1\n\
             database:\n    storage: \"{at}/db\"\n    journal-db-max-size: 64M\n    kasp-db-max-size: 16M\n\
             \x20   timer-db-max-size: 16M\n    catalog-db-max-size: 16M\n\
             key:\n  - id: {KEY_NAME}\n    algorithm: hmac-sha256\n    secret: {KEY}\n\
             acl:\n  - id: ours\n    key: {KEY_NAME}\n    action: [update, transfer]\n\
             zone:\n  - domain: example.org\n    storage: \"{at}\"\n    file: zone\n    acl: ours\n"
        );
        let conf = write(folder, "knot.conf", &conf);
        let mut command = Command::new(program("knotd", "knot"));
        command.arg("-c").arg(conf).current_dir(folder);
        (command, None)
    })
    .await
}

pub(crate) async fn powerdns() -> Server {
    start(&|folder, port| {
        let at = folder.display();
        let http = free_port();
        let conf = format!(
            "daemon=no\nguardian=no\nlaunch=gsqlite3\ngsqlite3-database={at}/db\nsocket-dir={at}\nlocal-address=127.0.0.1\n\
             local-port={port}\napi=yes\napi-key={API_KEY}\nwebserver=yes\nwebserver-address=127.0.0.1\n\
             webserver-port={http}\nwebserver-allow-from=127.0.0.1\ndnsupdate=yes\nallow-dnsupdate-from=127.0.0.0/8\n\
             cache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\nzone-cache-refresh-interval=0\nsecurity-poll-suffix=\n\
             receiver-threads=1\ndistributor-threads=1\nloglevel=5\n"
        );
        write(folder, "pdns.conf", &conf);
        let schema = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";
        let load = "import sqlite3,sys; sqlite3.connect(sys.argv[1]).executescript(open(sys.argv[2]).read())";
        run(Command::new("python3").args(["-c", load]).arg(folder.join("db")).arg(schema));
        let zone = write(folder, "zone", ZONE_FILE);
        let util = |args: &[&str]| {
            run(Command::new(program("pdnsutil", "pdns-server")).arg(format!("--config-dir={at}")).args(args));
        };
        util(&["load-zone", "example.org", &zone.display().to_string()]);
        util(&["import-tsig-key", KEY_NAME, "hmac-sha256", KEY]);
        util(&["activate-tsig-key", "example.org", KEY_NAME, "primary"]);
        util(&["set-meta", "example.org", "TSIG-ALLOW-DNSUPDATE", KEY_NAME]);
        let mut command = Command::new(program("pdns_server", "pdns-server pdns-backend-sqlite3"));
        command.arg(format!("--config-dir={at}")).current_dir(folder);
        (command, Some(format!("http://127.0.0.1:{http}").parse().unwrap()))
    })
    .await
}

fn run(command: &mut Command) {
    let out = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{command:?} failed: {stdout}{stderr}");
}
