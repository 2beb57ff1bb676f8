//! Reads a document of `kind: stack`.

use std::sync::Arc;

use rl_model::manifest::{DnsRecord, Location};
use rl_model::{ContainerName, SiteName, StackName};

use super::container::{self, Draft};
use super::dns;
use super::fields::{Fields, Shape, named};
use super::report::{Report, Sp};
use super::tree::{Kind, Node, Place, merge};
use crate::diagnostic::codes;

pub(crate) const STACK: Shape =
    Shape { name: "Stack", what: "a stack", keys: &["kind", "name", "site", "defaults", "containers", "dns"] };

/// A stack as written, its references not yet looked up.
pub(crate) struct StackDraft {
    pub(crate) name: Option<StackName>,
    pub(crate) site: Option<Sp<SiteName>>,
    pub(crate) containers: Vec<Draft>,
    pub(crate) dns: Vec<Sp<DnsRecord>>,
    pub(crate) dns_at: Option<Location>,
    /// Some containers could not be read, so that a name that is not found may be one of them.
    pub(crate) incomplete: bool,
}

/// Reads a stack; everything wrong is reported.
pub(crate) fn stack(
    report: &mut Report<'_>,
    node: &Node,
    owner: Place,
    name: Option<StackName>,
    path: &str,
) -> Option<StackDraft> {
    let fields = Fields::open(report, node, owner, path, &STACK)?;
    let site = fields.parsed::<SiteName>(report, "site");
    let site_broken = site.is_none() && fields.entry("site").is_some();
    let defaults = defaults(report, node, path);
    let mut containers = Vec::new();
    let mut incomplete = false;
    let example = "containers: { web: { image: debian-12, nics: { eth0: { network: dmz } } } }";
    if let Some(list) = fields.require(report, "containers", example) {
        let entries = named::<ContainerName>(report, list, &fields.path("containers"), "`containers`");
        incomplete = !matches!(&list.kind, Kind::Map(all) if all.len() == entries.len());
        if matches!(&list.kind, Kind::Map(all) if all.is_empty()) {
            report.error(
                codes::NOTHING_DECLARED,
                list.place,
                "the stack has no containers",
                "",
                "declare at least one",
            );
        }
        for entry in entries {
            if report.findings.full() {
                incomplete = true;
                break;
            }
            let whole = defaults.as_ref().map_or_else(|| Arc::clone(entry.value), |base| merge(entry.value, base));
            let draft = container::container(report, &whole, entry.key_place, &entry.name, &entry.path);
            incomplete |= draft.is_none();
            containers.extend(draft);
        }
    }
    let dns = fields.get(report, "dns").and_then(|node| dns::records(report, node, &fields.path("dns")));
    let dns_at = fields.entry("dns").map(|entry| report.at(entry.key_place));
    let mut draft = StackDraft { name, site, containers, dns: dns.unwrap_or_default(), dns_at, incomplete };
    if site_broken {
        draft.containers.iter_mut().for_each(|container| container.site_broken = true);
    }
    Some(draft)
}

/// The node of `defaults:`, its mistakes reported on their own, since a stack's containers may replace every one.
fn defaults(report: &mut Report<'_>, node: &Node, path: &str) -> Option<Arc<Node>> {
    let entry = node.entry("defaults")?;
    container::check_defaults(report, &entry.value, entry.key_place, &format!("{path}.defaults"));
    matches!(entry.value.kind, Kind::Map(_)).then(|| Arc::clone(&entry.value))
}
