//! The journal in PostgreSQL does what every journal must do, through one handle and through two that take turns.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rl_engine::{Backend, Hint, Journal, Lane, RowResult, Rows, Signal, Tx, conformance};
use rl_store::Postgres;
use tokio::sync::watch;

use super::lab::Lab;

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_journal_conforms() {
    let lab = Lab::start();
    conformance::run_with_clock(&|clock| {
        let lab = &lab;
        Box::pin(async move {
            let store = Postgres::open_with_clock(&lab.database(), Arc::new(clock)).unwrap();
            (Arc::new(store) as Arc<dyn Journal>, Box::new(()) as _)
        })
    })
    .await;
}

/// Two servers of one database: every write goes to the other one than the last.
struct Turns {
    servers: [Postgres; 2],
    next: AtomicUsize,
}

impl Turns {
    fn take(&self) -> &Postgres {
        &self.servers[self.next.fetch_add(1, Ordering::SeqCst) % 2]
    }
}

impl Backend for Turns {
    fn exclusive(&self) -> bool {
        false
    }

    async fn write<T: Send + 'static>(
        &self,
        lane: Lane,
        work: impl FnOnce(&mut Tx<'_>) -> RowResult<T> + Send + 'static,
    ) -> RowResult<T> {
        self.take().write(lane, work).await
    }

    async fn write_hinted<T: Send + 'static>(
        &self,
        lane: Lane,
        hint: Hint,
        work: impl FnOnce(&mut Tx<'_>) -> RowResult<T> + Send + 'static,
    ) -> RowResult<T> {
        self.take().write_hinted(lane, hint, work).await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Rows) -> RowResult<T> + Send + 'static,
    ) -> RowResult<T> {
        self.take().read(work).await
    }

    fn signals(&self) -> watch::Receiver<Signal> {
        self.servers[0].signals()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_that_take_turns_conform() {
    let lab = Lab::start();
    conformance::run_across_servers(&|clock| {
        let lab = &lab;
        Box::pin(async move {
            let target = lab.database();
            let server = || Postgres::open_with_clock(&target, Arc::new(clock.clone())).unwrap();
            let turns = Turns { servers: [server(), server()], next: AtomicUsize::new(0) };
            (Arc::new(turns) as Arc<dyn Journal>, Box::new(()) as _)
        })
    })
    .await;
}
