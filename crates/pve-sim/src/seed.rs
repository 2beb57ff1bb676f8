//! The state a site starts from, as a JSON file gives it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::format::{parse_size, split_list};
use crate::world::access::{Access, Group, Subject, Token, User, normalize_path};
use crate::world::config::Config;
use crate::world::guest::{Guest, GuestKind, Running};
use crate::world::node::{Bridge, Node};
use crate::world::storage::{Storage, Storages, Volume};
use crate::world::{Pool, World, privileges};

/// Everything a site starts with. Unknown keys are errors; what is left out gets a default or is empty.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedState {
    /// The nodes: names, or objects with sizes.
    pub nodes: Vec<SeedNode>,
    /// Storages of the cluster.
    #[serde(default)]
    pub storages: Vec<SeedStorage>,
    /// Volume ids of container templates, on every node that has their storage.
    #[serde(default)]
    pub templates: Vec<String>,
    /// Bridges on every node that does not name its own.
    #[serde(default)]
    pub bridges: Vec<SeedBridge>,
    /// Pools.
    #[serde(default)]
    pub pools: Vec<SeedPool>,
    /// Roles beside the built-in ones.
    #[serde(default)]
    pub roles: Vec<SeedRole>,
    /// Groups of users.
    #[serde(default)]
    pub groups: Vec<SeedGroup>,
    /// Users; root@pam exists in any case.
    #[serde(default)]
    pub users: Vec<SeedUser>,
    /// API tokens.
    #[serde(default)]
    pub tokens: Vec<SeedToken>,
    /// The access control list.
    #[serde(default)]
    pub acl: Vec<SeedAcl>,
    /// Guests that are there already, ours or a stranger's.
    #[serde(default)]
    pub guests: Vec<SeedGuest>,
}

/// A node.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SeedNode {
    /// A node of the default size.
    Name(String),
    /// A node with sizes.
    Sized(SizedNode),
}

/// A node with sizes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SizedNode {
    /// Its name.
    pub name: String,
    /// CPU threads.
    #[serde(default)]
    pub cores: Option<u32>,
    /// Memory, with a unit as in `64G`.
    #[serde(default)]
    pub memory: Option<String>,
    /// Root file system, with a unit.
    #[serde(default)]
    pub disk: Option<String>,
    /// Bridges of this node alone.
    #[serde(default)]
    pub bridges: Option<Vec<SeedBridge>>,
}

impl SeedNode {
    fn name(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Sized(node) => &node.name,
        }
    }
}

/// A storage.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedStorage {
    /// Its id.
    pub id: String,
    /// dir, btrfs, zfspool, lvmthin, nfs and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it may hold.
    pub content: Vec<String>,
    /// One storage for all nodes, or one of the same name on each.
    #[serde(default)]
    pub shared: Option<bool>,
    /// The nodes it is on; all when left out.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// How large it is, with a unit as in `500G`.
    #[serde(default)]
    pub size: Option<String>,
    /// Where it is mounted.
    #[serde(default)]
    pub path: Option<String>,
}

/// A bridge.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedBridge {
    /// Its name.
    pub name: String,
    /// The node's address on it, with prefix length.
    #[serde(default)]
    pub address: Option<String>,
    /// The node's gateway.
    #[serde(default)]
    pub gateway: Option<String>,
    /// Ports, separated by blanks.
    #[serde(default)]
    pub ports: Option<String>,
    /// Takes VLAN tags.
    #[serde(default)]
    pub vlan_aware: bool,
}

/// A pool.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedPool {
    /// Its id.
    pub id: String,
    /// A comment.
    #[serde(default)]
    pub comment: Option<String>,
}

/// A role.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedRole {
    /// Its id.
    pub id: String,
    /// Its privileges.
    pub privs: Vec<String>,
}

/// A group.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedGroup {
    /// Its id.
    pub id: String,
    /// A comment.
    #[serde(default)]
    pub comment: Option<String>,
    /// Its members.
    #[serde(default)]
    pub members: Vec<String>,
}

