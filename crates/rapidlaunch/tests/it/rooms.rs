//! The order of the house: which crate may use which, the size of files and functions, a page for each error.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What each crate may use of the others. A crate that is not named here may not be there.
const MAY_USE: [(&str, &[&str]); 11] = [
    ("rl-model", &[]),
    ("rl-engine", &[]),
    ("pve-sim", &[]),
    ("pg-lab", &[]),
    ("rl-planner", &["rl-model"]),
    ("rl-pve", &["rl-model"]),
    ("rl-providers", &["rl-model"]),
    ("rl-agent", &["rl-model"]),
    ("rl-store", &["rl-model", "rl-engine"]),
    ("rl-ops", &["rl-model", "rl-engine", "rl-pve", "rl-providers", "rl-agent"]),
    (
        "rapidlaunch",
        &["rl-model", "rl-planner", "rl-engine", "rl-store", "rl-pve", "rl-providers", "rl-agent", "rl-ops", "pve-sim"],
    ),
];
/// Most lines of a source file.
const FILE_LINES_MAX: usize = 400;
/// Files above the cap, with the length they have. They may shrink, never grow, and leave the list when below the cap.
const LONG_FILES: [(&str, usize); 3] =
    [("rl-store/src/pg/cache.rs", 405), ("rl-store/src/pg/session.rs", 500), ("rl-store/src/pg/table.rs", 404)];
/// Most lines of a function; the same number stands in clippy.toml.
const FUNCTION_LINES_MAX: usize = 70;
/// Functions above the limit, with the length they have: tables. They may shrink, never grow.
const LONG_FUNCTIONS: [(&str, &str, usize); 1] = [("pve-sim/src/families/storage_defs.rs", "fn options_of", 81)];
/// Most packages in Cargo.lock: each is compiled, checked and trusted. 387 served one
/// machine; PostgreSQL and cron brought 33; age, which nobody should write anew, brought 75 with its texts in many languages;
/// DNS providers sign their updates.
const PACKAGES_MAX: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every source file outside tests: its path below `crates/` and its text.
fn sources() -> BTreeMap<String, String> {
    let crates = root().join("crates");
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(&crates).unwrap().flatten() {
        collect(&crates, &entry.path().join("src"), &mut found);
    }
    assert!(found.len() > 100, "the sources were not found in {}", crates.display());
    found
}

fn collect(crates: &Path, dir: &Path, found: &mut BTreeMap<String, String>) {
    for path in std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            collect(crates, &path, found);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let below = path.strip_prefix(crates).unwrap().display().to_string();
            found.insert(below, std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// Crates of this workspace under `[dependencies]` of a manifest; those of tests are free.
fn uses(manifest: &str, all: &BTreeSet<String>) -> BTreeSet<String> {
    let mut section = "";
    let mut found = BTreeSet::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
            if let Some(name) = line.strip_prefix("[dependencies.").and_then(|rest| rest.strip_suffix(']')) {
                found.insert(name.to_owned());
            }
        } else if section == "[dependencies]" {
            found.extend(line.split(['.', '=', ' ']).next().map(str::to_owned));
        }
    }
    found.intersection(all).cloned().collect()
}

#[test]
fn crates_use_only_what_they_may() {
    let rule: BTreeMap<&str, BTreeSet<String>> =
        MAY_USE.iter().map(|(name, uses)| (*name, uses.iter().map(|name| (*name).to_owned()).collect())).collect();
    let all: BTreeSet<String> = rule.keys().map(|name| (*name).to_owned()).collect();
    let mut seen = 0;
    for entry in std::fs::read_dir(root().join("crates")).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(manifest) = std::fs::read_to_string(entry.path().join("Cargo.toml")) else { continue };
        let allowed =
            rule.get(name.as_str()).unwrap_or_else(|| panic!("crate {name} has no rule: which crates may it use?"));
        let used = uses(&manifest, &all);
        let forbidden: Vec<_> = used.difference(allowed).collect();
        assert!(forbidden.is_empty(), "crate {name} must not use {forbidden:?}");
        seen += 1;
    }
    assert!(seen >= 8, "only {seen} crates were found");
}

/// The rule is not held by a reader that reads nothing.
#[test]
fn a_forbidden_use_would_be_found() {
    let all = BTreeSet::from(["rl-model".to_owned(), "rl-pve".to_owned()]);
    let manifest = "[dependencies]\nrl-pve.workspace = true\nserde = \"1\"\n[dependencies.rl-model]\npath = \"x\"\n[dev-dependencies]\n";
    assert_eq!(uses(manifest, &all), all);
    assert_eq!(uses("[dev-dependencies]\nrl-pve.workspace = true\n", &all), BTreeSet::new());
}

