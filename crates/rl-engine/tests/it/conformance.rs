//! The journal in memory does what every journal must do, held by one engine or shared by several.
use std::sync::Arc;

use rl_engine::{Journal, MemoryJournal, conformance};

#[tokio::test]
async fn memory_journal_conforms() {
    conformance::run(&|| Box::pin(async { (Arc::new(MemoryJournal::new()) as Arc<dyn Journal>, Box::new(()) as _) }))
        .await;
}

#[tokio::test]
async fn shared_memory_journal_conforms() {
    conformance::run(&|| {
        Box::pin(async { (Arc::new(MemoryJournal::shared()) as Arc<dyn Journal>, Box::new(()) as _) })
    })
    .await;
}

#[tokio::test]
async fn shared_journal_with_a_clock_conforms_whatever_the_callers_clocks_show() {
    conformance::run_with_clock(&|clock| {
        Box::pin(async {
            (Arc::new(MemoryJournal::shared_with_clock(Arc::new(clock))) as Arc<dyn Journal>, Box::new(()) as _)
        })
    })
    .await;
}
