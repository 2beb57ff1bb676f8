//! Where results go: stdout for results, stderr for talk. A closed pipe ends the output, not the program's work.

use std::io::{IsTerminal, Write};

use crate::cli::args::{ColourChoice, Global, OutputFormat};
use crate::env;

/// The output of one command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Out {
    /// Text or JSON.
    pub(crate) format: OutputFormat,
    /// Colour on stdout.
    pub(crate) colour: bool,
    /// Colour on stderr.
    pub(crate) colour_err: bool,
    /// Whether a person sits at stdin and stderr, so that one may be asked.
    pub(crate) interactive: bool,
    /// Whether stderr can show live progress.
    pub(crate) live: bool,
    /// Whether nobody reads along: what would be said is logged.
    pub(crate) silent: bool,
}

impl Out {
    /// Decides by the options and the terminals.
    pub(crate) fn new(global: &Global) -> Self {
        let decide = |terminal: bool| match global.color {
            ColourChoice::Always => true,
            ColourChoice::Never => false,
            ColourChoice::Auto => terminal && !env::no_color(),
        };
        let (stdout, stderr) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
        Self {
            format: global.output,
            colour: decide(stdout),
            colour_err: decide(stderr),
            interactive: std::io::stdin().is_terminal() && stderr,
            live: stderr,
            silent: false,
        }
    }

    /// The output of work that is done for somebody who is not at this terminal.
    pub(crate) fn silent() -> Self {
        let format = OutputFormat::Json;
        Self { format, colour: false, colour_err: false, interactive: false, live: false, silent: true }
    }

    /// Whether results are JSON.
    pub(crate) fn json(&self) -> bool {
        self.format == OutputFormat::Json
    }

    /// Prints a result as it stands.
    pub(crate) fn print(&self, text: &str) {
        let mut stdout = std::io::stdout().lock();
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    }

    /// Prints bytes as they are, whatever they are.
    pub(crate) fn print_bytes(&self, bytes: &[u8]) {
        let mut stdout = std::io::stdout().lock();
        let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
    }

    /// Prints a JSON document with a final newline, straight from the value: a large plan is not built up a second time.
    pub(crate) fn print_json(&self, value: &impl serde::Serialize) {
        let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
        let _ = serde_json::to_writer_pretty(&mut stdout, value).map_err(std::io::Error::from).and_then(|()| {
            stdout.write_all(b"\n")?;
            stdout.flush()
        });
    }

    /// Says something that is no result, on stderr.
    pub(crate) fn say(&self, text: &str) {
        if self.silent {
            return tracing::info!("{}", text.trim_end());
        }
        let mut stderr = std::io::stderr().lock();
        let _ = writeln!(stderr, "{}", text.trim_end_matches('\n'));
    }

    /// Asks a yes-or-no question; anything but `y` or `yes` is no.
    pub(crate) fn ask(&self, question: &str) -> bool {
        let mut stderr = std::io::stderr().lock();
        let _ = write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush());
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
    }
}
