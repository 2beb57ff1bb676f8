//! Fields whose values are merged with what others wrote, and what a change of a field needs.

use rl_model::config::split_tags;
use rl_model::{Change, DiskSize, Features, FieldKey, PropertyString, ResolvedGuest, Stamp};

/// A disk may be larger than asked for by less than this: volume managers round up to whole extents (LVM: 4 MiB).
const DISK_ROUNDING_MIB: u64 = 4;

/// The tags a guest shall have: those wanted, its stamp's, and those that others gave it. A tag is another's when it
/// was neither in the form last applied nor has the form of a stamp's tag.
pub(crate) fn merged_tags(wanted: &str, observed: &str, last: Option<&ResolvedGuest>) -> String {
    let mut tags = split_tags(wanted);
    let applied = |tag: &str| last.is_some_and(|last| last.tags.iter().any(|had| had.as_str() == tag));
    tags.extend(split_tags(observed).into_iter().filter(|tag| !applied(tag) && !Stamp::is_stamp_tag(tag)));
    tags.sort_unstable();
    tags.dedup();
    tags.join(";")
}

/// The features a guest shall have: ours as wanted, and those RapidLaunch has no word for as they are.
pub(crate) fn merged_features(wanted: &str, observed: &str) -> String {
    let mut out = PropertyString::parse(wanted);
    let seen = PropertyString::parse(observed);
    for (key, value) in seen.pairs().filter(|(key, _)| !is_our_feature(key)) {
        out.set(key, value);
    }
    out.to_string()
}

fn is_our_feature(key: &str) -> bool {
    matches!(key, "nesting" | "keyctl" | "fuse")
}

/// The features of ours that are on in an observed value.
pub(crate) fn features_of(observed: &str) -> Features {
    let seen = PropertyString::parse(observed);
    let on = |key| seen.get(key) == Some("1");
    Features { nesting: on("nesting"), keyctl: on("keyctl"), fuse: on("fuse") }
}

/// Whether going from one set of features to another takes the user `root@pam`: every change on a privileged
/// container, and every change but `nesting` on others (`PVE/LXC.pm`, `check_ct_modify_config_perm`).
pub(crate) fn features_need_root(from: Features, to: Features, unprivileged: bool) -> bool {
    let other = from.keyctl != to.keyctl || from.fuse != to.fuse;
    other || (!unprivileged && from.nesting != to.nesting)
}

/// How a disk's size compares with what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SizeStep {
    /// As wanted, or larger by rounding only; the size it has.
    Same(DiskSize),
    /// It has to grow.
    Grow,
    /// It would have to shrink, which no disk does; the size it has.
    Shrink(DiskSize),
}

/// Compares a size that was seen with the wanted one. A disk whose size is not told is taken as it is.
pub(crate) fn size_step(seen: Option<DiskSize>, wanted: DiskSize) -> SizeStep {
    match seen {
        None => SizeStep::Same(wanted),
        Some(seen) if seen < wanted => SizeStep::Grow,
        Some(seen) if seen.mib() - wanted.mib() < DISK_ROUNDING_MIB => SizeStep::Same(seen),
        Some(seen) => SizeStep::Shrink(seen),
    }
}

/// Whether a running container sees a change only when it starts again. A mount point can be added to a running
/// container, and any disk can grow; a mount point that changes otherwise or goes waits (`vmconfig_hotplug_pending`).
pub(crate) fn needs_restart(change: &Change) -> bool {
    if !matches!(change.key, FieldKey::Mount(_)) {
        return change.key.needs_restart();
    }
    !change.from.is_empty() && without_size(&change.from) != without_size(&change.to)
}

/// A disk field without its size, which changes while the guest runs.
fn without_size(text: &str) -> String {
    let mut parsed = PropertyString::parse(text);
    parsed.remove("size");
    parsed.to_string()
}
