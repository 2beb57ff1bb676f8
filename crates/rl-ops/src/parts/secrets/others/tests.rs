#![allow(clippy::unwrap_used)]
use super::*;

fn found(name: &str, paths: &[&str]) -> (String, Found) {
    (name.to_owned(), Found::Strays(paths.iter().map(|path| (*path).to_owned()).collect()))
}

/// What was not looked into is said, and is no difference by itself.
#[test]
fn what_was_not_looked_into_is_said() {
    let missed = |number: usize| (format!("far/web-{number}"), Found::NotLooked);
    let mut looked: Vec<(String, Found)> = (1..=12).map(missed).collect();
    looked.push(found("near/db", &[]));
    let check = check(&looked, 3);
    assert!(check.ok);
    insta::assert_snapshot!(check.found, @"nothing in 1 guests; not looked into, as their agent does not answer or they are being changed: far/web-1; far/web-2; far/web-3; far/web-4; far/web-5; far/web-6; far/web-7; far/web-8; far/web-9; far/web-10 and 2 more; 3 more were not looked into, as a proof looks into 256");
}

#[test]
fn what_was_not_granted_is_a_difference() {
    let looked = [found("a/b", &["/run/secrets/db", "/run/secrets/x"]), found("a/c", &[])];
    let check = check(&looked, 0);
    assert!(!check.ok);
    assert_eq!(check.found, "a/b has /run/secrets/db, /run/secrets/x");
}
