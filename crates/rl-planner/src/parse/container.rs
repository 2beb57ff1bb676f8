//! Reads one entry of a stack's `containers:`.

use std::net::IpAddr;

use rl_model::manifest::{SecretGrant, Spread};
use rl_model::{
    ContainerName, DiskSize, Features, Fqdn, GuestName, Hostname, ImageName, Memory, NodeName, PoolId, SecretSource,
    SiteName, StartupOrder, StorageId, Tag, Vmid, VolumeId,
};

use super::fields::{Fields, Shape};
use super::firewall::{self, FirewallDraft};
use super::network::address;
use super::nic::{self, NicDraft};
use super::report::{Report, Sp};
use super::tree::{Kind, Node, Place, shown};
use super::values::{Limits, choice, integer, one_or_list, parsed, size, text};
use super::volume::{self, VolumeDraft};
use super::{secrets, site, ssh};
use crate::diagnostic::codes;

pub(crate) const CONTAINER: Shape = Shape {
    name: "Container",
    what: "a container",
    keys: &[
        "count",
        "site",
        "image",
        "cores",
        "memory",
        "swap",
        "disk",
        "storage",
        "nics",
        "volumes",
        "node",
        "vmid",
        "spread",
        "hostname",
        "nameservers",
        "search_domain",
        "tags",
        "notes",
        "onboot",
        "startup",
        "unprivileged",
        "features",
        "protection",
        "state",
        "pool",
        "ssh_keys",
        "timezone",
        "after",
        "firewall",
        "secrets",
    ],
};
pub(crate) const STARTUP: Shape =
    Shape { name: "Startup", what: "`startup`", keys: &["order", "up_delay", "down_delay"] };
pub(crate) const FEATURES: Shape = Shape { name: "Features", what: "`features`", keys: &["nesting", "keyctl", "fuse"] };

/// Most guests of one entry; larger crowds are better parted into entries.
pub(crate) const COUNT_MAX: u32 = 10_000;
/// Most CPU cores of a container (`pve-api`: `cores`).
pub(crate) const CORES_MAX: u32 = 8_192;
/// Least memory of a container (`pve-api`: `memory`, 16 MiB).
pub(crate) const MEMORY_MIN: Memory = Memory::from_mib(16);
/// Most memory and most swap: above the largest hosts of today, below a slip of the unit.
pub(crate) const MEMORY_MAX: Memory = Memory::from_mib(16 << 20);
/// Least size of a disk: what an ext4 file system needs to be of use.
pub(crate) const DISK_MIN: DiskSize = DiskSize::from_mib(32);
/// Largest size of a disk: above the largest pools of today, below a slip of the unit.
pub(crate) const DISK_MAX: DiskSize = DiskSize::from_gib(1 << 20);
/// Cores where the entry names none: one, as Proxmox's own dialogue offers.
pub(crate) const CORES_DEFAULT: u32 = 1;
/// Memory where the entry names none (`pve-api`: default of `memory`).
pub(crate) const MEMORY_DEFAULT: Memory = Memory::from_mib(512);
/// Swap where the entry names none (`pve-api`: default of `swap`).
pub(crate) const SWAP_DEFAULT: Memory = Memory::from_mib(512);
/// Root disk where the entry names none (`pve-api`: 4 GiB when `rootfs` is left out).
pub(crate) const DISK_DEFAULT: DiskSize = DiskSize::from_gib(4);
/// Longest notes in bytes: Proxmox takes 8,192, some of which are the stamp's.
const NOTES_MAX: usize = 7_000;
/// Longest delay of a start or stop in seconds: a day.
const DELAY_MAX: u32 = 86_400;
/// Largest number in the start order; Proxmox takes any, people do not.
const ORDER_MAX: u32 = 1_000_000;

/// What `image:` names.
#[derive(Debug, Clone)]
pub(crate) enum Image {
    Name(ImageName),
    Volume(VolumeId),
}

