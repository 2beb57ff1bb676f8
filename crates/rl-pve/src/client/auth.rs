//! Credentials on the wire: tokens, tickets and what to do when they are refused.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use rl_model::SecretValue;
use tokio::time::Instant;

use super::connection::{Credentials, Pace};
use crate::request::Call;

/// A ticket lives two hours; it is renewed well before, so that no call finds it expired.
const TICKET_AGE_MAX: Duration = Duration::from_secs(90 * 60);
/// After a refusal nothing is sent for this long, then one call tries. Proxmox holds every refused call for three
/// seconds, so a crowd of them would fill the node's workers.
const REFUSED_PAUSE: Duration = Duration::from_secs(10);
/// The header that writes with a ticket must carry.
const CSRF: HeaderName = HeaderName::from_static("csrfpreventiontoken");

/// A ticket in use.
#[derive(Clone)]
pub(super) struct Session {
    ticket: SecretValue,
    csrf: SecretValue,
    taken: Instant,
}

impl Session {
    pub(super) fn new(ticket: SecretValue, csrf: SecretValue) -> Self {
        Self { ticket, csrf, taken: Instant::now() }
    }

    pub(super) fn taken(&self) -> Instant {
        self.taken
    }

    /// Whether another call has already replaced this ticket.
    pub(super) fn is_newer_than(&self, seen: Instant) -> bool {
        self.taken > seen
    }
}

/// The client's credentials and their state.
pub(super) struct Auth {
    pub(super) credentials: Credentials,
    /// Held while logging in, so that many calls make one login.
    pub(super) session: tokio::sync::Mutex<Option<Session>>,
    ticket_age_max: Duration,
    refused: Mutex<Option<Refused>>,
}

struct Refused {
    until: Instant,
    text: String,
}

impl Auth {
    pub(super) fn new(credentials: Credentials, pace: Pace) -> Self {
        Self {
            credentials,
            session: tokio::sync::Mutex::new(None),
            ticket_age_max: pace.local(TICKET_AGE_MAX),
            refused: Mutex::new(None),
        }
    }

    pub(super) fn is_fresh(&self, session: &Session) -> bool {
        session.taken.elapsed() < self.ticket_age_max
    }

    /// Whether calls may go out; the text of the refusal while they may not. When the pause is over, the first caller
    /// goes through and the others wait for its outcome.
    pub(super) fn gate(&self) -> Result<(), String> {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match refused.as_mut() {
            None => Ok(()),
            Some(state) if state.until <= Instant::now() => {
                state.until = Instant::now() + REFUSED_PAUSE;
                Ok(())
            }
            Some(state) => Err(state.text.clone()),
        }
    }

    pub(super) fn accepted(&self) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn refuse(&self, text: &str) {
        let state = Refused { until: Instant::now() + REFUSED_PAUSE, text: text.to_owned() };
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
    }
}

/// The headers that prove who asks.
pub(super) fn token_headers(header: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    insert_secret(&mut headers, AUTHORIZATION, header);
    headers
}

/// The headers of a call with a ticket.
pub(super) fn session_headers(session: &Session, call: &Call) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let ticket = percent_encoding::utf8_percent_encode(session.ticket.expose(), percent_encoding::NON_ALPHANUMERIC);
    insert_secret(&mut headers, COOKIE, &format!("PVEAuthCookie={ticket}"));
    if call.safety != crate::Safety::Read {
        insert_secret(&mut headers, CSRF, session.csrf.expose());
    }
    headers
}

/// A value that is no valid header is left out; the server then refuses the call.
fn insert_secret(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(mut value) = HeaderValue::from_str(value) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn auth() -> Auth {
        Auth::new(Credentials::Password { user: "a@pve".into(), password: SecretValue::new("x") }, Pace::REAL)
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_refusal_one_call_tries_and_the_others_wait_for_it() {
        let auth = auth();
        assert!(auth.gate().is_ok());
        auth.refuse("no");
        assert_eq!(auth.gate().unwrap_err(), "no");
        tokio::time::advance(REFUSED_PAUSE).await;
        assert!(auth.gate().is_ok(), "the first goes through");
        assert!(auth.gate().is_err(), "the second waits for it");
        auth.accepted();
        assert!(auth.gate().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn tickets_are_renewed_before_two_hours() {
        let auth = auth();
        let session = Session::new(SecretValue::new("t"), SecretValue::new("c"));
        assert!(auth.is_fresh(&session));
        tokio::time::advance(TICKET_AGE_MAX).await;
        assert!(!auth.is_fresh(&session));
        assert!(TICKET_AGE_MAX < Duration::from_secs(2 * 3600));
    }
}
