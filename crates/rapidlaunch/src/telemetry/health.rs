//! Whether the server can do its work, one check at a time.

use std::time::Duration;

use rl_engine::OperationQuery;
use serde::Serialize;
use utoipa::ToSchema;

use super::Telemetry;

/// How long the store may take to answer: longer, and whoever asks would better ask another server.
const STORE_LIMIT: Duration = Duration::from_secs(2);

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Check {
    /// What was looked at: `store`, `engine`, `sites`.
    pub(crate) name: &'static str,
    /// Whether it is as it must be.
    pub(crate) ok: bool,
    /// What was found.
    pub(crate) found: String,
}

/// Whether the server is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Health {
    /// Every check is as it must be.
    pub(crate) ready: bool,
    /// The checks.
    pub(crate) checks: Vec<Check>,
}

impl Telemetry {
    /// Looks whether the store answers, the engine has taken up its work, and the sites were read.
    pub(crate) async fn health(&self) -> Health {
        let Some(parts) = self.parts.get() else {
            let check = Check { name: "engine", ok: false, found: "the server is being started".to_owned() };
            return Health { ready: false, checks: vec![check] };
        };
        let registered = parts.engine.is_registered();
        let engine = if registered { "work is taken" } else { "earlier runs are being taken up" };
        let sites = parts.sites.names().len();
        let checks = vec![
            self.store().await,
            Check { name: "engine", ok: registered, found: engine.to_owned() },
            // The server does not begin before it has read them once.
            Check { name: "sites", ok: true, found: format!("{sites} known") },
        ];
        Health { ready: checks.iter().all(|check| check.ok), checks }
    }

    async fn store(&self) -> Check {
        let check = |ok, found: String| Check { name: "store", ok, found };
        let Some(parts) = self.parts.get() else { return check(false, "it is being opened".to_owned()) };
        if parts.data.store.is_poisoned() {
            return check(false, "a commit failed; nothing is acknowledged any more".to_owned());
        }
        let journal = parts.data.journal();
        let read = journal.operations(OperationQuery { limit: 1, ..OperationQuery::default() });
        match tokio::time::timeout(STORE_LIMIT, read).await {
            Ok(Ok(_)) => check(true, "it answers".to_owned()),
            Ok(Err(error)) => check(false, error.to_string()),
            Err(_) => check(false, format!("no answer within {} s", STORE_LIMIT.as_secs())),
        }
    }
}
