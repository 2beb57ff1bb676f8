//! Reads a document of `kind: site`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rl_model::{
    DatacenterName, Endpoint, ImageName, Network, NetworkName, NodeName, PoolId, SecretRef, Site, SiteLimits, SiteName,
    StorageId, TlsTrust, TokenSource, VmidRange, VolumeId,
};

use super::fields::{Fields, Shape, named};
use super::network::network;
use super::report::Report;
use super::site_firewall::site_firewall;
use super::tree::{Kind, Node, Place, shown};
use super::values::{Limits, one_or_list, parsed, text, wrong_type};
use crate::diagnostic::{Diagnostic, codes};

pub(crate) const SITE: Shape = Shape {
    name: "Site",
    what: "a site",
    keys: &[
        "kind",
        "name",
        "datacenter",
        "proxmox",
        "vmids",
        "networks",
        "images",
        "storage",
        "storages",
        "nodes",
        "pool",
        "limits",
        "firewall",
        "dns",
        "providers",
    ],
};
pub(crate) const PROXMOX: Shape = Shape { name: "Proxmox", what: "`proxmox`", keys: &["endpoints", "token", "tls"] };
pub(crate) const TOKEN: Shape = Shape { name: "Token", what: "`token`", keys: &["file", "env", "secret"] };
pub(crate) const TLS: Shape = Shape { name: "Tls", what: "`tls`", keys: &["fingerprint", "ca_file"] };
pub(crate) const LIMITS: Shape =
    Shape { name: "Limits", what: "`limits`", keys: &["creates_per_node", "starts_per_node", "requests_per_node"] };

/// Most things done at once on one node: more than any node's workers can take.
const AT_ONCE_MAX: u32 = 64;
/// Bytes of a SHA-256 fingerprint.
const FINGERPRINT_BYTES: usize = 32;

/// Reads a site; everything wrong is reported. What is missing then is filled with values that nobody gets to see, so
/// that the stacks on the site can still be checked.
pub(crate) fn site(
    report: &mut Report<'_>,
    node: &Node,
    owner: Place,
    name: Option<SiteName>,
    path: &str,
) -> Option<Site> {
    let fields = Fields::open(report, node, owner, path, &SITE)?;
    let datacenter = fields.parsed::<DatacenterName>(report, "datacenter");
    let proxmox = proxmox(report, &fields);
    let vmids = fields.require(report, "vmids", "vmids: 2000-2999").and_then(|node| parsed::<VmidRange>(report, node));
    let networks = networks(report, &fields);
    let images = images(report, &fields);
    let storage = fields.parsed::<StorageId>(report, "storage").map(|sp| sp.value);
    let storages = storages(report, &fields, storage.as_ref());
    let nodes = fields.list(report, "nodes", |r, node| parsed::<NodeName>(r, node).map(|sp| sp.value));
    let pool = fields.parsed::<PoolId>(report, "pool").map(|sp| sp.value);
    let limits = limits(report, &fields);
    let firewall = site_firewall(report, &fields).map(|draft| draft.link(report, &networks));
    let zones = super::zones::zones(report, &fields);
    let providers = super::providers::providers(report, &fields);
    let (endpoints, token, tls) = proxmox.unwrap_or((Vec::new(), TokenSource::Env(String::new()), TlsTrust::System));
    Some(Site {
        name: name?,
        datacenter: datacenter.map(|sp| sp.value),
        endpoints,
        token,
        tls,
        vmids: vmids.map_or_else(every_vmid, |sp| sp.value),
        networks,
        images,
        storage,
        storages,
        nodes: nodes.unwrap_or_default(),
        pool,
        limits,
        firewall,
        zones,
        providers,
    })
}

fn every_vmid() -> VmidRange {
    "100-999999999".parse().expect("the whole range of VMIDs is a range")
}

fn proxmox(report: &mut Report<'_>, site: &Fields<'_>) -> Option<(Vec<Endpoint>, TokenSource, TlsTrust)> {
    let node = site.require(
        report,
        "proxmox",
        "proxmox: { endpoints: [\"https://pve1.example:8006\"], token: { file: site.token } }",
    )?;
    let owner = site.entry("proxmox")?.key_place;
    let fields = Fields::open(report, node, owner, &site.path("proxmox"), &PROXMOX)?;
    let endpoints = endpoints(report, &fields);
    let token =
        fields.require(report, "token", "token: { file: site.token }").and_then(|node| token(report, node, &fields));
    let tls = match fields.get(report, "tls") {
        Some(node) => tls(report, node, &fields),
        None => Some(TlsTrust::System),
    };
    Some((endpoints?, token?, tls?))
}

