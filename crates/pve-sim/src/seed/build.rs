//! From a state to a world.

use std::collections::BTreeMap;

use super::{SeedAcl, SeedBridge, SeedError, SeedGuest, SeedKind, SeedNode, SeedState, SeedStorage, SizedNode};
use crate::api::format::{parse_size, split_list};
use crate::world::access::{Access, Group, Subject, Token, User, normalize_path};
use crate::world::config::Config;
use crate::world::guest::{Guest, GuestKind, Running};
use crate::world::node::{Bridge, Node};
use crate::world::storage::{Storage, Storages, Volume};
use crate::world::{Pool, World, privileges};

const GIB: u64 = 1 << 30;
/// Bytes of memory of a node whose seed names no size: a small virtual machine with a little kept by its kernel.
const SMALL_NODE_MEMORY: u64 = 25_276_502_016;

impl SeedState {
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
        self.add_firewall(&mut world, now)?;
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
                ..Volume::default()
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
        ..Volume::default()
    }
}
