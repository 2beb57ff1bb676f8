//! Colours and the small words of the terminal.

use rl_engine::UnixMs;

/// Paints text, or leaves it alone where colour is off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    on: bool,
}

impl Style {
    /// A style that paints or not.
    pub(crate) fn new(on: bool) -> Self {
        Self { on }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Bold.
    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// Dim.
    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// Green: new, good.
    pub(crate) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Yellow: changed, warned.
    pub(crate) fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// Red: removed, failed.
    pub(crate) fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// Cyan: names.
    pub(crate) fn cyan(self, text: &str) -> String {
        self.paint("36", text)
    }

    /// Magenta: replaced.
    pub(crate) fn magenta(self, text: &str) -> String {
        self.paint("35", text)
    }
}

/// A time as people and programs read it, to the second.
pub(crate) fn time(at: UnixMs) -> String {
    let at = i64::try_from(at.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| "-".to_owned(), |at| format!("{at:.0}"))
}

/// `1 guest`, `2 guests`.
pub(crate) fn count(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}