#[test]
fn every_module_says_what_it_is() {
    let silent: Vec<_> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(path, _)| path).collect();
    assert!(silent.is_empty(), "begin these with a `//!` line: {silent:#?}");
}

#[test]
fn files_are_small() {
    let known: BTreeMap<&str, usize> = LONG_FILES.into_iter().collect();
    let mut wrong = Vec::new();
    let sources = sources();
    for (path, text) in &sources {
        let lines = text.lines().count();
        match known.get(path.as_str()) {
            None if lines > FILE_LINES_MAX => wrong.push(format!("{path} has {lines} lines: split it")),
            Some(length) if lines > *length => wrong.push(format!("{path} grew from {length} to {lines} lines")),
            Some(_) if lines <= FILE_LINES_MAX => wrong.push(format!("{path} is small now: take it off the list")),
            _ => {}
        }
    }
    wrong.extend(
        known
            .keys()
            .filter(|path| !sources.contains_key(**path))
            .map(|path| format!("{path} is gone: take it off the list")),
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Functions longer than the limit: name and lines. The sources are formatted, so a function ends where its indent returns.
fn long_functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut long = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let bare = line.trim_start();
        let indent = &line[..line.len() - bare.len()];
        let head = bare.split("fn ").next().unwrap_or_default();
        let is_function = bare.contains("fn ")
            && head
                .split_whitespace()
                .all(|word| matches!(word, "async" | "const" | "unsafe") || word.starts_with("pub"));
        if !is_function || bare.ends_with(';') || bare.ends_with('}') {
            continue;
        }
        let close = format!("{indent}}}");
        let head_end = lines[at..].iter().find(|line| line.ends_with(['{', ';', '}']));
        if head_end.is_none_or(|line| !line.ends_with('{')) {
            continue;
        }
        let Some(length) = lines[at..].iter().position(|line| *line == close) else { continue };
        if length + 1 > FUNCTION_LINES_MAX {
            long.push((bare.to_owned(), length + 1));
        }
    }
    long
}

#[test]
fn functions_are_small() {
    let sources = sources();
    let known = |path: &str, head: &str, lines: usize| {
        LONG_FUNCTIONS.iter().any(|(file, name, length)| path == *file && head.contains(name) && lines <= *length)
    };
    let found = sources
        .iter()
        .flat_map(|(path, text)| long_functions(text).into_iter().map(move |(head, lines)| (path, head, lines)));
    let long: Vec<_> = found.filter(|(path, head, lines)| !known(path, head, *lines)).collect();
    assert!(long.is_empty(), "split these: {long:#?}");
}

#[test]
fn a_long_function_would_be_found() {
    let body = "        step();\n".repeat(FUNCTION_LINES_MAX);
    let text =
        format!("impl X {{\n    pub(crate) async fn long(&self) {{\n{body}    }}\n\n    fn short() {{\n    }}\n}}\n");
    assert_eq!(long_functions(&text).len(), 1);
}

/// Codes such as `RL0101` in a text.
fn codes(text: &str) -> BTreeSet<String> {
    let is_code = |rest: &str| rest.len() >= 6 && rest.as_bytes()[2..6].iter().all(u8::is_ascii_digit);
    text.match_indices("RL")
        .map(|(at, _)| &text[at..])
        .filter(|rest| is_code(rest))
        .map(|rest| rest[..6].to_owned())
        .collect()
}

#[test]
fn each_error_has_its_page() {
    let used: BTreeSet<String> = sources().values().flat_map(|text| codes(text)).collect();
    let pages = std::fs::read_dir(root().join("docs/errors")).unwrap().flatten();
    let pages: BTreeMap<String, PathBuf> = pages
        .map(|page| (page.file_name().to_string_lossy().replace(".md", ""), page.path()))
        .filter(|(name, _)| name != "README")
        .collect();
    assert!(used.len() >= 40, "the codes were not found in the sources");
    let written: BTreeSet<String> = pages.keys().cloned().collect();
    assert_eq!(used, written, "each code has a page in docs/errors, and each page a code");
    for (code, page) in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        assert!(text.contains(&code) && text.lines().count() > 3, "{} says nothing of {code}", page.display());
    }
}

#[test]
fn packages_are_few() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let count = lock.lines().filter(|line| *line == "[[package]]").count();
    assert!(count > 50, "Cargo.lock was not read");
    assert!(count <= PACKAGES_MAX, "{count} packages: is the new one worth it? Then raise the cap and say why");
}
