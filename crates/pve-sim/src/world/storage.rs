//! Storages, the volumes on them, and how each storage type names things.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::error::{ApiError, ApiResult};

/// Everything in the definition but id and type is text, as in storage.cfg.
#[derive(Debug, Clone, Default)]
pub(crate) struct Storage {
    /// dir, btrfs, zfspool, lvmthin, nfs and so on.
    pub(crate) kind: String,
    pub(crate) content: BTreeSet<String>,
    /// The nodes it is on; empty means all.
    pub(crate) nodes: BTreeSet<String>,
    pub(crate) shared: bool,
    pub(crate) disabled: bool,
    /// path, pool, is_mountpoint and the like.
    pub(crate) options: BTreeMap<String, String>,
    /// Bytes.
    pub(crate) size: u64,
    /// Bytes taken by things the API does not list.
    pub(crate) base_used: u64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Volume {
    /// The guest it belongs to; `None` for templates and images.
    pub(crate) vmid: Option<u32>,
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) used: u64,
    pub(crate) format: String,
    pub(crate) ctime: i64,
    /// What it holds when it belongs to no guest: vztmpl, iso, backup, snippets.
    pub(crate) content: Option<&'static str>,
    /// A backup's notes.
    pub(crate) notes: Option<String>,
    /// A backup that must not be removed.
    pub(crate) protected: bool,
}

/// A storage's volumes: per node for a local one, under the empty name for a shared one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Storages {
    pub(crate) defs: BTreeMap<String, Storage>,
    pub(crate) volumes: BTreeMap<(String, String), BTreeMap<String, Volume>>,
}

/// A volume id taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VolumeId<'a> {
    pub(crate) storage: &'a str,
    pub(crate) name: &'a str,
}

impl<'a> VolumeId<'a> {
    /// `storage:name`; `None` for anything else.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (storage, name) = text.split_once(':')?;
        let ok = crate::api::format::is_storage_id(storage) && !name.is_empty();
        ok.then_some(Self { storage, name })
    }
}

impl Storage {
    pub(crate) fn is_file_based(&self) -> bool {
        matches!(self.kind.as_str(), "dir" | "btrfs" | "nfs" | "cifs" | "cephfs")
    }

    pub(crate) fn is_on(&self, node: &str) -> bool {
        self.nodes.is_empty() || self.nodes.contains(node)
    }

    /// Storages whose type is cluster-wide by nature.
    pub(crate) fn kind_is_shared(kind: &str) -> bool {
        matches!(kind, "nfs" | "cifs" | "cephfs" | "rbd" | "pbs" | "iscsi" | "iscsidirect" | "zfs" | "esxi")
    }

    pub(crate) fn has_snapshots(&self) -> bool {
        matches!(self.kind.as_str(), "btrfs" | "zfspool" | "zfs" | "lvmthin" | "rbd")
    }

    /// Where a volume lies in the node's file system or block layer.
    pub(crate) fn path_of(&self, name: &str) -> String {
        let base = self.options.get("path").map_or("/mnt/pve", String::as_str);
        if let Some(file) = name.strip_prefix("vztmpl/") {
            return format!("{base}/template/cache/{file}");
        }
        if let Some(file) = name.strip_prefix("iso/") {
            return format!("{base}/template/iso/{file}");
        }
        if let Some(file) = name.strip_prefix("backup/") {
            return format!("{base}/dump/{file}");
        }
        match self.kind.as_str() {
            "btrfs" => format!("{base}/images/{}/disk.raw", name.strip_suffix(".raw").unwrap_or(name)),
            "zfspool" => format!("/{}/{name}", self.options.get("pool").map_or("rpool/data", String::as_str)),
            "lvm" | "lvmthin" => format!("/dev/{}/{name}", self.options.get("vgname").map_or("pve", String::as_str)),
            "rbd" => format!("/dev/rbd/{}/{name}", self.options.get("pool").map_or("rbd", String::as_str)),
            _ => format!("{base}/images/{name}"),
        }
    }
}

impl Storages {
    /// The definition, or PVE's words when there is none.
    pub(crate) fn get(&self, id: &str) -> ApiResult<&Storage> {
        self.defs.get(id).ok_or_else(|| ApiError::die(format!("storage '{id}' does not exist")))
    }

    /// The definition if it can be used on a node.
    pub(crate) fn usable(&self, id: &str, node: &str) -> ApiResult<&Storage> {
        let storage = self.get(id)?;
        if storage.disabled {
            return Err(ApiError::die(format!("storage '{id}' is disabled")));
        }
        if !storage.is_on(node) {
            return Err(ApiError::die(format!("storage '{id}' is not available on node '{node}'")));
        }
        Ok(storage)
    }

