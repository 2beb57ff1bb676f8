//! Users, grants, tokens, sessions, set-up and failed sign-ins, on either database.
mod audited;

use std::sync::Arc;
use std::time::Duration;

use rl_engine::{SimClock, UnixMs};
use rl_model::{AccessPath, Grant, GrantId, Grantee, Role, SealedValue, TokenId, UserName};
use rl_store::{
    Attempt, AttemptKey, Changed, Deed, Digest, Granted, Met, NewAudit, NewGrant, NewSession, NewToken, NewUser,
    SESSION_IDLE, SESSIONS_PER_USER_MAX, SetUp, Store, Subject, TOKENS_PER_USER_MAX, TokenAdded, TotpState, check,
    copy,
};

use crate::home::Home;

const START: UnixMs = UnixMs(1_700_000_000_000);
const MINUTE: Duration = Duration::from_secs(60);
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$aGFzaA";

fn user(text: &str) -> UserName {
    text.parse().unwrap()
}

fn new_user(name: &str) -> NewUser {
    NewUser { name: user(name), password: Some(HASH.parse().unwrap()), actor: "maria".to_owned() }
}

fn deed() -> Deed {
    NewAudit::local("maria", "access.test", "/").into()
}

fn sealed(text: &str) -> SealedValue {
    format!("-----BEGIN AGE ENCRYPTED FILE-----\n{text}\n-----END AGE ENCRYPTED FILE-----\n").parse().unwrap()
}

fn grant(role: Role, path: &str) -> Grant {
    Grant::new(role, path.parse().unwrap())
}

fn to(number: u64, grantee: &str, grant: Grant) -> NewGrant {
    NewGrant { id: GrantId::from_bits(number), grantee: grantee.parse().unwrap(), grant, actor: "maria".to_owned() }
}

fn token(number: u64, owner: &str) -> NewToken {
    NewToken {
        id: TokenId::from_bits(number),
        digest: Digest::of(&format!("secret {number}")),
        owner: user(owner),
        label: "pipeline".to_owned(),
        scopes: vec![grant(Role::Deployer, "/stacks/shop")],
        expires_at: None,
        actor: owner.to_owned(),
    }
}

fn session(number: u64, owner: &str) -> NewSession {
    NewSession {
        digest: Digest::of(&format!("cookie {number}")),
        csrf: Digest::of(&format!("csrf {number}")),
        owner: user(owner),
        way: "password",
        remote: "192.0.2.1".to_owned(),
        agent: "Firefox\u{1b}[31m".to_owned(),
    }
}

/// A store, and the clock that both of its kinds go by.
async fn open(home: &Home) -> (Store, SimClock) {
    let clock = SimClock::manual(START);
    (home.open(Arc::new(clock.clone())).await.unwrap(), clock)
}

crate::home::cases! {
    users_are_added_once_and_changed_by_one_at_a_time,
    grants_of_a_user_and_of_groups_add_up,
    tokens_are_good_until_they_end,
    tokens_of_a_user_are_bounded,
    sessions_end_by_themselves_and_with_their_user,
    second_factor_is_confirmed_and_each_code_is_good_once,
    set_up_happens_once,
    whom_a_provider_vouches_for_takes_no_name_over,
    failures_wait_longer_each_time,
    copy_and_check_know_of_access,
}

