//! The job that writes records, proven as every other: repeated, killed at each write, failed at each point and undone; and what it
//! says of a name that is not its own.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use async_trait::async_trait;
use rl_engine::testing::{ProofScene, ProofWorld, Proofs};
use rl_engine::{Envelope, OnFailure};
use rl_model::dns::{Owner, RecordPut, RecordSet, RecordValue, ZoneChange, owner_name};
use rl_model::{ActionId, Fqdn, PartAction, PartKind, RecordChange, RecordType, Records};
use rl_ops::{Ctx, ZoneShelf};
use rl_providers::dns::{Builtin, DnsProvider, ZoneBook};
use serde_json::Value;

use crate::lab::{self, p};
use crate::zone_book::Book;

fn zone() -> Fqdn {
    p("example.org")
}

fn owner() -> Owner {
    Owner { controller: p("0123456789abcdefghjk"), stack: p("shop") }
}

fn set(last: u8) -> RecordSet {
    RecordSet::new(300, [RecordValue::of_address([192, 0, 2, last].into())])
}

fn change(name: &str, before: Option<u8>, after: Option<u8>) -> RecordChange {
    let name = p(&format!("{name}.example.org"));
    RecordChange { name, kind: RecordType::A, before: before.map(set), after: after.map(set) }
}

/// Worlds whose zone has what the changes expect.
struct Zones(Vec<RecordChange>);

struct Scene {
    book: Arc<Book>,
    ctx: Arc<Ctx>,
}

#[async_trait]
impl ProofWorld for Zones {
    async fn fresh(&self) -> Box<dyn ProofScene> {
        let book = Arc::new(Book::default());
        let put = |name, kind, set| RecordPut { name, kind, set: Some(set) };
        let there = self.0.iter().filter_map(|change| Some((change.name.clone(), change.before.clone()?)));
        let puts = there.flat_map(|(name, set)| {
            let beside = owner_name(&name, RecordType::A).unwrap();
            let owner = RecordSet::new(300, [owner().value()]);
            [put(name, RecordType::A, set), put(beside, RecordType::Txt, owner)]
        });
        let change = ZoneChange { expect: Vec::new(), puts: puts.collect() };
        book.change(&zone(), &change).await.unwrap();
        let provider: Arc<dyn DnsProvider> = Arc::new(Builtin::new(&zone(), book.clone(), Vec::new()));
        let ctx = Ctx::new(BTreeMap::new(), Arc::new(crate::book::Book::default()));
        let ctx = Arc::new(ctx.with_zones(ZoneShelf::of([(zone(), provider)].into())));
        Box::new(Scene { book, ctx })
    }
}

#[async_trait]
impl ProofScene for Scene {
    fn context(&self) -> Arc<dyn Any + Send + Sync> {
        self.ctx.clone()
    }

    async fn snapshot(&self) -> String {
        let mut out = String::new();
        for ((name, kind), set) in self.book.zone(&zone()).await.unwrap().1 {
            writeln!(out, "{name} {kind} {set:?}").unwrap();
        }
        out
    }
}

async fn proven(changes: Vec<RecordChange>) {
    let records = Records { zone: zone(), owner: owner(), changes: changes.clone() };
    let part = PartAction {
        id: ActionId(0),
        kind: PartKind::Records(Box::new(records)),
        reasons: Vec::new(),
        after: Vec::new(),
    };
    let payload = Envelope::of(part.kind.job_kind(), 1, &part).unwrap();
    let proofs = Proofs {
        kind: rl_ops::registry().get(&payload.kind).unwrap().clone(),
        payload,
        operation_payload: Envelope::new("nothing", 1, Value::Null),
        on_failure: OnFailure::Undo,
        clock: lab::clock(),
        config: lab::engine(),
    };
    proofs.run(&Zones(changes)).await.assert_ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_come() {
    proven(vec![change("a", None, Some(1)), change("b", None, Some(2))]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_change_come_and_go_in_one() {
    proven(vec![change("a", Some(1), Some(2)), change("b", None, Some(3)), change("c", Some(4), None)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_go() {
    proven(vec![change("a", Some(1), None), change("b", Some(2), None)]).await;
}
