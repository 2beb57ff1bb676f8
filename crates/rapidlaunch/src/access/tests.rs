//! Goal: nobody comes in who should not, and whoever should does. Method: a gate over a real store, with a clock of its own for
//! codes.
#![allow(clippy::unwrap_used)]
use std::sync::Arc;

use clap::Parser as _;
use rl_engine::{Clock, SimClock, UnixMs};
use rl_model::{Access, Grant, GrantId, Grantee, Right, Role, SecretValue, UserName};
use rl_store::{AuditQuery, Deed, NewAudit, NewGrant, NewToken, NewUser};

use rl_providers::secrets::IdentityFile;

use super::random::{recovery_code, recovery_digest};
use super::*;
use crate::cli::args::Cli;
use crate::work::secrets;

const PASSWORD: &str = "correct horse battery";

struct Lab {
    gate: Gate,
    clock: SimClock,
    _dir: tempfile::TempDir,
}

async fn lab() -> Lab {
    let dir = tempfile::tempdir().unwrap();
    let cli = Cli::parse_from(["rapidlaunch".as_ref(), "--data".as_ref(), dir.path().as_os_str(), "schema".as_ref()]);
    let data = Arc::new(Data::open(&cli.global).await.unwrap());
    let clock = SimClock::manual(UnixMs(1_700_000_000_000));
    let gate = Gate::new(data, Arc::new(clock.clone()));
    Lab { gate, clock, _dir: dir }
}

fn user(name: &str) -> UserName {
    name.parse().unwrap()
}

fn deed() -> Deed {
    NewAudit::local("test", "access.test", "/").into()
}

fn remote(address: &str) -> Remote {
    Remote { address: address.parse().unwrap(), agent: "test".to_owned() }
}

impl Lab {
    async fn add(&self, name: &str) {
        let hash = self.gate.hash(SecretValue::new(PASSWORD)).await.unwrap();
        let new = NewUser { name: user(name), password: Some(hash), actor: "test".to_owned() };
        assert!(self.gate.store().add_user(new, deed()).await.unwrap());
    }

    async fn sign_in(&self, name: &str, password: &str, code: Option<&str>) -> Result<SignedIn, AccessError> {
        self.sign_in_from("192.0.2.1", name, password, code).await
    }

    async fn sign_in_from(
        &self,
        address: &str,
        name: &str,
        password: &str,
        code: Option<&str>,
    ) -> Result<SignedIn, AccessError> {
        let password = SecretValue::new(password);
        let given = SignIn { name: name.to_owned(), password, code: code.map(str::to_owned), remote: remote(address) };
        self.gate.sign_in(given).await
    }

    /// The code that a device shows now.
    fn code(&self, key: &SecretValue) -> String {
        let secret = totp_rs::Secret::try_from_base32(key.expose()).unwrap();
        let totp = totp_rs::Builder::new().with_secret(secret).build().unwrap();
        totp.generate(self.clock.now().0 / 1000).to_string()
    }
}

fn is_wrong(result: &Result<SignedIn, AccessError>) -> bool {
    matches!(result, Err(AccessError::Wrong))
}

#[test]
fn tokens_and_cookies_are_random_parse_and_are_not_shown() {
    let (one, other) = (Token::new(), Token::new());
    assert_ne!(one.expose(), other.expose());
    let again: Token = one.expose().parse().map_err(|()| "parse").unwrap();
    assert_eq!((&again.id, again.digest()), (&one.id, one.digest()));
    let cut = &one.expose()[..one.expose().len() - 1];
    for bad in ["", "rlt_", "rlt_x_y", cut, &format!("{}A", one.expose()), &one.expose().replace("rlt", "rlx")] {
        assert!(bad.parse::<Token>().is_err(), "{bad}");
    }
    let cookie = NewSecret::new();
    assert_eq!(NewSecret::shown(cookie.expose()).unwrap().csrf(), cookie.csrf());
    assert_ne!(cookie.csrf(), NewSecret::new().csrf());
    assert!(NewSecret::shown("x").is_none() && NewSecret::shown(&"ü".repeat(43)).is_none());
    assert_eq!(format!("{:?}", cookie.digest()), "Digest(hidden)");
}

