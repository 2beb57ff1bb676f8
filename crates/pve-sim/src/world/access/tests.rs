use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const PATHS: &[&str] = &["/", "/vms", "/vms/100", "/storage/local", "/pool/lab"];
const ROLES: &[&str] = &["PVEAdmin", "PVEAuditor", "PVEVMUser", "NoAccess", "PVEDatastoreUser"];

fn user() -> Identity {
    Identity { user: "a@pve".to_owned(), token: None }
}

fn token() -> Identity {
    Identity { user: "a@pve".to_owned(), token: Some("t".to_owned()) }
}

/// A user with a separated token and entries of the list for both.
fn access(entries: &[(usize, usize, bool, bool)]) -> Access {
    let mut access = Access::default();
    let tokens = BTreeMap::from([("t".to_owned(), Token { privsep: true, ..Token::default() })]);
    access.users.insert("a@pve".to_owned(), User { enable: true, tokens, ..User::default() });
    for (path, role, for_token, down) in entries {
        let key = if *for_token { (Subject::Token, "a@pve!t".to_owned()) } else { (Subject::User, "a@pve".to_owned()) };
        let roles = access.acl.entry(PATHS[*path].to_owned()).or_default().entry(key).or_default();
        roles.insert(ROLES[*role].to_owned(), *down);
    }
    access
}

#[test]
fn the_nearest_entry_wins() {
    let access = access(&[(0, 0, false, true), (2, 1, false, true)]);
    assert!(access.check(&user(), "/vms/101", &["VM.Allocate"], false).is_ok());
    assert!(access.check(&user(), "/vms/100", &["VM.Allocate"], false).is_err());
    assert!(access.check(&user(), "/vms/100", &["VM.Audit"], false).is_ok());
}

#[test]
fn an_entry_that_is_not_handed_down_counts_only_where_it_stands() {
    let access = access(&[(1, 2, false, false)]);
    assert!(access.check(&user(), "/vms", &["VM.Audit"], false).is_ok());
    assert!(access.check(&user(), "/vms/100", &["VM.Audit"], false).is_err());
}

#[test]
fn a_pool_gives_its_members_what_it_has() {
    let mut access = access(&[(4, 0, false, true)]);
    assert!(access.check(&user(), "/vms/100", &["VM.Allocate"], false).is_err());
    access.guest_pool.insert(100, "lab".to_owned());
    assert!(access.check(&user(), "/vms/100", &["VM.Allocate"], false).is_ok());
}

#[test]
fn paths_are_checked_as_pve_does() {
    for good in ["/", "/vms/100", "/pool/a/b", "/sdn/zones/localnetwork/vmbr0/7", "/access/realm/pve"] {
        assert!(is_acl_path(good), "{good}");
    }
    for bad in ["/nonsense", "/vms/1", "/vms/100/x", "/pool/a/b/c/d"] {
        assert!(!is_acl_path(bad), "{bad}");
    }
    assert_eq!(normalize_path("vms/346/").as_deref(), Some("/vms/346"));
    assert_eq!(normalize_path("/pool/bad pool"), None);
}

proptest! {
    /// A separated token never holds what its user does not.
    #[test]
    fn a_token_never_exceeds_its_user(
        entries in proptest::collection::vec((0..PATHS.len(), 0..ROLES.len(), any::<bool>(), any::<bool>()), 0..8),
        path in 0..PATHS.len(),
    ) {
        let access = access(&entries);
        let held = access.permissions(&user(), PATHS[path]);
        for privilege in access.permissions(&token(), PATHS[path]).keys() {
            prop_assert!(held.contains_key(privilege), "{} on {}", privilege, PATHS[path]);
        }
    }
}
