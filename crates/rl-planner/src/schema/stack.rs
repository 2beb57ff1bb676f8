//! `kind: stack` as it is written.
#![expect(dead_code, reason = "only the schemas of these types are used")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::json;

use super::site::OneOrMore;
use super::words;

/// Containers that belong together.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Stack {
    /// `stack`.
    #[schemars(extend("const" = "stack"))]
    kind: String,
    /// Name of the stack, unique in this installation.
    #[schemars(regex(pattern = words::NAME))]
    name: String,
    /// Site of its containers where they name none.
    #[schemars(regex(pattern = words::NAME))]
    site: Option<String>,
    /// What its containers have in common: any keys of a container, laid under each of them.
    defaults: Option<Container>,
    /// Its containers by name.
    #[schemars(extend("propertyNames" = json!({ "pattern": words::CONTAINER }), "minProperties" = 1))]
    containers: BTreeMap<String, Container>,
    /// DNS records that point at NICs.
    dns: Option<Vec<DnsRecord>>,
}

/// A container, or several alike with `count`.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Container {
    /// How many guests to make, called `NAME-1`, `NAME-2` and so on. One called `NAME` when left out.
    #[schemars(range(min = 1, max = 10000))]
    count: Option<u32>,
    /// Site it lies on; that of the stack when left out.
    #[schemars(regex(pattern = words::NAME))]
    site: Option<String>,
    /// Image of the site by name, or a template as a volume id. Needed here or in `defaults`.
    #[schemars(regex(pattern = words::IMAGE), example = &"debian-12")]
    image: Option<String>,
    /// CPU cores.
    #[schemars(range(min = 1, max = 8192), extend("default" = 1))]
    cores: Option<u32>,
    /// Memory, with its unit.
    #[schemars(regex(pattern = words::SIZE), extend("default" = "512 MiB"), example = &"1 GiB")]
    memory: Option<String>,
    /// Swap, with its unit.
    #[schemars(regex(pattern = words::SIZE), extend("default" = "512 MiB"))]
    swap: Option<String>,
    /// Size of the root disk, with its unit. It can grow later, not shrink.
    #[schemars(regex(pattern = words::SIZE), extend("default" = "4 GiB"), example = &"8 GiB")]
    disk: Option<String>,
    /// Storage of the root disk; the site's when left out.
    #[schemars(regex(pattern = words::STORAGE))]
    storage: Option<String>,
    /// NICs by their name inside the guest, the first is `net0`.
    #[schemars(extend("propertyNames" = json!({ "pattern": words::IFACE }), "maxProperties" = 32))]
    nics: Option<BTreeMap<String, Nic>>,
    /// Data volumes by name. They are never removed without being asked for by name.
    #[schemars(extend("propertyNames" = json!({ "pattern": words::NAME }), "maxProperties" = 256))]
    volumes: Option<BTreeMap<String, Volume>>,
    /// Node to pin it to; the best one when left out.
    #[schemars(regex(pattern = words::NODE))]
    node: Option<String>,
    /// VMID to pin it to, a list with `count`; a free one of the site when left out.
    vmid: Option<OneOrMore<VmidNumber>>,
    /// `node` spreads the guests evenly over the nodes.
    #[schemars(extend("default" = "none"))]
    spread: Option<Spread>,
    /// Host name; the guest's name when left out. Not with `count`.
    #[schemars(regex(pattern = words::HOST))]
    hostname: Option<String>,
    /// Name servers; those of the first NIC's network when left out.
    #[schemars(inner(regex(pattern = words::ADDRESS)))]
    nameservers: Option<Vec<String>>,
    /// DNS search domain; that of the first NIC's network when left out.
    #[schemars(regex(pattern = words::FQDN))]
    search_domain: Option<String>,
    /// Tags shown in Proxmox.
    #[schemars(inner(regex(pattern = words::TAG)))]
    tags: Option<Vec<String>>,
    /// Notes shown in Proxmox.
    notes: Option<String>,
    /// Start it when its node starts.
    #[schemars(extend("default" = true))]
    onboot: Option<bool>,
    /// Place in its node's start order.
    startup: Option<Startup>,
    /// Root in the container is an ordinary user on the node.
    #[schemars(extend("default" = true))]
    unprivileged: Option<bool>,
    /// Features of the container.
    features: Option<Features>,
    /// Let Proxmox refuse to remove it.
    #[schemars(extend("default" = false))]
    protection: Option<bool>,
    /// Whether it shall run.
    #[schemars(extend("default" = "running"))]
    state: Option<State>,
    /// Resource pool it is put into; the site's when left out.
    #[schemars(regex(pattern = words::POOL))]
    pool: Option<String>,
    /// Public SSH keys for root, written when the container is created.
    #[schemars(inner(regex(pattern = words::SSH_KEY)))]
    ssh_keys: Option<Vec<String>>,
    /// Time zone such as `Europe/Berlin`, or `host` for that of the node.
    #[schemars(regex(pattern = words::ZONE))]
    timezone: Option<String>,
    /// Containers of the stack that must be proven running first.
    #[schemars(inner(regex(pattern = words::CONTAINER)))]
    after: Option<Vec<String>>,
    /// Firewall of its guests.
    firewall: Option<Firewall>,
    /// Secrets delivered into its guests.
    secrets: Option<Vec<Secret>>,
}