/// A container entry as written, defaults of the stack laid under it, references not yet looked up.
pub(crate) struct Draft {
    pub(crate) name: Sp<ContainerName>,
    pub(crate) path: String,
    /// The site is named, but wrongly, which is already reported.
    pub(crate) site_broken: bool,
    pub(crate) count: Option<Sp<u32>>,
    pub(crate) site: Option<Sp<SiteName>>,
    pub(crate) image: Option<Sp<Image>>,
    pub(crate) cores: u32,
    pub(crate) memory: Memory,
    pub(crate) swap: Memory,
    pub(crate) disk: DiskSize,
    pub(crate) storage: Option<Sp<StorageId>>,
    pub(crate) nics: Vec<NicDraft>,
    pub(crate) volumes: Vec<VolumeDraft>,
    pub(crate) node: Option<Sp<NodeName>>,
    pub(crate) vmids: Option<Sp<Vec<Sp<Vmid>>>>,
    pub(crate) spread: Option<Sp<Spread>>,
    pub(crate) hostname: Option<Sp<Hostname>>,
    pub(crate) nameservers: Vec<IpAddr>,
    pub(crate) search_domain: Option<Fqdn>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) notes: String,
    pub(crate) onboot: bool,
    pub(crate) startup: Option<StartupOrder>,
    pub(crate) unprivileged: bool,
    pub(crate) features: Features,
    pub(crate) protection: bool,
    pub(crate) running: bool,
    pub(crate) pool: Option<PoolId>,
    pub(crate) ssh_keys: Vec<String>,
    pub(crate) timezone: Option<String>,
    pub(crate) after: Vec<Sp<ContainerName>>,
    pub(crate) firewall: Option<Sp<FirewallDraft>>,
    pub(crate) secrets: Option<Sp<Vec<SecretGrant>>>,
    /// Where each of them comes from, with its place.
    pub(crate) secret_sources: Vec<Sp<SecretSource>>,
}

impl Draft {
    /// How many guests it stands for.
    pub(crate) fn guests(&self) -> u32 {
        self.count.as_ref().map_or(1, |count| count.value)
    }

    /// The names of its guests.
    pub(crate) fn guest_names(&self) -> impl Iterator<Item = GuestName> {
        let name = self.name.value.clone();
        let ordinals: Vec<Option<u32>> = match &self.count {
            None => vec![None],
            Some(count) => (1..=count.value).map(Some).collect(),
        };
        ordinals.into_iter().filter_map(move |ordinal| GuestName::of(&name, ordinal).ok())
    }
}

/// Reads a container entry; everything wrong is reported.
pub(crate) fn container(
    report: &mut Report<'_>,
    node: &Node,
    owner: Place,
    name: &Sp<ContainerName>,
    path: &str,
) -> Option<Draft> {
    let fields = Fields::open(report, node, owner, path, &CONTAINER)?;
    fields.require(report, "image", "image: debian-12");
    read(report, &fields, name)
}

/// Reads `defaults:`, which has the keys of a container and needs none of them.
pub(crate) fn check_defaults(report: &mut Report<'_>, node: &Node, owner: Place, path: &str) {
    let Some(fields) = Fields::open(report, node, owner, path, &CONTAINER) else { return };
    let nobody: ContainerName = "defaults".parse().expect("`defaults` is a valid container name");
    let at = report.at(owner);
    report.partial = true;
    read(report, &fields, &Sp { value: nobody, at });
    report.partial = false;
}

