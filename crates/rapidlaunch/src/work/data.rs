//! The store a command works on, opened: a data directory is held by one process at a time, a database is shared.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rl_engine::{Journal, OperationId, OperationQuery, OperationRecord, SystemClock};
use rl_model::dns::DnsServer;
use rl_model::{Provider, Site, SiteName, StackName, TlsTrust, TokenSource};
use rl_planner::parse::Known;
use rl_store::{Place, Store, StoreError};
use tokio::sync::OnceCell;

use crate::cli::args::Global;
use crate::error::CommandError;
use crate::work::agents::{self, Way};
use crate::work::answering::{self, Answering};
use crate::work::books;
use crate::work::dns_door;
use crate::work::place;
use crate::work::runner::journal_error;

/// Operations looked through for one that a person names by the beginning or end of its id.
pub(crate) const OPERATIONS_SEARCHED_MAX: usize = 1_000;

/// Name of the file in a data directory that holds the key of its secrets.
const IDENTITY: &str = "secrets.key";

/// How long a command waits for a data directory that another process holds: one that only looks lets go of it in a moment.
const HELD_PATIENCE: Duration = Duration::from_secs(1);
/// Pause between its tries.
const HELD_PAUSE: Duration = Duration::from_millis(50);

/// An open data directory.
pub(crate) struct Data {
    /// The directory, where it is one.
    pub(crate) dir: Option<PathBuf>,
    /// The store in it.
    pub(crate) store: Store,
    /// The file with the key of its secrets, where there is a place for one.
    pub(crate) identity: Option<PathBuf>,
    /// Where the agents of nodes may connect, where the command was told.
    pub(crate) agents: Option<std::net::SocketAddr>,
    /// The way to them, once it was opened.
    way: OnceCell<Way>,
    /// The DNS server of this process, where the command was told to answer.
    answering: Option<Answering>,
}

impl Data {
    /// Opens the store: a data directory for this process alone, a database beside whoever else uses it.
    pub(crate) async fn open(global: &Global) -> Result<Self, CommandError> {
        let place = place::of(global)?;
        let began = Instant::now();
        let store = loop {
            match Store::at(&place, Arc::new(SystemClock::new())).await {
                Err(StoreError::Held { .. }) if began.elapsed() < HELD_PATIENCE => {
                    tokio::time::sleep(HELD_PAUSE).await;
                }
                opened => break opened.map_err(store_error)?,
            }
        };
        Self::over(global, &place, store).await
    }

    /// Opens the store, unless another process holds the data directory.
    pub(crate) async fn open_if_free(global: &Global) -> Result<Option<Self>, CommandError> {
        let place = place::of(global)?;
        match Store::at(&place, Arc::new(SystemClock::new())).await {
            Err(StoreError::Held { .. }) => Ok(None),
            opened => Self::over(global, &place, opened.map_err(store_error)?).await.map(Some),
        }
    }

    /// Opens the store, or only looks into the data directory while another process holds it.
    pub(crate) async fn look(global: &Global) -> Result<Self, CommandError> {
        let place = place::of(global)?;
        let opened = match Store::at(&place, Arc::new(SystemClock::new())).await {
            Err(StoreError::Held { dir, .. }) => Store::look(&dir, Arc::new(SystemClock::new())).await,
            opened => opened,
        };
        Self::over(global, &place, opened.map_err(store_error)?).await
    }

    async fn over(global: &Global, place: &Place, store: Store) -> Result<Self, CommandError> {
        let dir = directory(place);
        let identity = global.identity.clone().or_else(|| dir.as_ref().map(|dir| dir.join(IDENTITY)));
        let agents = global.agents;
        let mut data = Self { dir, store, identity, agents, way: OnceCell::new(), answering: None };
        if !data.is_looking()
            && let Err(error) = books::catch_up(&data).await
        {
            // What a stack has become is told late then, but everything else can be done.
            tracing::warn!(error = error.text(false), "what operations have made of stacks could not be written down");
        }
        if let Some(address) = global.dns.filter(|_| data.own_server().is_none()) {
            data.answering = Some(answering::start(data.beside(), address).await?);
        }
        Ok(data)
    }

