//! Who is calling: API tokens, tickets and the CSRF tokens that go with them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

use crate::api::call::Identity;
use crate::http::Request;
use crate::site::Site;

/// Tickets live two hours (pve-access-control).
const TICKET_SECONDS: i64 = 2 * 3600;
/// A ticket may come from a node whose clock is a little ahead.
const CLOCK_GRACE: i64 = 300;

/// Why somebody is not let in; the text is the reason phrase of the 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuthError {
    NoTicket,
    Failed,
    Csrf,
}

impl AuthError {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::NoTicket => "No ticket",
            Self::Failed => "Authentication failed!",
            Self::Csrf => "Permission denied - invalid csrf token",
        }
    }
}

/// Finds out who sent a request.
pub(crate) fn authenticate(site: &Site, request: &Request) -> Result<Identity, AuthError> {
    if let Some(token) = token_of(request) {
        return check_token(site, token).ok_or(AuthError::Failed);
    }
    let ticket = ticket_of(request).ok_or(AuthError::NoTicket)?;
    let user = check_ticket(site, &ticket).ok_or(AuthError::Failed)?;
    if request.method != "GET" {
        let csrf = request.header("csrfpreventiontoken").unwrap_or("");
        check_csrf(site, csrf, &user).ok_or(AuthError::Csrf)?;
    }
    Ok(Identity { user, token: None })
}

/// The value of an API token header.
pub(crate) fn token_of(request: &Request) -> Option<&str> {
    request.header("authorization")?.strip_prefix("PVEAPIToken=")
}

fn ticket_of(request: &Request) -> Option<String> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let cookies = request.header("cookie").unwrap_or("");
    let cookie = cookies.split(';').find_map(|c| c.trim().strip_prefix("PVEAuthCookie="));
    let header = || request.header("authorization")?.strip_prefix("PVEAuthCookie=");
    cookie.or_else(header).map(decoded)
}

fn check_token(site: &Site, text: &str) -> Option<Identity> {
    let (id, secret) = text.split_once('=')?;
    let (user, token) = id.split_once('!')?;
    let now = site.now();
    let world = site.world();
    let owner = world.access.users.get(user).filter(|u| u.enable && !is_past(u.expire, now))?;
    let entry = owner.tokens.get(token)?;
    let ok = constant_time_eq(entry.secret.as_bytes(), secret.as_bytes()) && !is_past(entry.expire, now);
    ok.then(|| Identity { user: user.to_owned(), token: Some(token.to_owned()) })
}

fn is_past(expire: i64, now: i64) -> bool {
    expire != 0 && expire <= now
}

fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    Sha256::digest(a) == Sha256::digest(b)
}

fn sign(site: &Site, text: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(site.secret);
    hash.update(text.as_bytes());
    hash.update(site.secret);
    STANDARD.encode(hash.finalize())
}

/// A new ticket for a user.
pub(crate) fn make_ticket(site: &Site, user: &str) -> String {
    let plain = format!("PVE:{user}:{:08X}", site.now());
    format!("{plain}::{}", sign(site, &plain))
}

/// The CSRF token that goes with a user's tickets.
pub(crate) fn make_csrf(site: &Site, user: &str) -> String {
    let time = format!("{:08X}", site.now());
    format!("{time}:{}", sign(site, &format!("csrf:{time}:{user}")))
}

/// The user of a valid ticket.
pub(crate) fn check_ticket(site: &Site, ticket: &str) -> Option<String> {
    let (plain, signature) = ticket.split_once("::")?;
    let (user, time) = plain.strip_prefix("PVE:")?.rsplit_once(':')?;
    let fresh = is_fresh(site, time);
    let signed = constant_time_eq(sign(site, plain).as_bytes(), signature.as_bytes());
    let now = site.now();
    let enabled = site.world().access.users.get(user).is_some_and(|u| u.enable && !is_past(u.expire, now));
    (fresh && signed && enabled).then(|| user.to_owned())
}

fn check_csrf(site: &Site, token: &str, user: &str) -> Option<()> {
    let (time, signature) = token.split_once(':')?;
    let signed = constant_time_eq(sign(site, &format!("csrf:{time}:{user}")).as_bytes(), signature.as_bytes());
    (signed && is_fresh(site, time)).then_some(())
}

fn is_fresh(site: &Site, time: &str) -> bool {
    i64::from_str_radix(time, 16).is_ok_and(|t| (-CLOCK_GRACE..=TICKET_SECONDS).contains(&(site.now() - t)))
}
