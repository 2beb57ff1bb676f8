//! The suite on zones in a book.

use std::sync::Arc;

use rl_model::RecordType::{self, A};
use rl_model::dns::{RecordSet, RecordValue, ZoneRecords};
use rl_providers::dns::{Answer, Builtin, DnsProvider, ZoneBook};

use super::conformance::{conforms, lists_a_large_zone, name, set};
use super::lab::zone;
use super::memory::Book;

#[tokio::test]
async fn a_book_in_memory() {
    let book = Book::default();
    let mail = RecordSet::new(300, [RecordValue::of_address([192, 0, 2, 77].into())]);
    let records = ZoneRecords::from([((name("mail.example.org"), RecordType::A), mail)]);
    book.put(&zone(), records);
    let provider = Builtin::new(&zone(), Arc::new(book), Vec::new());
    conforms(&provider, None).await;
    lists_a_large_zone(&provider).await;
}

/// Where no server is known, the zone itself tells what its server would answer.
#[tokio::test]
async fn a_zone_without_servers_bears_witness_itself() {
    let book = Arc::new(Book::default());
    let provider = |servers: &[&str]| {
        let servers = servers.iter().map(|server| server.parse().unwrap()).collect();
        Builtin::new(&zone(), Arc::clone(&book) as Arc<dyn ZoneBook>, servers)
    };
    let many: Vec<String> = (0..200).map(|n| format!("192.0.2.{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let sets = [("www.example.org", set(60, A, &many)), ("*.any.example.org", set(60, A, &["192.0.2.9"]))];
    book.put(&zone(), sets.iter().map(|(at, set)| ((name(at), A), set.clone())).collect());
    let witnesses = provider(&[]).witnesses().await.unwrap();
    assert_eq!(witnesses.len(), 1);
    assert!(witnesses[0].to_string().starts_with("the store"), "{}", witnesses[0]);
    let witness = &witnesses[0];
    let asked = |at: &'static str, kind| async move { witness.ask(&name(at), kind).await.unwrap() };
    let none = Answer::Values(std::collections::BTreeSet::new());
    assert_eq!(asked("www.example.org", A).await, Answer::Values(sets[0].1.values.clone()), "not cut short");
    assert_eq!(asked("www.example.org", RecordType::Txt).await, none);
    assert_eq!(asked("gone.example.org", A).await, none);
    assert_eq!(asked("b.any.example.org", A).await, Answer::Values(sets[1].1.values.clone()));
    let elsewhere = asked("www.example.net", A).await;
    assert!(matches!(elsewhere, Answer::NoAuthority(_)), "{elsewhere}");
    let named = provider(&["192.0.2.53:53", "[2001:db8::53]:5353"]).witnesses().await.unwrap();
    let named: Vec<String> = named.iter().map(ToString::to_string).collect();
    assert_eq!(named, ["192.0.2.53:53", "[2001:db8::53]:5353"]);
}
