//! The data directory: found, opened, and held by one process at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rl_engine::{Journal, OperationId, OperationQuery, OperationRecord, OperationState, SystemClock};
use rl_model::{Site, SiteName, StackName, TlsTrust, TokenSource};
use rl_planner::parse::Known;
use rl_store::{Store, StoreError};

use crate::cli::args::Global;
use crate::env;
use crate::error::CommandError;
use crate::work::runner::journal_error;

/// Operations looked through for one that a person names by the beginning or end of its id.
const OPERATIONS_SEARCHED_MAX: usize = 1_000;

/// An open data directory.
pub(crate) struct Data {
    /// The directory.
    pub(crate) dir: PathBuf,
    /// The store in it.
    pub(crate) store: Store,
}

impl Data {
    /// Opens the data directory for this process alone.
    pub(crate) async fn open(global: &Global) -> Result<Self, CommandError> {
        Self::open_dir(&dir(global)?).await
    }

    /// Opens the data directory, or only looks into it while another process holds it.
    pub(crate) async fn look(global: &Global) -> Result<Self, CommandError> {
        let dir = dir(global)?;
        match Store::open(&dir, Arc::new(SystemClock::new())).await {
            Ok(store) => Ok(Self { dir, store }),
            Err(StoreError::Held { .. }) => {
                let store = Store::look(&dir, Arc::new(SystemClock::new())).await.map_err(store_error)?;
                Ok(Self { dir, store })
            }
            Err(error) => Err(store_error(error)),
        }
    }

    /// Opens a given data directory for this process alone.
    pub(crate) async fn open_dir(dir: &Path) -> Result<Self, CommandError> {
        let store = Store::open(dir, Arc::new(SystemClock::new())).await.map_err(store_error)?;
        Ok(Self { dir: dir.to_owned(), store })
    }

    /// The journal.
    pub(crate) fn journal(&self) -> Arc<dyn Journal> {
        self.store.journal()
    }

    /// The sites known from earlier applies.
    pub(crate) async fn sites(&self) -> Result<Vec<Site>, CommandError> {
        Ok(self.store.sites().await.map_err(store_error)?.into_iter().map(|record| record.site).collect())
    }

    /// The same, as the parser wants them.
    pub(crate) async fn known(&self) -> Result<Known, CommandError> {
        Ok(Known { sites: self.sites().await?.into_iter().map(|site| (site.name.clone(), site)).collect() })
    }

    /// A site known from an earlier apply.
    pub(crate) async fn site(&self, name: &SiteName) -> Result<Option<Site>, CommandError> {
        Ok(self.store.site(name).await.map_err(store_error)?.map(|record| record.site))
    }

    /// The unfinished operation of a stack, if there is one.
    pub(crate) async fn unfinished(&self, stack: &StackName) -> Result<Option<OperationId>, CommandError> {
        Ok(self.journal().unfinished(stack.to_string()).await.map_err(journal_error)?.into_iter().next())
    }

    /// An operation by its id, by the end of its id, or the newest for `last`.
    pub(crate) async fn operation(&self, id: &str) -> Result<OperationRecord, CommandError> {
        let unknown =
            || CommandError::input(format!("there is no operation `{id}`")).hinted("`rapidlaunch op ls` lists them");
        if let Ok(id) = id.parse::<OperationId>() {
            return self.journal().operation(id).await.map_err(journal_error)?.ok_or_else(unknown);
        }
        let limit = if id == "last" { 1 } else { OPERATIONS_SEARCHED_MAX };
        let query = OperationQuery { limit, ..OperationQuery::default() };
        let all = self.journal().operations(query).await.map_err(journal_error)?;
        let wanted = id.to_ascii_lowercase();
        let mut found =
            all.into_iter().filter(|op| id == "last" || op.info.id.to_string().to_ascii_lowercase().ends_with(&wanted));
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (Some(_), Some(_)) => {
                Err(CommandError::input(format!("several operations end with `{id}`")).hinted("give more of the id"))
            }
            (None, _) => Err(unknown()),
        }
    }

    /// Whether another process holds the directory, so that this one only reads.
    pub(crate) fn is_looking(&self) -> bool {
        self.store.is_looking()
    }

    /// Where another process leaves its wish to cancel an operation that this one runs.
    pub(crate) fn cancel_file(&self, id: OperationId) -> PathBuf {
        self.dir.join(format!("cancel-{id}"))
    }

    /// Whether an operation is still to be settled.
    pub(crate) fn is_open(record: &OperationRecord) -> bool {
        matches!(record.status.state, OperationState::Running | OperationState::Blocked)
    }
}

/// The data directory by option, variable or default.
pub(crate) fn dir(global: &Global) -> Result<PathBuf, CommandError> {
    let dir = global.data.clone().filter(|dir| !dir.as_os_str().is_empty()).or_else(env::state_dir);
    dir.ok_or_else(|| {
        CommandError::input("there is no place for the data directory: neither HOME nor XDG_STATE_HOME is set")
            .hinted("name one with --data DIR")
    })
}

/// A site with absolute paths, so that it can be used from any directory later.
pub(crate) fn absolute(mut site: Site) -> Site {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if let TokenSource::File(path) = &site.token {
        site.token = TokenSource::File(absolute(path));
    }
    if let TlsTrust::CaFile(path) = &site.tls {
        site.tls = TlsTrust::CaFile(absolute(path));
    }
    site
}

/// The command's error for a store that did not do what was asked.
pub(crate) fn store_error(error: StoreError) -> CommandError {
    match error {
        StoreError::Held { .. } => CommandError::failed(error.to_string()),
        StoreError::Conflict(conflict) => CommandError::blocked(conflict.to_string()),
        StoreError::NoFreeVmid { .. } => CommandError::blocked(error.to_string()),
        StoreError::Directory { dir, doing, source } => {
            CommandError::failed(format!("the data directory {} cannot be used: {doing} failed", dir.display()))
                .because(source)
                .hinted("name another directory with --data DIR, or make this one writable for you")
        }
        other => CommandError::failed("the store failed").because(other),
    }
}
