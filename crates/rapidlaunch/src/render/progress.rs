//! Live progress: on a terminal a tree of running jobs that is drawn anew, elsewhere one plain line per event.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use rl_engine::UnixMs;

use super::style::Style;
use crate::out::Out;
use crate::shape::operation::EventShape;

/// Running jobs shown at once; the rest is counted, so that a large operation does not scroll the screen away.
const LINES_MAX: usize = 12;

/// Shows one operation.
pub(crate) struct View {
    names: BTreeMap<String, String>,
    started: BTreeMap<String, UnixMs>,
    running: BTreeMap<String, Instant>,
    finished: usize,
    style: Style,
    quiet: bool,
    screen: Option<Screen>,
}

struct Screen {
    multi: MultiProgress,
    total: ProgressBar,
    lines: Vec<ProgressBar>,
}

impl View {
    /// A view over the jobs of an operation, whose ids are given with their names.
    pub(crate) fn new(out: &Out, names: BTreeMap<String, String>) -> Self {
        let screen = (out.live && !out.json()).then(|| Screen::new(names.len()));
        Self {
            names,
            started: BTreeMap::new(),
            running: BTreeMap::new(),
            finished: 0,
            style: Style::new(out.colour_err),
            quiet: out.json(),
            screen,
        }
    }

    /// Takes in an event and says what a person should know of it.
    pub(crate) fn event(&mut self, event: &EventShape) {
        let Some(job) = &event.job else { return self.operation_event(event) };
        let (job, at) = (job.clone(), UnixMs(event.at_ms));
        let name = self.names.get(&job).cloned().unwrap_or_else(|| job.clone());
        let reason = event.body.get("reason").and_then(|reason| reason.as_str()).unwrap_or_default().to_owned();
        match event.kind.as_str() {
            "job.started" | "job.recovered" => {
                self.started.entry(job.clone()).or_insert(at);
                self.running.entry(job).or_insert_with(Instant::now);
                return;
            }
            "job.released" => drop(self.running.remove(&job)),
            "job.retrying" => drop(self.running.remove(&job)),
            _ => {}
        }
        let style = self.style;
        let took = || self.started.get(&job).map(|start| seconds(at.since(*start))).unwrap_or_default();
        let line = match event.kind.as_str() {
            "job.done" => format!("{} {name} {}", style.green("done     "), style.dim(&took())),
            "job.failed" => format!("{} {name}: {reason}", style.red("failed   ")),
            "job.stuck" => format!("{} {name}: {reason}", style.red("stuck    ")),
            "job.blocked" => format!("{} {name}: {reason}", style.red("blocked  ")),
            "job.parked" => format!("{} {name}: {reason}", style.yellow("parked   ")),
            "job.cancelled" => format!("{} {name}", style.yellow("cancelled")),
            "job.skipped" => format!("{} {name}: {reason}", style.yellow("skipped  ")),
            "job.retrying" => format!("{} {name}: {reason}", style.yellow("retrying ")),
            "job.unwinding" => format!("{} {name}: {reason}", style.yellow("undoing  ")),
            "job.note" | "note" => format!("{} {name}: {}", style.cyan("note     "), note(event)),
            _ => return,
        };
        if matches!(event.kind.as_str(), "job.done" | "job.failed" | "job.stuck" | "job.cancelled" | "job.skipped") {
            self.running.remove(&job);
            self.finished += 1;
        } else if matches!(event.kind.as_str(), "job.blocked" | "job.parked") {
            self.running.remove(&job);
        }
        self.say(&format!("  {line}"));
        if let Some(hint) = event.body.get("hint").and_then(|hint| hint.as_str()) {
            self.say(&format!("    {} {hint}", style.cyan("hint:")));
        }
    }

    fn operation_event(&mut self, event: &EventShape) {
        if event.kind == "operation.cancel_requested" {
            self.say(&self.style.yellow("  cancelling: what running jobs did is undone"));
        }
    }

    /// Says a line above the live part.
    pub(crate) fn say(&self, line: &str) {
        match (&self.screen, self.quiet) {
            (_, true) => {}
            (Some(screen), _) => drop(screen.multi.println(line)),
            (None, _) => eprint_line(line),
        }
    }

    /// Draws the live part: what runs, where it is as far as it is known, and how much is done.
    pub(crate) fn draw(&mut self, doing: impl FnOnce() -> BTreeMap<String, String>) {
        let Some(screen) = &mut self.screen else { return };
        let doing = doing();
        let mut rows = Vec::new();
        for (job, since) in &self.running {
            let name = self.names.get(job).map_or("", String::as_str);
            let doing = doing.get(job).map_or("", String::as_str);
            rows.push(format!("  {name:<24} {:>6}  {}", seconds(since.elapsed()), self.style.dim(doing)));
        }
        let rest = rows.len().saturating_sub(LINES_MAX);
        rows.truncate(LINES_MAX);
        if rest > 0 {
            rows.push(self.style.dim(&format!("  and {rest} more")));
        }
        screen.draw(&rows, self.finished);
    }

    /// Takes the live part away.
    pub(crate) fn finish(&mut self) {
        if let Some(screen) = self.screen.take() {
            screen.clear();
        }
    }
}

impl Screen {
    fn new(jobs: usize) -> Self {
        let multi = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let total = multi.add(ProgressBar::new(jobs as u64));
        let style = ProgressStyle::with_template("  {bar:32.green/black.bright} {pos}/{len} jobs, {elapsed}");
        total.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { multi, total, lines: Vec::new() }
    }

    fn draw(&mut self, rows: &[String], finished: usize) {
        let plain = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        while self.lines.len() < rows.len() {
            let line = self.multi.insert_before(&self.total, ProgressBar::new(1));
            line.set_style(plain.clone());
            self.lines.push(line);
        }
        while self.lines.len() > rows.len() {
            if let Some(line) = self.lines.pop() {
                line.finish_and_clear();
                self.multi.remove(&line);
            }
        }
        for (line, row) in self.lines.iter().zip(rows) {
            line.set_message(row.clone());
        }
        self.total.set_position(finished as u64);
    }

    fn clear(self) {
        for line in &self.lines {
            line.finish_and_clear();
        }
        self.total.finish_and_clear();
    }
}

fn note(event: &EventShape) -> String {
    event.body.get("text").and_then(|text| text.as_str()).unwrap_or_default().to_owned()
}

/// `3.2 s`, `2 min 5 s`.
pub(crate) fn seconds(span: Duration) -> String {
    let s = span.as_secs_f64();
    if s < 60.0 { format!("{s:.1} s") } else { format!("{} min {} s", span.as_secs() / 60, span.as_secs() % 60) }
}

#[expect(clippy::print_stderr, reason = "progress is talk on stderr, outside any held lock")]
fn eprint_line(line: &str) {
    eprintln!("{line}");
}
