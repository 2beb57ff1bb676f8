//! Parameter tables in a compact notation, parsed once when a site starts.
//!
//! A table is words: `name` or `name?` (optional), a colon, a type letter (`s` string, `i` integer, `n` number,
//! `b` boolean, `a` array), then any of: `^` default key of a property string, `@format`, `[min..max]`,
//! `{one|other}` (`mp#256` stands for mp0 to mp255), `<longest`, `>shortest`, `!required-companion`, and last
//! `~pattern` (a space is written `\x20`). `name[n]` is a numbered family. The bare words `node` and `vmid` are the
//! path parameters nearly every endpoint has.

use std::collections::BTreeMap;

use regex::bytes::{Regex, RegexBuilder};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    String,
    Integer,
    Number,
    Boolean,
    Array,
}

impl Kind {
    /// The name that messages and the published description use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Array => "array",
        }
    }
}

/// One parameter of an endpoint or one key of a property string.
#[derive(Debug, Clone)]
pub(crate) struct Param {
    pub(crate) kind: Kind,
    pub(crate) optional: bool,
    pub(crate) default_key: bool,
    /// How many members a numbered family has; 0 for an ordinary parameter.
    pub(crate) numbered: u32,
    pub(crate) format: Option<String>,
    pub(crate) min: Option<String>,
    pub(crate) max: Option<String>,
    pub(crate) choices: Vec<String>,
    pub(crate) max_len: Option<usize>,
    pub(crate) min_len: Option<usize>,
    pub(crate) requires: Option<String>,
    pub(crate) pattern: Option<Pattern>,
}

/// A pattern as published and as compiled; it must match the whole value.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) text: String,
    pub(crate) regex: Regex,
}

/// All parameters of one endpoint or all keys of one property string.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schema {
    pub(crate) params: BTreeMap<String, Param>,
}

/// A table that is written wrongly; only tests ever see it.
#[derive(Debug, thiserror::Error)]
#[error("parameter table: cannot read '{word}': {why}")]
pub(crate) struct TableError {
    word: String,
    why: String,
}

impl Schema {
    /// Reads a table.
    pub(crate) fn parse(tables: &[&str]) -> Result<Self, TableError> {
        let mut params = BTreeMap::new();
        for word in tables.iter().flat_map(|t| t.split_whitespace()) {
            let (name, param) = parse_word(word)?;
            params.insert(name, param);
        }
        Ok(Self { params })
    }

    /// The parameter that a key names, numbered families included.
    pub(crate) fn find(&self, key: &str) -> Option<&Param> {
        if let Some(param) = self.params.get(key) {
            return (param.numbered == 0).then_some(param);
        }
        let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = &key[stem.len()..];
        let family = self.params.get(stem)?;
        let canonical = digits == "0" || !digits.starts_with('0');
        let number: u32 = digits.parse().ok()?;
        (family.numbered > number && canonical).then_some(family)
    }
}

fn parse_word(word: &str) -> Result<(String, Param), TableError> {
    match word {
        "node" => return parse_word("node:s@pve-node"),
        "vmid" => return parse_word("vmid:i@pve-vmid[100..999999999]"),
        _ => {}
    }
    let fail = |why: &str| TableError { word: word.to_owned(), why: why.to_owned() };
    let (head, rest) = word.split_once(':').ok_or_else(|| fail("no colon"))?;
    let (name, optional) = head.strip_suffix('?').map_or((head, false), |n| (n, true));
    let (name, numbered) = match name.strip_suffix("[n]") {
        Some(stem) => (stem, family_size(stem)),
        None => (name, 0),
    };
    let mut letters = rest.chars();
    let kind = match letters.next() {
        Some('s') => Kind::String,
        Some('i') => Kind::Integer,
        Some('n') => Kind::Number,
        Some('b') => Kind::Boolean,
        Some('a') => Kind::Array,
        _ => return Err(fail("unknown type letter")),
    };
    let mut param = Param {
        kind,
        optional,
        default_key: false,
        numbered,
        format: None,
        min: None,
        max: None,
        choices: Vec::new(),
        max_len: None,
        min_len: None,
        requires: None,
        pattern: None,
    };
    parse_modifiers(&mut param, letters.as_str()).map_err(|why| fail(&why))?;
    Ok((name.to_owned(), param))
}

/// How many members the numbered families have (pve-container and pve-manager name these limits).
fn family_size(stem: &str) -> u32 {
    match stem {
        "net" => 32,
        "acmedomain" => 6,
        _ => 256,
    }
}

fn parse_modifiers(param: &mut Param, mut rest: &str) -> Result<(), String> {
    while let Some(mark) = rest.chars().next() {
        let body = &rest[1..];
        let (value, after) = match mark {
            '^' => ("", body),
            '[' => body.split_once(']').ok_or("missing ]")?,
            '{' => body.split_once('}').ok_or("missing }")?,
            '~' => (body, ""),
            '@' | '<' | '>' | '!' => {
                let end = body.find(['[', '{', '<', '>', '!', '~']).unwrap_or(body.len());
                body.split_at(end)
            }
            other => return Err(format!("unknown mark {other}")),
        };
        apply_modifier(param, mark, value)?;
        rest = after;
    }
    Ok(())
}

fn apply_modifier(param: &mut Param, mark: char, value: &str) -> Result<(), String> {
    let number = |v: &str| v.parse::<usize>().map_err(|e| e.to_string());
    match mark {
        '^' => param.default_key = true,
        '@' => param.format = Some(value.to_owned()),
        '[' => {
            let (min, max) = value.split_once("..").ok_or("a range needs two dots")?;
            param.min = (!min.is_empty()).then(|| min.to_owned());
            param.max = (!max.is_empty()).then(|| max.to_owned());
        }
        '{' => param.choices = expand_choices(value)?,
        '<' => param.max_len = Some(number(value)?),
        '>' => param.min_len = Some(number(value)?),
        '!' => param.requires = Some(value.to_owned()),
        _ => param.pattern = Some(compile_pattern(&value.replace("\\x20", " "))?),
    }
    Ok(())
}

fn expand_choices(value: &str) -> Result<Vec<String>, String> {
    let mut out = Vec::new();
    for choice in value.split('|') {
        match choice.split_once('#') {
            Some((stem, count)) => {
                let count: u32 = count.parse().map_err(|_| "bad count in choices".to_owned())?;
                out.extend((0..count).map(|n| format!("{stem}{n}")));
            }
            None => out.push(choice.to_owned()),
        }
    }
    Ok(out)
}

/// Perl writes `(?^:x)` for a group with default flags; elsewhere that is `(?:x)`.
fn compile_pattern(text: &str) -> Result<Pattern, String> {
    let portable = text.replace("(?^i:", "(?i:").replace("(?^:", "(?:").replace("\\0", "\\x00");
    let regex = RegexBuilder::new(&format!("^(?:{portable})$")).unicode(false).build().map_err(|e| e.to_string())?;
    Ok(Pattern { text: text.to_owned(), regex })
}