async fn users_are_added_once_and_changed_by_one_at_a_time(home: Home) {
    let (store, clock) = open(&home).await;
    assert!(!store.has_users().await.unwrap());
    assert!(store.add_user(new_user("maria"), deed()).await.unwrap());
    assert!(!store.add_user(new_user("maria"), deed()).await.unwrap());
    assert!(store.add_user(NewUser { password: None, ..new_user("jo") }, deed()).await.unwrap());
    let names = |users: Vec<rl_store::UserRecord>| users.into_iter().map(|u| u.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(store.users(None, 10).await.unwrap()), ["jo", "maria"]);
    assert_eq!(names(store.users(Some(user("jo")), 10).await.unwrap()), ["maria"]);
    assert_eq!(names(store.users(None, 1).await.unwrap()), ["jo"]);
    let found = store.user(&user("maria")).await.unwrap().unwrap();
    assert_eq!((found.version, found.password_at, found.totp), (1, Some(START), TotpState::Off));
    assert!(store.add_session(session(1, "maria"), deed()).await.unwrap());
    assert!(store.add_session(session(2, "maria"), deed()).await.unwrap());
    clock.advance(MINUTE);
    let keep = Some(Digest::of("cookie 2"));
    let changed = store.set_password(&user("maria"), Some(1), Some(HASH.parse().unwrap()), keep, deed()).await.unwrap();
    assert_eq!(changed, Changed::Done(2));
    assert_eq!(store.set_password(&user("maria"), Some(1), None, None, deed()).await.unwrap(), Changed::Moved(2));
    assert_eq!(store.sessions(&user("maria")).await.unwrap().len(), 1);
    assert!(store.credentials(&user("maria")).await.unwrap().unwrap().password.is_some());
    assert_eq!(store.set_disabled(&user("maria"), None, true, deed()).await.unwrap(), Changed::Done(3));
    assert_eq!(store.sessions(&user("maria")).await.unwrap(), []);
    assert!(!store.add_session(session(3, "maria"), deed()).await.unwrap());
    assert_eq!(store.set_disabled(&user("maria"), Some(3), false, deed()).await.unwrap(), Changed::Done(4));
    assert_eq!(store.remove_user(&user("maria"), Some(3), deed()).await.unwrap(), Changed::Moved(4));
    assert_eq!(store.remove_user(&user("maria"), Some(4), deed()).await.unwrap(), Changed::Done(5));
    assert_eq!(store.remove_user(&user("maria"), None, deed()).await.unwrap(), Changed::Gone);
    assert!(store.credentials(&user("maria")).await.unwrap().is_none());
}

async fn grants_of_a_user_and_of_groups_add_up(home: Home) {
    let (store, _) = open(&home).await;
    store.meet(subject("maria", &["ops", "team"]), deed()).await.unwrap();
    let admin = grant(Role::Admin, "/");
    assert_eq!(store.add_grant(to(1, "user:jo", admin.clone()), deed()).await.unwrap(), Granted::NoUser);
    assert_eq!(
        store.add_grant(to(1, "user:maria", grant(Role::Viewer, "/sites")), deed()).await.unwrap(),
        Granted::Added
    );
    assert_eq!(
        store.add_grant(to(2, "group:ops", grant(Role::Operator, "/stacks")), deed()).await.unwrap(),
        Granted::Added
    );
    assert_eq!(store.add_grant(to(3, "group:others", admin), deed()).await.unwrap(), Granted::Added);
    let again = store.add_grant(to(9, "group:ops", grant(Role::Operator, "/stacks")), deed()).await.unwrap();
    assert_eq!(again, Granted::Before(GrantId::from_bits(2)));
    let holder = store.holder(&user("maria")).await.unwrap().unwrap();
    assert_eq!(holder.grants, [grant(Role::Viewer, "/sites"), grant(Role::Operator, "/stacks")]);
    assert_eq!(store.grants(None, 10).await.unwrap().len(), 3);
    let first = store.grants(None, 1).await.unwrap().remove(0);
    assert_eq!(store.grants(Some(first.id.clone()), 10).await.unwrap().len(), 2);
    assert_eq!(store.grant(&first.id).await.unwrap(), Some(first));
    assert_eq!(store.grants_to(&"group:ops".parse::<Grantee>().unwrap()).await.unwrap().len(), 1);
    assert!(store.remove_grant(&GrantId::from_bits(2), deed()).await.unwrap());
    assert!(!store.remove_grant(&GrantId::from_bits(2), deed()).await.unwrap());
    assert_eq!(store.holder(&user("maria")).await.unwrap().unwrap().grants, [grant(Role::Viewer, "/sites")]);
    store.remove_user(&user("maria"), None, deed()).await.unwrap();
    assert_eq!(store.grants(None, 10).await.unwrap().len(), 1);
}