/// A user. Its password is for a simulated site only.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedUser {
    /// `name@realm`.
    pub id: String,
    /// For logins with a ticket.
    #[serde(default)]
    pub password: Option<String>,
    /// A comment.
    #[serde(default)]
    pub comment: Option<String>,
    /// Mail address.
    #[serde(default)]
    pub email: Option<String>,
}

impl std::fmt::Debug for SeedUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SeedUser").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A token. Its secret is for a simulated site only.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedToken {
    /// `name@realm!token`.
    pub id: String,
    /// A UUID.
    pub secret: String,
    /// Whether its own privileges limit those of its user.
    #[serde(default)]
    pub privsep: bool,
}

impl std::fmt::Debug for SeedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SeedToken").field("id", &self.id).finish_non_exhaustive()
    }
}

/// An entry of the access control list, about a user, a token or a group.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedAcl {
    /// The path.
    pub path: String,
    /// The user.
    #[serde(default)]
    pub user: Option<String>,
    /// The token.
    #[serde(default)]
    pub token: Option<String>,
    /// The group.
    #[serde(default)]
    pub group: Option<String>,
    /// The role.
    pub role: String,
    /// Handed down to paths below.
    #[serde(default = "yes")]
    pub propagate: bool,
}

fn yes() -> bool {
    true
}

/// A guest that is already there.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedGuest {
    /// Its number.
    pub vmid: u32,
    /// The node it is on.
    pub node: String,
    /// `lxc` or `qemu`.
    #[serde(default, rename = "type")]
    pub kind: SeedKind,
    /// Keys of its config file.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
    /// Whether it runs.
    #[serde(default)]
    pub running: bool,
    /// The pool it is in.
    #[serde(default)]
    pub pool: Option<String>,
}

/// What a guest is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeedKind {
    /// A container.
    #[default]
    Lxc,
    /// A virtual machine, which can only be listed.
    Qemu,
}

