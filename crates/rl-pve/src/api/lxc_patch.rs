//! Changing a container's configuration: what is set, what is taken away, guarded by the digest.

use std::collections::{BTreeMap, BTreeSet};

use rl_model::config::{mount_create_text, volume_of};
use rl_model::{Change, FieldKey, MountSlot, NodeName, PropertyString, ResolvedGuest, ResolvedVolume, Vmid, VolumeId};

use crate::Request;
use crate::wire::{Nothing, RawConfig};

/// One configuration write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigPatch {
    /// Keys that get a value.
    pub set: BTreeMap<String, String>,
    /// Keys that are taken away.
    pub delete: BTreeSet<String>,
    /// Keys whose pending change is dropped.
    pub revert: BTreeSet<String>,
    /// SHA-1 of the file the patch was made for; without it another's change may be overwritten.
    pub digest: Option<String>,
}

impl ConfigPatch {
    /// Whether it does nothing.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.delete.is_empty() && self.revert.is_empty()
    }

    /// The write that turns `current` into what `changes` say. Sizes are left out: disks grow by a call of their own.
    /// A new mount point gets a new volume, a changed one keeps its volume.
    pub fn from_changes(changes: &[Change], guest: &ResolvedGuest, current: &RawConfig) -> Self {
        let digest = Some(current.digest().to_owned()).filter(|digest| !digest.is_empty());
        let mut patch = Self { digest, ..Self::default() };
        for change in changes {
            match change.key {
                FieldKey::RootFs => {}
                FieldKey::Mount(slot) => patch.mount(slot, change, guest, current),
                key if change.to.is_empty() || (key == FieldKey::Cores && change.to == "0") => {
                    patch.delete.insert(key.to_string());
                }
                key => drop(patch.set.insert(key.to_string(), change.to.clone())),
            }
        }
        patch
    }

    fn mount(&mut self, slot: MountSlot, change: &Change, guest: &ResolvedGuest, current: &RawConfig) {
        let key = slot.to_string();
        if change.to.is_empty() {
            self.delete.insert(key);
            return;
        }
        let Some(wanted) = guest.volumes.iter().find(|volume| volume.slot == slot) else { return };
        match current.get(&key).and_then(|raw| volume_of(raw).map(|volume| (raw, volume))) {
            None => drop(self.set.insert(key, mount_create_text(wanted))),
            Some(_) if same_but_size(&change.from, &change.to) => {}
            Some((raw, volume)) => drop(self.set.insert(key, kept_mount(raw, &volume, wanted))),
        }
    }
}

/// Whether two mount point fields differ in size alone.
fn same_but_size(from: &str, to: &str) -> bool {
    let bare = |text: &str| {
        let mut parsed = PropertyString::parse(text);
        parsed.remove("size");
        parsed
    };
    bare(from) == bare(to)
}

/// A mount point with its volume and size as they are and everything else as wanted.
fn kept_mount(raw: &str, volume: &VolumeId, wanted: &ResolvedVolume) -> String {
    let mut out = PropertyString::with_lead(volume.as_str());
    if let Some(size) = PropertyString::parse(raw).get("size") {
        out.set("size", size);
    }
    out.set("mp", &wanted.path);
    out.set("backup", u8::from(wanted.backup));
    if wanted.read_only {
        out.set("ro", 1);
    }
    out.to_string()
}

/// `PUT /nodes/{node}/lxc/{vmid}/config`: answers when it is written. With a digest a repetition is refused as
/// `DigestMismatch`; without one a new mount point could be made twice, so it is sent once only.
pub fn set_config(node: &NodeName, vmid: Vmid, patch: &ConfigPatch) -> Request<Nothing> {
    let mut request: Request<Nothing> =
        Request::put("/nodes/{node}/lxc/{vmid}/config").on(node).arg("vmid", vmid).slow();
    for (key, value) in &patch.set {
        request = request.param(key.as_str(), value);
    }
    let list = |keys: &BTreeSet<String>| keys.iter().map(String::as_str).collect::<Vec<_>>().join(",");
    if !patch.delete.is_empty() {
        request = request.param("delete", list(&patch.delete));
    }
    if !patch.revert.is_empty() {
        request = request.param("revert", list(&patch.revert));
    }
    match &patch.digest {
        Some(digest) => request.param("digest", digest).repeatable(),
        None => request,
    }
}