async fn tokens_are_good_until_they_end(home: Home) {
    let (store, clock) = open(&home).await;
    assert_eq!(store.add_token(token(1, "maria"), deed()).await.unwrap(), TokenAdded::NoUser);
    store.add_user(new_user("maria"), deed()).await.unwrap();
    let ends = NewToken { expires_at: Some(UnixMs(START.0 + 1_000)), ..token(1, "maria") };
    assert_eq!(store.add_token(ends, deed()).await.unwrap(), TokenAdded::Added);
    assert_eq!(store.add_token(token(2, "maria"), deed()).await.unwrap(), TokenAdded::Added);
    let (one, two) = (TokenId::from_bits(1), TokenId::from_bits(2));
    let bearer = async |id: &TokenId, secret: &str| store.token_bearer(id, &Digest::of(secret)).await.unwrap();
    assert_eq!(bearer(&one, "secret 1").await.unwrap().token.scopes, [grant(Role::Deployer, "/stacks/shop")]);
    assert_eq!(bearer(&one, "secret 2").await, None);
    assert!(store.note_token(&one).await.unwrap() && !store.note_token(&one).await.unwrap());
    assert_eq!(store.token(&one).await.unwrap().unwrap().used_at, Some(START));
    clock.advance(MINUTE);
    assert!(store.note_token(&one).await.unwrap());
    assert_eq!(bearer(&one, "secret 1").await, None, "its time is over");
    assert!(bearer(&two, "secret 2").await.is_some());
    store.set_disabled(&user("maria"), None, true, deed()).await.unwrap();
    assert_eq!(bearer(&two, "secret 2").await, None, "its owner is shut out");
    store.set_disabled(&user("maria"), None, false, deed()).await.unwrap();
    assert!(bearer(&two, "secret 2").await.is_some());
    assert!(store.revoke_token(&two, deed()).await.unwrap() && !store.revoke_token(&two, deed()).await.unwrap());
    assert_eq!(bearer(&two, "secret 2").await, None, "it was revoked");
    assert_eq!(store.tokens(Some(user("maria")), None, 10).await.unwrap().len(), 2);
    assert_eq!(store.tokens(Some(user("jo")), None, 10).await.unwrap(), []);
    clock.advance(Duration::from_secs(91 * 24 * 3600));
    store.add_token(token(3, "maria"), deed()).await.unwrap();
    assert_eq!(store.tokens(None, None, 10).await.unwrap().len(), 1, "those that ended long ago are forgotten");
}

async fn tokens_of_a_user_are_bounded(home: Home) {
    let (store, _) = open(&home).await;
    store.add_user(new_user("maria"), deed()).await.unwrap();
    for number in 0..TOKENS_PER_USER_MAX {
        assert_eq!(store.add_token(token(number, "maria"), deed()).await.unwrap(), TokenAdded::Added);
    }
    let last = token(TOKENS_PER_USER_MAX, "maria");
    assert_eq!(store.add_token(last.clone(), deed()).await.unwrap(), TokenAdded::TooMany);
    store.revoke_token(&TokenId::from_bits(0), deed()).await.unwrap();
    assert_eq!(store.add_token(last, deed()).await.unwrap(), TokenAdded::Added);
}

async fn sessions_end_by_themselves_and_with_their_user(home: Home) {
    let (store, clock) = open(&home).await;
    store.add_user(new_user("maria"), deed()).await.unwrap();
    let digest = Digest::of("cookie 1");
    assert_eq!(store.session_bearer(&digest).await.unwrap(), None);
    assert!(store.add_session(session(1, "maria"), deed()).await.unwrap());
    let bearer = store.session_bearer(&digest).await.unwrap().unwrap();
    assert_eq!((bearer.csrf, &*bearer.session.agent), (Digest::of("csrf 1"), "Firefox[31m"));
    assert_eq!(bearer.holder.user.signed_in_at, Some(START));
    clock.advance(SESSION_IDLE - MINUTE);
    assert!(store.note_session(&digest).await.unwrap() && !store.note_session(&digest).await.unwrap());
    clock.advance(SESSION_IDLE - MINUTE);
    assert!(store.session_bearer(&digest).await.unwrap().is_some(), "it was used meanwhile");
    clock.advance(MINUTE);
    assert_eq!(store.session_bearer(&digest).await.unwrap(), None, "nobody has used it for long");
    assert!(store.add_session(session(2, "maria"), deed()).await.unwrap());
    assert_eq!(store.sessions(&user("maria")).await.unwrap().len(), 1, "the one that ended is forgotten");
    for _ in 0..16 {
        store.note_session(&Digest::of("cookie 2")).await.unwrap();
        clock.advance(SESSION_IDLE - MINUTE);
    }
    assert_eq!(store.session_bearer(&Digest::of("cookie 2")).await.unwrap(), None, "a week is over");
    for number in 3..=SESSIONS_PER_USER_MAX + 4 {
        clock.advance(Duration::from_millis(1));
        store.add_session(session(number, "maria"), deed()).await.unwrap();
    }
    assert_eq!(store.sessions(&user("maria")).await.unwrap().len() as u64, SESSIONS_PER_USER_MAX);
    assert_eq!(store.session_bearer(&Digest::of("cookie 3")).await.unwrap(), None, "the oldest made room");
    assert!(store.end_session(&Digest::of("cookie 9"), deed()).await.unwrap());
    assert!(!store.end_session(&Digest::of("cookie 9"), deed()).await.unwrap());
    store.remove_user(&user("maria"), None, deed()).await.unwrap();
    assert_eq!(store.session_bearer(&Digest::of("cookie 10")).await.unwrap(), None);
}

