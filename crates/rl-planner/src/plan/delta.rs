//! What differs between a guest as it shall be and as it is, parted by what can be done about it.
//!
//! The guest as it shall be is brought in line with the world step by step: every part that cannot or may not be
//! changed is put back to what it is, and told. What then still differs is what an update changes.

use std::collections::BTreeSet;

use rl_model::{Change, ConfigFields, FieldKey, MountSlot, PropertyString, ResolvedGuest, ResolvedVolume, Stamp};

use super::fields::{SizeStep, features_need_root, features_of, merged_features, merged_tags, size_step};

/// One guest compared with its configuration.
pub(crate) struct Delta<'a> {
    /// As it shall be once the plan is done.
    pub(crate) guest: ResolvedGuest,
    fields: &'a ConfigFields,
    last: Option<&'a ResolvedGuest>,
    /// Fields that are left as they are.
    skip: BTreeSet<FieldKey>,
}

/// A difference that only a new guest can take away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Forced {
    /// The field.
    pub(crate) change: Change,
    /// In a sentence part: "its root disk would have to shrink from 8 GiB to 4 GiB".
    pub(crate) reason: String,
}

impl<'a> Delta<'a> {
    /// Begins a comparison; volumes find their mount points and sizes that differ by rounding only are settled.
    pub(crate) fn new(guest: ResolvedGuest, fields: &'a ConfigFields, last: Option<&'a ResolvedGuest>) -> Self {
        let mut delta = Self { guest, fields, last, skip: BTreeSet::new() };
        delta.settle_slots();
        delta.settle_sizes();
        delta
    }

    /// Gives each volume the mount point it really has, and each new one a mount point that is really free: numbers
    /// chosen without looking may be taken by mounts that others made.
    fn settle_slots(&mut self) {
        for index in 0..self.guest.volumes.len() {
            let volume = &self.guest.volumes[index];
            let known = self.last.and_then(|last| last.volumes.iter().find(|had| had.name == volume.name));
            if known.is_some_and(|known| known.slot == volume.slot) {
                continue;
            }
            let at_path = self.observed_slots().find(|slot| self.observed_path(*slot) == Some(volume.path.as_str()));
            let taken = |slot: MountSlot| {
                self.guest.volumes.iter().enumerate().any(|(other, volume)| other != index && volume.slot == slot)
            };
            let of_others = |slot: MountSlot| taken(slot) || self.is_observed(slot) || self.was_applied(slot);
            let slot = match at_path {
                Some(slot) if !taken(slot) => Some(slot),
                _ if !of_others(volume.slot) => None,
                _ => (0..).map_while(|number| MountSlot::new(number).ok()).find(|slot| !of_others(*slot)),
            };
            if let Some(slot) = slot {
                self.guest.volumes[index].slot = slot;
            }
        }
    }

    fn settle_sizes(&mut self) {
        if let SizeStep::Same(size) = size_step(self.fields.disk_size(FieldKey::RootFs), self.guest.disk) {
            self.guest.disk = size;
        }
        for volume in &mut self.guest.volumes {
            let key = FieldKey::Mount(volume.slot);
            if let SizeStep::Same(size) = size_step(self.fields.disk_size(key), volume.size) {
                volume.size = size;
            }
        }
    }

    /// The differences that only a replacement takes away.
    pub(crate) fn forced(&self) -> Vec<Forced> {
        let mut out = Vec::new();
        let guest = &self.guest;
        if let Some(last) = self.last.filter(|last| last.image != guest.image) {
            out.push(forced(FieldKey::Image, last.image.as_str(), guest.image.as_str(), "its image changes"));
        }
        let wanted = format!("size={},storage={}", guest.disk.pve(), guest.storage);
        self.forced_disk(FieldKey::RootFs, "its root disk", guest.storage.as_str(), guest.disk, wanted, &mut out);
        let unprivileged = if guest.unprivileged { "1" } else { "0" };
        if self.fields.get(FieldKey::Unprivileged) != unprivileged {
            let reason = if guest.unprivileged { "it becomes unprivileged" } else { "it becomes privileged" };
            out.push(forced(FieldKey::Unprivileged, self.fields.get(FieldKey::Unprivileged), unprivileged, reason));
        }
        for volume in guest.volumes.iter().filter(|volume| self.is_observed(volume.slot)) {
            let what = format!("its volume `{}`", volume.name);
            let wanted = format!("size={},storage={}", volume.size.pve(), volume.storage);
            let key = FieldKey::Mount(volume.slot);
            self.forced_disk(key, &what, volume.storage.as_str(), volume.size, wanted, &mut out);
        }
        out
    }

