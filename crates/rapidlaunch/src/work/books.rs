//! Writes down what finished operations have made of stacks. Doing it twice, or on two servers at once, is as good as once.

use rl_engine::{Event, OperationId, OperationState};

use crate::error::CommandError;
use crate::work::data::{Data, store_error};
use crate::work::operate;
use crate::work::runner::journal_error;

/// Whether an event tells that all of an operation was carried out.
pub(crate) fn ends_operation(event: &Event) -> bool {
    event.kind == "operation.state" && event.body["state"] == OperationState::Done.as_str()
}

/// Books one operation, when it is done and was about a stack.
pub(crate) async fn book(data: &Data, id: OperationId) -> Result<(), CommandError> {
    match data.journal().operation(id).await.map_err(journal_error)? {
        Some(record) => operate::book(data, &record).await,
        None => Ok(()),
    }
}

/// Books what ended while nobody followed: whoever carried it out may have been killed between its end and this.
pub(crate) async fn catch_up(data: &Data) -> Result<(), CommandError> {
    for operation in data.store.changing().await.map_err(store_error)? {
        book(data, operation).await?;
    }
    Ok(())
}
