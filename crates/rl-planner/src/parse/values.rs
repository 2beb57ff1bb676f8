//! Reads single values by their type; what does not fit is reported in our words.

use std::str::FromStr;

use rl_model::ParseError;

use super::report::{Report, Sp, nearest};
use super::tree::{Kind, Meaning, Node, Place, shown};
use crate::diagnostic::codes;

/// What a right value of each kind looks like, for hints.
const EXAMPLES: [(&str, &str); 19] = [
    ("site name", "fra1"),
    ("stack name", "shop"),
    ("container name", "web-1"),
    ("volume name", "data"),
    ("host name", "web-1.example.org"),
    ("domain name", "example.org"),
    ("network name", "dmz"),
    ("image name", "debian-12"),
    ("bridge name", "vmbr0"),
    ("NIC name", "eth0"),
    ("node name", "pve1"),
    ("storage name", "local-zfs"),
    ("volume", "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"),
    ("MAC address", "52:54:00:12:34:56"),
    ("network", "10.20.0.0/24"),
    ("address range", "10.20.0.50-10.20.0.99"),
    ("VMID range", "2000-2999"),
    ("endpoint", "https://pve1.example:8006"),
    ("path in the guest", "/var/lib/data"),
];

/// Reports that something else was expected.
pub(crate) fn wrong_type(report: &mut Report<'_>, node: &Node, place: Place, expected: &str, help: &str) {
    if matches!(node.kind, Kind::Broken) {
        return;
    }
    let message = format!("expected {expected}, found {}", node.describe());
    report.error(codes::WRONG_TYPE, place, &message, "", help);
}

/// Reads text. A number or boolean without quotes is none.
pub(crate) fn text<'n>(report: &mut Report<'_>, node: &'n Node, what: &str) -> Option<&'n str> {
    if let Kind::Scalar(scalar) = &node.kind {
        if scalar.meaning() == Meaning::Text {
            return Some(&scalar.text);
        }
        let help = format!("put it in quotes: \"{}\"", shown(&scalar.text));
        wrong_type(report, node, node.place, what, &help);
        return None;
    }
    wrong_type(report, node, node.place, what, "write one value here");
    None
}

/// Reads a value by its newtype's parser.
pub(crate) fn parsed<T: FromStr<Err = ParseError>>(report: &mut Report<'_>, node: &Node) -> Option<Sp<T>> {
    let what = T::from_str("").err().map_or("text", |error| error.what);
    let text = text(report, node, &format!("{} as text", article(what)))?;
    match text.parse() {
        Ok(value) => Some(Sp { value, at: report.at(node.place) }),
        Err(error) => {
            invalid::<T>(report, node.place, text, &error);
            None
        }
    }
}

/// "a site name", "an amount of memory".
pub(crate) fn article(what: &str) -> String {
    let an = what.starts_with(['a', 'e', 'i', 'o', 'u', 'N', 'M']) && !what.starts_with("NIC name ");
    format!("{} {what}", if an { "an" } else { "a" })
}

/// Reports a value that breaks the rule of its kind, with a mended one where letters in the wrong case, `_`, or a
/// beginning left out are all that is wrong.
pub(crate) fn invalid<T: FromStr<Err = ParseError>>(
    report: &mut Report<'_>,
    place: Place,
    text: &str,
    error: &ParseError,
) {
    let what = T::from_str("").err().map_or(error.what, |empty| empty.what);
    let plain = text.trim().to_ascii_lowercase().replace(['_', ' '], "-");
    let bare = text.trim_start_matches("http://");
    let mended = [plain.trim_matches('-').to_owned(), plain.clone(), format!("/{text}"), format!("https://{bare}")];
    let mended = mended.into_iter().find(|other| other != text && other.parse::<T>().is_ok());
    let example = || EXAMPLES.iter().find(|(kind, _)| *kind == what).map(|(_, like)| format!("write it like `{like}`"));
    let help = mended.map(|mended| format!("did you mean `{mended}`?")).or_else(example).unwrap_or_default();
    report.error(codes::INVALID_VALUE, place, &format!("`{}` is no valid {what}", shown(text)), &error.rule, &help);
}

