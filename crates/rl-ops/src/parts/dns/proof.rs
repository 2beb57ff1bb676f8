//! Proves records: every authoritative server is asked, and its answer compared with the leases.
//!
//! That the lease is what is configured and what is live inside the guest is compared by the guest's own proof; here it is compared
//! with what anyone gets who asks for the name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use rl_model::dns::{DnsName, DnsServer, RecordValue, WantedSet, wanted_sets};
use rl_model::{Fqdn, GuestName, Proof, ProofCheck, RecordType, ResolvedStack};
use rl_providers::dns::{Answer, DnsProvider, ask};

/// Questions under way at once.
const QUESTIONS_AT_ONCE: usize = 32;
/// Times a question is asked before the proof fails: a lost packet tells nothing about a record.
const ASKS_MAX: u32 = 4;
/// Wait between two of them.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// One question.
struct Question {
    server: Result<DnsServer, String>,
    name: DnsName,
    kind: RecordType,
    expected: BTreeSet<RecordValue>,
    guests: BTreeSet<GuestName>,
}

/// Adds a check for each name and server to the items of the guests that the record leads to; a record that leads to no guest
/// stands with the first guest of the stack.
pub async fn prove_records(
    zones: &BTreeMap<Fqdn, Arc<dyn DnsProvider>>,
    resolved: &ResolvedStack,
    proof: Proof,
) -> Proof {
    let wanted = wanted_sets(resolved, &|name| resolved.guests.contains_key(name));
    let questions = questions(zones, wanted).await;
    let mut checks: Vec<(BTreeSet<GuestName>, ProofCheck)> = futures::stream::iter(questions)
        .map(|question| async move { (question.guests.clone(), answered(&question).await) })
        .buffer_unordered(QUESTIONS_AT_ONCE)
        .collect()
        .await;
    checks.sort_by(|a, b| a.1.name.cmp(&b.1.name));
    let mut items = proof.items;
    for (guests, check) in checks {
        if guests.is_empty() {
            items.first_mut().into_iter().for_each(|item| item.checks.push(check.clone()));
        }
        for item in items.iter_mut().filter(|item| guests.contains(&item.guest)) {
            item.checks.push(check.clone());
        }
    }
    Proof::new(proof.stack, proof.at_ms, items)
}

async fn questions(
    zones: &BTreeMap<Fqdn, Arc<dyn DnsProvider>>,
    wanted: BTreeMap<(Fqdn, DnsName, RecordType), WantedSet>,
) -> Vec<Question> {
    let mut servers: BTreeMap<Fqdn, Vec<Result<DnsServer, String>>> = BTreeMap::new();
    let mut out = Vec::new();
    for ((zone, name, kind), want) in wanted {
        if !servers.contains_key(&zone) {
            servers.insert(zone.clone(), servers_of(zones.get(&zone)).await);
        }
        for server in &servers[&zone] {
            let (server, name) = (server.clone(), name.clone());
            let (expected, guests) = (want.set.values.clone(), want.guests.clone());
            out.push(Question { server, name, kind, expected, guests });
        }
    }
    out
}

async fn servers_of(zone: Option<&Arc<dyn DnsProvider>>) -> Vec<Result<DnsServer, String>> {
    let Some(zone) = zone else { return vec![Err("no site declares the zone".to_owned())] };
    match zone.servers().await {
        Ok(servers) => servers.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error.full())],
    }
}

async fn answered(question: &Question) -> ProofCheck {
    let Question { server, name, kind, expected, .. } = question;
    let expected = Answer::Values(expected.clone());
    let server = match server {
        Ok(server) => server,
        Err(why) => {
            let name = format!("DNS {name} {kind}");
            return ProofCheck { name, ok: false, expected: expected.to_string(), found: why.clone() };
        }
    };
    let mut found = String::new();
    for round in 0..ASKS_MAX {
        if round > 0 {
            tokio::time::sleep(ASK_EVERY).await;
        }
        found = match ask(server, name, *kind).await {
            Ok(answer) if answer == expected => {
                let name = format!("DNS {name} {kind} at {server}");
                return ProofCheck { name, ok: true, expected: expected.to_string(), found: answer.to_string() };
            }
            Ok(answer) => answer.to_string(),
            Err(error) => error.full(),
        };
    }
    ProofCheck { name: format!("DNS {name} {kind} at {server}"), ok: false, expected: expected.to_string(), found }
}
