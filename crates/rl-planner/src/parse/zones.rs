//! Reads the zones of a site.

use std::collections::BTreeMap;

use rl_model::dns::{DnsName, DnsServer, Secondary, TsigAlgorithm, TsigKey, Zone, ZoneProvider, ZoneUrl};
use rl_model::{Fqdn, SecretRef, TokenSource};

use super::fields::{Fields, Shape, named};
use super::report::Report;
use super::site::{TOKEN, one_of, path_beside, variable};
use super::tree::{Kind, Node, Place};
use super::values::{choice, parsed, text};
use crate::diagnostic::codes;

pub(crate) const ZONE: Shape = Shape { name: "Zone", what: "a zone", keys: &["provider", "servers"] };
pub(crate) const PROVIDER: Shape =
    Shape { name: "ZoneProvider", what: "`provider`", keys: &["builtin", "rfc2136", "powerdns", "cloudflare"] };
pub(crate) const BUILTIN: Shape = Shape { name: "Builtin", what: "`builtin`", keys: &["nameservers", "secondaries"] };
pub(crate) const SECONDARY: Shape = Shape { name: "Secondary", what: "a secondary", keys: &["address", "key"] };
pub(crate) const RFC2136: Shape = Shape { name: "Rfc2136", what: "`rfc2136`", keys: &["server", "key"] };
pub(crate) const KEY: Shape = Shape { name: "TsigKey", what: "`key`", keys: &["name", "algorithm", "value"] };
pub(crate) const POWERDNS: Shape = Shape { name: "PowerDns", what: "`powerdns`", keys: &["url", "server", "api_key"] };
pub(crate) const CLOUDFLARE: Shape = Shape { name: "Cloudflare", what: "`cloudflare`", keys: &["token", "url"] };

/// PowerDNS's own name for itself.
const POWERDNS_SERVER: &str = "localhost";
/// Algorithms of keys by name.
const ALGORITHMS: [(&str, TsigAlgorithm); 3] = [
    ("hmac-sha256", TsigAlgorithm::HmacSha256),
    ("hmac-sha384", TsigAlgorithm::HmacSha384),
    ("hmac-sha512", TsigAlgorithm::HmacSha512),
];

/// Reads `dns:` of a site.
pub(super) fn zones(report: &mut Report<'_>, site: &Fields<'_>) -> BTreeMap<Fqdn, Zone> {
    let mut out = BTreeMap::new();
    let Some(node) = site.get(report, "dns") else { return out };
    for entry in named::<Fqdn>(report, node, &site.path("dns"), "`dns`") {
        let name = entry.name.value;
        if let Some(zone) = zone(report, entry.value, entry.key_place, &name, &entry.path) {
            out.entry(name).or_insert(zone);
        }
    }
    out
}

fn zone(report: &mut Report<'_>, node: &Node, owner: Place, name: &Fqdn, path: &str) -> Option<Zone> {
    let fields = Fields::open(report, node, owner, path, &ZONE)?;
    let provider =
        fields.require(report, "provider", "provider: builtin").and_then(|node| provider(report, node, &fields));
    let servers = fields.list(report, "servers", |r, node| parsed::<DnsServer>(r, node).map(|sp| sp.value));
    Some(Zone { name: name.clone(), provider: provider?, servers: servers.unwrap_or_default() })
}

fn provider(report: &mut Report<'_>, node: &Node, zone: &Fields<'_>) -> Option<ZoneProvider> {
    if matches!(&node.kind, Kind::Scalar(_)) {
        let plain = || ZoneProvider::Builtin { nameservers: Vec::new(), secondaries: Vec::new() };
        return choice(report, node, "provider without settings", &[("builtin", ())]).map(|_| plain());
    }
    let owner = zone.entry("provider")?.key_place;
    let fields = Fields::open(report, node, owner, &zone.path("provider"), &PROVIDER)?;
    one_of(report, &fields, owner, "provider", &PROVIDER)?;
    let open = |report: &mut Report<'_>, key: &str, shape: &Shape| {
        let entry = fields.entry(key)?;
        Fields::open(report, &entry.value, entry.key_place, &fields.path(key), shape)
    };
    if fields.entry("builtin").is_some() {
        return open(report, "builtin", &BUILTIN).map(|fields| builtin(report, &fields));
    }
    if fields.entry("rfc2136").is_some() {
        return open(report, "rfc2136", &RFC2136).and_then(|fields| rfc2136(report, &fields));
    }
    if fields.entry("powerdns").is_some() {
        return open(report, "powerdns", &POWERDNS).and_then(|fields| powerdns(report, &fields));
    }
    let fields = open(report, "cloudflare", &CLOUDFLARE)?;
    let url = fields.parsed::<ZoneUrl>(report, "url").map(|sp| sp.value);
    let token = source(report, &fields, "token", "token: { file: cloudflare.token }");
    Some(ZoneProvider::Cloudflare { url, token: token? })
}

