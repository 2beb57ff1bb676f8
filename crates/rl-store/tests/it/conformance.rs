//! The journal in SQLite does what every journal must do.
use std::sync::Arc;

use rl_engine::{SystemClock, conformance};
use rl_store::Store;

/// An empty journal, and the directory it is in.
async fn made() -> conformance::Made {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Arc::new(SystemClock::new())).await.unwrap();
    (store.journal(), Box::new((store, dir)))
}

#[tokio::test]
async fn sqlite_journal_conforms() {
    conformance::run(&|| Box::pin(made())).await;
}