#[test]
fn recovery_codes_are_read_as_people_type_them() {
    let code = recovery_code();
    assert_eq!(code.len(), 19, "{code}");
    let typed = format!(" {} ", code.to_uppercase().replace('-', " "));
    assert_eq!(recovery_digest(&typed), recovery_digest(&code));
    assert!(recovery_digest("123456").is_none() && recovery_digest("").is_none());
}

#[tokio::test]
async fn only_the_right_name_and_password_come_in() {
    let lab = lab().await;
    lab.add("maria").await;
    let signed = lab.sign_in("maria", PASSWORD, None).await.unwrap();
    let bearer = lab.gate.by_cookie(signed.cookie.expose()).await.unwrap().unwrap();
    assert_eq!(bearer.user, user("maria"));
    assert!(bearer.takes_csrf(Some(&signed.cookie.csrf())));
    assert!(!bearer.takes_csrf(Some("other")) && !bearer.takes_csrf(None));
    assert!(is_wrong(&lab.sign_in("maria", "correct horse batterz", None).await));
    assert!(is_wrong(&lab.sign_in("maria", "", None).await));
    assert!(is_wrong(&lab.sign_in("jo", PASSWORD, None).await));
    assert!(is_wrong(&lab.sign_in("../Maria", PASSWORD, None).await));
    assert!(lab.gate.by_cookie(NewSecret::new().expose()).await.unwrap().is_none());
    lab.gate.changing(lab.gate.store().set_disabled(&user("maria"), None, true, deed())).await.unwrap();
    assert!(lab.gate.by_cookie(signed.cookie.expose()).await.unwrap().is_none(), "the session has ended");
    assert!(is_wrong(&lab.sign_in("maria", PASSWORD, None).await));
}

#[tokio::test]
async fn who_fails_five_times_waits_and_others_do_not() {
    let lab = lab().await;
    lab.add("maria").await;
    for _ in 0..5 {
        assert!(is_wrong(&lab.sign_in("maria", "wrong password", None).await));
    }
    assert!(matches!(lab.sign_in("maria", PASSWORD, None).await, Err(AccessError::Wait(_))));
    assert!(lab.sign_in_from("192.0.2.2", "maria", PASSWORD, None).await.is_ok(), "another address");
    lab.add("jo").await;
    assert!(lab.sign_in("jo", PASSWORD, None).await.is_ok(), "another name");
    let query = AuditQuery { action: Some("session".to_owned()), limit: 100, ..AuditQuery::default() };
    let entries = lab.gate.store().audit_page(query).await.unwrap().items;
    let told: Vec<_> = entries.iter().rev().map(|e| (&*e.action, &*e.actor, e.remote.as_deref().unwrap())).collect();
    let begun = |name, address| ("session.begin", name, address);
    let wanted = [("session.lockout", "maria", "192.0.2.1"), begun("maria", "192.0.2.2"), begun("jo", "192.0.2.1")];
    assert_eq!(told, wanted, "one failure has made somebody wait");
    assert!(!format!("{entries:?}").contains("wrong password"), "{entries:?}");
}

#[tokio::test]
async fn of_many_guesses_at_once_only_a_few_are_tried() {
    let lab = lab().await;
    lab.add("maria").await;
    let tries = (0..12).map(|_| lab.sign_in("maria", "wrong password", None));
    let results = futures::future::join_all(tries).await;
    let wrong = results.iter().filter(|result| is_wrong(result)).count();
    let waiting = results.iter().filter(|result| matches!(result, Err(AccessError::Wait(_)))).count();
    assert_eq!((wrong, waiting), (5, 7));
}

#[tokio::test]
async fn addresses_of_one_subscriber_are_counted_together() {
    let lab = lab().await;
    lab.add("maria").await;
    for number in 0..5 {
        let address = format!("2001:db8::{number:x}");
        assert!(is_wrong(&lab.sign_in_from(&address, "maria", "wrong password", None).await));
    }
    let same = lab.sign_in_from("2001:db8::ffff:1", "maria", PASSWORD, None).await;
    assert!(matches!(same, Err(AccessError::Wait(_))));
    assert!(lab.sign_in_from("2001:db8:0:1::1", "maria", PASSWORD, None).await.is_ok());
}

