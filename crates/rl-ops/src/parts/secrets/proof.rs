//! Reads secrets back: each file in the right guest, with the right content, owner and mode; and none that was not granted.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use rl_agent::{Answer, CallError, Courier, Given, Order, Post, Work, seal};
use rl_model::manifest::SecretGrant;
use rl_model::{
    GuestId, GuestName, GuestPath, KnownSecrets, NewestVersion, NodeName, Proof, ProofCheck, ResolvedGuest,
    ResolvedStack, Stamp, Vmid,
};
use rl_providers::secrets::SecretProvider;

/// Guests read at once: each read is a process on its node.
pub(super) const READS_AT_ONCE: usize = 8;
/// How long an agent that is away is waited for: one whose server has just come back finds it within half a minute.
const WAIT: Duration = Duration::from_secs(60);
/// How long an agent may take to answer.
const LIMIT: Duration = Duration::from_secs(30);
/// Where files that RapidLaunch delivers lie, unless a grant says otherwise.
pub(super) const FOLDER: &str = "/run/secrets";

/// What the reading works with.
struct Reading<'a> {
    courier: &'a dyn Courier,
    provider: &'a dyn SecretProvider,
    known: &'a KnownSecrets,
    /// Names the orders of this reading.
    run: String,
}

/// Adds the secrets of a stack's guests to its proof. Guests that are granted nothing are read too, where any is granted
/// something: they may hold none. `known` tells the versions that shall be there; values are fetched and compared in memory.
pub async fn prove_secrets(
    mut proof: Proof,
    resolved: &ResolvedStack,
    courier: &dyn Courier,
    provider: &dyn SecretProvider,
    known: &KnownSecrets,
) -> Proof {
    if resolved.guests.values().all(|guest| guest.secrets.is_empty()) {
        return proof;
    }
    let reading = Reading { courier, provider, known, run: format!("proof-{}", proof.at_ms) };
    let places: BTreeMap<GuestName, (Option<NodeName>, Option<Vmid>)> =
        proof.items.iter().map(|item| (item.guest.clone(), (item.node.clone(), item.vmid))).collect();
    let guests: Vec<&ResolvedGuest> = resolved.guests.values().filter(|guest| guest.running).collect();
    // By place, not by reference: then whoever awaits this may move between threads.
    let mut found: BTreeMap<GuestName, Vec<ProofCheck>> = futures::stream::iter(0..guests.len())
        .map(|at| {
            let guest = guests[at];
            let (reading, place) = (&reading, places.get(&guest.name).cloned().unwrap_or_default());
            async move { (guest.name.clone(), reading.guest(resolved, guest, place).await) }
        })
        .buffer_unordered(READS_AT_ONCE)
        .collect()
        .await;
    for item in &mut proof.items {
        item.checks.extend(found.remove(&item.guest).unwrap_or_default());
    }
    Proof::new(proof.stack, proof.at_ms, proof.items)
}

