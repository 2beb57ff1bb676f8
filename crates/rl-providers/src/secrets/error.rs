//! Why a value was not brought. No message holds anything of a value.

use std::time::Duration;

use rl_model::{ProviderName, SecretSource};

/// Pause before a provider that did not answer is asked again.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Why a value, or its version, was not brought.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There is none of that name.
    #[error("there is no secret {0}")]
    Missing(SecretSource),
    /// There is one, but the value of that version is gone.
    #[error("version {version} of secret {from} is gone")]
    VersionGone {
        /// Where it comes from.
        from: SecretSource,
        /// Which version.
        version: u64,
    },
    /// The provider does not let us.
    #[error("{provider} refuses to hand out {from}: {why}")]
    Refused {
        /// Which provider.
        provider: String,
        /// What was asked for.
        from: SecretSource,
        /// What it said.
        why: String,
    },
    /// The provider cannot be reached, or is not ready.
    #[error("{provider} does not answer: {why}")]
    Unreachable {
        /// Which provider.
        provider: String,
        /// How.
        why: String,
    },
    /// What was found is no value that can be delivered.
    #[error("secret {from} cannot be used: {why}")]
    Unusable {
        /// What was asked for.
        from: SecretSource,
        /// Why.
        why: String,
    },
    /// No provider of that name is declared.
    #[error("secret {0} names a provider that is not declared")]
    UnknownProvider(SecretSource),
    /// A declared provider cannot be set up.
    #[error("provider {provider} cannot be used: {why}")]
    Credential {
        /// Which provider.
        provider: ProviderName,
        /// Why.
        why: String,
    },
    /// The installation's key cannot be used.
    #[error("secret {from} cannot be decrypted: {why}")]
    Key {
        /// What was asked for.
        from: SecretSource,
        /// Why.
        why: String,
    },
}

impl SecretError {
    /// How long to wait before asking again; `None` where a person must act first.
    pub fn again_after(&self) -> Option<Duration> {
        matches!(self, Self::Unreachable { .. }).then_some(AGAIN_AFTER)
    }

    /// What to do next.
    pub fn hint(&self) -> String {
        match self {
            Self::Missing(SecretSource::Store(name)) => format!("set it with `rapidlaunch secret set {name}`"),
            Self::Missing(_) => "put it there, or correct `from` in the stack file".to_owned(),
            Self::VersionGone { .. } => "plan again: the newest version is delivered then".to_owned(),
            Self::Refused { .. } => "give the token or role of the provider the right to read it".to_owned(),
            Self::Unreachable { .. } => "look at the provider; it is asked again".to_owned(),
            Self::Unusable { .. } => "correct the value at its provider".to_owned(),
            Self::UnknownProvider(_) => "declare it under `providers:` in a site file".to_owned(),
            Self::Credential { provider, .. } => {
                format!("correct `providers: {provider}` in the site file, or what it names")
            }
            Self::Key { .. } => "name the installation's key with --identity FILE".to_owned(),
        }
    }
}
