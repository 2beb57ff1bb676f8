//! Every change of access is in the audit, with its answer where a key was named; and somebody is always left to administer.
use rl_engine::UnixMs;
use rl_model::{GrantId, Role, TokenId};
use rl_store::{
    AttemptKey, AuditQuery, Changed, Conflict, Deed, Digest, KeptAnswer, NewAudit, NewUser, Store, StoreError,
    TokenAdded,
};

use super::{HASH, START, deed, grant, new_user, open, session, subject, to, token, user};
use crate::home::Home;

crate::home::cases! {
    what_changes_access_is_in_the_audit_and_what_does_not_is_not,
    the_last_administrator_stays,
}

/// Action, before and after of every entry, and how many answers are kept.
async fn told(store: &Store) -> Vec<(String, String, String)> {
    let page = store.audit_page(AuditQuery { after: Some(0), limit: 100, ..AuditQuery::default() }).await.unwrap();
    let entries = page.items.into_iter();
    entries.map(|e| (e.action, e.before.unwrap_or_default(), e.after.unwrap_or_default())).collect()
}

async fn what_changes_access_is_in_the_audit_and_what_does_not_is_not(home: Home) {
    let (store, _) = open(&home).await;
    let did = |action: &str| Deed {
        audit: NewAudit::local("maria", action, "/"),
        answer: Some(KeptAnswer {
            principal: "user:maria".to_owned(),
            key: action.to_owned(),
            request_digest: "x".to_owned(),
            status: 200,
            location: None,
            body: "{}".to_owned(),
        }),
    };
    let maria = user("maria");
    let keys = || vec![AttemptKey { key: "maria".to_owned(), free: 1, wiped: true }];
    assert!(store.add_user(new_user("maria"), did("add")).await.unwrap());
    assert!(!store.add_user(new_user("maria"), did("again")).await.unwrap());
    store.set_password(&maria, None, Some(HASH.parse().unwrap()), None, did("password")).await.unwrap();
    assert_eq!(store.set_disabled(&maria, Some(9), true, did("moved")).await.unwrap(), Changed::Moved(2));
    store.add_token(token(1, "maria"), did("token")).await.unwrap();
    assert_eq!(store.add_token(token(2, "jo"), did("nobody's")).await.unwrap(), TokenAdded::NoUser);
    assert!(store.revoke_token(&TokenId::from_bits(1), did("revoke")).await.unwrap());
    assert!(!store.revoke_token(&TokenId::from_bits(1), did("revoke again")).await.unwrap());
    store.add_grant(to(1, "user:maria", grant(Role::Viewer, "/")), did("grant")).await.unwrap();
    assert!(!store.remove_grant(&GrantId::from_bits(9), did("no grant")).await.unwrap());
    assert!(store.remove_grant(&GrantId::from_bits(1), did("ungrant")).await.unwrap());
    assert!(store.add_session(session(1, "maria"), did("in")).await.unwrap());
    assert!(!store.add_session(session(2, "jo"), did("not in")).await.unwrap());
    assert!(store.end_session(&Digest::of("cookie 1"), did("out")).await.unwrap());
    assert!(!store.end_session(&Digest::of("cookie 1"), did("out again")).await.unwrap());
    assert_eq!(store.attempt_failed(keys(), did("failed")).await.unwrap(), None);
    store.begin_attempt(keys()).await.unwrap();
    assert_eq!(store.attempt_failed(keys(), did("locked")).await.unwrap(), Some(UnixMs(START.0 + 30_000)));
    store.meet(subject("jo", &["ops"]), did("meet")).await.unwrap();
    store.meet(subject("jo", &["ops"]), did("met before")).await.unwrap();
    store.meet(subject("jo", &[]), did("regrouped")).await.unwrap();
    store.remove_user(&maria, None, did("remove")).await.unwrap();
    let told = told(&store).await;
    let actions: Vec<&str> = told.iter().map(|(action, ..)| &**action).collect();
    let wanted = ["add", "password", "token", "revoke", "grant", "ungrant", "in", "out", "locked"];
    assert_eq!(actions, [&wanted[..], &["meet", "regrouped", "remove"]].concat());
    for (action, ..) in &told {
        assert!(store.kept_answer("user:maria", action).await.unwrap().is_some(), "{action}");
    }
    for action in ["again", "moved", "nobody's", "revoke again", "no grant", "not in", "out again", "failed"] {
        assert_eq!(store.kept_answer("user:maria", action).await.unwrap(), None, "{action}");
    }
    let all = format!("{told:?}");
    let hidden = [HASH, Digest::of("secret 1").as_str(), Digest::of("cookie 1").as_str()].map(str::to_owned);
    assert!(hidden.iter().all(|secret| !all.contains(&**secret)), "{all}");
    let (_, before, after) = &told[10];
    assert!(before.contains(r#""groups":["ops"]"#) && after.contains(r#""groups":[]"#), "{before} {after}");
}

async fn the_last_administrator_stays(home: Home) {
    let (store, _) = open(&home).await;
    let refused = |result: Result<bool, StoreError>| match result {
        Err(StoreError::Conflict(conflict)) => assert_eq!(conflict, Conflict::LastAdministrator),
        other => panic!("{other:?}"),
    };
    let (admin, maria, jo) = (grant(Role::Admin, "/"), user("maria"), user("jo"));
    let done = |changed: Result<Changed, StoreError>| changed.map(|changed| matches!(changed, Changed::Done(_)));
    store.add_user(new_user("maria"), deed()).await.unwrap();
    store.add_user(NewUser { password: None, ..new_user("jo") }, deed()).await.unwrap();
    store.add_grant(to(1, "user:maria", admin.clone()), deed()).await.unwrap();
    store.add_grant(to(2, "user:jo", admin.clone()), deed()).await.unwrap();
    store.add_grant(to(3, "group:ops", admin.clone()), deed()).await.unwrap();
    store.add_grant(to(4, "user:maria", grant(Role::Admin, "/stacks")), deed()).await.unwrap();
    let entries = told(&store).await.len();
    // Jo cannot sign in, and nobody is in the group.
    refused(done(store.remove_user(&maria, None, deed()).await));
    refused(done(store.set_disabled(&maria, None, true, deed()).await));
    refused(store.remove_grant(&GrantId::from_bits(1), deed()).await);
    assert_eq!(told(&store).await.len(), entries, "what is refused is not written down");
    assert!(store.remove_grant(&GrantId::from_bits(4), deed()).await.unwrap());
    assert!(store.user(&maria).await.unwrap().unwrap().disabled_at.is_none());
    store.set_password(&jo, None, Some(HASH.parse().unwrap()), None, deed()).await.unwrap();
    assert!(done(store.set_disabled(&maria, None, true, deed()).await).unwrap());
    refused(done(store.remove_user(&jo, None, deed()).await));
    store.meet(subject("otto", &["ops"]), deed()).await.unwrap();
    assert!(done(store.remove_user(&jo, None, deed()).await).unwrap(), "somebody of the group is there");
    refused(store.remove_grant(&GrantId::from_bits(3), deed()).await);
    // Who is shut out may go.
    assert!(done(store.remove_user(&maria, None, deed()).await).unwrap());
}
