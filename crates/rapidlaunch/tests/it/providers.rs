//! Secrets that Vault and encrypted files keep, named in files, brought into guests.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::harness::World;
use crate::secrets::{OTHER, VALUE, Vault};

const SECRET_ID: &str = "9f2b7c14-secret-id-3e5d";
const SESSION: &str = "hvs.Zt81-session-token-Qw";
const CERTIFICATE: &str = "Mm3-certificate-of-web-Yx";

/// What the KV engine holds: versions of one path, each with its entry `password`.
#[derive(Default)]
struct Engine {
    versions: BTreeMap<u64, String>,
    sealed: bool,
    refused: u32,
}

/// A server that holds to Vault's HTTP API as far as it is used: AppRole, and version 2 of the KV engine.
struct Server {
    address: SocketAddr,
    engine: Arc<Mutex<Engine>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let engine: Arc<Mutex<Engine>> = Arc::default();
        let shared = Arc::clone(&engine);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                serve(stream, &shared);
            }
        });
        Self { address, engine }
    }

    fn put(&self, version: u64, value: &str) {
        self.engine.lock().unwrap().versions.insert(version, value.to_owned());
    }
}

/// Answers one request and closes.
fn serve(stream: TcpStream, engine: &Mutex<Engine>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut first, mut token, mut length) = (String::new(), String::new(), 0);
    if reader.read_line(&mut first).unwrap_or(0) == 0 {
        return;
    }
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap();
        match name.to_ascii_lowercase().as_str() {
            "x-vault-token" => token = value.trim().to_owned(),
            "content-length" => length = value.trim().parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let target: Vec<&str> = first.split_whitespace().collect();
    let (status, answer) = answer(&mut engine.lock().unwrap(), (target[0], target[1]), &token, &body);
    let answer = answer.to_string();
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        answer.len()
    );
    let mut stream = stream;
    let _ = stream.write_all(&[head.as_bytes(), answer.as_bytes()].concat());
}

fn answer(engine: &mut Engine, target: (&str, &str), token: &str, body: &[u8]) -> (u16, Value) {
    if engine.sealed {
        return (503, json!({ "errors": ["Vault is sealed"] }));
    }
    if target == ("POST", "/v1/auth/approle/login") {
        let given: Value = serde_json::from_slice(body).unwrap();
        if given == json!({ "role_id": "role-1", "secret_id": SECRET_ID }) {
            return (200, json!({ "auth": { "client_token": SESSION, "lease_duration": 3600 } }));
        }
        engine.refused += 1;
        return (400, json!({ "errors": ["invalid role or secret ID"] }));
    }
    if token != SESSION {
        return (403, json!({ "errors": ["permission denied"] }));
    }
    if target == ("GET", "/v1/kv/metadata/shop/db") {
        let states = engine
            .versions
            .keys()
            .map(|version| (version.to_string(), json!({ "deletion_time": "", "destroyed": false })));
        let states: serde_json::Map<String, Value> = states.collect();
        let newest = engine.versions.keys().next_back();
        return (200, json!({ "data": { "current_version": newest, "versions": states } }));
    }
    let version = target.1.strip_prefix("/v1/kv/data/shop/db?version=").and_then(|text| text.parse::<u64>().ok());
    match version.and_then(|version| engine.versions.get(&version)) {
        Some(value) => (200, json!({ "data": { "data": { "password": value }, "metadata": {} } })),
        None => (404, json!({ "errors": [] })),
    }
}

/// Encrypts a value with the real `age`, which Debian's package of that name brings.
fn encrypt(recipient: &str, value: &str, to: &Path) {
    let mut age = Command::new("age")
        .args(["-r", recipient, "-o"])
        .arg(to)
        .stdin(Stdio::piped())
        .spawn()
        .expect("install the package age");
    age.stdin.take().unwrap().write_all(value.as_bytes()).unwrap();
    assert!(age.wait().unwrap().success());
}

/// Makes a key with the real `age-keygen`; answers its public half.
fn keygen(to: &Path) -> String {
    let made = Command::new("age-keygen").arg("-o").arg(to).output().expect("install the package age");
    assert!(made.status.success());
    let text = std::fs::read_to_string(to).unwrap();
    text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned()
}

const GRANTS: &str =
    ", secrets: [{ from: \"corp:shop/db#password\" }, { from: \"sealed:web/tls.age\", to: /run/secrets/tls }]";

