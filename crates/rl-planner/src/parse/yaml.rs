//! From text to trees: YAML events gathered into documents, with budgets against documents made to exhaust memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, StructureStyle};

use super::report::Report;
use super::tree::{Entry, Kind, Node, Place, Scalar};
use crate::diagnostic::{Diagnostic, codes};

/// Deepest nesting, aliases expanded: stack files need seven levels.
const DEPTH_MAX: usize = 48;
/// Most values in one file, aliases expanded: a stack of 10,000 containers written out has some 200,000.
const VALUES_MAX: usize = 500_000;

/// The documents of one file that could be read, and whether some could not.
pub(crate) struct Documents {
    pub(crate) roots: Vec<Arc<Node>>,
    pub(crate) broken: bool,
}

/// Reads every document of a file; a broken one is reported and skipped.
pub(crate) fn documents(text: &str, report: &mut Report<'_>) -> Documents {
    let options = granit_parser::options! {
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
        emit_unresolved_aliases: true,
        emit_comments: false,
    };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut builder = Builder { report, text, values: 0, anchors: BTreeMap::new(), open: Vec::new(), root: None };
    let mut out = Documents { roots: Vec::new(), broken: false };
    loop {
        match parser.next_event() {
            None | Some(Ok((Event::StreamEnd, _))) => return out,
            Some(Ok((Event::DocumentEnd, _))) => {
                out.roots.extend(builder.root.take().filter(|root| !root.is_null()));
                builder.forget();
            }
            Some(Ok((event, span))) => {
                if !builder.take(event, span) {
                    out.broken = true;
                    return out;
                }
            }
            Some(Err(error)) => {
                out.broken = true;
                builder.syntax(&error);
                builder.forget();
                if !parser.proceed_next_document().unwrap_or(false) {
                    return out;
                }
            }
        }
    }
}

/// A collection whose end has not been read yet.
struct Open {
    place: Place,
    /// Written with brackets.
    flow: bool,
    anchor: usize,
    /// Nesting of what it contains so far, itself included.
    height: usize,
    /// Number of values in it so far, itself included.
    size: usize,
    content: Content,
}

enum Content {
    List(Vec<Arc<Node>>),
    Map { entries: Vec<Entry>, key: Option<(String, Place)> },
}

/// A finished value with what counts against the budgets.
#[derive(Clone)]
struct Done {
    node: Arc<Node>,
    height: usize,
    size: usize,
}

struct Builder<'r, 'f, 't> {
    report: &'r mut Report<'f>,
    text: &'t str,
    values: usize,
    anchors: BTreeMap<usize, Done>,
    open: Vec<Open>,
    root: Option<Arc<Node>>,
}

