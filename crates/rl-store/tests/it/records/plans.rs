//! Plans wait, are approved by another, and are applied once.
use std::time::Duration;

use rl_engine::Envelope;
use rl_store::{
    Conflict, Deed, NewPlan, PLANS_PER_STACK_MAX, PlanQuery, PlanRecord, PlanRefusal, PlanState, StackStart, Started,
    StoreError, StoredPlanId,
};
use serde_json::json;

use super::{Bench, conflict, did};
use crate::home::Home;
use crate::samples::{guest, name, start};

crate::home::cases! {
    a_plan_is_applied_once,
    a_plan_of_a_protected_stack_needs_another_person,
    a_stack_that_becomes_protected_protects_open_plans,
    plans_end,
    plans_are_listed_newest_first,
    old_plans_go,
}

fn deed(action: &str) -> Deed {
    Deed::from(did(action, "/stacks/shop"))
}

impl Bench {
    fn new_plan(&self, stack: &str, needs_approval: bool) -> NewPlan {
        self.clock.advance(Duration::from_millis(1));
        NewPlan {
            id: StoredPlanId::made(&self.ids),
            stack: name(stack),
            author: "maria".to_owned(),
            base_revision: 0,
            destroy: false,
            empty: false,
            blocked: false,
            needs_approval,
            lasts: Duration::from_secs(3600),
            document: Envelope::new("stored-plan", 3, json!({ "actions": [1, 2] })),
        }
    }

    async fn plan(&self, stack: &str, needs_approval: bool) -> PlanRecord {
        self.store.put_plan(self.new_plan(stack, needs_approval), deed("plan.create")).await.unwrap()
    }

    async fn apply(&self, id: StoredPlanId, stack: &str) -> Result<Started, StoreError> {
        let start = StackStart { plan: Some(id), ..start(&self.store, stack, 0, vec![guest("web", 1)]) };
        self.start(self.spec(stack), start, Some(deed("plan.apply"))).await
    }

    async fn approve(&self, id: StoredPlanId, by: &str) -> Result<PlanRecord, StoreError> {
        self.store.approve_plan(id, by, deed("plan.approve")).await
    }

    async fn now(&self, id: StoredPlanId) -> PlanRecord {
        self.store.plan(id).await.unwrap().unwrap().0
    }
}

fn refused<T: std::fmt::Debug>(result: Result<T, StoreError>) -> PlanRefusal {
    match conflict(result) {
        Conflict::Plan { why, .. } => why,
        other => panic!("another conflict: {other:?}"),
    }
}

async fn a_plan_is_applied_once(home: Home) {
    let bench = Bench::new(home).await;
    let plan = bench.plan("shop", false).await;
    assert_eq!((plan.state, plan.created_at.0 + 3_600_000), (PlanState::Open, plan.expires_at.0));
    let (_, document) = bench.store.plan(plan.id).await.unwrap().unwrap();
    assert_eq!((document.version, &document.body.value()["actions"]), (3, &json!([1, 2])));
    assert_eq!(refused(bench.apply(plan.id, "mail").await), PlanRefusal::OtherStack);
    let (one, other) = tokio::join!(bench.apply(plan.id, "shop"), bench.apply(plan.id, "shop"));
    let started = match (one, other) {
        (Ok(started), Err(_)) | (Err(_), Ok(started)) => started,
        both => panic!("one of two applies it: {both:?}"),
    };
    let applied = bench.now(plan.id).await;
    assert_eq!((applied.state, applied.operation), (PlanState::Applied, Some(started.operation)));
    bench.end_all().await;
    let start = StackStart { plan: Some(plan.id), ..start(&bench.store, "shop", 1, Vec::new()) };
    assert_eq!(refused(bench.start(bench.spec("shop"), start, None).await), PlanRefusal::OtherStack);
    assert_eq!(refused(bench.approve(plan.id, "otto").await), PlanRefusal::Applied);
    assert_eq!(refused(bench.store.discard_plan(plan.id, deed("plan.discard")).await), PlanRefusal::Applied);
}

async fn a_plan_of_a_protected_stack_needs_another_person(home: Home) {
    let bench = Bench::new(home).await;
    let plan = bench.plan("shop", true).await;
    assert_eq!(refused(bench.apply(plan.id, "shop").await), PlanRefusal::Unapproved);
    assert!(bench.store.guests(&name("shop")).await.unwrap().is_empty(), "nothing of it was stored");
    assert_eq!(refused(bench.approve(plan.id, "maria").await), PlanRefusal::OwnPlan);
    let (one, other) = tokio::join!(bench.approve(plan.id, "otto"), bench.approve(plan.id, "anna"));
    assert_eq!(u8::from(one.is_ok()) + u8::from(other.is_ok()), 1, "one of two approves it");
    let approved = bench.now(plan.id).await;
    assert!(approved.approved_by.is_some_and(|by| by != "maria") && approved.approved_at.is_some());
    assert_eq!(refused(bench.approve(plan.id, "anna").await), PlanRefusal::Approved);
    bench.apply(plan.id, "shop").await.unwrap();
}

