//! Goal: nothing is allowed that no grant covers, and no limit widens anything. Method: grants, scopes and paths from a small
//! world, where chance brings them together, and a second reading of the paths as texts to compare with.
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const PATHS: [&str; 8] =
    ["/", "/sites", "/sites/fra", "/sites/fra1", "/stacks", "/stacks/shop", "/stacks/shop-2", "/stacks/fra1"];

fn path() -> impl Strategy<Value = AccessPath> {
    select(&PATHS[..]).prop_map(|text| text.parse().unwrap())
}

fn role() -> impl Strategy<Value = Role> {
    select(&Role::ALL[..])
}

fn right() -> impl Strategy<Value = Right> {
    select(&Right::ALL[..])
}

fn grants() -> impl Strategy<Value = Vec<Grant>> {
    vec((role(), path()).prop_map(|(role, path)| Grant::new(role, path)), 0..4)
}

/// What `covers` says, read from the texts: the same text, or one that goes on after a whole part.
fn covers(wide: &AccessPath, narrow: &AccessPath) -> bool {
    let (wide, narrow) = (wide.to_string(), narrow.to_string());
    wide == "/" || wide == narrow || narrow.starts_with(&format!("{wide}/"))
}

proptest! {
    #[test]
    fn a_path_covers_by_whole_parts(one in path(), other in path()) {
        prop_assert_eq!(one.covers(&other), covers(&one, &other));
        prop_assert_eq!(one.narrower(&other), other.narrower(&one));
        if let Some(parent) = one.parent() {
            prop_assert!(parent.covers(&one) && !one.covers(&parent));
        }
    }

    #[test]
    fn what_no_grant_covers_is_refused(grants in grants(), right in right(), paths in vec(path(), 0..3)) {
        let covered = paths.iter().any(|path| grants.iter().any(|g| g.role.has(right) && covers(&g.path, path)));
        let access = Access::of(grants);
        prop_assert_eq!(access.may(right, &paths), covered);
        prop_assert!(!access.may(right, &[]));
        prop_assert!(!Access::default().may(right, &paths) && !Access::default().may_somewhere(right));
        prop_assert!(paths.is_empty() || Access::everything().may(right, &paths));
    }

    #[test]
    fn a_wider_path_and_another_grant_never_allow_less(
        grants in grants(), more in grants(), right in right(), paths in vec(path(), 0..3),
    ) {
        let before = Access::of(grants.clone()).may(right, &paths);
        let wider = grants.iter().map(|g| Grant::new(g.role, g.path.parent().unwrap_or(AccessPath::Root))).collect();
        prop_assert!(!before || Access::of(wider).may(right, &paths));
        prop_assert!(!before || Access::of([grants, more].concat()).may(right, &paths));
    }

    #[test]
    fn a_token_never_has_more_than_its_owner(
        grants in grants(), scopes in grants(), again in grants(), right in right(), paths in vec(path(), 0..3),
    ) {
        let owner = Access::of(grants);
        let token = owner.clone().limited(scopes.clone());
        prop_assert!(!token.may(right, &paths) || owner.may(right, &paths));
        prop_assert!(!token.may(right, &paths) || Access::of(scopes).may(right, &paths));
        prop_assert!(!token.clone().limited(again).may(right, &paths) || token.may(right, &paths));
        prop_assert!(!owner.clone().limited(Vec::new()).may(right, &paths));
    }

    #[test]
    fn effective_grants_say_what_is_allowed_on_one_path(grants in grants(), scopes in grants(), right in right(), at in path()) {
        let token = Access::of(grants).limited(scopes);
        let told = Access::of(token.effective());
        prop_assert_eq!(told.may(right, std::slice::from_ref(&at)), token.may(right, std::slice::from_ref(&at)));
        prop_assert!(!token.may(right, &[at]) || token.may_somewhere(right));
    }

    #[test]
    fn token_ids_parse(bits in any::<u64>()) {
        let id = TokenId::from_bits(bits);
        prop_assert_eq!(id.as_str().parse::<TokenId>().unwrap(), id);
        let id = GrantId::from_bits(bits);
        prop_assert_eq!(id.as_str().parse::<GrantId>().unwrap(), id);
    }
}

#[test]
fn roles_have_the_rights_they_are_known_for() {
    let table: Vec<String> = Role::ALL
        .iter()
        .map(|role| {
            let rights: Vec<&str> = Right::ALL.iter().filter(|r| role.has(**r)).map(|r| r.as_str()).collect();
            format!("{role}: {}", rights.join(" "))
        })
        .collect();
    insta::assert_snapshot!(table.join("\n"), @"
    viewer: read
    operator: read operate
    deployer: read operate deploy
    approver: read approve
    admin: read operate deploy approve admin
    ");
}

#[test]
fn what_is_no_path_or_name_is_refused() {
    for text in ["", "sites", "//", "/sites/", "/sites/a/b", "/stacks/A", "/guests", "/stacks/../x", " /"] {
        assert!(text.parse::<AccessPath>().is_err(), "{text}");
    }
    for text in ["", "Maria", "ma ria", "-x", "a/b", "a:b", &"a".repeat(65)] {
        assert!(text.parse::<UserName>().is_err(), "{text}");
    }
    for text in ["maria", "user:", "user:A", "group:", "group: x", "team:x"] {
        assert!(text.parse::<Grantee>().is_err(), "{text}");
    }
    assert!("owner".parse::<Role>().is_err());
}
