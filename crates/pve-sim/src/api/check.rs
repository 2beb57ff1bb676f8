//! Checks parameters against a table, with the messages of PVE's own JSON schema validator.

use std::collections::BTreeMap;

use crate::api::call::{Arg, Args};
use crate::api::format;
use crate::api::schema::{Kind, Param, Schema};

const UNKNOWN: &str = "property is not defined in schema and the schema does not allow additional properties";
pub(crate) const MISSING: &str = "property is missing and it is not optional";

/// Checks all parameters; lists given as arrays become text. Errors come per parameter.
pub(crate) fn check_args(schema: &Schema, args: &mut Args) -> Result<(), BTreeMap<String, String>> {
    flatten_lists(schema, args);
    let errors = check_object(schema, &args.0, "");
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// A list format given as an array means the same as its text with commas.
fn flatten_lists(schema: &Schema, args: &mut Args) {
    for (name, arg) in &mut args.0 {
        let Some(param) = schema.find(name) else { continue };
        match arg {
            Arg::List(items) if param.format.as_deref().is_some_and(|f| f.ends_with("-list")) => {
                let texts: Vec<&str> = items.iter().filter_map(Arg::text).collect();
                if texts.len() == items.len() {
                    *arg = Arg::Text(texts.join(","));
                }
            }
            Arg::Text(text) if param.kind == Kind::Array => *arg = Arg::List(vec![Arg::Text(text.clone())]),
            _ => {}
        }
    }
}

/// Checks a set of keys; `prefix` names the property string they stand in.
pub(crate) fn check_object(schema: &Schema, values: &BTreeMap<String, Arg>, prefix: &str) -> BTreeMap<String, String> {
    let path = |key: &str| if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
    let mut errors = BTreeMap::new();
    for (name, param) in &schema.params {
        if param.numbered == 0 && !param.optional && !values.contains_key(name) {
            errors.insert(path(name), MISSING.to_owned());
        }
    }
    for (key, value) in values {
        let Some(param) = schema.find(key) else {
            errors.insert(path(key), UNKNOWN.to_owned());
            continue;
        };
        if let Some(companion) = &param.requires
            && !values.contains_key(companion)
        {
            errors.insert(path(companion), format!("missing property required by '{key}'"));
        }
        if let Err(message) = check_value(param, value, &path(key)) {
            errors.insert(path(key), message);
        }
    }
    errors
}

/// Checks one value. A null passes, as it does in PVE.
pub(crate) fn check_value(param: &Param, value: &Arg, path: &str) -> Result<(), String> {
    let text = match value {
        Arg::Null => return Ok(()),
        Arg::Text(text) => text,
        Arg::List(_) if param.kind == Kind::Array => return Ok(()),
        Arg::List(_) => return Err(type_error(param.kind, "ARRAY", false)),
        Arg::Object => return Err(type_error(param.kind, "HASH", false)),
    };
    check_kind(param.kind, text)?;
    if let Some(name) = &param.format {
        format::check(name, text, path).map_err(|why| format!("invalid format - {why}"))?;
    }
    if let Some(pattern) = &param.pattern
        && !pattern.regex.is_match(text.as_bytes())
    {
        return Err("value does not match the regex pattern".to_owned());
    }
    check_limits(param, text)
}

fn type_error(kind: Kind, got: &str, quoted: bool) -> String {
    let quote = if quoted { "'" } else { "" };
    format!("type check ('{}') failed - got {quote}{got}{quote}", kind.name())
}

fn check_kind(kind: Kind, text: &str) -> Result<(), String> {
    let ok = match kind {
        Kind::String | Kind::Array => true,
        Kind::Integer => is_integer(text),
        Kind::Number => is_number(text),
        Kind::Boolean => text == "0" || text == "1",
    };
    if ok { Ok(()) } else { Err(type_error(kind, text, true)) }
}

/// An optional sign and digits.
pub(crate) fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// What Perl's schema takes for a number: digits with an optional point and exponent.
pub(crate) fn is_number(text: &str) -> bool {
    let starts_well = text.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_digit() || c == '.');
    starts_well && text.parse::<f64>().is_ok()
}

fn check_limits(param: &Param, text: &str) -> Result<(), String> {
    let length = text.chars().count();
    if let Some(max) = param.max_len.filter(|max| length > *max) {
        return Err(format!("value may only be {max} characters long"));
    }
    if let Some(min) = param.min_len.filter(|min| length < *min) {
        return Err(format!("value must be at least {min} characters long"));
    }
    if is_number(text) {
        let value: f64 = text.parse().unwrap_or(0.0);
        let above = |limit: &str| limit.parse::<f64>().is_ok_and(|l| value > l);
        let below = |limit: &str| limit.parse::<f64>().is_ok_and(|l| value < l);
        if let Some(max) = param.max.as_deref().filter(|m| above(m)) {
            return Err(format!("value must have a maximum value of {max}"));
        }
        if let Some(min) = param.min.as_deref().filter(|m| below(m)) {
            return Err(format!("value must have a minimum value of {min}"));
        }
    }
    if !param.choices.is_empty() && !param.choices.iter().any(|c| c == text) {
        let all = param.choices.join(", ");
        return Err(format!("value '{text}' does not have a value in the enumeration '{all}'"));
    }
    Ok(())
}
