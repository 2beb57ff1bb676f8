//! What a server tells about itself: metrics, logs, traces, health, and signs of life to the service manager.
//!
//! Nothing here changes what the server does. The rooms below show what they do to observers that are handed in (`watch`); all
//! else is read when somebody asks for it (`collect`).

mod bounded;
mod collect;
mod health;
mod json;
pub(crate) mod logs;
pub(crate) mod names;
pub(crate) mod notify;
mod process;
mod stacks;
#[cfg(test)]
mod tests;
pub(crate) mod traces;
mod watch;
mod zones;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use metrics_util::MetricKindMask;
use rl_engine::Engine;
use rl_ops::Zones;
use url::Url;

use crate::env;
use crate::error::CommandError;
use crate::out::Out;
use crate::work::data::Data;
use crate::work::serve::LiveSites;

use bounded::Bounded;
pub(crate) use health::Health;
use logs::{LogForm, LogLevel, Logging};
use traces::Traces;
pub(crate) use watch::{CallLabels, EngineWatch};

/// Bounds of the buckets of times, in seconds, where a metric has none of its own.
const BUCKETS: [f64; 14] = [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];
/// Those of what takes moments: commits, and requests to the API.
const BUCKETS_FINE: [f64; 11] = [0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5];
/// How often the samples of histograms are put into their buckets: until then each takes eight bytes.
const UPKEEP: Duration = Duration::from_secs(5);
/// After this time without a new value a gauge is gone: what it told about, such as a stack, is there no more.
const GAUGE_LIFE: Duration = Duration::from_secs(300);
/// Kinds of operations that are told from the beginning, as none.
const KINDS: [&str; 3] = ["apply", "destroy", "guest"];
/// Stacks that are told apart in metrics; the rest is one series, `other`.
const STACKS_MAX: usize = 500;

/// How a server tells about itself.
#[derive(Debug, Clone, Args)]
pub(crate) struct TelemetryArgs {
    /// Write logs to stderr in this form
    #[arg(long, value_enum, value_name = "FORM")]
    log: Option<LogForm>,
    /// Least level that is logged [default: info with --log, else as -v says]
    #[arg(long, value_enum, value_name = "LEVEL")]
    log_level: Option<LogLevel>,
    /// Send traces to this OTLP collector over HTTP, as http://127.0.0.1:4318 [env: OTEL_EXPORTER_OTLP_ENDPOINT]
    #[arg(long, value_name = "URL")]
    otlp_endpoint: Option<Url>,
}

/// What a server tells about itself.
pub(crate) struct Telemetry {
    metrics: PrometheusHandle,
    calls: Arc<CallLabels>,
    stacks: Bounded,
    kinds: Bounded,
    /// Connections of the API that are open.
    pub(crate) connections: Arc<AtomicU64>,
    followers: OnceLock<Box<dyn Fn() -> usize + Send + Sync>>,
    started: SystemTime,
    parts: OnceLock<Parts>,
    /// When the figures were read last; one reads them at a time.
    collected: tokio::sync::Mutex<Option<Instant>>,
    traces: std::sync::Mutex<Option<Traces>>,
}

/// The parts of the server that are asked for figures and health.
pub(crate) struct Parts {
    pub(crate) data: Arc<Data>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) sites: Arc<LiveSites>,
}

impl Telemetry {
    /// Begins to log, to count and to trace, as the command line asks for.
    pub(crate) fn start(args: &TelemetryArgs, verbose: u8, out: &Out) -> Result<Arc<Self>, CommandError> {
        let endpoint = match (&args.otlp_endpoint, env::otlp_endpoint()) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(text)) => Some(text.parse().map_err(|error| {
                CommandError::input("OTEL_EXPORTER_OTLP_ENDPOINT is not a URL")
                    .because(error)
                    .hinted("give the address of the collector, as http://127.0.0.1:4318")
            })?),
            (None, None) => None,
        };
        let traces = endpoint.as_ref().map(Traces::start).transpose()?;
        logs::init(logging(args, verbose, out), traces.as_ref(), out);
        let recorder = recorder()
            .map_err(|error| CommandError::failed("the recorder of metrics cannot be made").because(error))?;
        let metrics = recorder.handle();
        // There is one in a process; only tests make another.
        let _ = metrics::set_global_recorder(recorder);
        names::describe();
        names::begin();
        Ok(Arc::new(Self::over(metrics, traces)))
    }

    fn over(metrics: PrometheusHandle, traces: Option<Traces>) -> Self {
        let kinds = Bounded::new(STACKS_MAX);
        for kind in KINDS {
            kinds.label(kind);
        }
        Self {
            metrics,
            calls: CallLabels::new(),
            stacks: Bounded::new(STACKS_MAX),
            kinds,
            connections: Arc::default(),
            followers: OnceLock::new(),
            started: SystemTime::now(),
            parts: OnceLock::new(),
            collected: tokio::sync::Mutex::default(),
            traces: std::sync::Mutex::new(traces),
        }
    }

    /// The labels of calls, for the watches of sites.
    pub(crate) fn calls(&self) -> &Arc<CallLabels> {
        &self.calls
    }

    /// Begins to look at the parts of the server, and keeps the metrics in order from now on.
    pub(crate) fn look_at(self: &Arc<Self>, parts: Parts) -> tokio::task::JoinHandle<()> {
        parts.data.store.on_commit(Box::new(|took| {
            metrics::histogram!(names::COMMIT_SECONDS).record(took);
        }));
        let _ = self.parts.set(parts);
        let telemetry = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                telemetry.metrics.run_upkeep();
                tokio::time::sleep(UPKEEP).await;
            }
        })
    }

    /// The metrics as text, in the format of Prometheus; figures are read anew unless they were a moment ago.
    pub(crate) async fn render(&self) -> String {
        self.collect().await;
        self.metrics.render()
    }

    /// Sends the traces that are left.
    pub(crate) async fn end(&self) {
        let traces = self.traces.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(traces) = traces {
            traces.end().await;
        }
    }

    /// An operation has ended.
    pub(crate) fn operation_ended(&self, kind: &str, state: &'static str) {
        metrics::counter!(names::OPERATIONS_ENDED, "kind" => self.kinds.label(kind), "state" => state).increment(1);
    }

    /// Names who knows how many follow events.
    pub(crate) fn count_followers(&self, count: impl Fn() -> usize + Send + Sync + 'static) {
        let _ = self.followers.set(Box::new(count));
    }

    /// The providers of zones, with every change counted.
    pub(crate) fn watch_zones(&self, providers: Zones) -> Zones {
        zones::watched(providers)
    }
}

fn logging(args: &TelemetryArgs, verbose: u8, out: &Out) -> Logging {
    let asked = Logging::verbose(verbose, out);
    let level = args.log_level.or(asked.level).or(args.log.map(|_| LogLevel::Info));
    Logging { form: args.log.unwrap_or(asked.form), level, everything: asked.everything }
}

fn recorder() -> Result<PrometheusRecorder, BuildError> {
    let fine = |name: &str| Matcher::Full(name.to_owned());
    Ok(PrometheusBuilder::new()
        .set_buckets(&BUCKETS)?
        .set_buckets_for_metric(fine(names::COMMIT_SECONDS), &BUCKETS_FINE)?
        .set_buckets_for_metric(fine(names::HTTP_SECONDS), &BUCKETS_FINE)?
        .idle_timeout(MetricKindMask::GAUGE, Some(GAUGE_LIFE))
        .build_recorder())
}
