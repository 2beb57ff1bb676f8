//! Submits under trouble, with a list of what was acknowledged and what was refused kept outside the database.
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rl_engine::{
    ClaimRequest, Clock, Envelope, Finish, Ids, JobSpec, Journal, KnownKinds, OperationId, OperationSpec, OwnerId,
    RegisterRequest, SystemClock, UnixMs,
};
use serde_json::json;
use std::time::Duration;

/// What was answered.
#[derive(Default)]
pub(super) struct Oracle {
    pub(super) kept: Mutex<BTreeSet<OperationId>>,
    pub(super) refused: Mutex<BTreeSet<OperationId>>,
}

pub(super) fn ids() -> Ids {
    Ids::from_os(Arc::new(SystemClock::new()))
}

pub(super) fn now() -> UnixMs {
    SystemClock::new().now()
}

pub(super) fn operation(ids: &Ids, jobs: usize) -> OperationSpec {
    let payload = || Envelope::new("toy", 1, json!({ "size": 1 }));
    OperationSpec {
        id: ids.operation(),
        kind: "apply".to_owned(),
        subject: "lab".to_owned(),
        actor: "tester".to_owned(),
        summary: "apply lab".to_owned(),
        payload: Envelope::new("plan", 1, json!({})),
        idempotency_key: None,
        exclusive: false,
        jobs: (0..jobs).map(|job| JobSpec::new(ids.job(), format!("job {job}"), payload())).collect(),
    }
}

pub(super) fn known() -> KnownKinds {
    KnownKinds::from([("toy".to_owned(), 1..=1)])
}

pub(super) async fn register(journal: &dyn Journal, ids: &Ids, ttl: Duration) -> OwnerId {
    let owner = ids.owner();
    let request = RegisterRequest { lease_until: now() + ttl, known: known(), takeover_grace: Duration::ZERO };
    journal.register(owner, request, now()).await.unwrap();
    owner
}

pub(super) fn claim_request(owner: OwnerId, limit: usize) -> ClaimRequest {
    ClaimRequest {
        owner,
        limit,
        known: known(),
        deadline_default: Duration::from_secs(3600),
        takeover_grace: Duration::ZERO,
        sites: Default::default(),
        foreign_grace: Duration::ZERO,
    }
}

/// Submits from `tasks` tasks until `stop` is raised; every answer is noted.
pub(super) async fn submit_until(journal: Arc<dyn Journal>, tasks: usize, oracle: Arc<Oracle>, stop: Arc<AtomicBool>) {
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..tasks {
        let (journal, oracle, stop, ids) = (Arc::clone(&journal), Arc::clone(&oracle), Arc::clone(&stop), ids());
        all.spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                let spec = operation(&ids, 1);
                let id = spec.id;
                match journal.submit(spec, now()).await {
                    Ok(_) => oracle.kept.lock().unwrap().insert(id),
                    Err(error) => {
                        assert!(error.is_unavailable(), "{error:?}");
                        oracle.refused.lock().unwrap().insert(id)
                    }
                };
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
    }
    while let Some(done) = all.join_next().await {
        done.unwrap();
    }
}

impl Oracle {
    /// Everything acknowledged is there; nothing refused is. Answers how many were acknowledged and refused.
    pub(super) async fn check(&self, journal: &dyn Journal) -> (usize, usize) {
        let (kept, refused) = (self.kept.lock().unwrap().clone(), self.refused.lock().unwrap().clone());
        for id in &kept {
            assert!(journal.operation(*id).await.unwrap().is_some(), "operation {id} was acknowledged and is lost");
        }
        for id in &refused {
            assert!(journal.operation(*id).await.unwrap().is_none(), "operation {id} was refused and is there");
        }
        (kept.len(), refused.len())
    }
}

/// Finishes every ready job; answers how many.
pub(super) async fn finish_all(journal: &dyn Journal, owner: OwnerId) -> usize {
    let mut done = 0;
    loop {
        let jobs = journal.claim(claim_request(owner, 100), now()).await.unwrap().jobs;
        if jobs.is_empty() {
            return done;
        }
        for claimed in jobs {
            journal.finish(claimed.holder, Finish::Done, now()).await.unwrap();
            done += 1;
        }
    }
}
