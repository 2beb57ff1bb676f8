//! The store of an installation: one handle for the journal and everything beside it.
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rl_engine::{Clock, Journal, Lane, UnixMs};
use rl_model::ControllerId;
use tokio::sync::watch;

use crate::commits::CommitHook;
use crate::db::Db;
use crate::error::StoreError;
use crate::mark;
use crate::pg::{Postgres, Target};
use crate::place::Place;
use crate::sql::{Sql, values};
use crate::sqlite::Sqlite;

/// How long a VMID, MAC or address rests after release: longer than neighbours and switches remember one.
pub const QUARANTINE: Duration = Duration::from_secs(15 * 60);

/// An open store. Clones share it; the data directory is let go of when the last one is dropped.
#[derive(Clone)]
pub struct Store {
    db: Db,
    clock: Arc<dyn Clock>,
    controller: ControllerId,
    quarantine: Duration,
    /// Number of the newest audit entry that this process knows of.
    audited: Arc<watch::Sender<u64>>,
}

impl Store {
    /// Opens the store in a data directory, which is created when it is missing and held until the store is dropped. Reads
    /// and writes files, so call it where blocking is allowed.
    pub async fn open(dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Self::at(&Place::Directory(dir.to_owned()), clock).await
    }

    /// Opens the store of a place, whichever it is.
    pub async fn at(place: &Place, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Self::of(Db::open(place).await?, clock).await
    }

    /// Opens the store in a PostgreSQL database, which other servers may use at the same time.
    pub async fn connect(target: &Target, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Self::at(&Place::Database(target.clone()), clock).await
    }

    /// The store over an open connection.
    pub async fn over(postgres: Postgres, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Self::of(Db::Postgres(postgres), clock).await
    }

    async fn of(db: Db, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let made = ControllerId::from_bits(StdRng::from_os_rng().random());
        let controller = db.write_with(Lane::Intake, move |_, db| controller(db, &made)).await?;
        Ok(Self { db, clock, controller, quarantine: QUARANTINE, audited: Arc::default() })
    }

    /// Opens the store of a directory that another process holds, for reading alone: every write is refused, and followers are
    /// not told of changes.
    pub async fn look(dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let db = Db::Sqlite(Sqlite::look(dir)?);
        let made = ControllerId::from_bits(0);
        let controller = db.read_with(move |db| read_controller(db, &made)).await?;
        Ok(Self { db, clock, controller, quarantine: QUARANTINE, audited: Arc::default() })
    }

    /// Whether the store was opened by [`Store::look`].
    pub fn is_looking(&self) -> bool {
        self.db.is_looking()
    }

    /// The same store with another quarantine.
    #[must_use]
    pub fn with_quarantine(mut self, quarantine: Duration) -> Self {
        self.quarantine = quarantine;
        self
    }

    /// The identity of this installation, made when the data directory was.
    pub fn controller(&self) -> ControllerId {
        self.controller.clone()
    }

    /// The journal for an engine.
    pub fn journal(&self) -> Arc<dyn Journal> {
        self.db.journal()
    }

    /// A commit has failed: nothing is acknowledged any more and the process should end.
    pub fn is_poisoned(&self) -> bool {
        self.db.is_poisoned()
    }

    /// Commits since the store was opened: fewer than writes, as concurrent writes share one.
    pub fn commits(&self) -> u64 {
        self.db.commits()
    }

    /// Lets `hook` be told how long each commit took from now on. Only the first one is told.
    pub fn on_commit(&self, hook: CommitHook) {
        if let Some(commits) = self.db.commit_times() {
            commits.tell(hook);
        }
    }

    pub(crate) fn db(&self) -> &Db {
        &self.db
    }

    pub(crate) fn now(&self) -> UnixMs {
        self.clock.now()
    }

    pub(crate) fn audit_signal(&self) -> &watch::Sender<u64> {
        &self.audited
    }

    pub(crate) fn quarantine(&self) -> Duration {
        self.quarantine
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("controller", &self.controller).finish_non_exhaustive()
    }
}

/// Reads the installation's identity, or keeps the one just made.
fn controller(db: &dyn Sql, made: &ControllerId) -> Result<ControllerId, StoreError> {
    let sql = "insert into meta (key, value) values ('controller', ?1) on conflict (key) do nothing";
    db.execute(sql, values![made.as_str()], "storing the installation's identity")?;
    read_controller(db, made)
}

fn read_controller(db: &dyn Sql, made: &ControllerId) -> Result<ControllerId, StoreError> {
    mark::refuse_unfinished(db)?;
    let wrong = |source| StoreError::Undecodable { what: "installation identity".to_owned(), source };
    let sql = "select value from meta where key = 'controller'";
    let rows = db.query(sql, &[], "reading the installation's identity")?;
    match rows.first() {
        Some(row) => row.parsed(0).map_err(|error| wrong(Box::new(error))),
        None => Ok(made.clone()),
    }
}