/// A seed that contradicts itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// The JSON cannot be read.
    #[error("the state file cannot be read: {0}; fix the key or value it names")]
    Json(String),
    /// No node.
    #[error("the state names no node; give at least one under `nodes`")]
    NoNode,
    /// Something refers to what is not there.
    #[error("{what} names {kind} '{name}', which the state does not have; add it or correct the name")]
    Unknown { what: String, kind: &'static str, name: String },
    /// A value that cannot be read.
    #[error("{what}: '{value}' is not {expected}")]
    Value { what: String, value: String, expected: &'static str },
}

const GIB: u64 = 1 << 30;
/// Bytes of memory of a node whose seed names no size: a small virtual machine with a little kept by its kernel.
const SMALL_NODE_MEMORY: u64 = 25_276_502_016;

impl SeedState {
    /// Reads a state from JSON; an unknown key is named in the error.
    pub fn from_json(text: &str) -> Result<Self, SeedError> {
        serde_json::from_str(text).map_err(|e| SeedError::Json(e.to_string()))
    }

    /// `nodes` nodes pve1, pve2 ... in one cluster, with storages, templates, a bridge and a token for root@pam.
    pub fn default_cluster(nodes: usize, token_secret: &str) -> Self {
        let storage = |id: &str, kind: &str, content: &[&str], shared: bool, size: &str| SeedStorage {
            id: id.to_owned(),
            kind: kind.to_owned(),
            content: content.iter().map(|c| (*c).to_owned()).collect(),
            shared: Some(shared),
            nodes: Vec::new(),
            size: Some(size.to_owned()),
            path: None,
        };
        let sized = |n: usize| SizedNode {
            name: format!("pve{n}"),
            cores: Some(32),
            memory: Some("256G".to_owned()),
            disk: Some("500G".to_owned()),
            bridges: None,
        };
        Self {
            nodes: (1..=nodes.max(1)).map(|n| SeedNode::Sized(sized(n))).collect(),
            storages: vec![
                storage("local", "dir", &["vztmpl", "iso", "backup", "snippets"], false, "500G"),
                storage("local-zfs", "zfspool", &["rootdir", "images"], false, "4T"),
                storage("shared", "nfs", &["rootdir", "images", "vztmpl", "iso", "backup"], true, "20T"),
            ],
            templates: vec![
                "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst".to_owned(),
                "local:vztmpl/alpine-3.20-default_20240908_amd64.tar.xz".to_owned(),
            ],
            bridges: vec![SeedBridge {
                name: "vmbr0".to_owned(),
                address: Some("10.0.0.1/16".to_owned()),
                gateway: None,
                ports: Some("eno1".to_owned()),
                vlan_aware: true,
            }],
            pools: Vec::new(),
            roles: Vec::new(),
            groups: Vec::new(),
            users: vec![SeedUser {
                id: "root@pam".to_owned(),
                password: Some("rapidlaunch".to_owned()),
                comment: None,
                email: None,
            }],
            tokens: vec![SeedToken {
                id: "root@pam!rapidlaunch".to_owned(),
                secret: token_secret.to_owned(),
                privsep: false,
            }],
            acl: Vec::new(),
            guests: Vec::new(),
        }
    }

    pub(crate) fn node_names(&self) -> Vec<String> {
        self.nodes.iter().map(|n| n.name().to_owned()).collect()
    }

    /// The first token of root@pam with full rights, else the first token: `id=secret`.
    pub(crate) fn first_token(&self) -> Option<String> {
        let rooted = self.tokens.iter().find(|t| t.id.starts_with("root@pam!") && !t.privsep);
        rooted.or_else(|| self.tokens.first()).map(|t| format!("{}={}", t.id, t.secret))
    }

    /// Builds the world. `now` is seconds since 1970.
    pub(crate) fn build(&self, now: f64) -> Result<World, SeedError> {
        if self.nodes.is_empty() {
            return Err(SeedError::NoNode);
        }
        let mut world = World { nodes: self.build_nodes()?, storages: self.build_storages(now)?, ..World::default() };
        world.access = self.build_access()?;
        for pool in &self.pools {
            world.pools.insert(pool.id.clone(), Pool { comment: pool.comment.clone() });
        }
        for seed in &self.guests {
            self.add_guest(&mut world, seed, now)?;
        }
        Ok(world)
    }

    fn build_nodes(&self) -> Result<BTreeMap<String, Node>, SeedError> {
        let mut nodes = BTreeMap::new();
        for (at, seed) in self.nodes.iter().enumerate() {
            let sized = match seed {
                SeedNode::Name(name) => {
                    SizedNode { name: name.clone(), cores: None, memory: None, disk: None, bridges: None }
                }
                SeedNode::Sized(sized) => sized.clone(),
            };
            let what = format!("node {}", sized.name);
            let bridges = sized.bridges.as_ref().unwrap_or(&self.bridges);
            let node = Node {
                cores: sized.cores.unwrap_or(2),
                memory: size(&what, sized.memory.as_deref())?.unwrap_or(SMALL_NODE_MEMORY),
                disk: size(&what, sized.disk.as_deref())?.unwrap_or(252 * GIB),
                up: true,
                number: if self.nodes.len() > 1 { at as u32 + 1 } else { 0 },
                ip: format!("10.99.{}.{}", (at + 1) / 250, (at + 1) % 250),
                bridges: bridges.iter().map(build_bridge).collect(),
                options: BTreeMap::new(),
            };
            nodes.insert(sized.name, node);
        }
        Ok(nodes)
    }

    fn build_storages(&self, now: f64) -> Result<Storages, SeedError> {
        let mut storages = Storages::default();
        for seed in &self.storages {
            storages.defs.insert(seed.id.clone(), build_storage(seed)?);
        }
        for template in &self.templates {
            let unknown =
                || SeedError::Unknown { what: format!("template {template}"), kind: "storage", name: template.clone() };
            let (storage, name) = template.split_once(':').ok_or_else(unknown)?;
            let def = storages.defs.get(storage).ok_or_else(unknown)?.clone();
            for node in self.node_names().iter().filter(|n| def.is_on(n)) {
                storages.insert(storage, node, name, template_volume(name, now));
            }
        }
        Ok(storages)
    }

    fn build_access(&self) -> Result<Access, SeedError> {
        let mut access = Access {
            realms: BTreeMap::from([("pam".to_owned(), "pam".to_owned()), ("pve".to_owned(), "pve".to_owned())]),
            ..Access::default()
        };
        access.users.insert("root@pam".to_owned(), User { enable: true, ..User::default() });
        for seed in &self.users {
            let mut user = User { enable: true, password: seed.password.clone(), ..User::default() };
            let texts = [("comment", &seed.comment), ("email", &seed.email)];
            user.texts.extend(texts.into_iter().filter_map(|(k, v)| v.clone().map(|v| (k.to_owned(), v))));
            access.users.insert(seed.id.clone(), user);
        }
        for seed in &self.roles {
            if let Some(wrong) = seed.privs.iter().find(|p| !privileges::is_known(p)) {
                let what = format!("role {}", seed.id);
                return Err(SeedError::Unknown { what, kind: "privilege", name: wrong.clone() });
            }
            access.roles.insert(seed.id.clone(), seed.privs.iter().cloned().collect());
        }
        for seed in &self.groups {
            let members = seed.members.iter().cloned().collect();
            access.groups.insert(seed.id.clone(), Group { comment: seed.comment.clone(), members });
        }
        for seed in &self.tokens {
            let what = || SeedError::Unknown { what: "token".to_owned(), kind: "user", name: seed.id.clone() };
            let (user, token) = seed.id.split_once('!').ok_or_else(what)?;
            let owner = access.users.get_mut(user).ok_or_else(what)?;
            let entry = Token { secret: seed.secret.clone(), privsep: seed.privsep, ..Token::default() };
            owner.tokens.insert(token.to_owned(), entry);
        }
        for seed in &self.acl {
            add_acl(&mut access, seed)?;
        }
        Ok(access)
    }

    fn add_guest(&self, world: &mut World, seed: &SeedGuest, now: f64) -> Result<(), SeedError> {
        let what = format!("guest {}", seed.vmid);
        if !world.nodes.contains_key(&seed.node) {
            return Err(SeedError::Unknown { what, kind: "node", name: seed.node.clone() });
        }
        if let Some(pool) = &seed.pool {
            if !world.pools.contains_key(pool) {
                return Err(SeedError::Unknown { what, kind: "pool", name: pool.clone() });
            }
            world.access.guest_pool.insert(seed.vmid, pool.clone());
        }
        insert_guest(world, seed, now);
        Ok(())
    }
}

/// Puts a guest into the world as if it had been there before, volumes included.
pub(crate) fn insert_guest(world: &mut World, seed: &SeedGuest, now: f64) {
    let kind = if seed.kind == SeedKind::Lxc { GuestKind::Lxc } else { GuestKind::Qemu };
    let config = Config { keys: seed.config.clone(), ..Config::default() };
    for (_, mount) in config.mounts() {
        if let Some((storage, name)) = mount.volume().split_once(':') {
            let size = mount.size().unwrap_or(4 * GIB);
            let format = if name.contains("subvol") { "subvol" } else { "raw" };
            let volume = Volume {
                vmid: Some(seed.vmid),
                size,
                used: size / 8,
                format: format.to_owned(),
                ctime: now as i64,
                content: None,
            };
            world.storages.insert(storage, &seed.node, name, volume);
        }
    }
    let mut guest = Guest::new(kind, &seed.node, config, now);
    guest.running = seed.running.then_some(Running { pid: 900, since: now });
    world.guests.insert(seed.vmid, guest);
}

fn add_acl(access: &mut Access, seed: &SeedAcl) -> Result<(), SeedError> {
    let what = format!("acl {}", seed.path);
    let path = normalize_path(&seed.path).ok_or_else(|| SeedError::Value {
        what: what.clone(),
        value: seed.path.clone(),
        expected: "a path",
    })?;
    if access.role(&seed.role).is_none() {
        return Err(SeedError::Unknown { what, kind: "role", name: seed.role.clone() });
    }
    let subjects = [(Subject::User, &seed.user), (Subject::Token, &seed.token), (Subject::Group, &seed.group)];
    for (subject, name) in subjects {
        if let Some(name) = name {
            let roles = access.acl.entry(path.clone()).or_default().entry((subject, name.clone())).or_default();
            roles.insert(seed.role.clone(), seed.propagate);
        }
    }
    Ok(())
}

fn size(what: &str, text: Option<&str>) -> Result<Option<u64>, SeedError> {
    let Some(text) = text else { return Ok(None) };
    let wrong = || SeedError::Value { what: what.to_owned(), value: text.to_owned(), expected: "a size such as 64G" };
    parse_size(text).map(Some).ok_or_else(wrong)
}

fn build_bridge(seed: &SeedBridge) -> Bridge {
    Bridge {
        name: seed.name.clone(),
        address: seed.address.clone(),
        gateway: seed.gateway.clone(),
        ports: split_list(seed.ports.as_deref().unwrap_or("")).collect::<Vec<_>>().join(" "),
        vlan_aware: seed.vlan_aware,
    }
}

fn build_storage(seed: &SeedStorage) -> Result<Storage, SeedError> {
    let path = seed.path.clone().or_else(|| match (seed.kind.as_str(), seed.id.as_str()) {
        ("dir", "local") => Some("/var/lib/vz".to_owned()),
        ("dir" | "btrfs", id) => Some(format!("/mnt/{id}")),
        ("nfs" | "cifs" | "cephfs", id) => Some(format!("/mnt/pve/{id}")),
        _ => None,
    });
    let mut options: BTreeMap<String, String> = path.into_iter().map(|p| ("path".to_owned(), p)).collect();
    let extra: &[(&str, &str)] = match seed.kind.as_str() {
        "btrfs" => &[("is_mountpoint", "1")],
        "zfspool" => &[("pool", "rpool/data"), ("sparse", "1")],
        "lvmthin" => &[("vgname", "pve"), ("thinpool", "data")],
        "nfs" => &[("server", "10.99.0.250"), ("export", "/export")],
        "rbd" => &[("pool", "rbd")],
        _ => &[],
    };
    options.extend(extra.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    Ok(Storage {
        kind: seed.kind.clone(),
        content: seed.content.iter().cloned().collect(),
        nodes: seed.nodes.iter().cloned().collect(),
        shared: seed.shared.unwrap_or_else(|| Storage::kind_is_shared(&seed.kind)),
        disabled: false,
        options,
        size: size(&format!("storage {}", seed.id), seed.size.as_deref())?.unwrap_or(252 * GIB),
        base_used: GIB,
    })
}

/// A template or image file of a plausible size.
pub(crate) fn template_volume(name: &str, now: f64) -> Volume {
    /// A small Debian system packs to this many bytes, with zstd and with the rest.
    const PACKED_WELL: u64 = 72_735_475;
    const PACKED: u64 = 81_369_071;
    let bytes = if name.ends_with(".zst") { PACKED_WELL } else { PACKED };
    let format = match name.rsplit_once('.') {
        Some((_, "zst")) => "tzst",
        Some((_, "gz")) => "tgz",
        Some((_, "xz")) => "txz",
        Some((_, "iso")) => "iso",
        _ => "raw",
    };
    let content = if name.starts_with("iso/") { "iso" } else { "vztmpl" };
    Volume {
        vmid: None,
        size: bytes,
        used: bytes,
        format: format.to_owned(),
        ctime: now as i64 - 3600,
        content: Some(content),
    }
}