fn endpoints(report: &mut Report<'_>, proxmox: &Fields<'_>) -> Option<Vec<Endpoint>> {
    let node = proxmox.require(report, "endpoints", "endpoints: [\"https://pve1.example:8006\"]")?;
    let path = proxmox.path("endpoints");
    let read = |report: &mut Report<'_>, item: &Node| {
        let found = parsed::<Endpoint>(report, item)?;
        report.origins.insert(format!("{path}.{}", found.value), found.at.clone());
        Some(found)
    };
    let list = super::values::list(report, node, read)?;
    let mut out: Vec<Endpoint> = Vec::new();
    for found in &list {
        if out.contains(&found.value) {
            let first = report.origins.find(&format!("{path}.{}", found.value)).cloned();
            report.findings.push(
                Diagnostic::error(
                    codes::ENDPOINT_TWICE,
                    Some(&found.at),
                    format!("the endpoint {} is given twice", found.value),
                )
                .related(first.as_ref(), "first time")
                .help("name each node's address once"),
            );
        } else {
            out.push(found.value.clone());
        }
    }
    if matches!(&node.kind, Kind::List(items) if items.is_empty()) {
        let help = "name at least one API address, as in `[\"https://pve1.example:8006\"]`";
        report.error(codes::MISSING_KEY, node.place, "`endpoints` is empty", "", help);
    }
    (!out.is_empty()).then_some(out)
}

/// Hint for a token that stands in the file itself.
const TOKEN_HELP: &str = "write the token into a file only you can read and name it: `token: { file: site.token }`";

fn token(report: &mut Report<'_>, node: &Node, proxmox: &Fields<'_>) -> Option<TokenSource> {
    if matches!(&node.kind, Kind::Scalar(_)) {
        let message = "the API token must not stand in a stack file";
        report.error(codes::PLAIN_SECRET, node.place, message, "", TOKEN_HELP);
        return None;
    }
    let owner = proxmox.entry("token")?.key_place;
    let fields = Fields::open(report, node, owner, &proxmox.path("token"), &TOKEN)?;
    one_of(report, &fields, owner, "token", &TOKEN)?;
    if let Some(node) = fields.get(report, "file") {
        return path_beside(report, node).map(TokenSource::File);
    }
    if let Some(node) = fields.get(report, "env") {
        return variable(report, node).map(TokenSource::Env);
    }
    let node = fields.get(report, "secret")?;
    parsed::<SecretRef>(report, node).map(|sp| TokenSource::Secret(sp.value))
}

fn tls(report: &mut Report<'_>, node: &Node, proxmox: &Fields<'_>) -> Option<TlsTrust> {
    let owner = proxmox.entry("tls")?.key_place;
    let fields = Fields::open(report, node, owner, &proxmox.path("tls"), &TLS)?;
    one_of(report, &fields, owner, "tls", &TLS)?;
    if let Some(node) = fields.get(report, "ca_file") {
        return path_beside(report, node).map(TlsTrust::CaFile);
    }
    let node = fields.get(report, "fingerprint")?;
    let prints = one_or_list(report, node, fingerprint);
    (!prints.is_empty()).then_some(TlsTrust::Fingerprints(prints))
}

/// Holds that exactly one of a shape's keys is given.
pub(super) fn one_of(
    report: &mut Report<'_>,
    fields: &Fields<'_>,
    owner: Place,
    what: &str,
    shape: &Shape,
) -> Option<()> {
    let given: Vec<_> = shape.keys.iter().filter_map(|key| fields.entry(key)).collect();
    let choices = shape.keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    match given.as_slice() {
        [_] => Some(()),
        [] => {
            let message = format!("`{what}` needs one of {choices}");
            report.error(codes::MISSING_KEY, owner, &message, "", &format!("give `{what}` exactly one of them"));
            None
        }
        [first, second, ..] => {
            let (at, first_at) = (report.at(second.key_place), report.at(first.key_place));
            let message = format!("`{what}` takes only one of {choices}");
            report.findings.push(
                Diagnostic::error(codes::KEYS_CONFLICT, Some(&at), message)
                    .label("one too many")
                    .related(Some(&first_at), "already given by this")
                    .help("keep the one that is meant"),
            );
            None
        }
    }
}

/// Reads a path; a relative one starts from the folder of the stack file.
pub(super) fn path_beside(report: &mut Report<'_>, node: &Node) -> Option<PathBuf> {
    let text = text(report, node, "a path")?;
    if text.contains("PRIVATE KEY") || (text.contains('!') && text.contains('=')) {
        report.error(codes::PLAIN_SECRET, node.place, "this looks like a secret, not like a path", "", TOKEN_HELP);
        return None;
    }
    if text.is_empty() || text.contains('\0') {
        report.error(codes::INVALID_VALUE, node.place, "the path is empty", "", "write the path of a file");
        return None;
    }
    let folder = Path::new(&*report.file).parent().unwrap_or(Path::new(""));
    Some(folder.join(text))
}

pub(super) fn variable(report: &mut Report<'_>, node: &Node) -> Option<String> {
    let text = text(report, node, "the name of an environment variable")?;
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.is_empty() || !text.chars().all(good) || text.starts_with(|c: char| c.is_ascii_digit()) {
        let message = "this is no name of an environment variable";
        report.error(codes::INVALID_VALUE, node.place, message, "", "write only its name, as in `PVE_TOKEN_FRA1`");
        return None;
    }
    Some(text.to_owned())
}

