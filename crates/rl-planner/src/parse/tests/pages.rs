//! The pages of `docs/errors/`: one for each code, and their examples true.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::*;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors")
}

/// The YAML below a heading of a page.
fn example<'p>(page: &'p str, heading: &str) -> Option<&'p str> {
    let (_, rest) = page.split_once(&format!("## {heading}\n\n```yaml\n"))?;
    Some(rest.split_once("```")?.0)
}

/// The codes found in an example: a whole file, a stack beside the site of these tests, or the keys of one container.
fn codes_of(example: &str) -> BTreeSet<&'static str> {
    let files = match example.lines().next().unwrap_or_default() {
        "kind: site" => vec![("page.yaml", example.to_owned())],
        first if first.starts_with("kind:") => vec![("site.yaml", SITE.to_owned()), ("page.yaml", example.to_owned())],
        _ => vec![("site.yaml", SITE.to_owned()), ("page.yaml", stack_of(example))],
    };
    let sources: Vec<Source<'_>> = files.iter().map(|(name, text)| Source { name, text }).collect();
    match parse_all(&sources, &Known::default()) {
        Ok(_) => BTreeSet::new(),
        Err(errors) => errors.diagnostics.iter().map(|found| found.code).collect(),
    }
}

#[test]
fn every_code_has_its_page_and_the_examples_are_true() {
    for (code, title) in codes::ALL {
        let path = folder().join(format!("{code}.md"));
        let page = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(page.starts_with(&format!("# {code}: {title}\n")), "{code} is titled `{title}`");
        assert!(page.contains("\n## What to do\n"), "{code} says what to do");
        if let Some(wrong) = example(&page, "Wrong") {
            assert_eq!(codes_of(wrong), BTreeSet::from([*code]), "the wrong example of {code}");
            let right = example(&page, "Right").unwrap();
            assert_eq!(codes_of(right), BTreeSet::new(), "the right example of {code}");
        }
    }
}

#[test]
fn every_code_is_met_by_a_test() {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/parse/tests");
    let shown: String = std::fs::read_dir(tests)
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    for (code, title) in codes::ALL {
        assert!(shown.contains(&format!("[{code}]:")), "no test shows {code}, {title}");
    }
}

#[test]
fn every_page_of_errors_is_listed() {
    let index = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "README.md" || index.contains(&format!("]({name})")), "{name} is not listed");
    }
}

#[test]
fn the_reference_names_every_key_and_its_examples_are_right() {
    let page = std::fs::read_to_string(folder().join("../stack-files.md")).unwrap();
    for shape in SHAPES {
        for key in shape.keys {
            assert!(page.contains(&format!("`{key}`")), "{} of {} is not described", key, shape.what);
        }
    }
    let blocks: Vec<&str> =
        page.split("```yaml\n").skip(1).filter_map(|rest| rest.split_once("```")).map(|(block, _)| block).collect();
    let (site, stacks) = blocks.split_first().unwrap();
    assert_eq!(stacks.len(), 2);
    for stack in stacks {
        assert_eq!(together(&[("site.yaml", site), ("stack.yaml", stack)]), "nothing is wrong");
    }
}
