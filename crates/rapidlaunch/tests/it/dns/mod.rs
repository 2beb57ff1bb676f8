//! Records of stacks on real DNS servers and on the built-in one: planned, written, proven, told when they drift, and never taken
//! from anybody.

mod builtin;
mod hostile;
mod real;

use std::collections::BTreeSet;

use rl_model::RecordType;
use rl_model::dns::{DnsName, DnsServer, RecordPut, RecordSet, RecordValue, ZoneChange, ZoneRecords};
use rl_providers::dns::{Answer, DnsProvider, Rfc2136, ask};
use serde_json::{Value, json};

use crate::dns_lab::{self, KEY, KEY_NAME, Server};
use crate::harness::{Run, World};

/// The call that makes a container.
const CREATE: &str = "/nodes/*/lxc";
/// The reverse zone of the site's network.
const REVERSE: &str = "0.50.10.in-addr.arpa";
/// That of its network with IPv6 addresses, `fd00:50::/64`.
const REVERSE6: &str = "0.0.0.0.0.0.0.0.0.5.0.0.0.0.d.f.ip6.arpa";

/// Two guests, and a record of each type.
const STACK: &str = "kind: stack
name: shop
site: lab
containers:
  web:
    count: 2
    image: debian-12
    memory: 256 MiB
    disk: 1 GiB
    nics: { eth0: { network: lan }, eth1: { network: lan6 } }
dns:
  - { zone: example.org, name: www, type: A, to: web.eth0 }
  - { zone: example.org, name: www, type: AAAA, to: web.eth1 }
  - { zone: example.org, name: shop, type: CNAME, target: www.example.org }
  - { zone: example.org, name: _https._tcp.shop, type: SRV, target: www.example.org, port: 443 }
  - { zone: example.org, name: shop-info, type: TXT, text: \"owner=platform\" }
";

/// A stack of so many guests with one record.
fn small(count: usize) -> String {
    format!(
        "kind: stack\nname: shop\nsite: lab\ncontainers:\n  web: {{ count: {count}, image: debian-12, memory: 256 MiB, \
         disk: 1 GiB, nics: {{ eth0: {{ network: lan }} }} }}\ndns:\n  - {{ zone: example.org, name: www, type: A, to: web.eth0 }}\n"
    )
}

/// Writes the stack's file beside the site's, which declares these zones.
fn declare(world: &World, stack: &str, zones: &str) -> [String; 4] {
    let files = world.write_stack("shop", stack);
    let site = std::fs::read_to_string(&files[1]).unwrap();
    let lan6 =
        "networks:\n  lan6: { bridge: vmbr0, subnet: \"fd00:50::/64\", addresses: \"fd00:50::10-fd00:50::99\" }\n";
    std::fs::write(&files[1], format!("{}{zones}", site.replacen("networks:\n", lan6, 1))).unwrap();
    files
}

/// A site whose zones lie in a BIND.
struct Bound {
    world: World,
    server: Server,
    follower: Option<Server>,
    /// The key's file, outside of all that is searched for it.
    keys: tempfile::TempDir,
}

impl Bound {
    fn start() -> Self {
        let world = World::new();
        world.hide(KEY);
        let server = world.runtime.block_on(dns_lab::bind_with(&[REVERSE, REVERSE6]));
        let keys = tempfile::tempdir().unwrap();
        std::fs::write(keys.path().join("dns.key"), KEY).unwrap();
        Self { world, server, follower: None, keys }
    }

    /// With a second server that copies the first zone.
    fn followed() -> Self {
        let mut bound = Self::start();
        let follower = dns_lab::bind_follower(bound.server.address.port());
        bound.follower = Some(bound.world.runtime.block_on(follower));
        bound
    }

    fn zones(&self) -> String {
        let file = self.keys.path().join("dns.key");
        let key = format!("{{ name: {KEY_NAME}, value: {{ file: {} }} }}", file.display());
        let server = &self.server.address;
        let provider = format!("{{ rfc2136: {{ server: \"{server}\", key: {key} }} }}");
        let follower = self.follower.iter().map(|follower| format!(", \"{}\"", follower.address)).collect::<String>();
        let mut text = format!("dns:\n  example.org: {{ provider: {provider}, servers: [\"{server}\"{follower}] }}\n");
        for zone in [REVERSE, REVERSE6] {
            text.push_str(&format!("  {zone}: {{ provider: {provider} }}\n"));
        }
        text
    }

    fn declare(&self, stack: &str) -> [String; 4] {
        declare(&self.world, stack, &self.zones())
    }

    /// What the server answers.
    fn answer(&self, name: &str, kind: RecordType) -> String {
        answer(&self.world, &self.server.address, name, kind)
    }

    /// The zone as anyone with the key changes it.
    fn hand(&self) -> Rfc2136 {
        Rfc2136::new(&dns_lab::zone(), self.server.address.clone(), dns_lab::key(), Vec::new())
    }

    /// Somebody else writes a record set into the zone.
    fn put(&self, name: &str, kind: RecordType, values: &[&str]) {
        let values: Vec<RecordValue> = values.iter().map(|text| RecordValue::parse(kind, text).unwrap()).collect();
        let set = (!values.is_empty()).then(|| RecordSet::new(300, values));
        let puts = vec![RecordPut { name: name.parse().unwrap(), kind, set }];
        self.world.runtime.block_on(self.hand().apply(&ZoneChange { expect: Vec::new(), puts })).unwrap();
    }

    /// All records of the zone.
    fn records(&self) -> ZoneRecords {
        self.world.runtime.block_on(self.hand().list()).unwrap().records
    }

    /// Lets the operation of a plan wait for a person before its guests are made, so that the test can step in between plan and act.
    #[track_caller]
    fn held(&self, files: &[String]) {
        refuse(&self.world, CREATE, None);
        self.world.run_files(&["apply", "--yes"], files).expect(4);
        self.world.sim.clear_faults();
    }
}

/// Refuses calls for lack of a privilege, so that a person must act: all, or the nth alone.
fn refuse(world: &World, path: &str, nth: Option<u64>) {
    let action = json!({ "do": "refuse", "status": 403, "message": "Permission check failed (/vms, VM.Allocate)" });
    world.faults(json!([{ "when": { "method": "POST", "path": path, "nth": nth }, "action": action }]));
}

fn answer(world: &World, server: &DnsServer, name: &str, kind: RecordType) -> String {
    let name: DnsName = name.parse().unwrap();
    world.runtime.block_on(ask(server, &name, kind)).unwrap().to_string()
}

/// The checks of records in a proof: name, and whether it holds.
fn checks(proof: &Value) -> BTreeSet<(String, bool)> {
    let items = proof["items"].as_array().unwrap().iter().flat_map(|item| item["checks"].as_array().unwrap());
    let ours = items.filter(|check| check["name"].as_str().unwrap().starts_with("DNS "));
    ours.map(|check| (check["name"].as_str().unwrap().to_owned(), check["ok"].as_bool().unwrap())).collect()
}

/// The text of the newest operation with its troubles.
fn last(world: &World) -> String {
    world.run(&["op", "show", "last"]).expect(0).text()
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not said in:\n{text}");
    }
}

/// What a proof says that failed.
#[track_caller]
fn failed(run: Run, parts: &[&str]) {
    says(&run.expect(1).stdout, parts);
}

/// No such record.
fn nothing() -> String {
    Answer::Values(BTreeSet::new()).to_string()
}
