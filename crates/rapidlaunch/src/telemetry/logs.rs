//! Logs: off unless asked for, as text or one JSON object a line, with the ids of what they are about. They never hold a secret:
//! those have types that cannot be printed.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use super::json;
use super::traces::Traces;
use crate::env;
use crate::out::Out;

/// Where the spans are made that say what a line is about.
const SPANS: &str = "rapidlaunch::telemetry";
/// The rooms that log.
const ROOMS: [&str; 8] =
    ["rapidlaunch", "rl_ops", "rl_engine", "rl_pve", "rl_store", "rl_agent", "rl_providers", "rl_planner"];

/// The form of logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogForm {
    /// One JSON object a line
    Json,
    /// For people
    Text,
}

/// The least level that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    /// What failed
    Error,
    /// What may need somebody to look
    Warn,
    /// What is done
    Info,
    /// Every call
    Debug,
    /// Everything
    Trace,
}

impl LogLevel {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Logging {
    /// The form.
    pub(crate) form: LogForm,
    /// The least level; off when there is none.
    pub(crate) level: Option<LogLevel>,
    /// Also what the libraries say.
    pub(crate) everything: bool,
}

impl Logging {
    /// As `-v` asks for.
    pub(crate) fn verbose(verbose: u8, out: &Out) -> Self {
        let level = match verbose {
            0 => None,
            1 => Some(LogLevel::Info),
            _ => Some(LogLevel::Debug),
        };
        let form = if out.json() { LogForm::Json } else { LogForm::Text };
        Self { form, level, everything: verbose > 2 }
    }

    fn directives(self) -> String {
        let Some(level) = self.level.map(LogLevel::as_str) else { return "off".to_owned() };
        if self.everything {
            return level.to_owned();
        }
        let rooms: Vec<String> = ROOMS.iter().map(|room| format!("{room}={level}")).collect();
        // What a line is about is known at every level; there are no lines of that place below it.
        format!("{},{SPANS}={}", rooms.join(","), if level == "error" || level == "warn" { "info" } else { level })
    }
}

/// Writes logs to stderr from now on, and makes spans for traces where there are any.
pub(crate) fn init(logging: Logging, traces: Option<&Traces>, out: &Out) {
    let directives = env::log_filter().unwrap_or_else(|| logging.directives());
    let Ok(filter) = EnvFilter::try_new(&directives) else {
        return out.say(&format!("RAPIDLAUNCH_LOG is not understood and ignored: {directives}"));
    };
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match logging.form {
        LogForm::Json => fmt::layer()
            .fmt_fields(fmt::format::JsonFields::new())
            .event_format(json::Line)
            .with_writer(std::io::stderr)
            .with_filter(filter)
            .boxed(),
        LogForm::Text => fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(out.colour_err && std::io::stderr().is_terminal())
            .with_filter(filter)
            .boxed(),
    };
    let mut layers = vec![lines];
    layers.extend(traces.map(|traces| {
        let ours = Targets::new().with_target(SPANS, LevelFilter::INFO);
        OpenTelemetryLayer::new(traces.tracer())
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(ours.and(filter_fn(|about: &tracing::Metadata<'_>| about.is_span())))
            .boxed()
    }));
    let _ = tracing_subscriber::registry().with(layers).try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_is_a_filter_that_is_understood() {
        for level in LogLevel::value_variants() {
            let logging = Logging { form: LogForm::Json, level: Some(*level), everything: false };
            let directives = logging.directives();
            assert!(EnvFilter::try_new(&directives).is_ok(), "{directives}");
            assert!(directives.contains("rapidlaunch::telemetry="), "{directives}");
        }
        assert_eq!(Logging { form: LogForm::Text, level: None, everything: false }.directives(), "off");
    }
}