fn read(report: &mut Report<'_>, fields: &Fields<'_>, name: &Sp<ContainerName>) -> Option<Draft> {
    let count = fields.integer(report, "count", Limits { what: "a count", min: 1, max: COUNT_MAX });
    let (secrets, secret_sources) = secrets::secrets(report, fields);
    let draft = Draft {
        name: name.clone(),
        path: fields.own_path().to_owned(),
        site_broken: fields.entry("site").is_some(),
        site: fields.parsed(report, "site"),
        image: fields.get(report, "image").and_then(|node| image(report, node)),
        cores: fields
            .integer(report, "cores", Limits { what: "a number of cores", min: 1, max: CORES_MAX })
            .map_or(CORES_DEFAULT, |sp| sp.value),
        memory: memory(report, fields, "memory", MEMORY_MIN).unwrap_or(MEMORY_DEFAULT),
        swap: memory(report, fields, "swap", Memory::from_mib(0)).unwrap_or(SWAP_DEFAULT),
        disk: fields.get(report, "disk").and_then(|node| disk(report, node)).unwrap_or(DISK_DEFAULT),
        storage: fields.parsed(report, "storage"),
        nics: nic::nics(report, fields),
        volumes: volume::volumes(report, fields),
        node: fields.parsed(report, "node"),
        vmids: vmids(report, fields),
        spread: fields.get(report, "spread").and_then(|node| {
            choice(report, node, "way to spread guests", &[("node", Spread::Node), ("none", Spread::None)])
        }),
        hostname: fields.parsed(report, "hostname"),
        nameservers: list(report, fields, "nameservers", |r, node| address(r, node).map(|sp| sp.value)),
        search_domain: fields.parsed(report, "search_domain").map(|sp| sp.value),
        tags: tags(report, fields),
        notes: notes(report, fields).unwrap_or_default(),
        onboot: fields.boolean(report, "onboot").unwrap_or(true),
        startup: startup(report, fields),
        unprivileged: fields.boolean(report, "unprivileged").unwrap_or(true),
        features: features(report, fields),
        protection: fields.boolean(report, "protection").unwrap_or(false),
        running: fields
            .get(report, "state")
            .and_then(|node| choice(report, node, "state", &[("running", true), ("stopped", false)]))
            .is_none_or(|sp| sp.value),
        pool: fields.parsed(report, "pool").map(|sp| sp.value),
        ssh_keys: list(report, fields, "ssh_keys", ssh::public_key),
        timezone: timezone(report, fields),
        after: list(report, fields, "after", parsed),
        firewall: firewall::firewall(report, fields),
        secrets,
        secret_sources,
        count: None,
    };
    // A count that is wrong is reported; what depends on it cannot be told.
    if count.is_none() && fields.entry("count").is_some() {
        return None;
    }
    Some(Draft { count, ..draft }.settled())
}

impl Draft {
    /// A site that was read is not broken.
    fn settled(mut self) -> Self {
        self.site_broken &= self.site.is_none();
        self
    }
}