impl Builder<'_, '_, '_> {
    fn forget(&mut self) {
        self.open.clear();
        self.anchors.clear();
        self.root = None;
    }

    /// Takes one event in; false when a budget is spent and reading has to stop.
    fn take(&mut self, event: Event<'_>, span: Span) -> bool {
        let place = self.place(span);
        let tagged = event.tag().is_some();
        if tagged {
            let at = span.tag_span().map_or(place, |tag| self.place(tag));
            self.unsupported(at, "tags such as `!!str` are not supported", "remove the tag; quotes make a value text");
        }
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let scalar = Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain };
                let kind = if tagged { Kind::Broken } else { Kind::Scalar(scalar) };
                let node = Arc::new(Node { place, kind });
                self.done(anchor, Done { node, height: 1, size: 1 })
            }
            Event::SequenceStart(style, anchor, _) => self.begin(place, style, anchor, Content::List(Vec::new())),
            Event::MappingStart(style, anchor, _) => {
                self.begin(place, style, anchor, Content::Map { entries: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(place),
            Event::Alias(id) => match self.anchors.get(&id).cloned() {
                Some(target) => {
                    let cost = target.size;
                    self.put(target, cost)
                }
                None => self.broken(place, "the alias stands inside the value it names", "write the value out"),
            },
            Event::UnresolvedAlias(name) => {
                let message = format!("the alias `*{name}` has no anchor `&{name}` before it in its document");
                self.broken(place, &message, "write the value out, or name it with an anchor first")
            }
            _ => true,
        }
    }

    fn begin(&mut self, place: Place, style: StructureStyle, anchor: usize, content: Content) -> bool {
        let flow = style == StructureStyle::Flow;
        self.open.push(Open { place, flow, anchor, height: 1, size: 1, content });
        true
    }

    fn end(&mut self, place: Place) -> bool {
        let Some(open) = self.open.pop() else { return true };
        let kind = match open.content {
            Content::List(items) => Kind::List(items),
            Content::Map { entries, .. } => Kind::Map(entries),
        };
        let last = match &kind {
            Kind::List(items) => items.last().map_or(0, |item| item.place.end),
            Kind::Map(entries) => entries.last().map_or(0, |entry| entry.value.place.end.max(entry.key_place.end)),
            _ => 0,
        };
        // The end of a block collection is only seen at the next token, behind blank lines; a flow collection ends with
        // its bracket.
        let end = if place.end > place.start { place.end } else { last };
        let node = Arc::new(Node { place: Place { end: end.max(open.place.end), ..open.place }, kind });
        self.done(open.anchor, Done { node, height: open.height, size: open.size })
    }

    /// Puts a finished value into what is open.
    fn done(&mut self, anchor: usize, done: Done) -> bool {
        if anchor != 0 {
            self.anchors.insert(anchor, done.clone());
        }
        self.put(done, 1)
    }

    /// Puts a value, new or named by an alias, into what is open; `cost` is the number of values it adds.
    fn put(&mut self, done: Done, cost: usize) -> bool {
        self.values += cost;
        let depth = self.open.len() + done.height;
        if self.values > VALUES_MAX || depth > DEPTH_MAX {
            self.spent(done.node.place, depth > DEPTH_MAX);
            return false;
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(done.node);
            return true;
        };
        open.height = open.height.max(done.height + 1);
        open.size += done.size;
        match &mut open.content {
            Content::List(items) => items.push(done.node),
            Content::Map { entries, key } => match key.take() {
                Some((key, key_place)) => entries.push(Entry { key, key_place, value: done.node }),
                None => return self.key(&done.node),
            },
        }
        true
    }

    fn key(&mut self, node: &Node) -> bool {
        let text = match &node.kind {
            Kind::Scalar(scalar) => scalar.text.clone(),
            Kind::Broken => String::new(),
            _ => {
                self.unsupported(node.place, "a key must be one word or quoted text", "write the key as plain text");
                String::new()
            }
        };
        if text == "<<" {
            let help = "put what containers have in common under `defaults:` of the stack";
            self.unsupported(node.place, "the merge key `<<` is not supported", help);
        }
        if let Some(Open { content: Content::Map { key, .. }, .. }) = self.open.last_mut() {
            *key = Some((text, node.place));
        }
        true
    }

    fn broken(&mut self, place: Place, message: &str, help: &str) -> bool {
        self.unsupported(place, message, help);
        let node = Arc::new(Node { place, kind: Kind::Broken });
        self.done(0, Done { node, height: 1, size: 1 })
    }

    fn unsupported(&mut self, place: Place, message: &str, help: &str) {
        self.report.error(codes::YAML_FEATURE, place, message, "", help);
    }

    fn spent(&mut self, place: Place, deep: bool) {
        let message = if deep {
            format!("the document is nested more than {DEPTH_MAX} levels deep")
        } else {
            format!("the file holds more than {VALUES_MAX} values once its aliases are written out")
        };
        self.report.error(codes::BUDGET, place, &message, "here the limit is passed", "split it into several files");
    }

    fn syntax(&mut self, error: &ScanError) {
        let mark = error.marker();
        let start = mark.byte_offset().unwrap_or(self.text.len()).min(self.text.len());
        let rest = &self.text[start..];
        let end = start + rest.chars().next().filter(|c| !c.is_control()).map_or(0, char::len_utf8);
        let place = Place { line: mark.line().max(1) as u32, column: mark.col() as u32 + 1, start, end };
        let line = self.text[..start].rfind('\n').map_or(0, |n| n + 1);
        let indent: &str = &self.text[line..];
        let indent = &indent[..indent.len() - indent.trim_start_matches([' ', '\t']).len()];
        if let Some(tab) = indent.find('\t').filter(|_| line + indent.len() >= start) {
            let place = Place { column: tab as u32 + 1, start: line + tab, end: line + tab + 1, ..place };
            let help = "replace it by spaces; most editors can do so for the whole file";
            return self.report.error(codes::TAB, place, "a tab is used for indentation", "this is a tab", help);
        }
        let bracket = self.open.iter().rev().find(|open| open.flow).map(|open| open.place);
        let (message, help) = match bracket {
            Some(open) if open.line < place.line && *error.kind() != ErrorKind::RecursionLimitExceeded => {
                ("a `[` or `{` is not closed".to_owned(), "add the missing `]` or `}`")
            }
            _ => words(error.kind(), &self.text[line..start]),
        };
        let code = if *error.kind() == ErrorKind::RecursionLimitExceeded { codes::BUDGET } else { codes::SYNTAX };
        let at = self.report.at(place);
        let mut found = Diagnostic::error(code, Some(&at), message).label("reading stopped here").help(help);
        if let Some(open) = bracket.filter(|open| open.start != place.start) {
            let place = Place { end: open.start + 1, ..open };
            found = found.related(Some(&self.report.at(place)), "this bracket is open");
        }
        self.report.findings.push(found);
    }

    fn place(&self, span: Span) -> Place {
        let byte = |offset: Option<usize>| offset.unwrap_or(self.text.len()).min(self.text.len());
        let start = byte(span.start.byte_offset());
        let end = byte(span.end.byte_offset()).max(start);
        let end = start + self.text.get(start..end).map_or(0, |text| text.trim_end().len());
        Place { line: span.start.line().max(1) as u32, column: span.start.col() as u32 + 1, start, end }
    }
}

