//! What a server keeps beside its stacks: the audit, kept answers, plans, rules, quotas and looks, on either database.
mod audit;
mod deeds;
mod looks;
mod plans;
mod quotas;
mod sites;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use rl_engine::{Clock, Ids, OperationSpec, SimClock, UnixMs};
use rl_model::ResolvedGuest;
use rl_store::{Conflict, Deed, KeptAnswer, NewAudit, StackStart, Started, Store, StoreError};

use crate::home::Home;
use crate::samples::{operation, start};

const START: u64 = 1_700_000_000_000;

struct Bench {
    store: Store,
    clock: SimClock,
    ids: Ids,
    home: Home,
}

impl Bench {
    async fn new(home: Home) -> Self {
        let clock = SimClock::manual(UnixMs(START));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let store = home.open(Arc::clone(&shared)).await.unwrap();
        Self { store, clock, ids: Ids::from_seed(shared, 1), home }
    }

    fn later(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn spec(&self, subject: &str) -> OperationSpec {
        self.clock.advance(Duration::from_millis(1));
        operation(&self.ids, subject, 1)
    }

    /// Starts an operation that makes a stack of these guests.
    async fn make(&self, stack: &str, base: u64, guests: Vec<ResolvedGuest>) -> Result<Started, StoreError> {
        let start = start(&self.store, stack, base, guests);
        self.start(self.spec(stack), start, None).await
    }

    async fn start(&self, spec: OperationSpec, start: StackStart, deed: Option<Deed>) -> Result<Started, StoreError> {
        self.store.start_operation(spec, Some(start), deed).await
    }

    /// Ends whatever is under way, so that the stack can be changed again.
    async fn end_all(&self) {
        let journal = self.store.journal();
        for record in journal.operations(rl_engine::OperationQuery { limit: 100, ..Default::default() }).await.unwrap()
        {
            journal.request_cancel(record.info.id, "tester".to_owned(), self.clock.now()).await.unwrap();
        }
    }
}

fn did(action: &str, path: &str) -> NewAudit {
    NewAudit::local("maria", action, path)
}

/// A deed with an answer under a key.
fn keyed(key: &str, body: &str) -> Deed {
    let answer = KeptAnswer {
        principal: "maria".to_owned(),
        key: key.to_owned(),
        request_digest: format!("digest of {body}"),
        status: 202,
        location: Some("/v1/operations/1".to_owned()),
        body: body.to_owned(),
    };
    Deed { audit: did("stack.apply", "/stacks/shop"), answer: Some(answer) }
}

fn conflict<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Conflict {
    match result {
        Err(StoreError::Conflict(conflict)) => conflict,
        other => panic!("no conflict: {other:?}"),
    }
}