    fn forced_disk(
        &self,
        key: FieldKey,
        what: &str,
        storage: &str,
        size: rl_model::DiskSize,
        to: String,
        out: &mut Vec<Forced>,
    ) {
        let from = self.fields.get(key);
        let lies_on = self.storage_of(key).unwrap_or_default();
        if lies_on != storage {
            let reason = match lies_on {
                "" => format!("{what} is held by a mount of the node and does not lie on `{storage}`"),
                lies_on => format!("{what} lies on `{lies_on}` and not on `{storage}`"),
            };
            out.push(Forced { change: Change { key, from: from.to_owned(), to }, reason });
        } else if let SizeStep::Shrink(seen) = size_step(self.fields.disk_size(key), size) {
            let reason = format!("{what} would have to shrink from {seen} to {size}");
            out.push(Forced { change: Change { key, from: from.to_owned(), to }, reason });
        }
    }

    /// Leaves a forced difference as it is.
    pub(crate) fn decline(&mut self, forced: &Forced) {
        let key = forced.change.key;
        let (storage, size) = (self.storage_of(key).and_then(|text| text.parse().ok()), self.fields.disk_size(key));
        match key {
            FieldKey::Image => {
                if let Some(last) = self.last {
                    self.guest.image = last.image.clone();
                }
            }
            FieldKey::Unprivileged => self.guest.unprivileged = !self.guest.unprivileged,
            FieldKey::RootFs => match storage {
                Some(storage) => {
                    self.guest.storage = storage;
                    self.guest.disk = size.map_or(self.guest.disk, |size| size.max(self.guest.disk));
                }
                None => drop(self.skip.insert(key)),
            },
            FieldKey::Mount(slot) => {
                let volume = self.guest.volumes.iter_mut().find(|volume| volume.slot == slot);
                if let (Some(volume), Some(storage)) = (volume, storage) {
                    volume.storage = storage;
                    volume.size = size.map_or(volume.size, |size| size.max(volume.size));
                } else {
                    self.skip.insert(key);
                }
            }
            _ => drop(self.skip.insert(key)),
        }
    }

