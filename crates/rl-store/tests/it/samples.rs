//! Names, guests and operations that several tests use.
use std::time::Duration;

use rl_engine::{ClaimRequest, Envelope, Ids, JobSpec, KnownKinds, OperationSpec, OwnerId};
use rl_model::{
    AddressMode, Features, GuestId, MacAddr, Memory, ResolvedGuest, ResolvedNic, ResolvedStack, SiteName, StackName,
    Vmid,
};
use rl_store::{StackStart, Store};
use serde_json::json;

pub(crate) fn name(stack: &str) -> StackName {
    stack.parse().unwrap()
}

pub(crate) fn site() -> SiteName {
    "fra1".parse().unwrap()
}

pub(crate) fn vmid(number: u32) -> Vmid {
    Vmid::try_from(number).unwrap()
}

pub(crate) fn id(number: u32) -> GuestId {
    GuestId::from_bits(u128::from(number))
}

/// A guest that holds its number as VMID, in its MAC and in its address.
pub(crate) fn guest(guest: &str, number: u32) -> ResolvedGuest {
    let address = format!("10.0.0.{}/24", number % 250).parse().unwrap();
    ResolvedGuest {
        id: id(number),
        name: guest.parse().unwrap(),
        container: guest.parse().unwrap(),
        site: site(),
        node: "pve1".parse().unwrap(),
        node_pinned: false,
        vmid: vmid(2000 + number),
        hostname: guest.parse().unwrap(),
        image: "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst".parse().unwrap(),
        storage: "local-zfs".parse().unwrap(),
        cores: 1,
        memory: "512 MiB".parse::<Memory>().unwrap(),
        swap: "512 MiB".parse::<Memory>().unwrap(),
        disk: "4 GiB".parse().unwrap(),
        volumes: Vec::new(),
        nics: vec![ResolvedNic {
            slot: "net0".parse().unwrap(),
            name: "eth0".parse().unwrap(),
            network: "dmz".parse().unwrap(),
            bridge: "vmbr0".parse().unwrap(),
            vlan: None,
            mtu: None,
            rate_mbps: None,
            mac: MacAddr::from_bits(u64::from(number)),
            ipv4: AddressMode::Static { address, gateway: None },
            ipv6: AddressMode::None,
            firewall: false,
        }],
        nameservers: Vec::new(),
        search_domain: None,
        tags: Vec::new(),
        notes: String::new(),
        onboot: false,
        startup: None,
        unprivileged: true,
        features: Features::default(),
        protection: false,
        running: true,
        pool: None,
        ssh_keys: Vec::new(),
        timezone: None,
        secrets: Vec::new(),
        after: Vec::new(),
        firewall: None,
    }
}

/// An operation with some jobs that do nothing.
pub(crate) fn operation(ids: &Ids, subject: &str, jobs: usize) -> OperationSpec {
    let job = |number: usize| {
        JobSpec::new(ids.job(), format!("job {number}"), Envelope::new("toy", 1, json!({ "number": number })))
    };
    OperationSpec {
        id: ids.operation(),
        kind: "apply".to_owned(),
        subject: subject.to_owned(),
        actor: "tester".to_owned(),
        summary: format!("apply {subject}"),
        payload: Envelope::new("plan", 1, json!({})),
        idempotency_key: None,
        exclusive: false,
        jobs: (0..jobs).map(job).collect(),
    }
}

/// What an operation means for a stack of these guests.
pub(crate) fn start(store: &Store, stack: &str, base_revision: u64, guests: Vec<ResolvedGuest>) -> StackStart {
    let resolved = ResolvedStack {
        name: name(stack),
        controller: store.controller(),
        guests: guests.iter().map(|guest| (guest.name.clone(), guest.clone())).collect(),
        sections: Vec::new(),
        records: Vec::new(),
        firewall: std::collections::BTreeMap::new(),
    };
    StackStart {
        stack: name(stack),
        base_revision,
        manifest: "kind: stack".to_owned(),
        resolved,
        reserve: guests,
        plan: None,
    }
}

/// A claim of a hundred jobs.
pub(crate) fn claim(owner: OwnerId, known: KnownKinds) -> ClaimRequest {
    ClaimRequest { deadline_default: Duration::from_secs(60), ..ClaimRequest::new(owner, 100, known) }
}
