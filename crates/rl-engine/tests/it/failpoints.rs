//! The list of fail-points and the sources agree.
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rl_engine::failpoints::ALL;

/// Deepest folder looked into: the workspace is nowhere near as deep.
const DEPTH_MAX: usize = 12;

fn sources(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() && depth < DEPTH_MAX {
            sources(&path, depth + 1, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every literal given to the macro in a source file.
fn named_in(text: &str) -> impl Iterator<Item = &str> {
    let calls = text.split("fail_point!(\"").skip(1);
    calls.filter_map(|rest| rest.split('"').next())
}

#[test]
fn list_is_complete_sorted_and_used() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(crates).unwrap().flatten() {
        sources(&entry.path().join("src"), 0, &mut files);
    }
    assert!(files.len() > 20, "the sources were not found in {}", crates.display());
    let mut used = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        used.extend(named_in(&text).map(str::to_owned));
    }
    let listed: BTreeSet<String> = ALL.iter().map(|name| (*name).to_owned()).collect();
    let missing: Vec<_> = used.difference(&listed).collect();
    assert!(missing.is_empty(), "add these to failpoints::ALL: {missing:?}");
    let unused: Vec<_> = listed.difference(&used).filter(|name| !name.starts_with("ops.")).collect();
    assert!(unused.is_empty(), "no source passes these: {unused:?}");
    assert!(ALL.is_sorted(), "keep the list sorted");
}