/// Reads an amount of memory or disk, which has a unit.
pub(crate) fn size<T: FromStr<Err = ParseError>>(report: &mut Report<'_>, node: &Node) -> Option<Sp<T>> {
    if let Kind::Scalar(scalar) = &node.kind
        && matches!(scalar.meaning(), Meaning::Integer | Meaning::Float)
    {
        let message = format!("the number `{}` has no unit", shown(&scalar.text));
        let help = format!("write it with its unit, as in `{0} MiB` or `{0} GiB`", shown(&scalar.text));
        report.error(codes::WRONG_TYPE, node.place, &message, "MiB? GiB?", &help);
        return None;
    }
    let text = text(report, node, "a number and a unit as text")?;
    match text.parse::<T>() {
        Ok(value) => Some(Sp { value, at: report.at(node.place) }),
        Err(error) => {
            let help = meant_size::<T>(text).map_or_else(
                || "write a number and a unit, as in `512 MiB` or `1.5 GiB`".to_owned(),
                |meant| format!("did you mean `{meant}`?"),
            );
            let message = format!("`{}` is no valid {}", shown(text), error.what);
            report.error(codes::INVALID_VALUE, node.place, &message, &error.rule, &help);
            None
        }
    }
}

/// A size with a unit of another spelling, such as `8G` or `1 gigabyte`, in ours.
fn meant_size<T: FromStr<Err = ParseError>>(text: &str) -> Option<String> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let letter = match text.as_bytes()[unit].to_ascii_lowercase() {
        b'm' => "MiB",
        b'g' => "GiB",
        b't' => "TiB",
        _ => return None,
    };
    let meant = format!("{} {letter}", text[..unit].trim());
    meant.parse::<T>().is_ok().then_some(meant)
}

/// Reads `true` or `false`.
pub(crate) fn boolean(report: &mut Report<'_>, node: &Node) -> Option<bool> {
    if let Kind::Scalar(scalar) = &node.kind {
        if let Meaning::Bool(value) = scalar.meaning() {
            return Some(value);
        }
        let meant = match scalar.text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "1" | "true" | "y" => "write `true`",
            "no" | "off" | "0" | "false" | "n" => "write `false`",
            _ => "write `true` or `false`, without quotes",
        };
        wrong_type(report, node, node.place, "true or false", meant);
        return None;
    }
    wrong_type(report, node, node.place, "true or false", "write `true` or `false`");
    None
}

/// What a number may be: both ends included, and the unit people read it in.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) what: &'static str,
    pub(crate) min: u32,
    pub(crate) max: u32,
}

/// Reads a whole number within its limits.
pub(crate) fn integer(report: &mut Report<'_>, node: &Node, limits: Limits) -> Option<Sp<u32>> {
    let Limits { what, min, max } = limits;
    let range = format!("write a whole number from {min} to {max}");
    let scalar = match &node.kind {
        Kind::Scalar(scalar) if scalar.meaning() == Meaning::Integer => scalar,
        Kind::Scalar(scalar) if !scalar.plain && scalar.text.parse::<u32>().is_ok() => {
            wrong_type(report, node, node.place, what, "write the number without quotes");
            return None;
        }
        _ => {
            wrong_type(report, node, node.place, what, &range);
            return None;
        }
    };
    match scalar.text.parse::<u32>() {
        Ok(value) if (min..=max).contains(&value) => Some(Sp { value, at: report.at(node.place) }),
        _ => {
            let message = format!("{} is out of the limits for {what}", shown(&scalar.text));
            report.error(codes::OUT_OF_LIMITS, node.place, &message, &format!("allowed: {min} to {max}"), &range);
            None
        }
    }
}

/// Reads a list.
pub(crate) fn list<T>(
    report: &mut Report<'_>,
    node: &Node,
    mut read: impl FnMut(&mut Report<'_>, &Node) -> Option<T>,
) -> Option<Vec<T>> {
    let Kind::List(items) = &node.kind else {
        wrong_type(report, node, node.place, "a list", "write it as `[one, two]`, or one `- item` a line");
        return None;
    };
    Some(items.iter().filter_map(|item| read(report, item)).collect())
}

/// Reads one value or a list of them, which must not be empty.
pub(crate) fn one_or_list<T>(
    report: &mut Report<'_>,
    node: &Node,
    mut read: impl FnMut(&mut Report<'_>, &Node) -> Option<T>,
) -> Vec<T> {
    match &node.kind {
        Kind::List(items) if items.is_empty() => {
            report.error(
                codes::INVALID_VALUE,
                node.place,
                "the list is empty",
                "",
                "name at least one, or remove the key",
            );
            Vec::new()
        }
        Kind::List(items) => items.iter().filter_map(|item| read(report, item)).collect(),
        _ => read(report, node).into_iter().collect(),
    }
}

/// Reads one word of a few.
pub(crate) fn choice<T: Copy>(report: &mut Report<'_>, node: &Node, what: &str, words: &[(&str, T)]) -> Option<Sp<T>> {
    let text = text(report, node, what)?;
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Some(Sp { value: *value, at: report.at(node.place) });
    }
    let names = words.iter().map(|(word, _)| *word);
    let help = match nearest(text, names.clone()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("write {}", names.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ")),
    };
    report.error(codes::INVALID_VALUE, node.place, &format!("`{}` is no {what}", shown(text)), "", &help);
    None
}
