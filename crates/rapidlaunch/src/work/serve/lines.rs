//! What a server says: one line per thing that happened, for people or as JSON.

use rl_engine::{EngineStats, Event};
use rl_model::SiteName;
use serde_json::{Value, json};

use crate::out::Out;

/// Says what happens on stdout.
#[derive(Clone, Copy)]
pub(super) struct Lines {
    out: Out,
}

/// Whether an event is said, or acted on. The many that only tell how a job goes on are read with `op show`.
pub(super) fn matters(event: &Event) -> bool {
    event.kind.starts_with("operation.")
        || event.kind.starts_with("store.")
        || matches!(event.kind.as_str(), "job.blocked" | "job.failed" | "job.stuck" | "job.parked")
}

impl Lines {
    pub(super) fn new(out: Out) -> Self {
        Self { out }
    }

    /// The first line: from now on work is taken.
    pub(super) fn ready(self, sites: &[SiteName]) {
        let names: Vec<&str> = sites.iter().map(SiteName::as_str).collect();
        let human = match names.as_slice() {
            [] => "ready; the store knows no site yet".to_owned(),
            names => format!("ready; sites {}", names.join(", ")),
        };
        self.line(json!({ "event": "ready", "pid": std::process::id(), "sites": names }), &human);
    }

    pub(super) fn event(self, event: &Event) {
        let job = event.job.map(|job| job.to_string());
        let value = json!({ "event": event.kind, "operation": event.operation.to_string(), "job": job, "body": event.body, "at": event.at });
        let about = job.map_or_else(String::new, |job| format!(" job {job}"));
        let detail = [&event.body["state"], &event.body["reason"], &event.body["hint"]];
        let detail: Vec<&str> = detail.into_iter().filter_map(Value::as_str).collect();
        let human = format!("{} operation {}{about} {}", event.kind, event.operation, detail.join("; "));
        self.line(value, human.trim_end());
    }

    /// The last line, with what the engine has counted.
    pub(super) fn stopped(self, stats: &EngineStats) {
        let figures = super::figures(stats);
        let mut value = json!({ "event": "stopped" });
        for (name, count) in figures {
            value[name] = json!(count);
        }
        let told: Vec<String> =
            figures.iter().map(|(name, count)| format!("{} {count}", name.replace('_', " "))).collect();
        self.line(value, &format!("stopped; {}", told.join(", ")));
    }

    fn line(self, mut value: Value, human: &str) {
        let now = jiff::Timestamp::now();
        if self.out.json() {
            value["time"] = json!(now.to_string());
            self.out.print(&format!("{value}\n"));
        } else {
            self.out.print(&format!("{now:.3} {human}\n"));
        }
    }
}