/// A syntax error in our words, with a hint; `before` is what stands before it on its line.
fn words(kind: &ErrorKind, before: &str) -> (String, &'static str) {
    use ErrorKind as E;
    let indented = before.starts_with(' ') && !before.contains(": ");
    let (message, help) = match kind {
        E::MappingValueNotAllowed if indented => {
            ("the indentation does not fit what is above", "keys of one mapping begin in the same column")
        }
        E::UnclosedQuotedScalar | E::DocumentIndicatorInQuotedScalar => {
            ("a quoted text has no closing quote", "add the missing quote")
        }
        E::UnclosedFlowCollection { .. }
        | E::UnexpectedEofFlowSequence
        | E::UnexpectedEofFlowMapping
        | E::UnexpectedEofImplicitFlowMapping => ("a `[` or `{` is not closed", "add the missing `]` or `}`"),
        E::ExpectedFlowMappingSeparator => {
            ("a `,` or `}` is missing here", "part the entries with `,` and close with `}`")
        }
        E::ExpectedFlowSequenceSeparator => {
            ("a `,` or `]` is missing here", "part the items with `,` and close with `]`")
        }
        E::MismatchedFlowCollectionEnd { .. } | E::MisplacedFlowCollectionEnd => {
            ("a closing bracket does not match the opening one", "`[` is closed by `]` and `{` by `}`")
        }
        E::SimpleKeyExpected => ("a `:` is missing behind a key", "write `key: value`, with a space behind the colon"),
        E::MappingValueNotAllowed | E::InvalidColonPlacement => {
            ("a `key: value` is not allowed here", "quote a text that contains `: `, or check the indentation")
        }
        E::InvalidIndentation | E::ExpectedBlockMappingKey | E::MappingKeyNotAllowed | E::InvalidSimpleKey => {
            ("the indentation does not fit what is above", "keys of one mapping begin in the same column")
        }
        E::ExpectedBlockSequenceEntry | E::BlockSequenceEntryNotAllowed => {
            ("a `-` does not fit here", "the `-` of one list stand in the same column")
        }
        E::UnexpectedCharacter { .. } => ("a plain text cannot begin with this character", "put the text in quotes"),
        E::UnknownQuotedScalarEscape => {
            ("a `\\` in double quotes is followed by an unknown letter", "use single quotes, where `\\` means itself")
        }
        E::RecursionLimitExceeded => ("the document is nested too deeply", "stack files need seven levels"),
        E::TabNotAllowed | E::TabInBlockIndentation | E::TabInIndentation | E::TabAtBlockScalarStart => {
            ("a tab is not allowed here", "replace it by spaces")
        }
        other => return (format!("this is not valid YAML: {other}"), "check quotes, brackets and indentation above"),
    };
    (message.to_owned(), help)
}
