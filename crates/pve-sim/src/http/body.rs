//! Parameters from queries and bodies.

use percent_encoding::percent_decode;
use serde_json::Value;

use crate::api::call::{Arg, Args};
use crate::http::{Request, Response};

/// All parameters of a request; a name given twice becomes a list. An unreadable JSON body is an HTTP error.
pub(crate) fn params(request: &Request) -> Result<Args, Response> {
    let mut args = Args::default();
    add_form(&mut args, request.query.as_bytes());
    let is_json =
        request.header("content-type").is_some_and(|t| t.to_ascii_lowercase().starts_with("application/json"));
    if is_json && matches!(request.method.as_str(), "POST" | "PUT") {
        add_json(&mut args, &request.body)?;
    } else {
        add_form(&mut args, &request.body);
    }
    args.0.remove("_dc");
    Ok(args)
}

fn add_form(args: &mut Args, form: &[u8]) {
    for pair in form.split(|b| *b == b'&').filter(|p| !p.is_empty()) {
        let mut halves = pair.splitn(2, |b| *b == b'=');
        let name = decode(halves.next().unwrap_or_default());
        let value = decode(halves.next().unwrap_or_default());
        add(args, name, Arg::Text(value));
    }
}

fn add(args: &mut Args, name: String, value: Arg) {
    match args.0.get_mut(&name) {
        None => {
            args.0.insert(name, value);
        }
        Some(Arg::List(items)) => items.push(value),
        Some(first) => *first = Arg::List(vec![first.clone(), value]),
    }
}

/// Decodes form encoding: `+` is a blank, `%xx` a byte.
pub(crate) fn decode(bytes: &[u8]) -> String {
    let spaced: Vec<u8> = bytes.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
    percent_decode(&spaced).decode_utf8_lossy().into_owned()
}

fn add_json(args: &mut Args, body: &[u8]) -> Result<(), Response> {
    let text = String::from_utf8_lossy(body);
    let value: Value = serde_json::from_str(&text).map_err(|_| Response::plain(500, &perl_json_error(&text)))?;
    match value {
        Value::Null => Ok(()),
        Value::Object(entries) => {
            for (name, value) in &entries {
                args.0.insert(name.clone(), Arg::from_json(value));
            }
            Ok(())
        }
        Value::Array(_) => {
            Err(Response::plain(500, "Not a HASH reference at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line 978.\n"))
        }
        _ => {
            let text = "Can't use string as a HASH ref while \"strict refs\" in use at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line 978.\n";
            Err(Response::plain(500, text))
        }
    }
}

/// What Perl's JSON module says about the two commonest mistakes; the rest get the general complaint.
fn perl_json_error(text: &str) -> String {
    let at = "at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line 934.\n";
    let trimmed = text.trim_start();
    let offset = text.len() - trimmed.len();
    if let Some(inside) = trimmed.strip_prefix('{') {
        let rest = inside.trim_start();
        let offset = offset + 1 + inside.len() - rest.len();
        if !rest.starts_with(['"', '}']) {
            let shown = rest.strip_suffix('}').unwrap_or(rest);
            let shown = if shown.is_empty() { "(end of string)" } else { shown };
            return format!("'\"' expected, at character offset {offset} (before \"{shown}\") {at}");
        }
    }
    let shown = if trimmed.is_empty() { "(end of string)" } else { trimmed };
    format!(
        "malformed JSON string, neither tag, array, object, number, string or atom, at character offset {offset} (before \"{shown}\") {at}"
    )
}

#[cfg(test)]
mod tests;