async fn second_factor_is_confirmed_and_each_code_is_good_once(home: Home) {
    let (store, _) = open(&home).await;
    let maria = user("maria");
    assert_eq!(store.begin_totp(&maria, sealed("a"), deed()).await.unwrap(), Changed::Gone);
    store.add_user(new_user("maria"), deed()).await.unwrap();
    let codes = || vec![Digest::of("one"), Digest::of("two")];
    assert_eq!(store.confirm_totp(&maria, 5, codes(), deed()).await.unwrap(), Changed::Refused);
    assert_eq!(store.begin_totp(&maria, sealed("a"), deed()).await.unwrap(), Changed::Done(2));
    assert_eq!(store.begin_totp(&maria, sealed("b"), deed()).await.unwrap(), Changed::Done(3));
    assert!(!store.credentials(&maria).await.unwrap().unwrap().totp.unwrap().confirmed);
    assert!(!store.spend_totp(&maria, 5).await.unwrap(), "nothing is asked for yet");
    assert_eq!(store.confirm_totp(&maria, 5, codes(), deed()).await.unwrap(), Changed::Done(4));
    assert_eq!(store.begin_totp(&maria, sealed("c"), deed()).await.unwrap(), Changed::Refused, "the one in use stays");
    let totp = store.credentials(&maria).await.unwrap().unwrap().totp.unwrap();
    assert_eq!((totp.confirmed, totp.step, totp.sealed == sealed("b")), (true, 5, true));
    assert!(!store.spend_totp(&maria, 5).await.unwrap() && store.spend_totp(&maria, 7).await.unwrap());
    assert!(!store.spend_totp(&maria, 6).await.unwrap(), "a code before a spent one is spent too");
    assert!(store.spend_recovery(&maria, Digest::of("one")).await.unwrap());
    assert!(!store.spend_recovery(&maria, Digest::of("one")).await.unwrap());
    assert!(!store.spend_recovery(&user("jo"), Digest::of("two")).await.unwrap());
    assert_eq!(store.recovery_left(&maria).await.unwrap(), 1);
    assert_eq!(store.remove_totp(&maria, deed()).await.unwrap(), Changed::Done(5));
    assert_eq!(store.recovery_left(&maria).await.unwrap(), 0);
    assert_eq!(store.user(&maria).await.unwrap().unwrap().totp, TotpState::Off);
}

async fn set_up_happens_once(home: Home) {
    let (store, clock) = open(&home).await;
    let id = GrantId::from_bits(1);
    let set_up =
        async |link: &str| store.set_up(Digest::of(link), new_user("maria"), id.clone(), deed()).await.unwrap();
    assert_eq!(set_up("a").await, SetUp::NoLink);
    assert!(store.offer_setup(Digest::of("a"), MINUTE).await.unwrap());
    assert!(store.offer_setup(Digest::of("b"), MINUTE).await.unwrap());
    assert_eq!(set_up("a").await, SetUp::NoLink, "a newer link has replaced it");
    clock.advance(MINUTE);
    assert_eq!(set_up("b").await, SetUp::NoLink, "its time is over");
    assert!(store.offer_setup(Digest::of("c"), MINUTE).await.unwrap());
    assert_eq!(set_up("c").await, SetUp::Done);
    assert_eq!(set_up("c").await, SetUp::Before);
    assert!(!store.offer_setup(Digest::of("d"), MINUTE).await.unwrap());
    let holder = store.holder(&user("maria")).await.unwrap().unwrap();
    assert_eq!(holder.grants, [Grant::new(Role::Admin, AccessPath::Root)]);
}

fn subject(name: &str, groups: &[&str]) -> Subject {
    let groups = groups.iter().map(|group| group.parse().unwrap()).collect();
    Subject { id: format!("https://id.example|{name}"), name: user(name), groups }
}

