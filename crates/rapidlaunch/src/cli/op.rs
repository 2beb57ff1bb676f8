//! `rapidlaunch op …`

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use rl_engine::OperationState;
use rl_model::StackName;

use crate::cli::apply::said;
use crate::cli::args::Global;
use crate::error::{CommandError, ErrorKind};
use crate::out::Out;
use crate::render;
use crate::render::style::Style;
use crate::shape::operation::OperationShape;
use crate::side::{Cancelled, Side};
use crate::work::operate::Ending;
use crate::work::runner;

/// `op …`
#[derive(Debug, Subcommand)]
pub(crate) enum OpCommand {
    /// List operations, newest first
    Ls {
        /// Only those of this stack
        #[arg(long, value_name = "STACK")]
        stack: Option<StackName>,
        /// Only unfinished ones
        #[arg(long)]
        unfinished: bool,
    },
    /// Show an operation with its jobs and steps
    Show(OpRef),
    /// Follow an operation to its end; goes on with it when nobody runs it
    Watch(OpRef),
    /// Stop an operation; what its running jobs did is undone
    Cancel(OpRef),
    /// Try the failed, blocked or stuck jobs of an operation again
    Retry(OpRef),
}

/// An operation.
#[derive(Debug, Clone, Args)]
pub(crate) struct OpRef {
    /// Id of the operation, or `last`
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

/// Lists, shows, follows, cancels and retries operations.
pub(crate) async fn run(global: &Global, command: &OpCommand, out: &Out) -> Result<(), CommandError> {
    match command {
        OpCommand::Ls { stack, unfinished } => list(global, stack.as_ref(), *unfinished, out).await,
        OpCommand::Show(op) => show(global, op, out).await,
        OpCommand::Watch(op) => watch(global, op, out).await,
        OpCommand::Cancel(op) => cancel(global, op, out).await,
        OpCommand::Retry(op) => retry(global, op, out).await,
    }
}

async fn list(global: &Global, stack: Option<&StackName>, unfinished: bool, out: &Out) -> Result<(), CommandError> {
    let operations = Side::look(global, out).await?.operations(stack, unfinished).await?;
    if out.json() {
        out.print_json(&serde_json::json!({ "operations": operations }));
    } else {
        out.print(&render::operation::list(&operations, runner::now()));
    }
    Ok(())
}

async fn show(global: &Global, op: &OpRef, out: &Out) -> Result<(), CommandError> {
    let whole = Side::look(global, out).await?.whole(&op.id).await?;
    if out.json() {
        out.print_json(&whole);
    } else {
        out.print(&render::operation::show(&whole, Style::new(out.colour)));
    }
    Ok(())
}

async fn watch(global: &Global, op: &OpRef, out: &Out) -> Result<(), CommandError> {
    let side = Side::open(global, out).await?;
    let operation = side.operation(&op.id).await?;
    if !operation.is_open() {
        out.say(&format!("Operation {} is {}.", operation.id, operation.state));
        return Ok(());
    }
    go_on(&side, &operation, out).await
}

async fn go_on(side: &Side, operation: &OperationShape, out: &Out) -> Result<(), CommandError> {
    let id = operation.parsed_id()?;
    let ending = side.go_on(id, &BTreeMap::new(), out).await?;
    if out.json() {
        out.print_json(&side.operation_of(id).await?);
    }
    match said(side, &ending, id, out) {
        Some(kind) => Err(CommandError::said(kind)),
        None => {
            out.say(&format!("Operation {id} is done."));
            Ok(())
        }
    }
}

async fn cancel(global: &Global, op: &OpRef, out: &Out) -> Result<(), CommandError> {
    let side = Side::open_or_look(global, out).await?;
    let operation = side.operation(&op.id).await?;
    let id = operation.parsed_id()?;
    if !operation.is_open() {
        return Err(CommandError::input(format!("operation {id} is {} already", operation.state)));
    }
    let ending = match side.cancel(id, &BTreeMap::new(), out).await? {
        Cancelled::Ended(ending) => ending,
        Cancelled::Asked => {
            out.say(&format!("Asked the process that runs operation {id} to cancel it."));
            return Ok(());
        }
    };
    if out.json() {
        out.print_json(&side.operation_of(id).await?);
    }
    match ending {
        Ending::Cancelled | Ending::Done => {
            out.say(&format!("Operation {id} is {}.", ending.state().map_or("open", OperationState::as_str)));
            Ok(())
        }
        other => Err(CommandError::said(said(&side, &other, id, out).unwrap_or(ErrorKind::Failed))),
    }
}

async fn retry(global: &Global, op: &OpRef, out: &Out) -> Result<(), CommandError> {
    let side = Side::open(global, out).await?;
    let operation = side.operation(&op.id).await?;
    if side.retry(operation.parsed_id()?).await? {
        return go_on(&side, &operation, out).await;
    }
    let OperationShape { id, state, .. } = operation;
    Err(CommandError::input(format!("operation {id} has no job to try again: it is {state}"))
        .hinted("what failed and was undone is planned again by `apply`"))
}
