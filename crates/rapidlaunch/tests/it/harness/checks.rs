//! What must hold when a test is over, whatever it did.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::World;

/// What a test allows to be left over, each with its own reason in the test.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Allow {
    /// Operations that wait for a person.
    pub(crate) unfinished: bool,
    /// Guests with our stamp that the store does not know: the test made copies by hand.
    pub(crate) copies: bool,
    /// Volumes without a guest: the test removed guests past the API, or a worker was killed half-way.
    pub(crate) volumes: bool,
    /// A guest the test itself brought back from a destroyed state, or that was undone and made again.
    pub(crate) made_again: bool,
    /// Rows that no release can read: the test wrote nonsense over them, and they must be kept as they are.
    pub(crate) unreadable: bool,
}

/// A guest of the site that bears our stamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamped {
    /// Its VMID.
    pub(crate) vmid: u64,
    /// The id in the stamp.
    pub(crate) id: String,
    /// MACs and addresses of its NICs.
    pub(crate) nics: Vec<(String, String)>,
}

impl World {
    /// Guests of the site that bear the stamp of this installation.
    pub(crate) fn stamped(&self) -> Vec<Stamped> {
        let state = self.state();
        let guests = state["guests"].as_object().unwrap();
        guests.iter().filter_map(|(vmid, guest)| stamped(vmid, &guest["config"])).collect()
    }

    /// The guests the store knows.
    fn known(&self) -> Vec<Value> {
        let listed = self.run(&["guest", "ls", "--output", "json"]).expect(0).json();
        listed["guests"].as_array().unwrap().clone()
    }

    /// The checks on the way out.
    #[track_caller]
    pub(crate) fn finish(&self) {
        self.finish_with(Allow::default());
    }

    /// The same, with leftovers that the test explains.
    #[track_caller]
    pub(crate) fn finish_with(&self, allow: Allow) {
        self.finished.set(true);
        self.sim.clear_faults();
        if let Some(served) = self.server.take() {
            self.end(served).expect(0);
        }
        self.check_now(allow);
    }

    /// The end of a test that wrote into the store past the program, so that its chain of entries is broken for good.
    pub(crate) fn finish_tampered(&self) {
        self.finished.set(true);
        self.sim.clear_faults();
    }

    /// The checks in the middle of a test.
    #[track_caller]
    pub(crate) fn check_now(&self, allow: Allow) {
        if !allow.unfinished {
            let open = self.run(&["op", "ls", "--unfinished", "--output", "json"]).expect(0).json();
            assert_eq!(open["operations"], serde_json::json!([]), "operations are pending");
        }
        let checked = self.run(&["store", "check", "--output", "json"]).expect(0).json();
        let mut findings = checked["findings"].as_array().unwrap().clone();
        findings.retain(|finding| !allow.unreadable || finding["level"] != "quarantined");
        assert_eq!(findings, Vec::<serde_json::Value>::new(), "the store is not sound");
        let stamped = self.stamped();
        if !allow.copies {
            self.no_orphan(&stamped);
            nothing_twice(&stamped);
        }
        self.made_once(allow);
        if !allow.volumes {
            self.no_volume_without_guest();
        }
        self.no_secret();
    }

    #[track_caller]
    fn no_orphan(&self, stamped: &[Stamped]) {
        let known: BTreeMap<String, u64> = self
            .known()
            .iter()
            .map(|guest| (guest["id"].as_str().unwrap().to_owned(), guest["vmid"].as_u64().unwrap()))
            .collect();
        for guest in stamped {
            assert_eq!(known.get(&guest.id), Some(&guest.vmid), "orphan: {guest:?}; the store knows {known:?}");
        }
    }

    /// By the site's own books: a guest is made at most once for each time that it was removed, plus one.
    #[track_caller]
    fn made_once(&self, allow: Allow) {
        for (line, kinds) in
            self.sim.ledger().by_description_line.iter().filter(|(line, _)| line.contains(" controller="))
        {
            let of = |kind: &str| kinds.get(kind).copied().unwrap_or(0);
            let (made, removed) = (of("create"), of("destroy"));
            assert!(made <= 1 || allow.made_again, "made {made} times, removed {removed} times: {line}");
            assert!(made <= removed + 1 || allow.copies, "made {made} times, removed {removed} times: {line}");
        }
    }

    #[track_caller]
    fn no_volume_without_guest(&self) {
        let state = self.state();
        for volume in state["volumes"].as_array().unwrap() {
            let vmid = volume["vmid"].as_u64().unwrap_or(0);
            let there = vmid == 0 || !state["guests"][vmid.to_string()].is_null();
            assert!(there, "a volume without its guest: {volume}");
        }
    }

    /// The API token's secret stands in nothing that was said or stored.
    #[track_caller]
    fn no_secret(&self) {
        let secret = self.secret();
        assert!(secret.len() > 8, "the secret is too short to be searched for");
        for said in self.said.borrow().iter() {
            assert!(!said.contains(&secret), "the token's secret was said: {said}");
        }
        no_secret_in(&self.data, secret.as_bytes());
        self.no_hidden_value();
    }
}

#[track_caller]
fn no_secret_in(dir: &Path, secret: &[u8]) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            no_secret_in(&path, secret);
        } else if let Ok(bytes) = std::fs::read(&path) {
            let found = bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!found, "the token's secret stands in {}", path.display());
        }
    }
}

/// No VMID, MAC or address is held by two of our guests.
#[track_caller]
fn nothing_twice(stamped: &[Stamped]) {
    let (mut ids, mut macs, mut addresses) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for guest in stamped {
        assert!(ids.insert(&guest.id), "two guests bear one stamp: {stamped:#?}");
        for (mac, address) in &guest.nics {
            assert!(macs.insert(mac), "a MAC is there twice: {mac}");
            let dynamic = address.is_empty() || address == "dhcp" || address == "manual";
            assert!(dynamic || addresses.insert(address), "an address is there twice: {address}");
        }
    }
}

fn stamped(vmid: &str, config: &Value) -> Option<Stamped> {
    let description = config["description"].as_str()?;
    let line = description.lines().find(|line| line.contains("guest=") && line.contains(" controller="))?;
    let id = line.split("guest=").nth(1)?.split(' ').next()?.to_owned();
    let nics = config.as_object()?.iter().filter(|(key, _)| key.starts_with("net"));
    let part = |value: &str, key: &str| {
        let found = value.split(',').find_map(|part| part.strip_prefix(key).and_then(|rest| rest.strip_prefix('=')));
        found.unwrap_or_default().to_owned()
    };
    let nics =
        nics.filter_map(|(_, value)| value.as_str()).map(|value| (part(value, "hwaddr"), part(value, "ip"))).collect();
    Some(Stamped { vmid: vmid.parse().ok()?, id, nics })
}
