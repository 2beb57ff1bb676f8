//! The records of a stack with their references looked up.

use std::collections::BTreeMap;

use rl_model::dns::{DnsName, RecordSource, RecordValue, ResolvedRecord};
use rl_model::manifest::{DnsContent, DnsRecord, Stack};
use rl_model::{Fqdn, Site, SiteName};

/// What the names of reverse zones end with (RFC 1035 section 3.5, RFC 3596 section 2.5).
const REVERSE: [&str; 2] = ["in-addr.arpa", "ip6.arpa"];

/// Every declared record. Its addresses are looked up when a plan is made, from the leases of that moment.
pub(super) fn records(stack: &Stack, sites: &BTreeMap<SiteName, Site>) -> Vec<ResolvedRecord> {
    let zones = sites.values().flat_map(|site| site.zones.keys());
    let mut reverse: Vec<Fqdn> =
        zones.filter(|zone| REVERSE.iter().any(|end| zone.as_str().ends_with(end))).cloned().collect();
    reverse.sort();
    reverse.dedup();
    stack.dns.iter().filter_map(|record| resolved(stack, record, &reverse)).collect()
}

/// `None` where name and zone are too long together, which the parser has reported.
fn resolved(stack: &Stack, record: &DnsRecord, reverse: &[Fqdn]) -> Option<ResolvedRecord> {
    let source = match &record.content {
        DnsContent::A { to } | DnsContent::Aaaa { to } => {
            let container = stack.containers.get(&to.container)?;
            RecordSource::Nic { guests: stack.guest_names(container), nic: to.nic.clone() }
        }
        DnsContent::Cname { target } => RecordSource::Fixed(vec![RecordValue::Cname(target.clone())]),
        DnsContent::Srv { priority, weight, port, target } => RecordSource::Fixed(vec![RecordValue::Srv {
            priority: *priority,
            weight: *weight,
            port: *port,
            target: target.clone(),
        }]),
        DnsContent::Txt { texts } => RecordSource::Fixed(texts.iter().cloned().map(RecordValue::Txt).collect()),
    };
    Some(ResolvedRecord {
        zone: record.zone.clone(),
        name: DnsName::below(&record.zone, &record.name)?,
        kind: record.content.kind(),
        ttl_s: record.ttl_s,
        reverse: if record.content.nic().is_some() { reverse.to_vec() } else { Vec::new() },
        source,
    })
}
