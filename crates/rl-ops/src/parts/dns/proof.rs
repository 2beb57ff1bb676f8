//! Proves records: every authoritative server is asked, and its answer compared with the leases.
//!
//! That the lease is what is configured and what is live inside the guest is compared by the guest's own proof; here it is compared
//! with what anyone gets who asks for the name.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use rl_model::dns::{DnsName, Owner, RecordValue, WantedSet, owner_kind, wanted_sets};
use rl_model::{Fqdn, GuestName, Proof, ProofCheck, ProofItem, RecordType, ResolvedStack};
use rl_providers::dns::Witness;

use super::expected::Expected;
use crate::context::Zones;

/// Questions under way at once.
const QUESTIONS_AT_ONCE: usize = 32;
/// Times a question is asked before the proof fails: a lost packet tells nothing about a record.
const ASKS_MAX: u32 = 4;
/// Wait between two of them.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// One question.
struct Question {
    witness: Result<Witness, String>,
    name: DnsName,
    kind: RecordType,
    expected: Expected,
    guests: BTreeSet<GuestName>,
}

/// A check, and the guests it belongs to.
type Found = (BTreeSet<GuestName>, ProofCheck);

/// Adds a check for each name and server to the items of the guests that the record leads to; a record that leads to no guest
/// stands with the first guest of the stack.
pub async fn prove_records(zones: &Zones, resolved: &ResolvedStack, proof: Proof) -> Proof {
    let wanted = wanted_sets(resolved, &|name| resolved.guests.contains_key(name));
    let asked = wanted.into_iter().map(|(key, want)| (key, want.guests, Expected::Values(want.set.values)));
    let checks = answers(questions(zones, asked.collect()).await).await;
    attach(proof, None, checks)
}

/// Adds to the proof that a stack is gone what is left of its records: no server may answer a value that was the stack's, and no
/// owner in a zone may name it. `before` is all that the stack may have had.
pub async fn prove_records_gone(zones: &Zones, owner: &Owner, before: &[ResolvedStack], proof: Proof) -> Proof {
    let mut had: BTreeMap<Key, (BTreeSet<GuestName>, BTreeSet<RecordValue>)> = BTreeMap::new();
    for (key, WantedSet { set, guests }) in before.iter().flat_map(|stack| wanted_sets(stack, &|_| true)) {
        let entry = had.entry(key).or_default();
        entry.0.extend(guests);
        entry.1.extend(set.values);
    }
    let asked = had.into_iter().map(|(key, (guests, values))| (key, guests, Expected::Without(values)));
    let mut checks = answers(questions(zones, asked.collect()).await).await;
    for (name, zone) in zones {
        let found = match zone.list().await {
            Ok(list) => owned(owner, list.records.keys().zip(list.records.values().map(|set| &set.values))),
            Err(error) => error.full(),
        };
        let (expected, ok) = ("none".to_owned(), found == "none");
        let name = format!("DNS records of the stack in zone {name}");
        checks.push((BTreeSet::new(), ProofCheck { name, ok, expected, found }));
    }
    let first = before.iter().find_map(|stack| {
        let guest = stack.guests.values().next()?;
        let (guest, site) = (guest.name.clone(), guest.site.clone());
        Some(ProofItem { guest, site, node: None, vmid: None, checks: Vec::new() })
    });
    attach(proof, first, checks)
}

/// Records whose owner is the stack, as a list for a person.
fn owned<'a>(
    owner: &Owner,
    sets: impl Iterator<Item = (&'a (DnsName, RecordType), &'a BTreeSet<RecordValue>)>,
) -> String {
    let ours = sets.filter(|((_, kind), values)| {
        *kind == RecordType::Txt && values.iter().any(|value| Owner::of_value(value).as_ref() == Some(owner))
    });
    let names = ours.filter_map(|((beside, _), _)| owner_kind(beside)).map(|(name, kind)| format!("{name} {kind}"));
    let names = names.collect::<Vec<_>>().join(", ");
    if names.is_empty() { "none".to_owned() } else { names }
}

/// Adds checks to the items of their guests. One that belongs to no guest that has an item stands with the first; where there is
/// none at all, with `spare`.
fn attach(proof: Proof, spare: Option<ProofItem>, mut checks: Vec<Found>) -> Proof {
    checks.sort_by(|a, b| a.1.name.cmp(&b.1.name));
    let mut items = proof.items;
    if items.is_empty() && !checks.is_empty() {
        items.extend(spare);
    }
    for (guests, check) in checks {
        let known = items.iter().any(|item| guests.contains(&item.guest));
        if let Some(first) = items.first_mut().filter(|_| !known) {
            first.checks.push(check);
            continue;
        }
        for item in items.iter_mut().filter(|item| guests.contains(&item.guest)) {
            item.checks.push(check.clone());
        }
    }
    Proof::new(proof.stack, proof.at_ms, items)
}

/// What names a record set.
type Key = (Fqdn, DnsName, RecordType);

async fn questions(zones: &Zones, asked: Vec<(Key, BTreeSet<GuestName>, Expected)>) -> Vec<Question> {
    let mut witnesses: BTreeMap<Fqdn, Vec<Result<Witness, String>>> = BTreeMap::new();
    let mut out = Vec::new();
    for ((zone, name, kind), guests, expected) in asked {
        if !witnesses.contains_key(&zone) {
            witnesses.insert(zone.clone(), witnesses_of(zones, &zone).await);
        }
        for witness in &witnesses[&zone] {
            let (witness, name) = (witness.clone(), name.clone());
            out.push(Question { witness, name, kind, expected: expected.clone(), guests: guests.clone() });
        }
    }
    out
}

async fn witnesses_of(zones: &Zones, zone: &Fqdn) -> Vec<Result<Witness, String>> {
    let Some(zone) = zones.get(zone) else { return vec![Err("no site declares the zone".to_owned())] };
    match zone.witnesses().await {
        Ok(witnesses) if witnesses.is_empty() => vec![Err("no server of the zone is known".to_owned())],
        Ok(witnesses) => witnesses.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error.full())],
    }
}

async fn answers(questions: Vec<Question>) -> Vec<Found> {
    futures::stream::iter(questions)
        .map(|question| async move { (question.guests.clone(), answered(&question).await) })
        .buffer_unordered(QUESTIONS_AT_ONCE)
        .collect()
        .await
}

async fn answered(question: &Question) -> ProofCheck {
    let Question { witness, name, kind, expected, .. } = question;
    let witness = match witness {
        Ok(witness) => witness,
        Err(why) => {
            let name = format!("DNS {name} {kind}");
            return ProofCheck { name, ok: false, expected: expected.to_string(), found: why.clone() };
        }
    };
    let mut check = ProofCheck {
        name: format!("DNS {name} {kind} at {witness}"),
        ok: false,
        expected: expected.to_string(),
        found: String::new(),
    };
    for round in 0..ASKS_MAX {
        if round > 0 {
            tokio::time::sleep(ASK_EVERY).await;
        }
        match witness.ask(name, *kind).await {
            Ok(answer) => {
                check.ok = expected.holds(&answer);
                check.found = answer.to_string();
            }
            Err(error) => check.found = error.full(),
        }
        if check.ok {
            break;
        }
    }
    check
}

#[cfg(test)]
mod tests;
