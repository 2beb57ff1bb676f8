//! Reads the data volumes of a container.

use std::collections::BTreeMap;

use rl_model::{DiskSize, GuestPath, StorageId, VolumeName};

use super::container::disk;
use super::fields::{Fields, Shape};
use super::report::{Report, Sp};
use super::values::parsed;
use crate::diagnostic::{Diagnostic, codes};

pub(crate) const VOLUME: Shape =
    Shape { name: "Volume", what: "a volume", keys: &["path", "size", "storage", "backup", "read_only"] };

/// Data volumes a container may have: `mp0` to `mp255` (`pve-api`: `mp[n]`).
const VOLUMES_MAX: usize = 256;
/// Folders the system of a container mounts itself.
const TAKEN_PATHS: [&str; 3] = ["/proc", "/sys", "/dev"];

/// A data volume as written.
pub(crate) struct VolumeDraft {
    pub(crate) name: VolumeName,
    pub(crate) path: GuestPath,
    pub(crate) size: DiskSize,
    pub(crate) storage: Option<Sp<StorageId>>,
    pub(crate) backup: bool,
    pub(crate) read_only: bool,
}

/// Reads `volumes:`.
pub(crate) fn volumes(report: &mut Report<'_>, container: &Fields<'_>) -> Vec<VolumeDraft> {
    let mut out = Vec::new();
    let mut paths: BTreeMap<GuestPath, Sp<GuestPath>> = BTreeMap::new();
    let entries = container.named::<VolumeName>(report, "volumes", "`volumes`");
    if let Some(extra) = entries.get(VOLUMES_MAX) {
        let message = format!("the container has {} volumes", entries.len());
        report.error(
            codes::TOO_MANY,
            extra.key_place,
            &message,
            &format!("at most {VOLUMES_MAX} are possible"),
            "remove some",
        );
    }
    for entry in entries {
        let Some(fields) = Fields::open(report, entry.value, entry.key_place, &entry.path, &VOLUME) else { continue };
        let path = path(report, &fields, &mut paths);
        let size = fields.require(report, "size", "size: 20 GiB").and_then(|node| disk(report, node));
        let storage = fields.parsed(report, "storage");
        let backup = fields.boolean(report, "backup").unwrap_or(true);
        let read_only = fields.boolean(report, "read_only").unwrap_or(false);
        if let (Some(path), Some(size)) = (path, size) {
            out.push(VolumeDraft { name: entry.name.value, path, size, storage, backup, read_only });
        }
    }
    out
}

fn path(
    report: &mut Report<'_>,
    fields: &Fields<'_>,
    paths: &mut BTreeMap<GuestPath, Sp<GuestPath>>,
) -> Option<GuestPath> {
    let node = fields.require(report, "path", "path: /var/lib/data")?;
    let path = parsed::<GuestPath>(report, node)?;
    let text = path.value.as_str();
    if let Some(taken) = TAKEN_PATHS.iter().find(|taken| text == **taken || text.starts_with(&format!("{taken}/"))) {
        let message = format!("a volume cannot be mounted at `{text}`");
        report.error(
            codes::INVALID_VALUE,
            node.place,
            &message,
            &format!("`{taken}` belongs to the system"),
            "choose another folder",
        );
        return None;
    }
    if let Some(first) = paths.get(&path.value) {
        let message = format!("two volumes are mounted at `{text}`");
        report.findings.push(
            Diagnostic::error(codes::PATH_TWICE, Some(&path.at), message)
                .label("second volume")
                .related(Some(&first.at), "first volume")
                .help("give one of them another path"),
        );
        return None;
    }
    paths.insert(path.value.clone(), path.clone());
    Some(path.value)
}