/// Reads a SHA-256 fingerprint, with or without colons, into `AA:BB:…`.
fn fingerprint(report: &mut Report<'_>, node: &Node) -> Option<String> {
    let text = text(report, node, "a SHA-256 fingerprint as text")?;
    let hex: String = text.chars().filter(|c| *c != ':').collect();
    if !hex.bytes().all(|b| b.is_ascii_hexdigit()) || hex.len() != FINGERPRINT_BYTES * 2 {
        let message = format!("`{}` is no SHA-256 fingerprint", shown(text));
        let label = if hex.len() == 40 {
            "20 bytes: this is a SHA-1 fingerprint"
        } else {
            "32 bytes in hexadecimal are needed"
        };
        let help = "the node shows it under System, Certificates, or by: openssl x509 -in /etc/pve/local/pve-ssl.pem -noout -fingerprint -sha256";
        report.error(codes::INVALID_VALUE, node.place, &message, label, help);
        return None;
    }
    let pairs: Vec<&str> = (0..FINGERPRINT_BYTES).map(|i| &hex[2 * i..2 * i + 2]).collect();
    Some(pairs.join(":").to_ascii_uppercase())
}

fn networks(report: &mut Report<'_>, site: &Fields<'_>) -> BTreeMap<NetworkName, Network> {
    let mut out = BTreeMap::new();
    for entry in site.named::<NetworkName>(report, "networks", "`networks`") {
        let name = entry.name.value;
        if let Some(network) = network(report, entry.value, entry.key_place, &name, &entry.path) {
            out.entry(name).or_insert(network);
        }
    }
    out
}

fn images(report: &mut Report<'_>, site: &Fields<'_>) -> BTreeMap<ImageName, VolumeId> {
    let mut out = BTreeMap::new();
    let Some(node) = site.get(report, "images") else { return out };
    for entry in named::<ImageName>(report, node, &site.path("images"), "`images`") {
        let at = report.at(entry.value.place);
        report.origins.insert(format!("{}.volume", entry.path), at);
        if let Some(volume) = template(report, entry.value) {
            out.entry(entry.name.value).or_insert(volume);
        }
    }
    out
}

/// Reads the volume id of a container template.
pub(crate) fn template(report: &mut Report<'_>, node: &Node) -> Option<VolumeId> {
    let volume = parsed::<VolumeId>(report, node)?;
    let (_, name) = volume.value.as_str().split_once(':')?;
    if !name.starts_with("vztmpl/") {
        let message = format!("`{}` is no container template", shown(volume.value.as_str()));
        let help =
            "name a template as `pveam list STORAGE` shows it: `local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst`";
        report.error(codes::INVALID_VALUE, node.place, &message, "its name does not begin with `vztmpl/`", help);
        return None;
    }
    Some(volume.value)
}

fn storages(report: &mut Report<'_>, site: &Fields<'_>, default: Option<&StorageId>) -> Vec<StorageId> {
    let read = |r: &mut Report<'_>, node: &Node| parsed::<StorageId>(r, node).map(|sp| sp.value);
    let list = site.list(report, "storages", read).unwrap_or_default();
    if let Some(default) = default
        && !list.is_empty()
        && !list.contains(default)
    {
        let at = report.origins.find(&site.path("storage")).cloned();
        let other = report.origins.find(&site.path("storages")).cloned();
        report.findings.push(
            Diagnostic::error(
                codes::UNKNOWN_STORAGE,
                at.as_ref(),
                format!("the storage `{default}` is not among `storages`"),
            )
            .related(other.as_ref(), "the storages containers may use")
            .help(super::report::suggest(default.as_str(), list.iter().map(StorageId::as_str), "storages")),
        );
    }
    list
}

fn limits(report: &mut Report<'_>, site: &Fields<'_>) -> SiteLimits {
    let mut out = SiteLimits::default();
    let Some(node) = site.get(report, "limits") else { return out };
    if matches!(node.kind, Kind::Scalar(_)) {
        wrong_type(report, node, node.place, "`limits`, which is a mapping", "write `limits: { creates_per_node: 2 }`");
        return out;
    }
    let owner = site.entry("limits").map_or(node.place, |entry| entry.key_place);
    let Some(fields) = Fields::open(report, node, owner, &site.path("limits"), &LIMITS) else { return out };
    let range = |what| Limits { what, min: 1, max: AT_ONCE_MAX };
    let set = |report: &mut Report<'_>, key: &str, what, slot: &mut u32| {
        if let Some(number) = fields.integer(report, key, range(what)) {
            *slot = number.value;
        }
    };
    set(report, "creates_per_node", "creates at once on a node", &mut out.creates_per_node);
    set(report, "starts_per_node", "starts at once on a node", &mut out.starts_per_node);
    set(report, "requests_per_node", "requests at once to a node", &mut out.requests_per_node);
    out
}
