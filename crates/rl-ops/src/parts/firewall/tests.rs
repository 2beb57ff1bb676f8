//! The order in which the members of a set change.

use std::collections::BTreeSet;

use super::{Next, next};

fn set(members: &[&str]) -> BTreeSet<String> {
    members.iter().map(|member| (*member).to_owned()).collect()
}

#[test]
fn exceptions_come_before_the_networks_they_are_taken_out_of_and_go_after_them() {
    let both = set(&["10.0.0.0/8", "!10.1.0.0/16", "192.0.2.7"]);
    let come = next(&set(&[]), &both);
    assert_eq!(come, Next::Add(vec!["192.0.2.7".into(), "!10.1.0.0/16".into(), "10.0.0.0/8".into()]));
    assert_eq!(next(&both, &set(&["192.0.2.7"])), Next::Remove("10.0.0.0/8".into()));
}

#[test]
fn an_entry_that_changes_sides_is_turned_where_it_is() {
    let turned = next(&set(&["10.0.0.0/8", "10.1.0.0/16"]), &set(&["10.0.0.0/8", "!10.1.0.0/16"]));
    assert_eq!(turned, Next::Turn("!10.1.0.0/16".into()));
    assert_eq!(next(&set(&["10.0.0.0/8"]), &set(&["10.0.0.0/8"])), Next::Nothing);
}
