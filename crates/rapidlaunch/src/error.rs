//! The last floor of errors: what a command hands to `main`, which prints it and picks the exit code.

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;

/// Why a command ended without its goal.
#[derive(Debug)]
pub(crate) struct CommandError {
    /// Chooses the exit code.
    pub(crate) kind: ErrorKind,
    /// What happened and where.
    pub(crate) message: String,
    /// The chain below it.
    pub(crate) source: Option<Box<dyn Error + Send + Sync>>,
    /// What to do next, one sentence each.
    pub(crate) hints: Vec<String>,
    /// Text that stands for itself and replaces the message, such as rendered diagnostics.
    pub(crate) rendered: Option<String>,
    /// The same for machines. In a box, so that a result that holds this error stays small.
    pub(crate) details: Option<Box<serde_json::Value>>,
}

/// The kinds of ending, each with its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// It was tried and failed.
    Failed,
    /// The input was wrong; nothing was touched.
    Input,
    /// There are differences. Not an error: prints nothing.
    Differences,
    /// A person must act.
    Blocked,
    /// Interrupted; what was begun is kept.
    Interrupted,
    /// A command in a guest ended with this code, which is handed on.
    Inside(u8),
}

impl ErrorKind {
    /// The exit code, as documented for every command.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Input => 2,
            Self::Differences => 3,
            Self::Blocked => 4,
            Self::Interrupted => 130,
            Self::Inside(code) => code,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Input => "input",
            Self::Differences => "differences",
            Self::Blocked => "blocked",
            Self::Interrupted => "interrupted",
            Self::Inside(_) => "inside",
        }
    }
}

impl From<ErrorKind> for ExitCode {
    fn from(kind: ErrorKind) -> Self {
        Self::from(kind.exit_code())
    }
}

impl CommandError {
    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None, hints: Vec::new(), rendered: None, details: None }
    }

    /// It was tried and failed.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    /// The input was wrong.
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message)
    }

    /// A person must act.
    pub(crate) fn blocked(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Blocked, message)
    }

    /// There are differences; the command has printed them.
    pub(crate) fn differences() -> Self {
        Self::new(ErrorKind::Differences, "")
    }

    /// The command has printed all there is to say; only the exit code is left.
    pub(crate) fn said(kind: ErrorKind) -> Self {
        Self::new(kind, "")
    }

    /// Adds the error below.
    pub(crate) fn because(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Adds what to do next.
    pub(crate) fn hinted(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Prints text that stands for itself instead of the message.
    pub(crate) fn rendered(mut self, text: String) -> Self {
        self.rendered = Some(text);
        self
    }

    /// Adds data for machines.
    pub(crate) fn detailed(mut self, details: serde_json::Value) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// The whole text for people, empty when there is nothing to say.
    pub(crate) fn text(&self, colour: bool) -> String {
        let mut out = String::new();
        let (bold_red, bold_cyan, reset) = if colour { ("\x1b[1;31m", "\x1b[1;36m", "\x1b[0m") } else { ("", "", "") };
        match &self.rendered {
            Some(rendered) => out.push_str(rendered),
            None if self.message.is_empty() => return out,
            None => drop(writeln!(out, "{bold_red}error{reset}: {}", self.message)),
        }
        for cause in self.causes() {
            let _ = writeln!(out, "  because: {cause}");
        }
        for hint in &self.hints {
            let _ = writeln!(out, "{bold_cyan}hint{reset}: {hint}");
        }
        out
    }

    /// The chain below it, outermost first.
    pub(crate) fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut source: Option<&dyn Error> = self.source.as_deref().map(|e| e as &dyn Error);
        while let Some(error) = source {
            causes.push(error.to_string());
            source = error.source();
        }
        causes
    }

    /// The same for machines.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::json!({ "error": {
            "kind": self.kind.word(), "message": self.message, "causes": self.causes(), "hints": self.hints, "details": self.details,
        }})
    }
}
