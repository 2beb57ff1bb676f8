//! The metrics as they are rendered: every one is described, and nothing a stranger names makes a series of its own.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::time::Duration;

use rl_engine::{Direction, Envelope, JobId, JobSpec, Observer, StepEnded, StepResult, UnixMs};
use rl_pve::{CallClass, CallEnd, CallInfo, Method};
use tracing::Span;

use super::bounded::OTHER;
use super::stacks::Look;
use super::{CallLabels, EngineWatch, Telemetry, names, recorder};

/// Names that a storm brings: more than are told apart of any.
const STORM: usize = 3_000;

fn series(text: &str, name: &str) -> usize {
    text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))).count()
}

#[test]
fn a_storm_of_odd_names_makes_a_bounded_number_of_series() {
    let recorder = recorder().unwrap();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let (engine, calls) = (EngineWatch::new(), CallLabels::new());
        let telemetry = Telemetry::over(handle.clone(), None);
        for number in 0..STORM {
            let odd = format!("odd-{number}\"\n\\{{}}");
            let job = JobSpec::new(JobId::from_parts(1, 1), "job", Envelope::new(&odd, 1, serde_json::json!({})));
            let (result, took) = (StepResult::Done, Duration::from_millis(1));
            let span = Span::none();
            engine.step_ended(&StepEnded {
                job: &job,
                step: &odd,
                direction: Direction::Do,
                result,
                took,
                span: &span,
            });
            let site = format!("site-{number}").parse().unwrap();
            let node = format!("node-{number}").parse().unwrap();
            let call =
                CallInfo { method: Method::Get, template: "/version", class: CallClass::Read, node: Some(&node) };
            calls.watch(&site).ended(&call, CallEnd::Status(200), took, &span);
            telemetry.operation_ended(&odd, "done");
            let look = Some(Look { at: UnixMs(1), faults: 0 });
            telemetry.stack_looked_at(&odd, look, look);
        }
    });
    let text = handle.render();
    for (name, most) in [
        (names::STEPS, 201),
        (names::CALLS, 602),
        (names::OPERATIONS_ENDED, 501),
        (names::PROOF_OK, 501),
        (names::DRIFT, 501),
    ] {
        let count = series(&text, name);
        assert!(count > 50 && count <= most, "{name} has {count} series");
        assert!(text.lines().any(|line| line.starts_with(name) && line.contains(OTHER)), "{name}");
    }
    let all = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(all < 10_000, "{all} series");
}

#[test]
fn every_name_is_of_prometheus_and_used_once() {
    let mut seen = BTreeSet::new();
    for metric in names::ALL {
        assert!(seen.insert(metric.name), "{} is there twice", metric.name);
        assert!(metric.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", metric.name);
        assert_eq!(metric.name.ends_with("_total"), metric.kind == names::Kind::Counter, "{}", metric.name);
        assert!(metric.help.ends_with('.'), "{}", metric.name);
    }
}