/// The files of a stack whose site declares both kinds of provider.
fn declare(vault: &Vault, server: &Server, own: &Path) -> [String; 4] {
    let files = vault.stack(GRANTS);
    let providers = format!(
        "providers:\n  corp:\n    vault:\n      address: \"http://{}\"\n      mount: kv\n      approle: {{ role_id: role-1, secret_id: {{ file: {} }} }}\n  \
         sealed: {{ age: {{ folder: {}, identity: {{ file: {} }} }} }}\n",
        server.address,
        own.join("secret-id").display(),
        own.join("sealed").display(),
        own.join("age.key").display()
    );
    let site = std::fs::read_to_string(&files[1]).unwrap();
    std::fs::write(&files[1], site + &providers).unwrap();
    files
}

fn held(vault: &Vault) -> [String; 2] {
    ["password", "tls"]
        .map(|name| vault.found(&format!("run/secrets/{name}")).into_iter().map(|(_, value)| value).collect())
}

#[test]
fn secrets_come_from_vault_and_from_encrypted_files() {
    let world = World::new();
    for value in [SECRET_ID, SESSION, CERTIFICATE] {
        world.hide(value);
    }
    let vault = Vault::open_in(world);
    // Credentials lie where their owner keeps them, outside of all that is searched.
    let own = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(own.path().join("sealed/web")).unwrap();
    let (server, recipient) = (Server::start(), keygen(&own.path().join("age.key")));
    server.put(4, VALUE);
    let sealed = own.path().join("sealed/web/tls.age");
    encrypt(&recipient, CERTIFICATE, &sealed);
    let files = declare(&vault, &server, own.path());

    // A provider whose credential cannot be read: the plan says so and what to do, and nothing is begun.
    let plan = vault.act(&["plan", "--output", "json"], &files).json();
    assert!(plan["plans"][0]["blocked"].as_bool().unwrap(), "{plan}");
    assert!(plan.to_string().contains("provider corp cannot be used"), "{plan}");

    std::fs::write(own.path().join("secret-id"), format!("{SECRET_ID}\n")).unwrap();
    let plan = vault.act(&["plan"], &files).expect(0);
    assert!(plan.stdout.contains("/run/secrets/password from corp:shop/db#password (version 4)"), "{plan:?}");
    vault.apply(&files);
    assert_eq!(held(&vault), [VALUE, CERTIFICATE]);
    vault.verify().expect(0);

    // Vault has another version, the file is encrypted anew: both are delivered without the files of the stack changing.
    server.put(7, OTHER);
    std::fs::remove_file(&sealed).unwrap();
    encrypt(&recipient, CERTIFICATE, &sealed);
    let plan = vault.act(&["plan", "--exit-code"], &files).expect(3);
    assert!(plan.stdout.contains("(version 4 -> version 7)"), "{plan:?}");
    assert!(plan.stdout.contains("/run/secrets/tls from sealed:web/tls.age"), "{plan:?}");
    vault.apply(&files);
    assert_eq!(held(&vault), [OTHER, CERTIFICATE]);

    // A Vault that is sealed, and one that refuses: the proof says it cannot tell.
    server.engine.lock().unwrap().sealed = true;
    let proof = vault.verify().expect(1);
    assert!(proof.stdout.contains("Vault is sealed"), "{proof:?}");
    server.engine.lock().unwrap().sealed = false;
    std::fs::write(own.path().join("secret-id"), "another").unwrap();
    let proof = vault.verify().expect(1);
    assert!(proof.stdout.contains("invalid role or secret ID"), "{proof:?}");
    assert!(server.engine.lock().unwrap().refused > 0);
    vault.close();
}

#[test]
fn grants_of_unknown_providers_are_told_with_their_place() {
    let world = World::new();
    let common = "image: debian-12, cores: 1, memory: 256 MiB, disk: 1 GiB";
    let yaml = format!(
        "kind: stack\nname: shop\nsite: lab\ncontainers:\n  db: {{ {common}, secrets: [{{ from: \"crop:shop/db#password\" }}] }}\n"
    );
    let refused = world.run_files(&["validate"], &world.write_stack("shop", &yaml)).expect(2);
    assert!(refused.stderr.contains("RL0228") && refused.stderr.contains("shop.yaml:5:"), "{refused:?}");
    world.finish();
}
