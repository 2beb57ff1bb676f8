//! Operations, jobs and steps as a person reads them.

use std::fmt::Write as _;

use rl_engine::{Direction, JobRecord, JobState, OperationRecord, OperationState, StepRecord, StepState, UnixMs};

use super::progress::seconds;
use super::style::Style;
use super::table::table;

/// One line an operation.
pub(crate) fn list(operations: &[OperationRecord], now: UnixMs) -> String {
    let rows = operations
        .iter()
        .map(|record| {
            let counts = &record.status.counts;
            vec![
                record.info.id.to_string(),
                record.info.kind.clone(),
                record.info.subject.clone(),
                record.status.state.as_str().to_owned(),
                format!("{}/{}", counts.of(JobState::Done), counts.total()),
                ago(now, record.info.created_at),
                record.info.actor.clone(),
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
pub(crate) fn show(record: &OperationRecord, jobs: &[(JobRecord, Vec<StepRecord>)], style: Style) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{} {}", style.bold(&record.info.summary), operation_state(record.status.state, style));
    let _ = writeln!(out, "  operation {}, asked for by {}", record.info.id, record.info.actor);
    if let Some(cancel) = &record.status.cancel {
        let _ = writeln!(out, "  cancelled by {}", cancel.by);
    }
    for (job, steps) in jobs {
        show_job(&mut out, job, steps, style);
    }
    out
}

fn show_job(out: &mut String, job: &JobRecord, steps: &[StepRecord], style: Style) {
    let took = match (job.status.started_at, job.status.finished_at) {
        (Some(start), Some(end)) => seconds(end.since(start)),
        _ => String::new(),
    };
    let _ = writeln!(out, "  {} {}  {}", job_state(job.status.state, style), job.spec.key, style.dim(&took));
    if let Some(reason) = job.status.reason.as_ref().filter(|_| job.status.state != JobState::Done) {
        let _ = writeln!(out, "      {reason}");
    }
    if let Some(hint) = &job.status.hint {
        let _ = writeln!(out, "      {} {hint}", style.cyan("hint:"));
    }
    for step in steps {
        let verb = if step.direction == Direction::Undo { "undo " } else { "" };
        let state = match step.state {
            StepState::Done => style.green("done"),
            StepState::Submitted => style.yellow("under way"),
            StepState::Intent => style.yellow("announced"),
            StepState::Withdrawn => style.dim("refused"),
            StepState::Unknown => style.red("unknown"),
        };
        let upid = step
            .ext_ref
            .as_ref()
            .filter(|text| text.starts_with("UPID:"))
            .map(|upid| style.dim(upid))
            .unwrap_or_default();
        let _ = writeln!(out, "      {verb}{:<22} {state}  {upid}", step.name);
    }
}

fn operation_state(state: OperationState, style: Style) -> String {
    let text = state.as_str();
    match state {
        OperationState::Done => style.green(text),
        OperationState::Running => style.yellow(text),
        _ => style.red(text),
    }
}

fn job_state(state: JobState, style: Style) -> String {
    let text = format!("{:<9}", state.as_str());
    match state {
        JobState::Done => style.green(&text),
        JobState::Failed | JobState::Stuck | JobState::Blocked => style.red(&text),
        _ => style.yellow(&text),
    }
}
