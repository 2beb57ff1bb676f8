//! Reads the secrets granted to a container.

use std::collections::BTreeMap;

use rl_model::manifest::{Location, SecretGrant};
use rl_model::{GuestPath, SecretSource};

use super::fields::{Fields, Shape};
use super::report::{Report, Sp};
use super::tree::{Kind, Meaning, Node, shown};
use super::values::{parsed, text, wrong_type};
use crate::diagnostic::{Diagnostic, codes};

pub(crate) const SECRET: Shape =
    Shape { name: "Secret", what: "a secret", keys: &["from", "to", "mode", "owner", "reload"] };

/// Permissions where none are given: the owner may read.
const MODE_DEFAULT: u32 = 0o400;
/// Owner where none is given.
const OWNER_DEFAULT: &str = "root";
/// Folder of files whose path is not given: it lies in memory (file-hierarchy(7)), so that no value is left on a disk.
const FOLDER: &str = "/run/secrets";
/// Most words of a reload command; what takes more is a script.
const RELOAD_WORDS_MAX: usize = 100;
/// Longest user name (`useradd`).
const OWNER_LEN_MAX: usize = 32;

/// Reads `secrets:`, and where each comes from with its place.
pub(crate) fn secrets(
    report: &mut Report<'_>,
    container: &Fields<'_>,
) -> (Option<Sp<Vec<SecretGrant>>>, Vec<Sp<SecretSource>>) {
    let mut sources = Vec::new();
    let granted = grants(report, container, &mut sources);
    (granted, sources)
}

fn grants(
    report: &mut Report<'_>,
    container: &Fields<'_>,
    sources: &mut Vec<Sp<SecretSource>>,
) -> Option<Sp<Vec<SecretGrant>>> {
    let mut paths: BTreeMap<GuestPath, Location> = BTreeMap::new();
    let value = container.list(report, "secrets", |report, node| {
        let (grant, at) = secret(report, node, sources)?;
        if let Some(first) = paths.get(&grant.to) {
            let message = format!("two secrets are written to `{}`", grant.to);
            report.findings.push(
                Diagnostic::error(codes::PATH_TWICE, Some(&at), message)
                    .related(Some(first), "first secret")
                    .help("give one of them another path"),
            );
        }
        paths.entry(grant.to.clone()).or_insert(at);
        Some(grant)
    })?;
    let at = report.at(container.entry("secrets")?.key_place);
    Some(Sp { value, at })
}

fn secret(
    report: &mut Report<'_>,
    node: &Node,
    sources: &mut Vec<Sp<SecretSource>>,
) -> Option<(SecretGrant, Location)> {
    let fields = Fields::open(report, node, node.place, "", &SECRET)?;
    let from = fields.require(report, "from", "from: shop/db-password").and_then(|n| parsed::<SecretSource>(report, n));
    sources.extend(from.clone());
    let to = match fields.get(report, "to") {
        Some(node) => parsed::<GuestPath>(report, node),
        None => from.as_ref().and_then(|from| default_path(report, node, &from.value)),
    };
    let reload = reload(report, &fields)?;
    let mode = match fields.get(report, "mode") {
        Some(node) => mode(report, node)?,
        None => MODE_DEFAULT,
    };
    let owner = match fields.get(report, "owner") {
        Some(node) => owner(report, node)?,
        None => OWNER_DEFAULT.to_owned(),
    };
    let to = to?;
    Some((SecretGrant { from: from?.value, to: to.value, mode, owner, reload }, to.at))
}

/// The file of a secret whose path is not given: named after the entry, or after the last part of the name.
fn default_path(report: &mut Report<'_>, node: &Node, from: &SecretSource) -> Option<Sp<GuestPath>> {
    let name = match from {
        SecretSource::Store(name) => name.as_str(),
        SecretSource::Provider { place, key, .. } => key.as_deref().unwrap_or(place),
    };
    let last = name.rsplit('/').next().unwrap_or(name);
    match format!("{FOLDER}/{last}").parse() {
        Ok(value) => Some(Sp { value, at: report.at(node.place) }),
        Err(_) => {
            let message = format!("no file can be named after `{}`", shown(last));
            let help = "name the file with `to`, as in `to: /run/secrets/db-password`";
            report.error(codes::INVALID_VALUE, node.place, &message, "", help);
            None
        }
    }
}

/// Reads the command that is run after a rotation: words, as no shell reads them. `None` when it is wrong.
fn reload(report: &mut Report<'_>, fields: &Fields<'_>) -> Option<Vec<String>> {
    let Some(entry) = fields.entry("reload") else { return Some(Vec::new()) };
    let place = entry.value.place;
    let words = fields.list(report, "reload", |report, node| text(report, node, "a word").map(str::to_owned))?;
    if words.is_empty() || words.len() > RELOAD_WORDS_MAX || words[0].is_empty() {
        let message = format!("`reload` has {} words", words.len());
        let help = "write program and arguments, as in `reload: [systemctl, reload, nginx]`";
        report.error(codes::INVALID_VALUE, place, &message, "", help);
        return None;
    }
    Some(words)
}

/// Reads permissions in octal, as text, since YAML takes 0400 for the number four hundred.
fn mode(report: &mut Report<'_>, node: &Node) -> Option<u32> {
    if let Kind::Scalar(scalar) = &node.kind
        && scalar.meaning() == Meaning::Integer
    {
        let help = format!("put it in quotes, `\"{}\"`: without them YAML reads another number", shown(&scalar.text));
        wrong_type(report, node, node.place, "permissions as text", &help);
        return None;
    }
    let written = text(report, node, "permissions as text")?;
    let octal = written.len() >= 3 && written.bytes().all(|b| (b'0'..=b'7').contains(&b));
    match u32::from_str_radix(written, 8).ok().filter(|mode| octal && *mode <= 0o777) {
        Some(mode) => Some(mode),
        None => {
            let message = format!("`{}` are no permissions", shown(written));
            report.error(
                codes::INVALID_VALUE,
                node.place,
                &message,
                "",
                "write three octal digits, as in \"0400\" or \"640\"",
            );
            None
        }
    }
}

fn owner(report: &mut Report<'_>, node: &Node) -> Option<String> {
    let written = text(report, node, "a user as text")?;
    let good = |part: &str| {
        (1..=OWNER_LEN_MAX).contains(&part.len())
            && part.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c))
    };
    if written.split(':').count() > 2 || !written.split(':').all(good) {
        let message = format!("`{}` is no user", shown(written));
        report.error(codes::INVALID_VALUE, node.place, &message, "", "write `user` or `user:group`, as in `postgres`");
        return None;
    }
    Some(written.to_owned())
}
