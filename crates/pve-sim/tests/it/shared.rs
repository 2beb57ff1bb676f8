//! Finds the reference material beside the project, when it is there.

use std::path::{Path, PathBuf};

/// The folder with the published API description and the recordings.
pub(crate) fn dir() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    if dir.join("pve-recordings").is_dir() {
        return Some(dir);
    }
    skipped();
    None
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn skipped() {
    eprintln!("skipped: ../shared is not here");
}

/// All endpoints of the published description of PVE 9.1.
pub(crate) fn api(dir: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(dir.join("pve-api/pve-9.1.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