    /// Volumes that were applied, left the stack, and are still there.
    pub(crate) fn retired(&self) -> Vec<&'a ResolvedVolume> {
        let volumes = self.last.map_or(&[][..], |last| &last.volumes[..]);
        let declared = |had: &ResolvedVolume| {
            self.guest.volumes.iter().any(|volume| volume.name == had.name || volume.slot == had.slot)
        };
        let there = |had: &ResolvedVolume| self.observed_path(had.slot) == Some(had.path.as_str());
        volumes.iter().filter(|had| !declared(had) && there(had)).collect()
    }

    /// Keeps a volume that left the stack: it stays part of what shall be, so that it is not forgotten.
    pub(crate) fn keep_volume(&mut self, volume: &ResolvedVolume) {
        self.guest.volumes.push(volume.clone());
        self.skip.insert(FieldKey::Mount(volume.slot));
    }

    /// Leaves mount points as they are, but for their growth: Proxmox changes none of a protected guest. Gives back
    /// those that would have changed.
    pub(crate) fn hold_mounts(&mut self) -> Vec<MountSlot> {
        let mut held = Vec::new();
        for volume in self.retired() {
            held.push(volume.slot);
            self.keep_volume(volume);
        }
        let fields = self.fields;
        self.guest.volumes.retain_mut(|volume| {
            let Some(text) = fields.0.get(&FieldKey::Mount(volume.slot)) else {
                held.push(volume.slot);
                return false;
            };
            let seen = PropertyString::parse(text);
            let on = |key| seen.get(key) == Some("1");
            let path = seen.get("mp").and_then(|path| path.parse().ok()).unwrap_or_else(|| volume.path.clone());
            if (&volume.path, volume.backup, volume.read_only) != (&path, on("backup"), on("ro")) {
                held.push(volume.slot);
                (volume.path, volume.backup, volume.read_only) = (path, on("backup"), on("ro"));
            }
            true
        });
        held.sort_unstable();
        held.dedup();
        held
    }

    /// Mounts that the stack never declared: they are left alone.
    pub(crate) fn foreign_mounts(&self) -> Vec<(MountSlot, &'a str)> {
        let known = |slot: &MountSlot| self.guest.volumes.iter().any(|volume| volume.slot == *slot);
        let retired: Vec<MountSlot> = self.retired().iter().map(|volume| volume.slot).collect();
        self.observed_slots()
            .filter(|slot| !known(slot) && !retired.contains(slot))
            .map(|slot| (slot, self.fields.get(FieldKey::Mount(slot))))
            .collect()
    }

    /// Volumes of the guest that Proxmox manages and would delete together with it.
    pub(crate) fn data_volumes(&self) -> Vec<MountSlot> {
        data_volumes(self.fields)
    }

    /// Leaves features as they are when only `root@pam` may change them; gives back what was wanted.
    pub(crate) fn decline_root_features(&mut self) -> Option<String> {
        let seen = features_of(self.fields.get(FieldKey::Features));
        if !features_need_root(seen, self.guest.features, self.guest.unprivileged) {
            return None;
        }
        let wanted = rl_model::config::features_text(self.guest.features);
        self.guest.features = seen;
        Some(merged_features(&wanted, self.fields.get(FieldKey::Features)))
    }

    /// The fields that an update changes in place.
    pub(crate) fn changes(&self, stamp: &Stamp) -> Vec<Change> {
        let mut wanted = ConfigFields::desired(&self.guest, stamp);
        let merged = merged_tags(wanted.get(FieldKey::Tags), self.fields.get(FieldKey::Tags), self.last);
        wanted.0.insert(FieldKey::Tags, merged);
        let features = merged_features(wanted.get(FieldKey::Features), self.fields.get(FieldKey::Features));
        wanted.0.insert(FieldKey::Features, features);
        self.untold_sizes(&mut wanted);
        let foreign: Vec<MountSlot> = self.foreign_mounts().iter().map(|(slot, _)| *slot).collect();
        let left = |key: &FieldKey| match key {
            FieldKey::Mount(slot) => foreign.contains(slot) || self.skip.contains(key),
            key => self.skip.contains(key),
        };
        let differences = self.fields.differences(&wanted).into_iter().filter(|(key, _, _)| !left(key));
        differences.map(|(key, from, to)| Change { key, from: from.to_owned(), to: to.to_owned() }).collect()
    }

    /// A disk whose size Proxmox does not tell is not compared by size.
    fn untold_sizes(&self, wanted: &mut ConfigFields) {
        for (key, text) in &mut wanted.0 {
            if key.is_disk() && !self.fields.get(*key).is_empty() && self.fields.disk_size(*key).is_none() {
                let seen = PropertyString::parse(self.fields.get(*key));
                let mut parsed = PropertyString::parse(text);
                parsed.set("size", seen.get("size").unwrap_or_default());
                *text = parsed.to_string();
            }
        }
    }

    fn observed_slots(&self) -> impl Iterator<Item = MountSlot> + use<'a> {
        let fields = self.fields;
        fields.0.keys().filter_map(|key| match key {
            FieldKey::Mount(slot) => Some(*slot),
            _ => None,
        })
    }

    fn observed_path(&self, slot: MountSlot) -> Option<&'a str> {
        let fields: &'a ConfigFields = self.fields;
        let text = fields.0.get(&FieldKey::Mount(slot))?;
        text.split(',').find_map(|part| part.strip_prefix("mp="))
    }

    fn is_observed(&self, slot: MountSlot) -> bool {
        self.fields.0.contains_key(&FieldKey::Mount(slot))
    }

    fn was_applied(&self, slot: MountSlot) -> bool {
        self.last.is_some_and(|last| last.volumes.iter().any(|volume| volume.slot == slot))
    }

    fn storage_of(&self, key: FieldKey) -> Option<&'a str> {
        let fields: &'a ConfigFields = self.fields;
        fields.0.get(&key)?.split(',').find_map(|part| part.strip_prefix("storage="))
    }
}

fn forced(key: FieldKey, from: &str, to: &str, reason: &str) -> Forced {
    let change = Change { key, from: from.to_owned(), to: to.to_owned() };
    Forced { change, reason: format!("{reason} from `{from}` to `{to}`") }
}

/// Mount points whose volumes Proxmox deletes together with their guest: all but bind and device mounts.
pub(crate) fn data_volumes(fields: &ConfigFields) -> Vec<MountSlot> {
    let managed = |text: &str| PropertyString::parse(text).get("storage").is_some();
    let slots = fields.0.iter().filter_map(|(key, text)| match key {
        FieldKey::Mount(slot) if managed(text) => Some(*slot),
        _ => None,
    });
    slots.collect()
}
