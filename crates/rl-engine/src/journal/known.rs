//! Which kinds and versions of jobs a release can run, and what it says of those it cannot.

use super::KnownKinds;

/// How the reason of a job begins that waits for a release that knows its kind or version. Stored, and looked for: it tells such jobs
/// from those that are parked for another reason.
pub(crate) const NEEDS_TO_KNOW: &str = "needs at least a release that knows ";

/// Whether `kind` in `version` is among the known ones, and if not, what would be needed.
pub fn known_or_reason(known: &KnownKinds, kind: &str, version: u32) -> Result<(), String> {
    match known.get(kind) {
        Some(range) if range.contains(&version) => Ok(()),
        Some(range) if version > *range.end() => {
            Err(format!("{NEEDS_TO_KNOW}`{kind}` version {version}; this one knows up to {}", range.end()))
        }
        Some(range) => Err(format!(
            "needs a release that still knows `{kind}` version {version}; this one starts at {}",
            range.start()
        )),
        None => Err(format!("{NEEDS_TO_KNOW}`{kind}`; this one does not")),
    }
}