async fn a_stack_that_becomes_protected_protects_open_plans(home: Home) {
    let bench = Bench::new(home).await;
    let plan = bench.plan("shop", false).await;
    bench.store.put_stack_policy(&name("shop"), true, None, None, deed("stack.protect")).await.unwrap();
    assert!(bench.now(plan.id).await.needs_approval);
    assert_eq!(refused(bench.apply(plan.id, "shop").await), PlanRefusal::Unapproved);
    bench.approve(plan.id, "otto").await.unwrap();
    bench.apply(plan.id, "shop").await.unwrap();
}

async fn plans_end(home: Home) {
    let bench = Bench::new(home).await;
    let (gone, old) = (bench.plan("shop", false).await.id, bench.plan("shop", false).await.id);
    assert_eq!(refused(bench.apply(StoredPlanId::made(&bench.ids), "shop").await), PlanRefusal::Unknown);
    let discarded = bench.store.discard_plan(gone, deed("plan.discard")).await.unwrap();
    assert_eq!(discarded.state, PlanState::Discarded);
    assert_eq!(refused(bench.apply(gone, "shop").await), PlanRefusal::Discarded);
    assert_eq!(refused(bench.approve(gone, "otto").await), PlanRefusal::Discarded);
    bench.later(3600);
    assert_eq!(bench.now(old).await.state, PlanState::Expired);
    assert_eq!(refused(bench.apply(old, "shop").await), PlanRefusal::Expired);
    assert_eq!(refused(bench.approve(old, "otto").await), PlanRefusal::Expired);
    // Who tidies up by hand may still let it go.
    assert_eq!(bench.store.discard_plan(old, deed("plan.discard")).await.unwrap().state, PlanState::Discarded);
}

async fn plans_are_listed_newest_first(home: Home) {
    let bench = Bench::new(home).await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(bench.plan(if number % 2 == 0 { "shop" } else { "mail" }, false).await.id);
    }
    bench.approve(ids[0], "otto").await.unwrap();
    bench.store.discard_plan(ids[1], deed("plan.discard")).await.unwrap();
    let listed = async |query: PlanQuery| -> Vec<usize> {
        let plans = bench.store.plans(query).await.unwrap();
        plans.iter().map(|plan| ids.iter().position(|id| *id == plan.id).unwrap()).collect()
    };
    let query = |limit| PlanQuery { limit, ..PlanQuery::default() };
    assert_eq!(listed(query(2)).await, [4, 3]);
    assert_eq!(listed(PlanQuery { before: Some(ids[3]), ..query(9) }).await, [2, 1, 0]);
    assert_eq!(listed(PlanQuery { stack: Some(name("mail")), ..query(9) }).await, [3, 1]);
    assert_eq!(listed(PlanQuery { state: Some(PlanState::Open), ..query(9) }).await, [4, 3, 2]);
    assert_eq!(listed(PlanQuery { state: Some(PlanState::Expired), ..query(9) }).await, Vec::<usize>::new());
    bench.later(3600);
    assert_eq!(listed(PlanQuery { state: Some(PlanState::Open), ..query(9) }).await, Vec::<usize>::new());
    assert_eq!(listed(PlanQuery { state: Some(PlanState::Expired), ..query(9) }).await, [4, 3, 2, 0]);
    assert_eq!(listed(PlanQuery { state: Some(PlanState::Discarded), ..query(9) }).await, [1]);
}

async fn old_plans_go(home: Home) {
    let bench = Bench::new(home).await;
    let first = bench.plan("shop", false).await.id;
    let mail = bench.plan("mail", false).await.id;
    for _ in 0..PLANS_PER_STACK_MAX {
        bench.plan("shop", false).await;
    }
    assert!(bench.store.plan(first).await.unwrap().is_none(), "only so many of a stack are kept");
    assert!(bench.store.plan(mail).await.unwrap().is_some());
    bench.later(3600 + 30 * 24 * 3600 - 60);
    bench.store.tidy().await.unwrap();
    assert!(bench.store.plan(mail).await.unwrap().is_some());
    bench.later(60);
    bench.store.tidy().await.unwrap();
    assert!(bench.store.plan(mail).await.unwrap().is_none());
}
