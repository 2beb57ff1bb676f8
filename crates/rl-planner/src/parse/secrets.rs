//! Reads the secrets granted to a container.

use std::collections::BTreeMap;

use rl_model::manifest::{Location, SecretGrant};
use rl_model::{GuestPath, SecretRef};

use super::fields::{Fields, Shape};
use super::report::{Report, Sp};
use super::tree::{Kind, Meaning, Node, shown};
use super::values::{parsed, text, wrong_type};
use crate::diagnostic::{Diagnostic, codes};

pub(crate) const SECRET: Shape = Shape { name: "Secret", what: "a secret", keys: &["from", "to", "mode", "owner"] };

/// Permissions where none are given: the owner may read.
const MODE_DEFAULT: u32 = 0o400;
/// Owner where none is given.
const OWNER_DEFAULT: &str = "root";
/// Longest user name (`useradd`).
const OWNER_LEN_MAX: usize = 32;

/// Reads `secrets:`.
pub(crate) fn secrets(report: &mut Report<'_>, container: &Fields<'_>) -> Option<Sp<Vec<SecretGrant>>> {
    let mut paths: BTreeMap<GuestPath, Location> = BTreeMap::new();
    let value = container.list(report, "secrets", |report, node| {
        let (grant, at) = secret(report, node)?;
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

fn secret(report: &mut Report<'_>, node: &Node) -> Option<(SecretGrant, Location)> {
    let fields = Fields::open(report, node, node.place, "", &SECRET)?;
    let from = fields.require(report, "from", "from: shop/db-password").and_then(|n| parsed::<SecretRef>(report, n));
    let to = fields.require(report, "to", "to: /run/secrets/db-password").and_then(|n| parsed::<GuestPath>(report, n));
    let mode = match fields.get(report, "mode") {
        Some(node) => mode(report, node)?,
        None => MODE_DEFAULT,
    };
    let owner = match fields.get(report, "owner") {
        Some(node) => owner(report, node)?,
        None => OWNER_DEFAULT.to_owned(),
    };
    let to = to?;
    Some((SecretGrant { from: from?.value, to: to.value, mode, owner }, to.at))
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
