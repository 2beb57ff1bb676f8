//! The one error of every parser in this crate.

use std::fmt;

/// Says which kind of value was expected, what was given, and the rule it broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ParseError {
    /// What was expected, as a person calls it: "VMID", "host name".
    pub what: &'static str,
    /// The text as given, cut to a printable length.
    pub given: String,
    /// The rule in words, a sentence part that follows "because".
    pub rule: String,
}

/// Longest part of a bad value that is repeated to the user: enough to recognise it, too short to flood a terminal.
const GIVEN_CHARS_MAX: usize = 64;

impl ParseError {
    /// Makes an error; `given` is cut so that hostile input cannot flood a message.
    pub fn new(what: &'static str, given: &str, rule: impl Into<String>) -> Self {
        let mut text: String = given.chars().filter(|c| !c.is_control()).take(GIVEN_CHARS_MAX).collect();
        if given.chars().count() > GIVEN_CHARS_MAX {
            text.push('…');
        }
        Self { what, given: text, rule: rule.into() }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no valid {}: {}", self.given, self.what, self.rule)
    }
}
