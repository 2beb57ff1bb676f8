//! Findings as text with excerpts, plain or coloured.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Message, Origin, Padding, Renderer, Snippet};
use rl_model::manifest::Location;

use super::{Diagnostic, Severity, Source, redact};

/// Columns of an excerpt: wide enough for a line of most files with the words beside its mark.
const WIDTH: usize = 140;
/// Lines between two places of one finding that are still shown as one excerpt; farther ones get their own.
const JOINED_LINES_MAX: u32 = 6;
/// Longest line that is shown whole; a longer one is cut around the place, so that a file on one line stays readable.
const LINE_BYTES_MAX: usize = 200;
/// Bytes kept before the place in a line that is cut.
const LINE_BYTES_BEFORE: usize = 60;

/// Shows the findings one after the other, each followed by an empty line.
///
/// `sources` are the files they were found in; a finding in a file that is not among them is shown without excerpt.
/// Secrets in the excerpts are replaced by `*`.
pub fn render(diagnostics: &[Diagnostic], sources: &[Source<'_>], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.term_width(WIDTH);
    let texts: BTreeMap<&str, Text<'_>> = sources.iter().map(|source| (source.name, Text::new(source.text))).collect();
    let mut out = String::new();
    for found in diagnostics {
        out.push_str(&renderer.render(&[group(found, &texts)]));
        out.push_str("\n\n");
    }
    out
}

fn group<'a>(found: &'a Diagnostic, texts: &'a BTreeMap<&str, Text<'a>>) -> Group<'a> {
    let level = match found.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut elements: Vec<Element<'a>> = Vec::new();
    if let Some(location) = &found.location {
        let mut marks = vec![Mark { location, label: &found.label, primary: true }];
        marks.extend(found.related.iter().map(|r| Mark { location: &r.location, label: &r.label, primary: false }));
        for part in excerpts(marks) {
            excerpt(&part, texts, &mut elements);
        }
    }
    if let Some(help) = &found.help {
        if !elements.is_empty() {
            elements.push(Padding.into());
        }
        let help: Message<'a> = Level::HELP.message(help.as_str());
        elements.push(help.into());
    }
    level.primary_title(found.message.as_str()).id(found.code).elements(elements)
}

/// One place to mark in an excerpt.
struct Mark<'a> {
    location: &'a Location,
    label: &'a str,
    primary: bool,
}

/// Puts marks that lie close together into one excerpt; the first excerpt is the one with the primary mark.
fn excerpts(marks: Vec<Mark<'_>>) -> Vec<Vec<Mark<'_>>> {
    let mut parts: Vec<Vec<Mark<'_>>> = Vec::new();
    for mark in marks {
        let near = |other: &Mark<'_>| {
            other.location.file == mark.location.file
                && other.location.line.abs_diff(mark.location.line) <= JOINED_LINES_MAX
        };
        match parts.iter_mut().find(|part| part.iter().any(near)) {
            Some(part) => part.push(mark),
            None => parts.push(vec![mark]),
        }
    }
    parts
}

fn excerpt<'a>(marks: &[Mark<'a>], texts: &'a BTreeMap<&str, Text<'a>>, elements: &mut Vec<Element<'a>>) {
    let lead = marks[0].location;
    let origin = || Origin::path(lead.file.as_ref()).line(lead.line as usize).char_column(lead.column as usize);
    let Some(text) = texts.get(lead.file.as_ref()) else {
        elements.push(origin().into());
        return;
    };
    let lines = marks.iter().map(|m| m.location.line);
    let (first, last) = lines.fold((u32::MAX, 0), |(a, b), line| (a.min(line), b.max(line)));
    let whole = text.lines(first.saturating_sub(1).max(1), last + 1);
    let (cut, range) = text.cut(whole.clone(), lead.span.start);
    let mut snippet = Snippet::source(cut).line_start(text.line_of(range.start)).fold(false);
    if range == whole {
        snippet = snippet.path(lead.file.as_ref());
    } else {
        // The column within a cut line would be wrong, so the place is given apart.
        elements.push(origin().into());
    }
    for mark in marks {
        let span = text.within(&mark.location.span, &range);
        let kind = if mark.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        let label = (!mark.label.is_empty()).then_some(mark.label);
        let annotation = kind.span(span);
        snippet = snippet.annotation(match label {
            Some(label) => annotation.label(label),
            None => annotation,
        });
    }
    elements.push(snippet.into());
}

fn is_c1(c: char) -> bool {
    ('\u{80}'..='\u{9f}').contains(&c)
}

/// A file's text, its secrets hidden, with the start of each line.
struct Text<'a> {
    text: Cow<'a, str>,
    starts: Vec<usize>,
}

impl<'a> Text<'a> {
    fn new(text: &'a str) -> Self {
        let mut text = redact(text);
        if text.contains(is_c1) {
            // Terminals obey these control characters too. The dot is as long in UTF-8, so that places stay the same.
            text = Cow::Owned(text.replace(is_c1, "\u{b7}"));
        }
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// Number, from 1, of the line the byte lies in.
    fn line_of(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at)
    }

    /// The bytes from the first to the last line, numbered from 1, without the last line's end.
    fn lines(&self, first: u32, last: u32) -> Range<usize> {
        let start = self.starts.get(first as usize - 1).copied().unwrap_or(self.text.len());
        let end = self.starts.get(last as usize).map_or(self.text.len(), |next| next - 1);
        start..end.max(start)
    }

    /// The text of the range, or, where one of its lines is too long, only a part of the line around `place`.
    fn cut(&'a self, range: Range<usize>, place: usize) -> (Cow<'a, str>, Range<usize>) {
        let whole = &self.text[range.clone()];
        if whole.lines().all(|line| line.len() <= LINE_BYTES_MAX) {
            return (Cow::Borrowed(whole), range);
        }
        let line = self.starts[self.line_of(place.min(self.text.len())) - 1];
        let line_end = self.text[line..].find('\n').map_or(self.text.len(), |n| line + n);
        let start = self.boundary(place.saturating_sub(LINE_BYTES_BEFORE).max(line));
        let end = self.boundary((start + LINE_BYTES_MAX).min(line_end));
        (Cow::Borrowed(&self.text[start..end]), start..end)
    }

    fn boundary(&self, mut at: usize) -> usize {
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    /// A span relative to the excerpt, cut to its first line and to the excerpt, at least one character where there is
    /// one.
    fn within(&self, span: &Range<usize>, excerpt: &Range<usize>) -> Range<usize> {
        let start = self.boundary(span.start.clamp(excerpt.start, excerpt.end));
        let line_end = self.text[start..excerpt.end].find(['\n', '\r']).map_or(excerpt.end, |n| start + n);
        let end = self.boundary(span.end.clamp(start, line_end));
        start - excerpt.start..end - excerpt.start
    }
}
