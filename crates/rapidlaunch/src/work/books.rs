//! Writes down what finished operations have made of stacks. Doing it twice, or on two servers at once, is as good as once.

use rl_engine::{Event, OperationId, OperationRecord, OperationState};

use crate::error::CommandError;
use crate::work::data::{Data, store_error};
use crate::work::operate;
use crate::work::runner::journal_error;

/// Whether an event tells that an operation has ended, one way or the other.
pub(crate) fn ends_operation(event: &Event) -> bool {
    let state = event.body["state"].as_str().and_then(OperationState::parse);
    event.kind == "operation.state" && state.is_some_and(OperationState::is_finished)
}

/// Books one operation, when it is done and was about a stack. Answers the operation, if it is still there.
pub(crate) async fn book(data: &Data, id: OperationId) -> Result<Option<OperationRecord>, CommandError> {
    let record = data.journal().operation(id).await.map_err(journal_error)?;
    if let Some(record) = &record {
        operate::book(data, record).await?;
    }
    Ok(record)
}

/// Books what ended while nobody followed: whoever carried it out may have been killed between its end and this.
pub(crate) async fn catch_up(data: &Data) -> Result<(), CommandError> {
    for operation in data.store.changing().await.map_err(store_error)? {
        book(data, operation).await?;
    }
    Ok(())
}