/// VMID.
#[derive(JsonSchema)]
struct VmidNumber(#[schemars(range(min = 100, max = 999999999))] u32);

/// How guests are spread.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Spread {
    /// Evenly over the nodes.
    Node,
    /// Wherever there is most room.
    None,
}

/// Whether a container shall run.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    /// It runs.
    Running,
    /// It is stopped.
    Stopped,
}

/// A NIC.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nic {
    /// Network of the site. Needed here or in `defaults`.
    #[schemars(regex(pattern = words::KEY))]
    network: Option<String>,
    /// `lease` (where the network has an IPv4 subnet, the default), `dhcp` (the default without subnet), `none`, an
    /// address, or with `count` a list of addresses.
    ipv4: Option<OneOrMore<Ipv4>>,
    /// `lease` (where the network has an IPv6 subnet, the default), `auto`, `dhcp`, `none` (the default otherwise), an
    /// address, or with `count` a list of addresses.
    ipv6: Option<OneOrMore<Ipv6>>,
    /// MAC to pin it to; its own when left out. Not with `count`.
    #[schemars(regex(pattern = words::MAC))]
    mac: Option<String>,
    /// Rate limit in MB/s.
    #[schemars(range(min = 1, max = 12500))]
    rate: Option<u32>,
    /// Whether Proxmox's firewall filters it; on when the container has `firewall`.
    firewall: Option<bool>,
}

/// An IPv4 address, `lease`, `dhcp` or `none`.
#[derive(JsonSchema)]
struct Ipv4(#[schemars(regex(pattern = r"^(lease|dhcp|none|[0-9]{1,3}(\.[0-9]{1,3}){3})$"))] String);

/// An IPv6 address, `lease`, `auto`, `dhcp` or `none`.
#[derive(JsonSchema)]
struct Ipv6(#[schemars(regex(pattern = r"^(lease|auto|dhcp|none|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)$"))] String);

/// A data volume.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Volume {
    /// Where it is mounted. Needed here or in `defaults`.
    #[schemars(regex(pattern = words::PATH))]
    path: Option<String>,
    /// Size, with its unit. It can grow later, not shrink. Needed here or in `defaults`.
    #[schemars(regex(pattern = words::SIZE))]
    size: Option<String>,
    /// Storage; that of the root disk when left out.
    #[schemars(regex(pattern = words::STORAGE))]
    storage: Option<String>,
    /// Include it in backups.
    #[schemars(extend("default" = true))]
    backup: Option<bool>,
    /// Mount it read-only.
    #[schemars(extend("default" = false))]
    read_only: Option<bool>,
}

/// Place in the start order of a node.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Startup {
    /// Lower starts earlier.
    #[schemars(range(min = 0, max = 1000000))]
    order: Option<u32>,
    /// Seconds to wait after its start.
    #[schemars(range(min = 0, max = 86400))]
    up_delay: Option<u32>,
    /// Seconds to wait for its shutdown.
    #[schemars(range(min = 0, max = 86400))]
    down_delay: Option<u32>,
}

/// Features of a container. All but `nesting` can only be set by root@pam itself.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Features {
    /// Containers within the container; recent distributions need it.
    #[schemars(extend("default" = true))]
    nesting: Option<bool>,
    /// The `keyctl()` system call.
    #[schemars(extend("default" = false))]
    keyctl: Option<bool>,
    /// FUSE file systems.
    #[schemars(extend("default" = false))]
    fuse: Option<bool>,
}

/// What happens to a packet.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// It passes.
    Allow,
    /// It is refused with an answer.
    Reject,
    /// It is dropped without an answer.
    Drop,
}

/// Firewall of a container.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Firewall {
    /// What happens to traffic towards the guest that no rule names.
    #[schemars(extend("default" = "drop"))]
    inbound: Option<Verdict>,
    /// What happens to traffic from the guest that no rule names.
    #[schemars(extend("default" = "allow"))]
    outbound: Option<Verdict>,
    /// Log level of what these two refuse; nothing is logged when left out.
    log: Option<LogLevel>,
    /// Whether the guests may send only from addresses of their own NICs.
    #[schemars(extend("default" = false))]
    only_own_addresses: Option<bool>,
    /// Rules; the first that fits decides.
    #[schemars(length(max = 500))]
    rules: Option<Vec<Rule>>,
}

