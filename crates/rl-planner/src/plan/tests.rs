//! Merging of fields, comparing of sizes, and order.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use rl_model::{Action, ActionId, ActionKind, Change, ControllerId, DiskSize, Features, FieldKey, GuestId, Stamp};

use super::fields::{
    SizeStep, features_need_root, features_of, merged_features, merged_tags, needs_restart, size_step,
};
use super::guest::Draft;
use super::order::{fingerprint, ordered, shifted};

#[test]
fn tags_of_others_stay_and_ours_go() {
    let ours = "rl-0123456789ab";
    assert_eq!(merged_tags(&format!("web;{ours}"), "byhand;web", None), format!("byhand;{ours};web"));
    assert_eq!(
        merged_tags(ours, "rl-zzzzzzzzzzzz;x", None),
        format!("{ours};x"),
        "a stamp's tag of another guest goes"
    );
    assert_eq!(merged_tags("", "B, a  b", None), "a;b", "spelling is unified");
}

#[test]
fn features_of_others_stay() {
    assert_eq!(merged_features("nesting=1", "fuse=1,mount=nfs"), "mount=nfs,nesting=1");
    assert_eq!(features_of("nesting=1,fuse=0,mount=nfs"), Features { nesting: true, ..Features::default() });
}

#[test]
fn only_nesting_of_an_unprivileged_container_is_free_to_change() {
    let none = Features::default();
    let all = [
        (Features { nesting: true, ..none }, true, false),
        (Features { nesting: true, ..none }, false, true),
        (Features { keyctl: true, ..none }, true, true),
        (Features { fuse: true, ..none }, true, true),
        (none, false, false),
    ];
    for (to, unprivileged, root) in all {
        assert_eq!(features_need_root(none, to, unprivileged), root, "{to:?} unprivileged {unprivileged}");
        assert!(!features_need_root(to, to, unprivileged), "what is so already needs nobody");
    }
}

#[test]
fn sizes_grow_or_are_the_same_within_an_extent() {
    let gib = DiskSize::from_gib;
    let mib = DiskSize::from_mib;
    assert_eq!(size_step(Some(gib(4)), gib(8)), SizeStep::Grow);
    assert_eq!(size_step(Some(gib(8)), gib(4)), SizeStep::Shrink(gib(8)));
    assert_eq!(size_step(Some(mib(5003)), mib(5000)), SizeStep::Same(mib(5003)));
    assert_eq!(size_step(Some(mib(5004)), mib(5000)), SizeStep::Shrink(mib(5004)));
    assert_eq!(size_step(None, gib(4)), SizeStep::Same(gib(4)), "a size that is not told is not compared");
}

#[test]
fn mounts_are_added_and_grow_without_a_restart() {
    let mount = |from: &str, to: &str| Change {
        key: FieldKey::Mount("mp0".parse().unwrap()),
        from: from.to_owned(),
        to: to.to_owned(),
    };
    assert!(!needs_restart(&mount("", "mp=/a,size=1G")));
    assert!(!needs_restart(&mount("mp=/a,size=1G", "mp=/a,size=2G")));
    assert!(needs_restart(&mount("mp=/a,size=1G", "mp=/b,size=1G")));
    assert!(needs_restart(&mount("mp=/a,size=1G", "")));
    let of = |key| Change { key, from: "a".to_owned(), to: "b".to_owned() };
    assert!(needs_restart(&of(FieldKey::Nameserver)) && !needs_restart(&of(FieldKey::Cores)));
}

fn draft(name: &str, after: &[String]) -> Draft {
    let stamp = Stamp {
        guest: GuestId::from_bits(1),
        stack: "shop".parse().unwrap(),
        name: name.parse().unwrap(),
        controller: ControllerId::from_bits(2),
    };
    let (site, node) = ("fra1".parse().unwrap(), "pve1".parse().unwrap());
    let mut draft = Draft::new(stamp, (&site, &node, 2000.try_into().unwrap()), ActionKind::Forget);
    draft.after = after.iter().map(|name| name.parse().unwrap()).collect();
    draft
}

fn names(actions: &[Action]) -> Vec<String> {
    actions.iter().map(|action| action.stamp.name.to_string()).collect()
}

#[test]
fn circles_are_cut_and_names_that_are_not_there_are_passed_over() {
    let of = |after: &[&str]| after.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let drafts = vec![draft("c", &of(&["b"])), draft("b", &of(&["c", "none"])), draft("a", &of(&["b", "a"]))];
    let actions = ordered(drafts);
    assert_eq!(names(&actions), ["a", "b", "c"]);
    assert_eq!(shifted(actions, 5)[2].after, [ActionId(6)]);
}

proptest! {
    /// An action waits only for earlier ones, for all of those it names, and the order of the drafts is of no account.
    #[test]
    fn order_holds_for_every_acyclic_wait(
        edges in proptest::collection::vec((0usize..12, 0usize..12), 0..40),
        turn in 0usize..12,
    ) {
        let name = |i: usize| format!("g{i:02}");
        // A higher number waits for a lower one, so that no circle can be.
        let before = |i: usize| edges.iter().filter(move |(a, b)| *a == i && b < a).map(|(_, b)| *b);
        let after = |i: usize| before(i).map(name).collect::<Vec<String>>();
        let mut drafts: Vec<Draft> = (0..12).map(|i| draft(&name(i), &after(i))).collect();
        let plain = ordered((0..12).map(|i| draft(&name(i), &after(i))).collect());
        drafts.rotate_left(turn);
        let turned = ordered(drafts);
        prop_assert_eq!(&plain, &turned);
        for (position, action) in plain.iter().enumerate() {
            prop_assert_eq!(action.id.0 as usize, position);
            prop_assert!(action.after.iter().all(|before| before.0 < action.id.0));
            let index: usize = action.stamp.name.as_str()[1..].parse().unwrap();
            let mut wanted = after(index);
            wanted.sort();
            wanted.dedup();
            let of = |id: &ActionId| plain[id.0 as usize].stamp.name.to_string();
            let mut waits: Vec<String> = action.after.iter().map(of).collect();
            waits.sort();
            prop_assert_eq!(waits, wanted);
        }
        let stack = "shop".parse().unwrap();
        prop_assert_eq!(fingerprint(&stack, false, &plain, &[]), fingerprint(&stack, false, &turned, &[]));
        prop_assert_ne!(fingerprint(&stack, false, &plain, &[]), fingerprint(&stack, true, &plain, &[]));
    }
}
