//! Who comes in: passwords, second factors, providers of identities, API tokens, sessions and the link of the first set-up.
//!
//! [`Gate`] is the one place where somebody becomes somebody: [`Gate::by_token`] and [`Gate::by_cookie`] at each request,
//! [`Gate::sign_in`] once. What they may do is `rl_model::Access`, and is asked anew within seconds of a change.
mod bearer;
mod cache;
mod error;
mod lockouts;
mod oidc;
mod password;
mod random;
mod setup;
mod sign_in;
mod totp;

use std::sync::Arc;

use rl_engine::Clock;
use rl_model::SecretValue;
use rl_store::{PasswordHash, Store};

use crate::work::data::Data;

pub(crate) use bearer::{Bearer, Via};
pub(crate) use error::{AccessError, GOOD_PASSWORD};
pub(crate) use oidc::{Attempt, Next, Oidc, OidcArgs, OidcError};
pub(crate) use random::{NewSecret, Token};
pub(crate) use sign_in::{Remote, SignIn, SignedIn};
pub(crate) use totp::{SEAL_VERSION, seal_name};

/// Hashes a new password for whoever holds the store, where nobody else signs in by this process.
pub(crate) async fn hash(password: SecretValue) -> Result<PasswordHash, AccessError> {
    password::Hasher::new().place()?.hash(password).await
}

/// Where somebody becomes somebody. See the module.
pub(crate) struct Gate {
    data: Arc<Data>,
    clock: Arc<dyn Clock>,
    hasher: password::Hasher,
    cache: cache::Cache,
    lockouts: lockouts::Lockouts,
}

impl Gate {
    /// The gate of an open store.
    pub(crate) fn new(data: Arc<Data>, clock: Arc<dyn Clock>) -> Self {
        let (hasher, cache) = (password::Hasher::new(), cache::Cache::new());
        Self { data, clock, hasher, cache, lockouts: lockouts::Lockouts::default() }
    }

    /// The store behind.
    pub(crate) fn store(&self) -> &Store {
        &self.data.store
    }

    /// Hashes a new password, which must keep to the rules.
    pub(crate) async fn hash(&self, password: SecretValue) -> Result<PasswordHash, AccessError> {
        self.hasher.place()?.hash(password).await
    }

    /// Another number after each change of what somebody may do, as far as this process knows.
    pub(crate) fn round(&self) -> u64 {
        self.cache.round()
    }

    /// Makes a change after which somebody may do less, or is nobody: whoever was remembered is looked up again, whatever has
    /// come of the change.
    pub(crate) async fn changing<T>(&self, change: impl Future<Output = T>) -> T {
        let done = change.await;
        self.cache.forget();
        done
    }
}

#[cfg(test)]
mod tests;
