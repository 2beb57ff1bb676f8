//! Writes down what finished operations have made of stacks. Doing it twice, or on two servers at once, is as good as once.

use rl_engine::{Event, OperationId, OperationState};
use rl_store::StackState;

use crate::error::CommandError;
use crate::work::data::{Data, store_error};
use crate::work::operate;
use crate::work::runner::journal_error;

/// Whether an event tells that all of an operation was carried out.
pub(super) fn ends_operation(event: &Event) -> bool {
    event.kind == "operation.state" && event.body["state"] == OperationState::Done.as_str()
}

/// Books one operation, when it is done and was about a stack.
pub(super) async fn book(data: &Data, id: OperationId) -> Result<(), CommandError> {
    match data.journal().operation(id).await.map_err(journal_error)? {
        Some(record) => operate::book(data, &record).await,
        None => Ok(()),
    }
}

/// Books what ended while nobody followed.
pub(super) async fn catch_up(data: &Data) -> Result<(), CommandError> {
    for stack in data.store.stacks().await.map_err(store_error)? {
        if stack.state != StackState::Changing {
            continue;
        }
        if let Some(revision) = data.store.revision(&stack.name, stack.revision).await.map_err(store_error)? {
            book(data, revision.operation).await?;
        }
    }
    Ok(())
}