async fn whom_a_provider_vouches_for_takes_no_name_over(home: Home) {
    let (store, _) = open(&home).await;
    store.add_user(new_user("maria"), deed()).await.unwrap();
    assert_eq!(store.meet(subject("maria", &[]), deed()).await.unwrap(), Met::NameTaken);
    assert_eq!(store.meet(subject("jo", &["a"]), deed()).await.unwrap(), Met::User(user("jo")));
    let renamed = Subject { name: user("maria"), ..subject("jo", &["b", "c"]) };
    assert_eq!(store.meet(renamed, deed()).await.unwrap(), Met::User(user("jo")), "the subject decides, not the name");
    let found = store.user(&user("jo")).await.unwrap().unwrap();
    assert_eq!(found.groups, ["b".parse().unwrap(), "c".parse().unwrap()]);
    store.set_disabled(&user("jo"), None, true, deed()).await.unwrap();
    assert_eq!(store.meet(subject("jo", &["a"]), deed()).await.unwrap(), Met::Disabled);
}

async fn failures_wait_longer_each_time(home: Home) {
    let (store, clock) = open(&home).await;
    let keys = |name: &str| {
        let name = AttemptKey { key: format!("name {name}"), free: 2, wiped: true };
        vec![name, AttemptKey { key: "address 192.0.2.1".to_owned(), free: 4, wiped: false }]
    };
    let begin = async |name: &str| store.begin_attempt(keys(name)).await.unwrap();
    assert_eq!([begin("a").await, begin("a").await], [Attempt::Begun; 2]);
    assert_eq!(begin("a").await, Attempt::Wait(UnixMs(START.0 + 30_000)));
    assert_eq!(begin("b").await, Attempt::Begun, "another name");
    store.attempt_succeeded(keys("b")).await.unwrap();
    clock.advance(Duration::from_secs(30));
    assert_eq!(begin("a").await, Attempt::Begun);
    assert_eq!(begin("a").await, Attempt::Wait(UnixMs(START.0 + 90_000)), "twice as long");
    assert_eq!(begin("b").await, Attempt::Begun);
    assert_eq!(begin("c").await, Attempt::Wait(UnixMs(START.0 + 60_000)), "the address has failed four times");
    clock.advance(Duration::from_secs(60));
    assert_eq!(begin("a").await, Attempt::Begun);
    store.attempt_succeeded(keys("a")).await.unwrap();
    assert_eq!(begin("a").await, Attempt::Begun, "the name's failures are wiped");
    clock.advance(Duration::from_secs(24 * 3600));
    assert_eq!([begin("a").await, begin("a").await], [Attempt::Begun; 2], "all is forgotten after a day");
}

async fn copy_and_check_know_of_access(home: Home) {
    let (store, clock) = open(&home).await;
    store.add_user(new_user("maria"), deed()).await.unwrap();
    store.meet(subject("jo", &["ops"]), deed()).await.unwrap();
    store.begin_totp(&user("maria"), sealed("a"), deed()).await.unwrap();
    store.confirm_totp(&user("maria"), 5, vec![Digest::of("one")], deed()).await.unwrap();
    store.add_grant(to(1, "user:maria", grant(Role::Admin, "/")), deed()).await.unwrap();
    store.add_token(token(1, "maria"), deed()).await.unwrap();
    store.add_session(session(1, "maria"), deed()).await.unwrap();
    store.begin_attempt(vec![AttemptKey { key: "x".to_owned(), free: 1, wiped: true }]).await.unwrap();
    drop(store);
    assert_eq!(check(home.place()).await.unwrap().findings, []);
    let other = Home::directory();
    copy(home.place(), other.place(), Arc::new(clock.clone()), |_, _| {}).await.unwrap();
    let (there, _) = open(&other).await;
    assert!(there.token_bearer(&TokenId::from_bits(1), &Digest::of("secret 1")).await.unwrap().is_some());
    assert!(there.session_bearer(&Digest::of("cookie 1")).await.unwrap().is_some());
    assert_eq!(there.user(&user("jo")).await.unwrap().unwrap().groups, ["ops".parse().unwrap()]);
    assert!(!there.spend_totp(&user("maria"), 5).await.unwrap());
    drop(there);
    other.change("delete from access_user where name = ?1", "maria");
    other.change("update access_user set groups = ?1 where name = 'jo'", "ops");
    let report = check(other.place()).await.unwrap();
    let mut tables: Vec<_> = report.findings.iter().map(|finding| &*finding.table).collect();
    tables.sort_unstable();
    assert_eq!(tables, ["access_grant", "access_recovery", "access_session", "access_token", "access_user"]);
}