impl Reading<'_> {
    async fn guest(
        &self,
        resolved: &ResolvedStack,
        guest: &ResolvedGuest,
        (node, vmid): (Option<NodeName>, Option<Vmid>),
    ) -> Vec<ProofCheck> {
        let (post, target) = aim(resolved.stamp(guest), guest, node, vmid);
        let mut checks = Vec::new();
        for grant in &guest.secrets {
            checks.push(self.file(&post, &target, grant).await);
        }
        checks.push(self.nothing_else(&post, &target, guest).await);
        checks
    }

    async fn ask(&self, post: &Post, target: &rl_agent::Target, work: Work) -> Result<Answer, CallError> {
        let what = match &work {
            Work::Digest { path } => seal::sha256(path.as_str().as_bytes()),
            _ => "list".to_owned(),
        };
        // Each reading is a job of its own, so that it is no older claim of another.
        let job = format!("{}-{}", self.run, target.stamp.guest);
        let order = Order { key: format!("{job}/{what}"), job, fence: 1, guest: target.clone(), work };
        self.courier.call(post, order, Given::default(), WAIT, LIMIT).await
    }

    async fn file(&self, post: &Post, target: &rl_agent::Target, grant: &SecretGrant) -> ProofCheck {
        let version = match self.known.newest.get(&grant.from) {
            Some(NewestVersion::Version(version)) => *version,
            Some(NewestVersion::Unknown { why, .. }) => return failed(&grant.to, "a version", why),
            None => return failed(&grant.to, "a version", "nobody was asked for one"),
        };
        let wanted = format!("{} version {version}, {:04o} {}", grant.from, grant.mode, grant.owner);
        let value = match self.provider.fetch(&grant.from, version).await {
            Ok(value) => value,
            Err(error) => return failed(&grant.to, &wanted, &error.to_string()),
        };
        let facts = match self.ask(post, target, Work::Digest { path: grant.to.clone() }).await {
            Ok(Answer::File { found: Some(facts) }) => facts,
            Ok(Answer::File { found: None }) => return failed(&grant.to, &wanted, "no such file"),
            Ok(_) => return failed(&grant.to, &wanted, "an answer that was not asked for"),
            Err(error) => return failed(&grant.to, &wanted, &error.to_string()),
        };
        let same = facts.sha256 == seal::sha256(value.expose().as_bytes());
        let owner = if super::owned_by(&facts, &grant.owner) { &grant.owner } else { &facts.owner };
        let content = if same { format!("{} version {version}", grant.from) } else { "another content".to_owned() };
        let found = format!("{content}, {:04o} {owner}", facts.mode);
        ProofCheck { name: name(&grant.to), ok: found == wanted, expected: wanted, found }
    }

    /// No file lies below the folder of secrets that was not granted to this guest.
    async fn nothing_else(&self, post: &Post, target: &rl_agent::Target, guest: &ResolvedGuest) -> ProofCheck {
        let (name, expected) = ("no other secret".to_owned(), "nothing that was not granted".to_owned());
        let Ok(folder) = FOLDER.parse::<GuestPath>() else {
            return ProofCheck { name, ok: false, expected, found: "no folder".to_owned() };
        };
        let found = match self.ask(post, target, Work::List { folder }).await {
            Ok(Answer::Files { paths }) => {
                let granted = |path: &String| guest.secrets.iter().any(|grant| grant.to.as_str() == path);
                let others: Vec<String> = paths.into_iter().filter(|path| !granted(path)).collect();
                if others.is_empty() { expected.clone() } else { others.join(", ") }
            }
            Ok(_) => "an answer that was not asked for".to_owned(),
            Err(error) => error.to_string(),
        };
        ProofCheck { ok: found == expected, name, expected, found }
    }
}

fn name(path: &GuestPath) -> String {
    format!("secret {path}")
}

fn failed(path: &GuestPath, expected: &str, found: &str) -> ProofCheck {
    ProofCheck { name: name(path), ok: false, expected: expected.to_owned(), found: found.to_owned() }
}

/// Marks delivered files that are not there any more, as far as the agents of the guests' nodes tell: what lies in memory goes
/// with a start of the guest. A guest whose agent does not answer is left as the book has it.
pub async fn mark_lost(
    courier: &dyn Courier,
    guests: &[(Stamp, &ResolvedGuest)],
    known: &mut KnownSecrets,
    now_ms: u64,
) {
    let Ok(folder) = FOLDER.parse::<GuestPath>() else { return };
    let asked: Vec<usize> = (0..guests.len()).filter(|at| known.delivered.contains_key(&guests[*at].0.guest)).collect();
    let found: Vec<(GuestId, Vec<String>)> = futures::stream::iter(asked)
        .map(|at| {
            let (stamp, guest) = &guests[at];
            let (post, target) = aim(stamp.clone(), guest, None, None);
            let job = format!("look-{now_ms}-{}", stamp.guest);
            let work = Work::List { folder: folder.clone() };
            let order = Order { key: format!("{job}/list"), job, fence: 1, guest: target, work };
            async move {
                match courier.call(&post, order, Given::default(), WAIT, LIMIT).await {
                    Ok(Answer::Files { paths }) => Some((stamp.guest.clone(), paths)),
                    _ => None,
                }
            }
        })
        .buffer_unordered(READS_AT_ONCE)
        .filter_map(futures::future::ready)
        .collect()
        .await;
    for (guest, paths) in found {
        for file in known.delivered.get_mut(&guest).into_iter().flatten() {
            let below = file.path.as_str().strip_prefix(FOLDER).is_some_and(|rest| rest.starts_with('/'));
            file.lost = below && !paths.iter().any(|path| path == file.path.as_str());
        }
    }
}

/// Whom to ask about a guest, and how the agent must find it.
fn aim(stamp: Stamp, guest: &ResolvedGuest, node: Option<NodeName>, vmid: Option<Vmid>) -> (Post, rl_agent::Target) {
    let post = Post { site: guest.site.clone(), node: node.unwrap_or_else(|| guest.node.clone()) };
    let net0 = guest.nics.iter().find(|nic| nic.slot.number() == 0).map(|nic| nic.mac);
    let target = rl_agent::Target {
        vmid: vmid.unwrap_or(guest.vmid),
        stamp,
        hostnames: vec![guest.hostname.to_string()],
        net0: net0.into_iter().collect(),
    };
    (post, target)
}
