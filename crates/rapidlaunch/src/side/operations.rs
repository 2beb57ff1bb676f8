//! Operations: listed, shown, followed, cancelled, tried again.

use std::collections::BTreeMap;

use rl_engine::{JournalError, OperationId, OperationQuery, OperationState, PAGE_MAX};
use rl_model::{Site, SiteName, StackName};
use serde_json::json;

use super::Side;
use crate::env;
use crate::error::CommandError;
use crate::out::Out;
use crate::remote::{self, Remote};
use crate::shape::operation::{JobShape, OperationShape, OperationWhole};
use crate::work::data::{OPERATIONS_SEARCHED_MAX, one_of, unknown_operation};
use crate::work::operate::{self, Ending};
use crate::work::runner::{self, journal_error};
use crate::work::trouble::{self, Trouble};

/// What became of a wish to cancel.
pub(crate) enum Cancelled {
    /// It was carried out, and the operation ended so.
    Ended(Ending),
    /// Another process runs the operation; it was asked.
    Asked,
}

impl Side {
    /// Operations, newest first.
    pub(crate) async fn operations(
        &self,
        stack: Option<&StackName>,
        unfinished: bool,
    ) -> Result<Vec<OperationShape>, CommandError> {
        let states: &[OperationState] =
            if unfinished { &[OperationState::Running, OperationState::Blocked] } else { &[] };
        match self {
            Self::Here(data) => {
                let subject = stack.map(ToString::to_string);
                let query = OperationQuery { subject, states: states.to_vec(), before: None, limit: PAGE_MAX };
                let found = data.journal().operations(query).await.map_err(journal_error)?;
                Ok(found.iter().map(OperationShape::of).collect())
            }
            Self::There(remote) => {
                let stack = stack.map(|stack| format!("stack={stack}&")).unwrap_or_default();
                let mut all: Vec<OperationShape> = Vec::new();
                for state in states {
                    all.extend(
                        remote.list(&format!("/v1/operations?{stack}state={}", state.as_str()), PAGE_MAX).await?,
                    );
                }
                if states.is_empty() {
                    all = remote.list(format!("/v1/operations?{stack}").trim_end_matches(['&', '?']), PAGE_MAX).await?;
                }
                // Ids grow with time.
                all.sort_by(|a, b| b.id.cmp(&a.id));
                all.truncate(PAGE_MAX);
                Ok(all)
            }
        }
    }

    /// An operation by its id, by the end of its id, or the newest for `last`.
    pub(crate) async fn operation(&self, name: &str) -> Result<OperationShape, CommandError> {
        match self {
            Self::Here(data) => Ok(OperationShape::of(&data.operation(name).await?)),
            Self::There(remote) => named(remote, name).await,
        }
    }

    /// The same by its whole id.
    pub(crate) async fn operation_of(&self, id: OperationId) -> Result<OperationShape, CommandError> {
        self.operation(&id.to_string()).await
    }

    /// An operation with its jobs and steps.
    pub(crate) async fn whole(&self, name: &str) -> Result<OperationWhole, CommandError> {
        match self {
            Self::Here(data) => {
                let record = data.operation(name).await?;
                let jobs = runner::jobs_with_steps(&*data.journal(), record.info.id).await?;
                let jobs = jobs.iter().map(|(job, steps)| JobShape::of(job, steps)).collect();
                Ok(OperationWhole { operation: OperationShape::of(&record), jobs })
            }
            Self::There(remote) => {
                let id = named(remote, name).await?.id;
                Ok(remote.get(&format!("/v1/operations/{id}")).await?)
            }
        }
    }

    /// Goes on with an operation, or follows whoever does, to its end. Sites that are given go before stored ones.
    pub(crate) async fn go_on(
        &self,
        id: OperationId,
        given: &BTreeMap<SiteName, Site>,
        out: &Out,
    ) -> Result<Ending, CommandError> {
        match self {
            Self::Here(data) => operate::resume(data, given, id, out).await,
            Self::There(remote) => Ok(Ending::settled(remote::follow(remote, id, out).await?)),
        }
    }

    /// Cancels an operation and waits until nothing of it runs any more.
    pub(crate) async fn cancel(
        &self,
        id: OperationId,
        given: &BTreeMap<SiteName, Site>,
        out: &Out,
    ) -> Result<Cancelled, CommandError> {
        match self {
            Self::Here(data) => {
                if let Some(file) = data.cancel_file(id).filter(|_| data.is_looking()) {
                    // Another process runs it; it looks for this file and obeys.
                    std::fs::write(&file, b"")
                        .map_err(|error| CommandError::failed("the wish to cancel cannot be left").because(error))?;
                    return Ok(Cancelled::Asked);
                }
                Ok(Cancelled::Ended(operate::cancel_and_wait(data, given, id, out).await?))
            }
            Self::There(remote) => {
                let _: OperationShape = remote.post(&format!("/v1/operations/{id}/cancel"), &json!({})).await?;
                Ok(Cancelled::Ended(self.go_on(id, given, out).await?))
            }
        }
    }

    /// Gives the jobs of an operation that wait for a person another try; `false` where there is none.
    pub(crate) async fn retry(&self, id: OperationId) -> Result<bool, CommandError> {
        match self {
            Self::Here(data) => match data.journal().retry(id, env::actor(), runner::now()).await {
                Err(JournalError::WrongState { .. }) | Ok(0) => Ok(false),
                retried => retried.map(|_| true).map_err(journal_error),
            },
            Self::There(remote) => {
                let retried: Result<OperationShape, _> =
                    remote.post(&format!("/v1/operations/{id}/retry"), &json!({})).await;
                match retried {
                    Err(error) if error.code() == Some("RL0507") => Ok(false),
                    retried => Ok(retried.map(|_| true)?),
                }
            }
        }
    }

    /// The unfinished operation of a stack, if there is one.
    pub(crate) async fn unfinished(&self, stack: &StackName) -> Result<Option<OperationId>, CommandError> {
        match self {
            Self::Here(data) => data.unfinished(stack).await,
            Self::There(_) => {
                let open = self.operations(Some(stack), true).await?;
                open.last().map(|operation| operation.parsed_id()).transpose()
            }
        }
    }

    /// The jobs of an operation that did not end well.
    pub(crate) async fn troubles(&self, id: OperationId) -> Result<Vec<Trouble>, CommandError> {
        match self {
            Self::Here(data) => trouble::of(data, id).await,
            Self::There(_) => Ok(trouble::among(self.whole(&id.to_string()).await?.jobs)),
        }
    }
}

async fn named(remote: &Remote, name: &str) -> Result<OperationShape, CommandError> {
    if let Ok(id) = name.parse::<OperationId>() {
        return remote.find(&format!("/v1/operations/{id}")).await?.ok_or_else(|| unknown_operation(name));
    }
    let most = if name == "last" { 1 } else { OPERATIONS_SEARCHED_MAX };
    let all: Vec<OperationShape> = remote.list("/v1/operations", most).await?;
    one_of(all, name, |operation| operation.id.clone())
}
