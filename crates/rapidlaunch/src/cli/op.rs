//! `rapidlaunch op …`

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use rl_engine::{JournalError, OperationQuery, OperationRecord, OperationState, PAGE_MAX};
use rl_model::StackName;

use crate::cli::apply::said;
use crate::cli::args::Global;
use crate::env;
use crate::error::{CommandError, ErrorKind};
use crate::out::Out;
use crate::render;
use crate::render::style::Style;
use crate::shape::operation::{JobShape, OperationShape, OperationWhole};
use crate::work::data::Data;
use crate::work::operate;
use crate::work::runner::{self, journal_error};

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
        OpCommand::Ls { stack, unfinished } => {
            list(global, stack.as_ref().map(ToString::to_string), *unfinished, out).await
        }
        OpCommand::Show(op) => show(global, op, out).await,
        OpCommand::Watch(op) => watch(global, op, out).await,
        OpCommand::Cancel(op) => cancel(global, op, out).await,
        OpCommand::Retry(op) => retry(global, op, out).await,
    }
}

async fn list(global: &Global, subject: Option<String>, unfinished: bool, out: &Out) -> Result<(), CommandError> {
    let data = Data::look(global).await?;
    let states = if unfinished { vec![OperationState::Running, OperationState::Blocked] } else { Vec::new() };
    let query = OperationQuery { subject, states, before: None, limit: PAGE_MAX };
    let operations = data.journal().operations(query).await.map_err(journal_error)?;
    if out.json() {
        let rows: Vec<OperationShape> = operations.iter().map(OperationShape::of).collect();
        out.print_json(&serde_json::json!({ "operations": rows }));
    } else {
        out.print(&render::operation::list(&operations, runner::now()));
    }
    Ok(())
}

async fn show(global: &Global, op: &OpRef, out: &Out) -> Result<(), CommandError> {
    let data = Data::look(global).await?;
    let record = data.operation(&op.id).await?;
    let jobs = runner::jobs_with_steps(&*data.journal(), record.info.id).await?;
    if out.json() {
        let jobs = jobs.iter().map(|(job, steps)| JobShape::of(job, steps)).collect();
        let value = OperationWhole { operation: OperationShape::of(&record), jobs };
        out.print_json(&value);
    } else {
        out.print(&render::operation::show(&record, &jobs, Style::new(out.colour)));
    }
    Ok(())
}

async fn watch(global: &Global, op: &OpRef, out: &Out) -> Result<(), CommandError> {
    let data = Data::open(global).await?;
    let record = data.operation(&op.id).await?;
    if !Data::is_open(&record) {
        out.say(&format!("Operation {} is {}.", record.info.id, record.status.state.as_str()));
        return Ok(());
    }
    go_on(&data, &record, out).await
}

async fn go_on(data: &Data, record: &OperationRecord, out: &Out) -> Result<(), CommandError> {
    let id = record.info.id;
    let ending = operate::resume(data, &BTreeMap::new(), id, out).await?;
    if out.json() {
        let record = data.operation(&id.to_string()).await?;
        out.print_json(&OperationShape::of(&record));
    }
    match said(&ending, id, out) {
        Some(kind) => Err(CommandError::said(kind)),
        None => {
            out.say(&format!("Operation {id} is done."));
            Ok(())
        }
    }
}

async fn cancel(global: &Global, op: &OpRef, out: &Out) -> Result<(), CommandError> {
    let data = Data::look(global).await?;
    let record = data.operation(&op.id).await?;
    let id = record.info.id;
    if !Data::is_open(&record) {
        return Err(CommandError::input(format!("operation {id} is {} already", record.status.state.as_str())));
    }
    if let Some(file) = data.cancel_file(id).filter(|_| data.is_looking()) {
        // Another process runs it; it looks for this file and obeys.
        std::fs::write(&file, b"")
            .map_err(|error| CommandError::failed("the wish to cancel cannot be left").because(error))?;
        out.say(&format!("Asked the process that runs operation {id} to cancel it."));
        return Ok(());
    }
    let ending = operate::cancel_and_wait(&data, &BTreeMap::new(), id, out).await?;
    if out.json() {
        out.print_json(&OperationShape::of(&data.operation(&id.to_string()).await?));
    }
    match ending {
        operate::Ending::Cancelled | operate::Ending::Done => {
            out.say(&format!("Operation {id} is {}.", ending.state().map_or("open", OperationState::as_str)));
            Ok(())
        }
        other => Err(CommandError::said(said(&other, id, out).unwrap_or(ErrorKind::Failed))),
    }
}

async fn retry(global: &Global, op: &OpRef, out: &Out) -> Result<(), CommandError> {
    let data = Data::open(global).await?;
    let record = data.operation(&op.id).await?;
    let retried = data.journal().retry(record.info.id, env::actor(), runner::now()).await;
    if let Err(JournalError::WrongState { .. }) | Ok(0) = retried {
        let (id, state) = (record.info.id, record.status.state.as_str());
        return Err(CommandError::input(format!("operation {id} has no job to try again: it is {state}"))
            .hinted("what failed and was undone is planned again by `apply`"));
    }
    retried.map_err(journal_error)?;
    go_on(&data, &record, out).await
}