    fn key(&self, id: &str, node: &str) -> (String, String) {
        let shared = self.defs.get(id).is_some_and(|s| s.shared);
        (id.to_owned(), if shared { String::new() } else { node.to_owned() })
    }

    /// The volumes of a storage as one node sees them.
    pub(crate) fn volumes(&self, id: &str, node: &str) -> impl Iterator<Item = (&String, &Volume)> {
        self.volumes.get(&self.key(id, node)).into_iter().flatten()
    }

    pub(crate) fn volume(&self, id: &str, node: &str, name: &str) -> Option<&Volume> {
        self.volumes.get(&self.key(id, node))?.get(name)
    }

    pub(crate) fn volume_mut(&mut self, id: &str, node: &str, name: &str) -> Option<&mut Volume> {
        let key = self.key(id, node);
        self.volumes.get_mut(&key)?.get_mut(name)
    }

    pub(crate) fn insert(&mut self, id: &str, node: &str, name: &str, volume: Volume) {
        let key = self.key(id, node);
        self.volumes.entry(key).or_default().insert(name.to_owned(), volume);
    }

    pub(crate) fn remove(&mut self, id: &str, node: &str, name: &str) -> Option<Volume> {
        let key = self.key(id, node);
        self.volumes.get_mut(&key)?.remove(name)
    }

    /// Bytes used on a storage as one node sees it.
    pub(crate) fn used(&self, id: &str, node: &str) -> u64 {
        let base = self.defs.get(id).map_or(0, |s| s.base_used);
        base + self.volumes(id, node).map(|(_, v)| v.used).sum::<u64>()
    }

    /// Allocates a volume for a container and gives its name, the way the storage's type names it.
    pub(crate) fn allocate(
        &mut self,
        id: &str,
        node: &str,
        vmid: u32,
        size: u64,
        used: u64,
        now: i64,
    ) -> ApiResult<String> {
        let storage = self.usable(id, node)?;
        let (file_based, kind) = (storage.is_file_based(), storage.kind.clone());
        let taken = |n: u32| {
            let stem = format!("-{vmid}-disk-{n}");
            self.volumes(id, node).any(|(name, v)| v.vmid == Some(vmid) && disk_stem_matches(name, &stem))
        };
        let number = (0..).find(|n| !taken(*n)).unwrap_or_default();
        let (name, format) = match (file_based, kind.as_str(), size) {
            (true, _, 0) => (format!("{vmid}/subvol-{vmid}-disk-{number}.subvol"), "subvol"),
            (true, ..) => (format!("{vmid}/vm-{vmid}-disk-{number}.raw"), "raw"),
            (false, "zfspool" | "zfs", _) => (format!("subvol-{vmid}-disk-{number}"), "subvol"),
            _ => (format!("vm-{vmid}-disk-{number}"), "raw"),
        };
        let volume =
            Volume { vmid: Some(vmid), size, used, format: format.to_owned(), ctime: now, ..Volume::default() };
        self.insert(id, node, &name, volume);
        Ok(name)
    }

    /// Removes every volume of a guest and says how many there were.
    pub(crate) fn remove_all_of(&mut self, vmid: u32, node: &str) -> usize {
        let mut removed = 0;
        for ((_, on), volumes) in &mut self.volumes {
            if on.is_empty() || on == node {
                let before = volumes.len();
                volumes.retain(|_, v| v.vmid != Some(vmid));
                removed += before - volumes.len();
            }
        }
        removed
    }

    /// Renames a volume to its base name (`vm-` or `subvol-` to `base-` or `basevol-`).
    pub(crate) fn make_base(&mut self, id: &str, node: &str, name: &str) -> String {
        let (dir, file) = name.rsplit_once('/').map_or((None, name), |(d, f)| (Some(d), f));
        let based = if let Some(rest) = file.strip_prefix("subvol-") {
            format!("basevol-{rest}")
        } else if let Some(rest) = file.strip_prefix("vm-") {
            format!("base-{rest}")
        } else {
            file.to_owned()
        };
        let based = dir.map_or(based.clone(), |d| format!("{d}/{based}"));
        if let Some(volume) = self.remove(id, node, name) {
            self.insert(id, node, &based, volume);
        }
        based
    }
}

fn disk_stem_matches(name: &str, stem: &str) -> bool {
    name.find(stem).is_some_and(|at| !name[at + stem.len()..].starts_with(|c: char| c.is_ascii_digit()))
}

/// True for a volume that templates use as the base of linked clones.
pub(crate) fn is_base(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    file.starts_with("base-") || file.starts_with("basevol-")
}