fn builtin(report: &mut Report<'_>, fields: &Fields<'_>) -> ZoneProvider {
    let nameservers = fields.list(report, "nameservers", |r, node| parsed::<DnsName>(r, node).map(|sp| sp.value));
    let mut index = 0;
    let secondaries = fields.list(report, "secondaries", |report, node| {
        let path = format!("{}.{index}", fields.path("secondaries"));
        index += 1;
        let fields = Fields::open(report, node, node.place, &path, &SECONDARY)?;
        let address =
            fields.require(report, "address", "address: 192.0.2.53").and_then(|n| parsed::<DnsServer>(report, n));
        let key = match fields.entry("key") {
            Some(_) => Some(key(report, &fields)?),
            None => None,
        };
        Some(Secondary { address: address?.value, key })
    });
    ZoneProvider::Builtin { nameservers: nameservers.unwrap_or_default(), secondaries: secondaries.unwrap_or_default() }
}

fn rfc2136(report: &mut Report<'_>, fields: &Fields<'_>) -> Option<ZoneProvider> {
    let server =
        fields.require(report, "server", "server: ns1.example.org").and_then(|n| parsed::<DnsServer>(report, n));
    let key = key(report, fields);
    Some(ZoneProvider::Rfc2136 { server: server?.value, key: key? })
}

fn powerdns(report: &mut Report<'_>, fields: &Fields<'_>) -> Option<ZoneProvider> {
    let url =
        fields.require(report, "url", "url: \"http://127.0.0.1:8081\"").and_then(|n| parsed::<ZoneUrl>(report, n));
    let server = fields.get(report, "server").and_then(|node| text(report, node, "a server id as text"));
    let key = source(report, fields, "api_key", "api_key: { file: powerdns.key }");
    let server = server.unwrap_or(POWERDNS_SERVER).to_owned();
    Some(ZoneProvider::PowerDns { url: url?.value, server, key: key? })
}

/// Reads a key; its value stands elsewhere.
fn key(report: &mut Report<'_>, of: &Fields<'_>) -> Option<TsigKey> {
    let example = "key: { name: rapidlaunch, value: { file: dns.key } }";
    let node = of.require(report, "key", example)?;
    let owner = of.entry("key")?.key_place;
    let fields = Fields::open(report, node, owner, &of.path("key"), &KEY)?;
    let name = fields.require(report, "name", "name: rapidlaunch").and_then(|n| parsed::<DnsName>(report, n));
    let algorithm = fields.get(report, "algorithm").map(|node| choice(report, node, "algorithm of a key", &ALGORITHMS));
    let secret = source(report, &fields, "value", "value: { file: dns.key }");
    let algorithm = algorithm.map_or(Some(TsigAlgorithm::HmacSha256), |found| found.map(|sp| sp.value));
    Some(TsigKey { name: name?.value, algorithm: algorithm?, secret: secret? })
}

/// Reads where a credential comes from; one that stands in the file itself is refused.
pub(super) fn source(report: &mut Report<'_>, of: &Fields<'_>, key: &str, example: &str) -> Option<TokenSource> {
    let node = of.require(report, key, example)?;
    if matches!(&node.kind, Kind::Scalar(_)) {
        let message = format!("`{key}` must not stand in a site file");
        let help = format!("write it into a file only you can read and name it: `{example}`");
        report.error(codes::PLAIN_SECRET, node.place, &message, "", &help);
        return None;
    }
    let owner = of.entry(key)?.key_place;
    let fields = Fields::open(report, node, owner, &of.path(key), &TOKEN)?;
    one_of(report, &fields, owner, key, &TOKEN)?;
    if let Some(node) = fields.get(report, "file") {
        return path_beside(report, node).map(TokenSource::File);
    }
    if let Some(node) = fields.get(report, "env") {
        return variable(report, node).map(TokenSource::Env);
    }
    let node = fields.get(report, "secret")?;
    parsed::<SecretRef>(report, node).map(|sp| TokenSource::Secret(sp.value))
}