fn list<T>(
    report: &mut Report<'_>,
    fields: &Fields<'_>,
    key: &str,
    read: impl FnMut(&mut Report<'_>, &Node) -> Option<T>,
) -> Vec<T> {
    fields.list(report, key, read).unwrap_or_default()
}

/// An image of the site by its name, or a template by its volume id.
fn image(report: &mut Report<'_>, node: &Node) -> Option<Sp<Image>> {
    let written = text(report, node, "an image as text")?;
    if written.contains(':') {
        let at = report.at(node.place);
        return site::template(report, node).map(|volume| Sp { value: Image::Volume(volume), at });
    }
    parsed::<ImageName>(report, node).map(|sp| sp.map(Image::Name))
}

fn memory(report: &mut Report<'_>, fields: &Fields<'_>, key: &str, least: Memory) -> Option<Memory> {
    let node = fields.get(report, key)?;
    let amount = size::<Memory>(report, node)?;
    if amount.value < least || amount.value > MEMORY_MAX {
        let message = format!("`{key}: {}` is out of its limits", amount.value);
        let help = format!("write an amount from {least} to {MEMORY_MAX}");
        report.error(codes::OUT_OF_LIMITS, node.place, &message, &format!("allowed: {least} to {MEMORY_MAX}"), &help);
        return None;
    }
    Some(amount.value)
}

/// Reads the size of a disk or volume within its limits.
pub(crate) fn disk(report: &mut Report<'_>, node: &Node) -> Option<DiskSize> {
    let found = size::<DiskSize>(report, node)?;
    if found.value < DISK_MIN || found.value > DISK_MAX {
        let message = format!("a disk of {} is out of the limits", found.value);
        let help = format!("write a size from {DISK_MIN} to {DISK_MAX}");
        report.error(codes::OUT_OF_LIMITS, node.place, &message, &format!("allowed: {DISK_MIN} to {DISK_MAX}"), &help);
        return None;
    }
    Some(found.value)
}

fn vmids(report: &mut Report<'_>, fields: &Fields<'_>) -> Option<Sp<Vec<Sp<Vmid>>>> {
    let node = fields.get(report, "vmid")?;
    let path = fields.path("vmid");
    let at = report.at(node.place);
    let mut index = 0;
    let value = one_or_list(report, node, |report, item| {
        let number = integer(report, item, Limits { what: "a VMID", min: 100, max: 999_999_999 })?;
        report.origins.insert(format!("{path}.{index}"), number.at.clone());
        index += 1;
        let value = Vmid::try_from(number.value).ok()?;
        Some(Sp { value, at: number.at })
    });
    let given = if let Kind::List(items) = &node.kind { items.len() } else { 1 };
    (value.len() == given).then_some(Sp { value, at })
}

fn tags(report: &mut Report<'_>, fields: &Fields<'_>) -> Vec<Tag> {
    list(report, fields, "tags", |report, node| {
        let tag = parsed::<Tag>(report, node)?;
        if tag.value.as_str().starts_with("rl-") {
            let message = format!("the tag `{}` begins with `rl-`", tag.value);
            let help = "such tags mark the guests of RapidLaunch; choose another word";
            report.error(codes::INVALID_VALUE, node.place, &message, "kept for stamps", help);
            return None;
        }
        Some(tag.value)
    })
}

fn notes(report: &mut Report<'_>, fields: &Fields<'_>) -> Option<String> {
    let node = fields.get(report, "notes")?;
    let notes = text(report, node, "text")?;
    if notes.len() > NOTES_MAX {
        let message = format!("the notes have {} bytes", notes.len());
        let help = "shorten them; Proxmox keeps 8,192 bytes, some of which the stamp needs";
        report.error(codes::OUT_OF_LIMITS, node.place, &message, &format!("at most {NOTES_MAX}"), help);
        return None;
    }
    if notes.contains('\0') {
        report.error(codes::INVALID_VALUE, node.place, "the notes hold a zero byte", "", "remove it");
        return None;
    }
    Some(notes.to_owned())
}

fn startup(report: &mut Report<'_>, fields: &Fields<'_>) -> Option<StartupOrder> {
    let node = fields.get(report, "startup")?;
    let owner = fields.entry("startup")?.key_place;
    let inner = Fields::open(report, node, owner, &fields.path("startup"), &STARTUP)?;
    let delay = |what| Limits { what, min: 0, max: DELAY_MAX };
    let order = Limits { what: "a place in the start order", min: 0, max: ORDER_MAX };
    Some(StartupOrder {
        order: inner.integer(report, "order", order).map(|sp| sp.value),
        up_delay_s: inner.integer(report, "up_delay", delay("a delay in seconds")).map(|sp| sp.value),
        down_delay_s: inner.integer(report, "down_delay", delay("a delay in seconds")).map(|sp| sp.value),
    })
}

fn features(report: &mut Report<'_>, fields: &Fields<'_>) -> Features {
    let mut out = Features { nesting: true, keyctl: false, fuse: false };
    let Some(node) = fields.get(report, "features") else { return out };
    let owner = fields.entry("features").map_or(node.place, |entry| entry.key_place);
    let Some(inner) = Fields::open(report, node, owner, &fields.path("features"), &FEATURES) else { return out };
    out.nesting = inner.boolean(report, "nesting").unwrap_or(out.nesting);
    out.keyctl = inner.boolean(report, "keyctl").unwrap_or(out.keyctl);
    out.fuse = inner.boolean(report, "fuse").unwrap_or(out.fuse);
    out
}

/// Reads `host` or the name of a time zone; whether the zone exists is told when the container is made.
fn timezone(report: &mut Report<'_>, fields: &Fields<'_>) -> Option<String> {
    let node = fields.get(report, "timezone")?;
    let zone = text(report, node, "a time zone as text")?;
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "_+-".contains(c))
    };
    if zone.len() > 64 || !zone.split('/').all(part) {
        let message = format!("`{}` is no name of a time zone", shown(zone));
        report.error(codes::INVALID_VALUE, node.place, &message, "", "write a name such as `Europe/Berlin`, or `host`");
        return None;
    }
    Some(zone.to_owned())
}
