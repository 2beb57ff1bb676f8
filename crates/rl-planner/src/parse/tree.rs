//! A YAML document as a tree that knows where each part was written.

use std::sync::Arc;

/// Where a node stands in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Line, from 1.
    pub(crate) line: u32,
    /// Column in characters, from 1.
    pub(crate) column: u32,
    /// First byte.
    pub(crate) start: usize,
    /// Byte behind the last.
    pub(crate) end: usize,
}

/// One value.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Scalar(Scalar),
    List(Vec<Arc<Node>>),
    Map(Vec<Entry>),
    /// Something already reported; nothing more is said about it.
    Broken,
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_place: Place,
    pub(crate) value: Arc<Node>,
}

/// A scalar as written.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Written without quotes, so that it may be a number, a boolean or nothing.
    pub(crate) plain: bool,
}

/// What a scalar means by the core schema of YAML 1.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    Null,
    Bool(bool),
    Integer,
    Float,
    Text,
}

impl Scalar {
    pub(crate) fn meaning(&self) -> Meaning {
        let text = self.text.as_str();
        if !self.plain {
            return Meaning::Text;
        }
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Meaning::Null,
            "true" | "True" | "TRUE" => Meaning::Bool(true),
            "false" | "False" | "FALSE" => Meaning::Bool(false),
            _ if is_integer(text) => Meaning::Integer,
            _ if is_float(text) => Meaning::Float,
            _ => Meaning::Text,
        }
    }
}

fn is_integer(text: &str) -> bool {
    let digits = |rest: &str, ok: fn(&u8) -> bool| !rest.is_empty() && rest.as_bytes().iter().all(ok);
    match (text.strip_prefix("0x"), text.strip_prefix("0o")) {
        (Some(hex), _) => digits(hex, u8::is_ascii_hexdigit),
        (_, Some(octal)) => digits(octal, |b| (b'0'..=b'7').contains(b)),
        _ => digits(text.strip_prefix(['-', '+']).unwrap_or(text), u8::is_ascii_digit),
    }
}

fn is_float(text: &str) -> bool {
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if [".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"].contains(&rest) {
        return true;
    }
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    digits(whole) && digits(fraction) && whole.len() + fraction.len() > 0 && !exponent.is_empty() && digits(exponent)
}

impl Node {
    /// What a person calls this kind of value: "a list", "the number `12`".
    pub(crate) fn describe(&self) -> String {
        match &self.kind {
            Kind::Map(_) => "a mapping".into(),
            Kind::List(_) => "a list".into(),
            Kind::Broken => "a broken value".into(),
            Kind::Scalar(scalar) => {
                let text = shown(&scalar.text);
                match scalar.meaning() {
                    Meaning::Null => "nothing".into(),
                    Meaning::Bool(_) => format!("the boolean `{text}`"),
                    Meaning::Integer | Meaning::Float => format!("the number `{text}`"),
                    Meaning::Text => format!("the text `{text}`"),
                }
            }
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.meaning() == Meaning::Null)
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }
}

/// Longest piece of the file that is repeated in a message.
const SHOWN_CHARS_MAX: usize = 40;

/// A piece of the file fit for a message: on one line and not too long.
pub(crate) fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(SHOWN_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        out.push('…');
    }
    out
}

/// Lays a container over the stack's defaults: mappings are merged key by key, the defaults' keys first; everything
/// else is replaced.
pub(crate) fn merge(over: &Arc<Node>, under: &Arc<Node>) -> Arc<Node> {
    let (Kind::Map(top), Kind::Map(base)) = (&over.kind, &under.kind) else { return Arc::clone(over) };
    let mut entries = Vec::with_capacity(top.len() + base.len());
    for entry in base {
        match top.iter().find(|other| other.key == entry.key) {
            Some(other) => entries.push(Entry { value: merge(&other.value, &entry.value), ..other.clone() }),
            None => entries.push(entry.clone()),
        }
    }
    entries.extend(top.iter().filter(|entry| base.iter().all(|other| other.key != entry.key)).cloned());
    Arc::new(Node { place: over.place, kind: Kind::Map(entries) })
}
