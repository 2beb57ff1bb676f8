//! Files that are right, and what becomes of them.

use super::*;

/// The example files of the project.
fn example(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    std::fs::read_to_string(&path).unwrap()
}

#[test]
fn the_examples_are_right() {
    for name in ["first.yaml", "shop.yaml", "two-sites.yaml"] {
        assert_eq!(together(&[(name, &example(name))]), "nothing is wrong", "{name}");
    }
}
