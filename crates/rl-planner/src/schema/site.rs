//! `kind: site` as it is written.
#![expect(dead_code, reason = "only the schemas of these types are used")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::json;

use super::firewall::SiteFirewall;
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
    /// The firewall of the whole site.
    firewall: Option<SiteFirewall>,
    /// Zones whose records may be written, by name. A reverse zone, as `20.10.in-addr.arpa`, gets its records by itself.
    #[schemars(extend("propertyNames" = json!({ "pattern": words::FQDN })))]
    dns: Option<BTreeMap<String, Zone>>,
    /// Providers of secrets beside the installation's own store, by name. Grants say `from: NAME:place#entry`.
    #[schemars(extend("propertyNames" = json!({ "pattern": words::PROVIDER })))]
    providers: Option<BTreeMap<String, SecretProvider>>,
}

/// A provider of secrets: exactly one of the keys.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
struct SecretProvider {
    /// A KV engine, version 2, of Vault or OpenBao; a grant names path and entry.
    vault: Option<Vault>,
    /// Files encrypted by age, a value each; a grant names the file.
    age: Option<EncryptedFiles>,
    /// Files encrypted by SOPS for an age key; a grant names file and entry.
    sops: Option<EncryptedFiles>,
}

/// A KV engine of Vault or OpenBao.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = json!([{ "required": ["token"] }, { "required": ["approle"] }])))]
struct Vault {
    /// Where its API is; `http://` only on this machine.
    address: String,
    /// Path of the engine.
    #[schemars(length(min = 1, max = 256), extend("default" = "secret"))]
    mount: Option<String>,
    /// Namespace, where there are several.
    #[schemars(length(min = 1, max = 256))]
    namespace: Option<String>,
    /// File with the certificates that are trusted (PEM); the public ones when left out.
    ca_file: Option<String>,
    /// Where a token is read from: exactly one of the keys.
    token: Option<Token>,
    /// Logs in with an AppRole in place of a token.
    approle: Option<AppRole>,
}

/// A login with an AppRole.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct AppRole {
    /// Path of the auth method.
    #[schemars(length(min = 1, max = 256), extend("default" = "approle"))]
    mount: Option<String>,
    /// The role; it is no secret.
    #[schemars(length(min = 1, max = 256))]
    role_id: String,
    /// Where the role's secret is read from: exactly one of the keys.
    secret_id: Token,
}

/// Encrypted files.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct EncryptedFiles {
    /// The folder they lie below.
    folder: String,
    /// Where the age key that decrypts them is read from: exactly one of the keys.
    identity: Token,
}

/// A zone whose records may be written.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Zone {
    /// Where the zone is kept.
    provider: BuiltinOrProvider,
    /// Authoritative servers, as `host` or `host:port`, each of which must answer what was written.
    servers: Option<Vec<String>>,
}

/// `builtin`, or a provider with its settings.
#[derive(JsonSchema)]
#[serde(untagged)]
enum BuiltinOrProvider {
    /// The built-in server, without settings.
    Builtin(BuiltinWord),
    /// With settings.
    Provider(Box<ZoneProvider>),
}

/// The word `builtin`.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
enum BuiltinWord {
    /// The built-in server.
    Builtin,
}

/// Where a zone is kept: exactly one of the keys.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
struct ZoneProvider {
    /// The store of this installation, answered by `rapidlaunch serve --dns`.
    builtin: Option<Builtin>,
    /// A server that takes updates signed with a key, as BIND, Knot and PowerDNS do.
    rfc2136: Option<Rfc2136>,
    /// The HTTP API of PowerDNS.
    powerdns: Option<PowerDns>,
    /// Cloudflare's API.
    cloudflare: Option<Cloudflare>,
}

/// Settings of the built-in server.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Builtin {
    /// Names of the zone's servers, the primary first; `ns` below the zone when left out.
    nameservers: Option<Vec<String>>,
    /// Servers that may copy the zone, and are told of every change.
    secondaries: Option<Vec<Secondary>>,
}

/// A server that copies the zone.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Secondary {
    /// Its address, as `host` or `host:port`.
    address: String,
    /// The key it signs with; where there is none, its address alone decides.
    key: Option<TsigKey>,
}

/// A server that takes signed updates.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rfc2136 {
    /// The primary, as `host` or `host:port`.
    server: String,
    /// The key; it must be allowed to update the zone and to copy it.
    key: TsigKey,
}

/// A shared key.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct TsigKey {
    /// Its name, the same on the server.
    name: String,
    /// Its algorithm.
    #[schemars(extend("enum" = ["hmac-sha256", "hmac-sha384", "hmac-sha512"], "default" = "hmac-sha256"))]
    algorithm: Option<String>,
    /// Where its value in base 64 is read from: exactly one of the keys.
    value: Token,
}

/// The HTTP API of PowerDNS.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct PowerDns {
    /// Where the API is, without `/api/v1`.
    url: String,
    /// Id of the server.
    #[schemars(extend("default" = "localhost"))]
    server: Option<String>,
    /// Where the API key is read from: exactly one of the keys.
    api_key: Token,
}

/// Cloudflare's API.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Cloudflare {
    /// Where the token, which needs Zone:Read and DNS:Edit, is read from: exactly one of the keys.
    token: Token,
    /// Where the API is; Cloudflare's own when left out.
    url: Option<String>,
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