/// A firewall rule: exactly one of `allow`, `reject`, `drop` and `group`, and at most one of `from` and `to`.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "oneOf" = json!([
        { "required": ["allow"] },
        { "required": ["reject"] },
        { "required": ["drop"] },
        { "required": ["group"] }
    ]),
    "not" = json!({ "required": ["from", "to"] })
))]
struct Rule {
    /// Traffic that passes: a service such as `https`, a macro of Proxmox such as `Ceph`, or `tcp/5432`, `udp/8000-8100`, `icmp`, `any`.
    allow: Option<OneOrMore<String>>,
    /// Traffic that is refused with an answer.
    reject: Option<OneOrMore<String>>,
    /// Traffic that is dropped.
    drop: Option<OneOrMore<String>>,
    /// Security group of the site whose rules stand here; only `on` and `comment` go with it.
    #[schemars(regex(pattern = words::GROUP_NAME))]
    group: Option<String>,
    /// NIC the rule is bound to; every NIC when left out.
    #[schemars(regex(pattern = words::IFACE))]
    on: Option<String>,
    /// Where traffic towards the guest comes from: `anywhere`, addresses, networks, aliases, IP sets, containers, guests.
    from: Option<OneOrMore<String>>,
    /// Where traffic from the guest goes to.
    to: Option<OneOrMore<String>>,
    /// Log level of what fits.
    log: Option<LogLevel>,
    /// What it is for; it stands beside the rule in Proxmox.
    #[schemars(length(max = 120))]
    comment: Option<String>,
}

/// Log level of the firewall.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum LogLevel {
    /// Lower is graver.
    Emerg,
    /// The next below.
    Alert,
    /// The next below.
    Crit,
    /// The next below.
    Err,
    /// The next below.
    Warning,
    /// The next below.
    Notice,
    /// What most want.
    Info,
    /// Everything.
    Debug,
}

/// A secret delivered as a file.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Secret {
    /// Name of the secret, or `provider:path#entry`.
    #[schemars(regex(pattern = words::SECRET_SOURCE))]
    from: String,
    /// File inside the guest; below `/run/secrets` when left out.
    #[schemars(regex(pattern = words::PATH))]
    to: Option<String>,
    /// Permissions in octal, in quotes.
    #[schemars(regex(pattern = words::MODE), extend("default" = "0400"))]
    mode: Option<String>,
    /// Owner, `user` or `user:group`.
    #[schemars(regex(pattern = words::OWNER), extend("default" = "root"))]
    owner: Option<String>,
    /// Command run in the guest after the value was exchanged, word by word.
    #[schemars(length(min = 1, max = 100))]
    reload: Option<Vec<String>>,
}

/// A DNS record. Addresses are not typed: they are those leased to a NIC.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct DnsRecord {
    /// Zone.
    #[schemars(regex(pattern = words::FQDN))]
    zone: String,
    /// Name within the zone, `@` for the zone itself.
    #[schemars(regex(pattern = words::RECORD))]
    name: String,
    /// Record type.
    r#type: RecordType,
    /// Container and NIC, as in `web.eth0`, of records of type A and AAAA.
    #[schemars(regex(pattern = words::TARGET))]
    to: Option<String>,
    /// Whole name that records of type CNAME and SRV lead to.
    target: Option<String>,
    /// Text of records of type TXT, at most 255 bytes each.
    text: Option<OneOrMore<String>>,
    /// Port of records of type SRV.
    #[schemars(range(min = 1, max = 65535))]
    port: Option<u32>,
    /// Priority of records of type SRV; lower is asked first.
    #[schemars(range(min = 0, max = 65535), extend("default" = 0))]
    priority: Option<u32>,
    /// Share of records of type SRV among those of one priority.
    #[schemars(range(min = 0, max = 65535), extend("default" = 0))]
    weight: Option<u32>,
    /// Time to live in seconds.
    #[schemars(range(min = 1, max = 2147483647), extend("default" = 300))]
    ttl: Option<u32>,
}

/// Type of a DNS record.
#[derive(JsonSchema)]
enum RecordType {
    /// IPv4 address.
    A,
    /// IPv6 address.
    #[serde(rename = "AAAA")]
    Aaaa,
    /// Another name for a name.
    #[serde(rename = "CNAME")]
    Cname,
    /// Where a service is.
    #[serde(rename = "SRV")]
    Srv,
    /// Text.
    #[serde(rename = "TXT")]
    Txt,
}