    /// The same store for somebody who works beside the command.
    fn beside(&self) -> Self {
        let (dir, store, identity) = (self.dir.clone(), self.store.clone(), self.identity.clone());
        Self { dir, store, identity, agents: None, way: OnceCell::new(), answering: None }
    }

    /// The DNS server of this process, if it answers.
    pub(crate) fn answering(&self) -> Option<&Answering> {
        self.answering.as_ref()
    }

    /// The built-in DNS server of the installation that is known here: this process's, or the one that runs on the data directory.
    pub(crate) fn own_server(&self) -> Option<DnsServer> {
        let ours = self.answering().map(Answering::server);
        ours.or_else(|| dns_door::look(self.dir.as_ref()?))
    }

    /// The way to the agents of nodes, opened by whoever asks first and open until the command ends.
    pub(crate) async fn way(&self) -> Result<&Way, CommandError> {
        self.way.get_or_try_init(|| agents::way(self)).await
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
        if let Ok(parsed) = id.parse::<OperationId>() {
            let found = self.journal().operation(parsed).await.map_err(journal_error)?;
            return found.ok_or_else(|| unknown_operation(id));
        }
        let limit = if id == "last" { 1 } else { OPERATIONS_SEARCHED_MAX };
        let query = OperationQuery { limit, ..OperationQuery::default() };
        let all = self.journal().operations(query).await.map_err(journal_error)?;
        one_of(all, id, |record| record.info.id.to_string())
    }

    /// Whether another process holds the directory, so that this one only reads.
    pub(crate) fn is_looking(&self) -> bool {
        self.store.is_looking()
    }

    /// Whether other processes may work on the store at the same time.
    pub(crate) fn is_shared(&self) -> bool {
        self.dir.is_none()
    }

    /// Where another process leaves its wish to cancel an operation that this one runs. A database takes the wish itself.
    pub(crate) fn cancel_file(&self, id: OperationId) -> Option<PathBuf> {
        self.dir.as_ref().map(|dir| dir.join(format!("cancel-{id}")))
    }
}

/// The error for an operation that is not there.
pub(crate) fn unknown_operation(name: &str) -> CommandError {
    CommandError::input(format!("there is no operation `{name}`")).hinted("`rapidlaunch op ls` lists them")
}

/// The operation of a list, newest first, whose id ends with a text, or the newest for `last`.
pub(crate) fn one_of<T>(all: Vec<T>, name: &str, id: impl Fn(&T) -> String) -> Result<T, CommandError> {
    let wanted = name.to_ascii_lowercase();
    let mut found = all.into_iter().filter(|one| name == "last" || id(one).to_ascii_lowercase().ends_with(&wanted));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => {
            Err(CommandError::input(format!("several operations end with `{name}`")).hinted("give more of the id"))
        }
        (None, _) => Err(unknown_operation(name)),
    }
}

/// The directory of a place, where it is one.
fn directory(place: &Place) -> Option<PathBuf> {
    match place {
        Place::Directory(dir) => Some(dir.clone()),
        Place::Database(_) => None,
    }
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
    site.providers.values_mut().flat_map(Provider::paths_mut).for_each(|path| *path = absolute(path));
    let zones = site.zones.values_mut().flat_map(rl_model::dns::Zone::credentials_mut);
    for source in zones.chain(site.providers.values_mut().map(Provider::credential_mut)) {
        if let TokenSource::File(path) = &*source {
            *source = TokenSource::File(absolute(path));
        }
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
        StoreError::NoStore { .. } | StoreError::UnfinishedCopy { .. } => CommandError::failed(error.to_string()),
        other => CommandError::failed("the store failed").because(other),
    }
}
