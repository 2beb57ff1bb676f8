//! Why somebody does not come in, as they may hear it.
use std::time::Duration;

use rl_store::StoreError;

use crate::error::CommandError;

/// What whoever has named a weak password may do.
pub(crate) const GOOD_PASSWORD: &str = "a few words in a row make a good one";

/// See the module. Whether a name is known is never said.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    /// Name, password or code.
    #[error("the name, the password or the code is wrong")]
    Wrong,
    /// The password was right.
    #[error("a code of the second factor is needed")]
    CodeNeeded,
    /// Too many failures.
    #[error("after so many failures, signing in has to wait for {} s", .0.as_secs())]
    Wait(Duration),
    /// Too many sign-ins at this moment.
    #[error("too many people sign in at this moment")]
    Busy,
    /// A password that is to be set breaks a rule.
    #[error("the new password is refused: {0}")]
    Weak(&'static str),
    /// The set-up link is another one, or too old.
    #[error("the set-up link is not valid: it is good once, for an hour, until the server starts again")]
    NoLink,
    /// There are users already.
    #[error("the first user was made before; sign in instead")]
    SetUpBefore,
    /// The second factor is on, or has not begun.
    #[error("the second factor is not in the state for this")]
    Factor,
    /// The key of the second factor cannot be read or kept.
    #[error("the second factor cannot be used")]
    Key(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The password could not be hashed.
    #[error("a password could not be hashed: {0}")]
    Hash(String),
    /// The store failed.
    #[error("the store of users failed")]
    Store(#[from] StoreError),
}

impl From<CommandError> for AccessError {
    fn from(error: CommandError) -> Self {
        AccessError::Key(error.text(false).trim_end().to_owned().into())
    }
}
