//! Why signing in at a provider came to nothing.
use rl_model::UserName;

use super::provider::shortened;
use super::token::TokenFault;
use crate::access::AccessError;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OidcError {
    /// The provider does not answer, or not as it should.
    #[error("the provider of identities cannot be used: {what}: {why}")]
    Provider {
        /// What was asked for.
        what: &'static str,
        /// What came of it.
        why: String,
    },
    /// The answer belongs to no attempt of this browser.
    #[error("this answer of the provider belongs to no sign-in that this browser has begun, or to an older one")]
    NotBegun,
    /// The provider says no.
    #[error("the provider has refused: {0}")]
    Refused(String),
    /// The ID token is not to be believed.
    #[error("what the provider says of the user cannot be believed")]
    Token(#[source] TokenFault),
    /// The user's name at the provider cannot be one here.
    #[error("the claim `{claim}` gives the user a name that cannot be used here: {why}")]
    Name {
        /// The claim.
        claim: String,
        /// Why not.
        why: String,
    },
    /// Nobody takes an account over by a name.
    #[error("there is a user {0} here already, who does not come from the provider")]
    NameTaken(UserName),
    /// They were shut out.
    #[error("the user is shut out")]
    Disabled,
    /// There is no room for another user.
    #[error("there is no room for another user")]
    Full,
    /// The session could not begin.
    #[error(transparent)]
    Access(#[from] AccessError),
}

impl OidcError {
    /// The provider sends a browser back without a code.
    pub(crate) fn refused(error: Option<String>, description: Option<String>) -> Self {
        let error = error.unwrap_or_else(|| "it sends no code".to_owned());
        Self::Refused(shortened(&error, description.as_deref()))
    }
}
