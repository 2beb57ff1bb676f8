//! Signing in: with a name, a password and, where a user has one, a second factor.
use std::net::IpAddr;
use std::time::Duration;

use rl_model::{SecretValue, UserName};
use rl_store::{Attempt, AttemptKey, Credentials, Holder, NewAudit, NewSession, Via};

use super::password::Place;
use super::random::NewSecret;
use super::{AccessError, Gate};

/// Failures of one name from one address that cost no wait: a person who mistypes.
const NAME_FREE: u32 = 5;
/// Failures from one address that cost no wait, whatever the names: an office behind one address.
const ADDRESS_FREE: u32 = 20;
/// Part of an IPv6 address that one subscriber has to choose from (RFC 6177).
const V6_PREFIX: u32 = 64;

/// Where somebody is.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    /// Their address.
    pub(crate) address: IpAddr,
    /// Their program, as it calls itself.
    pub(crate) agent: String,
}

impl Remote {
    /// What somebody there does about who they are.
    pub(super) fn deed(&self, user: &UserName, action: &str) -> NewAudit {
        NewAudit {
            via: Via::Session,
            remote: Some(self.address.to_string()),
            ..NewAudit::local(user.as_str(), action, format!("/users/{user}"))
        }
    }
}

/// What somebody signs in with.
pub(crate) struct SignIn {
    /// The name as given.
    pub(crate) name: String,
    /// The password as given.
    pub(crate) password: SecretValue,
    /// A code of the second factor, where one was given.
    pub(crate) code: Option<String>,
    /// Where they are.
    pub(crate) remote: Remote,
}

/// A session that has begun.
pub(crate) struct SignedIn {
    /// The cookie.
    pub(crate) cookie: NewSecret,
    /// Who it is, and what they were given.
    pub(crate) holder: Holder,
}

impl Gate {
    /// Signs somebody in.
    pub(crate) async fn sign_in(&self, given: SignIn) -> Result<SignedIn, AccessError> {
        let name = given.name.parse::<UserName>().ok();
        let user = self.prove(name.as_ref(), given.password, given.code.as_deref(), &given.remote).await?;
        self.begin_session(&user, "password", &given.remote).await
    }

    /// Lets somebody who is signed in prove that it is still them, with the password and, where there is one, the second factor.
    pub(crate) async fn prove_again(
        &self,
        name: &UserName,
        password: SecretValue,
        code: Option<&str>,
        remote: &Remote,
    ) -> Result<(), AccessError> {
        self.prove(Some(name), password, code, remote).await.map(|_| ())
    }

    /// Begins a session for somebody who has proven who they are.
    pub(crate) async fn begin_session(
        &self,
        user: &UserName,
        way: &'static str,
        remote: &Remote,
    ) -> Result<SignedIn, AccessError> {
        let cookie = NewSecret::new();
        let new = NewSession {
            digest: cookie.digest(),
            csrf: rl_store::Digest::of(&cookie.csrf()),
            owner: user.clone(),
            way,
            remote: remote.address.to_string(),
            agent: remote.agent.clone(),
        };
        if !self.store().add_session(new, remote.deed(user, "session.begin").into()).await? {
            return Err(AccessError::Wrong);
        }
        let holder = self.store().holder(user).await?.ok_or(AccessError::Wrong)?;
        Ok(SignedIn { cookie, holder })
    }

    /// Checks all that is given, and counts it as failed until it is found right.
    async fn prove(
        &self,
        name: Option<&UserName>,
        password: SecretValue,
        code: Option<&str>,
        remote: &Remote,
    ) -> Result<UserName, AccessError> {
        // The place first: whoever is sent away has not tried.
        let place = self.hasher.place()?;
        if let Attempt::Wait(until) = self.store().begin_attempt(keys(name, remote.address, true)).await? {
            let wait = Duration::from_millis(until.0.saturating_sub(self.clock.now().0)).max(Duration::from_secs(1));
            return Err(AccessError::Wait(wait));
        }
        match self.check(place, name, password, code).await {
            Ok(user) => {
                self.store().attempt_succeeded(keys(name, remote.address, true)).await?;
                Ok(user)
            }
            Err(error @ AccessError::CodeNeeded) => {
                // It has not failed yet. The failures before stay: else a known password would make codes free to guess.
                self.store().attempt_succeeded(keys(name, remote.address, false)).await?;
                Err(error)
            }
            Err(error) => {
                self.tell_failure(name, remote).await?;
                Err(error)
            }
        }
    }

    /// Writes down that a failure has made somebody wait.
    async fn tell_failure(&self, name: Option<&UserName>, remote: &Remote) -> Result<(), AccessError> {
        let keys = keys(name, remote.address, true);
        let nobody = NewAudit {
            via: Via::Session,
            remote: Some(remote.address.to_string()),
            ..NewAudit::local("unknown", "session.lockout", "/users")
        };
        let entry = name.map_or(nobody, |name| remote.deed(name, "session.lockout"));
        let Some(untold) = self.lockouts.may_tell(self.clock.now()) else {
            tracing::warn!(remote = %remote.address, "a sign-in failed; lock-outs are not written into the audit for a while");
            return Ok(());
        };
        let before = (untold > 0).then(|| serde_json::json!({ "lockouts_not_written": untold }));
        if self.store().attempt_failed(keys, entry.change(before, None).into()).await?.is_some() {
            self.lockouts.told();
        }
        Ok(())
    }

    async fn check(
        &self,
        place: Place,
        name: Option<&UserName>,
        password: SecretValue,
        code: Option<&str>,
    ) -> Result<UserName, AccessError> {
        let credentials = match name {
            Some(name) => self.store().credentials(name).await?,
            None => None,
        };
        let hash = credentials.as_ref().and_then(|known| known.password.clone());
        let right = place.verify(password, hash).await?;
        let known = credentials.filter(|known| right && known.user.disabled_at.is_none()).ok_or(AccessError::Wrong)?;
        self.check_code(&known, code).await?;
        Ok(known.user.name)
    }

    async fn check_code(&self, known: &Credentials, code: Option<&str>) -> Result<(), AccessError> {
        let Some(factor) = known.totp.as_ref().filter(|factor| factor.confirmed) else { return Ok(()) };
        let code = code.filter(|code| !code.is_empty()).ok_or(AccessError::CodeNeeded)?;
        match self.takes_code(&known.user.name, &factor.sealed, code).await? {
            true => Ok(()),
            false => Err(AccessError::Wrong),
        }
    }
}

/// What an attempt is counted by: the name at the address, and the address. A name alone is not: anybody could lock its owner out.
fn keys(name: Option<&UserName>, address: IpAddr, wiped: bool) -> Vec<AttemptKey> {
    let address = match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => std::net::Ipv6Addr::from_bits(address.to_bits() >> V6_PREFIX << V6_PREFIX).to_string(),
    };
    let of_name = name.map(|name| AttemptKey { key: format!("{name} at {address}"), free: NAME_FREE, wiped });
    let of_address = AttemptKey { key: format!("at {address}"), free: ADDRESS_FREE, wiped: false };
    of_name.into_iter().chain([of_address]).collect()
}