#[tokio::test]
async fn second_factor_is_asked_for_once_it_was_shown_and_each_code_is_good_once() {
    let lab = lab().await;
    lab.add("maria").await;
    let maria = user("maria");
    let enrolment = lab.gate.begin_totp(&maria, deed()).await.unwrap();
    let url = enrolment.url.expose();
    assert!(url.starts_with("otpauth://totp/RapidLaunch:maria?secret="), "{url}");
    assert!(lab.sign_in("maria", PASSWORD, None).await.is_ok(), "not confirmed yet");
    assert!(matches!(lab.gate.confirm_totp(&maria, "000000x", deed()).await, Err(AccessError::Wrong)));
    let codes = lab.gate.confirm_totp(&maria, &lab.code(&enrolment.key), deed()).await.unwrap();
    assert_eq!(codes.len(), 10);
    assert!(matches!(lab.gate.begin_totp(&maria, deed()).await, Err(AccessError::Factor)));
    assert!(matches!(lab.sign_in("maria", PASSWORD, None).await, Err(AccessError::CodeNeeded)));
    let spent = lab.code(&enrolment.key);
    assert!(is_wrong(&lab.sign_in("maria", PASSWORD, Some(&spent)).await), "it was used to confirm");
    lab.clock.advance(std::time::Duration::from_secs(30));
    let code = lab.code(&enrolment.key);
    assert!(lab.sign_in("maria", PASSWORD, Some(&code)).await.is_ok());
    assert!(is_wrong(&lab.sign_in("maria", PASSWORD, Some(&code)).await), "twice");
    lab.clock.advance(std::time::Duration::from_secs(60));
    let late = lab.code(&enrolment.key);
    lab.clock.advance(std::time::Duration::from_secs(30));
    assert!(lab.sign_in("maria", PASSWORD, Some(&late)).await.is_ok(), "a device may be a step behind");
    assert!(lab.sign_in("maria", PASSWORD, Some(&codes[3].expose().to_uppercase())).await.is_ok());
    assert!(is_wrong(&lab.sign_in("maria", PASSWORD, Some(codes[3].expose())).await), "a recovery code twice");
    assert!(is_wrong(&lab.sign_in("maria", "wrong password", Some(codes[4].expose())).await));
    assert!(lab.sign_in("maria", PASSWORD, Some(codes[4].expose())).await.is_ok(), "a wrong password spends no code");
}

#[tokio::test]
async fn second_factors_are_encrypted_anew_with_the_secrets() {
    let lab = lab().await;
    lab.add("maria").await;
    let made = lab.gate.begin_totp(&user("maria"), deed()).await.unwrap();
    lab.gate.confirm_totp(&user("maria"), &lab.code(&made.key), deed()).await.unwrap();
    let recovery = IdentityFile::create(&lab._dir.path().join("recovery.key")).unwrap();
    let sealed = async || lab.gate.store().sealed_factors().await.unwrap().remove(0).1;
    let opened = async || recovery.open(&seal_name(&user("maria")).unwrap(), SEAL_VERSION, &sealed().await);
    assert!(opened().await.is_err());
    let changed = secrets::set_recovery(&lab.gate.data, Some(recovery.recipient())).await.unwrap();
    assert_eq!((changed, opened().await.unwrap().expose()), (1, made.key.expose()));
    lab.clock.advance(std::time::Duration::from_secs(60));
    assert!(lab.sign_in("maria", PASSWORD, Some(&lab.code(&made.key))).await.is_ok(), "the factor is as it was");
    assert_eq!(secrets::set_recovery(&lab.gate.data, None).await.unwrap(), 1);
    assert!(opened().await.is_err(), "whoever may not read any more does not");
}

#[tokio::test]
async fn a_known_password_does_not_make_codes_free_to_guess() {
    let lab = lab().await;
    lab.add("maria").await;
    let maria = user("maria");
    let enrolment = lab.gate.begin_totp(&maria, deed()).await.unwrap();
    lab.gate.confirm_totp(&maria, &lab.code(&enrolment.key), deed()).await.unwrap();
    for _ in 0..5 {
        assert!(matches!(lab.sign_in("maria", PASSWORD, None).await, Err(AccessError::CodeNeeded)));
        assert!(is_wrong(&lab.sign_in("maria", PASSWORD, Some("000000")).await));
    }
    assert!(matches!(lab.sign_in("maria", PASSWORD, Some("000000")).await, Err(AccessError::Wait(_))));
}

