//! Operations, jobs and steps as a person reads them.

use std::fmt::Write as _;

use rl_engine::{Direction, JobState, OperationState, StepState, UnixMs};

use super::progress::seconds;
use super::style::Style;
use super::table::table;
use crate::shape::operation::{JobShape, OperationShape, OperationWhole};

/// One line an operation.
pub(crate) fn list(operations: &[OperationShape], now: UnixMs) -> String {
    let rows = operations
        .iter()
        .map(|operation| {
            let done = operation.jobs_by_state.get(JobState::Done.as_str()).copied().unwrap_or_default();
            let all: usize = operation.jobs_by_state.values().sum();
            vec![
                operation.id.clone(),
                operation.kind.clone(),
                operation.stack.clone(),
                operation.state.clone(),
                format!("{done}/{all}"),
                ago(now, UnixMs(operation.created_at_ms)),
                operation.actor.clone(),
            ]
        })
        .collect();
    table(&["operation", "kind", "stack", "state", "jobs", "begun", "by"], rows)
}

fn ago(now: UnixMs, then: UnixMs) -> String {
    let span = now.since(then).as_secs();
    match span {
        0..60 => format!("{span} s ago"),
        60..3600 => format!("{} min ago", span / 60),
        3600..172_800 => format!("{} h ago", span / 3600),
        _ => format!("{} days ago", span / 86_400),
    }
}

/// An operation with its jobs and steps, as a tree.
pub(crate) fn show(whole: &OperationWhole, style: Style) -> String {
    let mut out = String::new();
    let operation = &whole.operation;
    let _ = writeln!(out, "{} {}", style.bold(&operation.summary), operation_state(&operation.state, style));
    let _ = writeln!(out, "  operation {}, asked for by {}", operation.id, operation.actor);
    if let Some(by) = &operation.cancelled_by {
        let _ = writeln!(out, "  cancelled by {by}");
    }
    for job in &whole.jobs {
        show_job(&mut out, job, style);
    }
    out
}

fn show_job(out: &mut String, job: &JobShape, style: Style) {
    let took = match (job.started_at_ms, job.finished_at_ms) {
        (Some(start), Some(end)) => seconds(UnixMs(end).since(UnixMs(start))),
        _ => String::new(),
    };
    let _ = writeln!(out, "  {} {}  {}", job_state(&job.state, style), job.name, style.dim(&took));
    if let Some(reason) = job.reason.as_ref().filter(|_| job.state != JobState::Done.as_str()) {
        let _ = writeln!(out, "      {reason}");
    }
    if let Some(hint) = &job.hint {
        let _ = writeln!(out, "      {} {hint}", style.cyan("hint:"));
    }
    for step in &job.steps {
        let verb = if step.direction == Direction::Undo { "undo " } else { "" };
        let state = match step.state {
            StepState::Done => style.green("done"),
            StepState::Submitted => style.yellow("under way"),
            StepState::Intent => style.yellow("announced"),
            StepState::Withdrawn => style.dim("refused"),
            StepState::Unknown => style.red("unknown"),
        };
        let upid =
            step.upid.as_ref().filter(|text| text.starts_with("UPID:")).map(|upid| style.dim(upid)).unwrap_or_default();
        let _ = writeln!(out, "      {verb}{:<22} {state}  {upid}", step.name);
    }
}

fn operation_state(text: &str, style: Style) -> String {
    match OperationState::parse(text) {
        Some(OperationState::Done) => style.green(text),
        Some(OperationState::Running) => style.yellow(text),
        _ => style.red(text),
    }
}

fn job_state(state: &str, style: Style) -> String {
    let text = format!("{state:<9}");
    match JobState::parse(state) {
        Some(JobState::Done) => style.green(&text),
        Some(JobState::Failed | JobState::Stuck | JobState::Blocked) => style.red(&text),
        _ => style.yellow(&text),
    }
}
