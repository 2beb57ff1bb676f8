//! Who watches the engine and the calls to Proxmox: counts them, and makes the spans of traces and logs.

use std::sync::Arc;
use std::time::Duration;

use rl_engine::{Direction, JobSpec, Observer, OperationInfo, StepEnded};
use rl_model::SiteName;
use rl_pve::{CallEnd, CallInfo, CallObserver};
use tracing::Span;
use tracing::field::Empty;

use super::bounded::Bounded;
use super::{names, traces};

/// Kinds of jobs and steps that are told apart: the program has some dozens, and a newer one on the same store brings its own.
const STEPS_MAX: usize = 200;
/// Sites that are told apart.
const SITES_MAX: usize = 100;
/// Nodes that are told apart, over all sites.
const NODES_MAX: usize = 500;

/// Watches the engine.
pub(crate) struct EngineWatch {
    kinds: Bounded,
    steps: Bounded,
}

impl EngineWatch {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { kinds: Bounded::new(STEPS_MAX), steps: Bounded::new(STEPS_MAX) })
    }
}

impl Observer for EngineWatch {
    fn job_span(&self, operation: &OperationInfo, job: &JobSpec) -> Span {
        let span = tracing::info_span!(
            "job",
            operation = %operation.id,
            stack = operation.subject,
            job = %job.id,
            kind = job.payload.kind,
            site = job.site,
            node = job.node,
        );
        traces::continue_operation(&span, operation);
        span
    }

    fn job_claimed(&self, _: &JobSpec, waited: Duration) {
        metrics::histogram!(names::JOB_WAIT).record(waited);
    }

    fn step_span(&self, _: &JobSpec, step: &str, direction: Direction) -> Span {
        tracing::info_span!("step", otel.name = step, step, direction = direction.as_str(), result = Empty)
    }

    fn step_ended(&self, ended: &StepEnded<'_>) {
        let (kind, step) = (self.kinds.label(&ended.job.payload.kind), self.steps.label(ended.step));
        let (direction, result) = (ended.direction.as_str(), ended.result.as_str());
        ended.span.record("result", result);
        metrics::histogram!(names::STEP_SECONDS, "kind" => kind.clone(), "step" => step.clone()).record(ended.took);
        metrics::counter!(names::STEPS, "kind" => kind, "step" => step, "direction" => direction, "result" => result)
            .increment(1);
    }
}

/// The labels of calls, shared by the watches of all sites.
pub(crate) struct CallLabels {
    sites: Bounded,
    nodes: Bounded,
}

impl CallLabels {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { sites: Bounded::new(SITES_MAX), nodes: Bounded::new(NODES_MAX) })
    }

    /// The watch of one site's calls.
    pub(crate) fn watch(self: &Arc<Self>, site: &SiteName) -> Arc<dyn CallObserver> {
        Arc::new(CallWatch { site: site.clone(), labels: Arc::clone(self) })
    }

    pub(super) fn site(&self, site: &str) -> metrics::SharedString {
        self.sites.label(site)
    }

    pub(super) fn node(&self, node: &str) -> metrics::SharedString {
        self.nodes.label(node)
    }
}

/// Watches the calls to one site.
struct CallWatch {
    site: SiteName,
    labels: Arc<CallLabels>,
}

/// An HTTP status, or what there was in its stead.
fn status(end: CallEnd) -> metrics::SharedString {
    match end {
        CallEnd::Status(status) => status.to_string().into(),
        CallEnd::NotSent => "not_sent".into(),
        CallEnd::Lost => "lost".into(),
    }
}

impl CallObserver for CallWatch {
    fn span(&self, call: &CallInfo<'_>) -> Span {
        tracing::info_span!(
            "proxmox",
            otel.kind = "client",
            otel.name = call.template,
            site = %self.site,
            node = call.node.map(|node| node.as_str()),
            method = call.method.as_str(),
            template = call.template,
            status = Empty,
        )
    }

    fn ended(&self, call: &CallInfo<'_>, end: CallEnd, took: Duration, span: &Span) {
        let (site, status) = (self.labels.site(self.site.as_str()), status(end));
        span.record("status", &*status);
        // Calls about the site as a whole are about no node.
        let node = call.node.map_or_else(|| "".into(), |node| self.labels.node(node.as_str()));
        let kind = call.class.as_str();
        metrics::histogram!(names::CALL_SECONDS, "site" => site.clone(), "kind" => kind).record(took);
        metrics::counter!(names::CALLS, "site" => site, "node" => node, "kind" => kind, "status" => status)
            .increment(1);
    }
}