#[tokio::test]
async fn a_revoked_token_is_nobodys_at_once_and_never_more_than_its_owner() {
    let lab = lab().await;
    lab.add("maria").await;
    let token = Token::new();
    let scopes = vec![Grant::new(Role::Admin, "/stacks".parse().unwrap())];
    let new = NewToken {
        id: token.id.clone(),
        digest: token.digest(),
        owner: user("maria"),
        label: String::new(),
        scopes,
        expires_at: None,
        actor: "test".to_owned(),
    };
    lab.gate.store().add_token(new, deed()).await.unwrap();
    let bearer = async || lab.gate.by_token(token.expose()).await.unwrap();
    let shop = ["/stacks/shop".parse().unwrap()];
    assert!(!bearer().await.unwrap().access.may(Right::Read, &shop), "its owner may nothing");
    let grant = Grant::new(Role::Viewer, "/".parse().unwrap());
    let id = GrantId::from_bits(1);
    let grantee = Grantee::User(user("maria"));
    let new = NewGrant { id: id.clone(), grantee, grant, actor: "test".to_owned() };
    lab.gate.changing(lab.gate.store().add_grant(new, deed())).await.unwrap();
    let access: Access = bearer().await.unwrap().access.clone();
    assert!(access.may(Right::Read, &shop) && !access.may(Right::Operate, &shop));
    assert!(!access.may(Right::Read, &["/sites/fra1".parse().unwrap()]), "beyond its scopes");
    lab.gate.changing(lab.gate.store().remove_grant(&id, deed())).await.unwrap();
    assert!(!bearer().await.unwrap().access.may(Right::Read, &shop));
    assert!(lab.gate.changing(lab.gate.store().revoke_token(&token.id, deed())).await.unwrap());
    assert!(bearer().await.is_none());
}

#[tokio::test]
async fn set_up_link_makes_the_first_user_once() {
    let lab = lab().await;
    let link = async || lab.gate.offer_setup("https://[::1]:8443").await.unwrap();
    let old = link().await.unwrap();
    let url = link().await.unwrap();
    let token_of =
        |url: &SecretValue| url.expose().strip_prefix("https://[::1]:8443/#/setup?token=").unwrap().to_owned();
    let set_up = async |token: &str, password: &str| {
        lab.gate.set_up(token, user("maria"), SecretValue::new(password), &remote("192.0.2.1")).await
    };
    assert!(matches!(set_up(&token_of(&old), PASSWORD).await, Err(AccessError::NoLink)));
    assert!(matches!(set_up("x", PASSWORD).await, Err(AccessError::NoLink)));
    assert!(matches!(set_up(&token_of(&url), "too short").await, Err(AccessError::Weak(_))));
    set_up(&token_of(&url), PASSWORD).await.unwrap();
    assert!(matches!(set_up(&token_of(&url), PASSWORD).await, Err(AccessError::SetUpBefore)));
    assert!(link().await.is_none());
    let signed = lab.sign_in("maria", PASSWORD, None).await.unwrap();
    let bearer = lab.gate.by_cookie(signed.cookie.expose()).await.unwrap().unwrap();
    assert_eq!(bearer.access, Access::everything());
}

#[tokio::test]
async fn new_passwords_keep_to_the_rules() {
    let lab = lab().await;
    for bad in ["", "elevenchars", "aaaaaaaaaaaaaaaa", &"ab".repeat(513)] {
        let refused = lab.gate.hash(SecretValue::new(bad)).await;
        assert!(matches!(refused, Err(AccessError::Weak(_))), "{}", bad.len());
    }
    let hash = lab.gate.hash(SecretValue::new("zwölf Zeichen")).await.unwrap();
    assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_str());
    assert_eq!(format!("{hash:?}"), "PasswordHash(hidden)");
}

#[tokio::test]
async fn a_flood_of_sign_ins_is_sent_away() {
    let lab = lab().await;
    let mut places = Vec::new();
    while let Ok(place) = lab.gate.hasher.place() {
        places.push(place);
        assert!(places.len() < 1_000, "there is no limit");
    }
    assert!(matches!(lab.sign_in("maria", PASSWORD, None).await, Err(AccessError::Busy)));
    drop(places);
    assert!(is_wrong(&lab.sign_in("maria", PASSWORD, None).await));
}
