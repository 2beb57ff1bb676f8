//! `kind: site` as it is written.
#![expect(dead_code, reason = "only the schemas of these types are used")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::json;

use super::words;

/// One Proxmox cluster or standalone node.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Site {
    /// `site`.
    #[schemars(extend("const" = "site"))]
    kind: String,
    /// Name that stacks refer to.
    #[schemars(regex(pattern = words::NAME))]
    name: String,
    /// Where the site stands, for people. Sites of one data centre are checked for shared addresses.
    #[schemars(length(min = 1, max = 63))]
    datacenter: Option<String>,
    /// How the site is reached.
    proxmox: Proxmox,
    /// VMIDs that RapidLaunch may hand out, first and last.
    #[schemars(regex(pattern = words::VMIDS), example = &"2000-2999")]
    vmids: String,
    /// Networks that NICs are put on, by name.
    #[serde(default)]
    #[schemars(extend("propertyNames" = json!({ "pattern": words::KEY })))]
    networks: BTreeMap<String, Network>,
    /// Container templates by name.
    #[serde(default)]
    #[schemars(extend("propertyNames" = json!({ "pattern": words::KEY })))]
    images: BTreeMap<String, Template>,
    /// Storage of disks and volumes where a container names none.
    #[schemars(regex(pattern = words::STORAGE))]
    storage: Option<String>,
    /// Storages that containers may use; any when left out.
    #[schemars(inner(regex(pattern = words::STORAGE)))]
    storages: Option<Vec<String>>,
    /// Nodes that may be used; all when left out.
    #[schemars(inner(regex(pattern = words::NODE)))]
    nodes: Option<Vec<String>>,
    /// Resource pool that new guests are put into.
    #[schemars(regex(pattern = words::POOL))]
    pool: Option<String>,
    /// How much is done at once.
    limits: Option<Limits>,
}

/// Template as a volume id, as `pveam list` shows it.
#[derive(JsonSchema)]
struct Template(
    #[schemars(regex(pattern = words::TEMPLATE), example = &"local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst")]
    String,
);

/// How the site's API is reached.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Proxmox {
    /// API addresses, tried in this order. The port is 8006 when left out.
    #[schemars(length(min = 1), inner(regex(pattern = words::ENDPOINT)))]
    endpoints: Vec<String>,
    /// Where the API token `user@realm!id=secret` is read from: exactly one of the keys.
    token: Token,
    /// How the certificate is verified; by the system's roots when left out.
    tls: Option<Tls>,
}

/// Where the API token is read from.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
struct Token {
    /// A file that holds it, relative to this stack file.
    #[schemars(length(min = 1))]
    file: Option<String>,
    /// An environment variable that holds it.
    #[schemars(regex(pattern = words::VARIABLE))]
    env: Option<String>,
    /// A secret of the installation that holds it.
    #[schemars(regex(pattern = words::SECRET))]
    secret: Option<String>,
}

/// How the certificate is verified.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
struct Tls {
    /// SHA-256 fingerprint of the certificate, or several of which one must match.
    fingerprint: Option<OneOrMore<Fingerprint>>,
    /// A PEM file with the certificates to trust, relative to this stack file.
    #[schemars(length(min = 1))]
    ca_file: Option<String>,
}

/// SHA-256 fingerprint in hexadecimal.
#[derive(JsonSchema)]
struct Fingerprint(#[schemars(regex(pattern = words::FINGERPRINT))] String);

/// One value or a list of them.
#[derive(JsonSchema)]
#[serde(untagged)]
pub(super) enum OneOrMore<T> {
    /// One.
    One(T),
    /// Several.
    More(Vec<T>),
}

/// A network of the site.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Network {
    /// Bridge or VNet on every node.
    #[schemars(regex(pattern = words::BRIDGE), example = &"vmbr0")]
    bridge: String,
    /// VLAN tag on the bridge.
    #[schemars(range(min = 1, max = 4094))]
    vlan: Option<u16>,
    /// MTU in bytes; the bridge's when left out.
    #[schemars(range(min = 576, max = 65535))]
    mtu: Option<u16>,
    /// Range of the network. Without one, NICs ask a DHCP server.
    #[schemars(regex(pattern = words::CIDR), example = &"10.20.0.0/24")]
    subnet: Option<String>,
    /// Default gateway, within the subnet.
    #[schemars(regex(pattern = words::ADDRESS))]
    gateway: Option<String>,
    /// Addresses that may be handed out, as `first-last`: one range or a list.
    addresses: Option<OneOrMore<Range>>,
    /// Name servers for guests on this network.
    #[schemars(inner(regex(pattern = words::ADDRESS)))]
    nameservers: Option<Vec<String>>,
    /// DNS search domain for guests on this network.
    #[schemars(regex(pattern = words::FQDN))]
    search_domain: Option<String>,
}

/// Range of addresses, both ends included, or one address.
#[derive(JsonSchema)]
struct Range(#[schemars(regex(pattern = words::RANGE), example = &"10.20.0.50-10.20.0.250")] String);

/// How much is done at once on a node.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Limits {
    /// Creates and other disk-heavy tasks.
    #[schemars(range(min = 1, max = 64), extend("default" = 2))]
    creates_per_node: Option<u32>,
    /// Starts.
    #[schemars(range(min = 1, max = 64), extend("default" = 4))]
    starts_per_node: Option<u32>,
    /// API requests.
    #[schemars(range(min = 1, max = 64), extend("default" = 3))]
    requests_per_node: Option<u32>,
}
