//! Signing in at a provider of identities: OpenID Connect Core 1.0, code flow (RFC 6749) with PKCE (RFC 7636).
//!
//! Nothing is kept here between the two halves: all that binds the answer to the browser follows from one random text in its
//! cookie ([`Attempt`]), so that strangers fill nothing and any server of an installation can take the answer.
mod args;
mod attempt;
mod error;
mod provider;
mod token;

use std::collections::BTreeSet;

use rl_model::{GroupName, SecretValue, UserName};
use rl_store::{Met, Subject};
use serde_json::{Map, Value};
use url::Url;

use super::{AccessError, Gate, Remote, SignedIn};
pub(crate) use args::OidcArgs;
pub(crate) use attempt::{Attempt, Next};
pub(crate) use error::OidcError;
use provider::Provider;

/// Most groups of a user that are kept: each is looked up at each sign-in of theirs.
const GROUPS_MAX: usize = 200;

/// What the client of a provider is told.
struct Config {
    /// Who vouches; exactly as its tokens say.
    issuer: String,
    client_id: String,
    /// None for a client that can keep no secret; PKCE protects the code then.
    client_secret: Option<SecretValue>,
    scopes: String,
    groups_claim: String,
    user_claim: String,
    /// What people call the provider.
    name: String,
    /// Where it sends browsers back to.
    callback: Url,
}

/// A provider of identities that people may sign in at.
pub(crate) struct Oidc {
    config: Config,
    provider: Provider,
}

impl Oidc {
    /// What people call the provider.
    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }

    /// Where a browser is sent to sign in.
    pub(crate) async fn begin(&self, attempt: &Attempt) -> Result<Url, OidcError> {
        let mut url = self.provider.metadata().await?.authorization_endpoint.0.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", self.config.callback.as_str())
            .append_pair("scope", &self.config.scopes)
            .append_pair("state", &attempt.state())
            .append_pair("nonce", &attempt.nonce())
            .append_pair("code_challenge", &attempt.challenge())
            .append_pair("code_challenge_method", "S256");
        Ok(url)
    }

    /// Finds out for whom the provider vouches with a code.
    pub(crate) async fn finish(&self, attempt: &Attempt, code: &str) -> Result<Subject, OidcError> {
        let tokens = self.provider.exchange(&self.config, code, &attempt.verifier()).await?;
        let claims = self.provider.verified(&self.config, &tokens.id_token, &attempt.nonce()).await?;
        let wanted = [&self.config.user_claim, &self.config.groups_claim];
        let mut told = claims.others;
        // Some providers tell more where they are asked with the access token (OpenID Connect Core, 5.3).
        if wanted.iter().any(|claim| !told.contains_key(*claim)) {
            for (name, value) in self.provider.more(&tokens, &claims.sub).await? {
                told.entry(name).or_insert(value);
            }
        }
        let name = self.user_name(&told, &claims.sub)?;
        let groups = groups(told.get(&self.config.groups_claim));
        Ok(Subject { id: format!("{}|{}", self.config.issuer, claims.sub), name, groups })
    }

    /// Whether an answer that names its issuer names this one (RFC 9207).
    pub(crate) fn is_from(&self, issuer: Option<&str>) -> bool {
        issuer.is_none_or(|issuer| issuer == self.config.issuer)
    }

    /// What the user is called here, where they come for the first time.
    fn user_name(&self, told: &Map<String, Value>, subject: &str) -> Result<UserName, OidcError> {
        let text = told.get(&self.config.user_claim).and_then(Value::as_str).unwrap_or(subject);
        text.to_lowercase().parse().map_err(|error: rl_model::ParseError| OidcError::Name {
            claim: self.config.user_claim.clone(),
            why: error.to_string(),
        })
    }
}

/// The groups of a claim: a list of names, or one. What cannot be a name of a group is none that was given anything.
fn groups(claim: Option<&Value>) -> Vec<GroupName> {
    let texts: Vec<&str> = match claim {
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(one)) => vec![one],
        _ => Vec::new(),
    };
    let names: BTreeSet<GroupName> = texts.into_iter().filter_map(|text| text.parse().ok()).collect();
    if names.len() > GROUPS_MAX {
        tracing::warn!(groups = names.len(), "the provider names more groups of a user than are kept: {GROUPS_MAX}");
    }
    names.into_iter().take(GROUPS_MAX).collect()
}

impl Gate {
    /// Signs somebody in for whom a provider vouches, with the groups that it names now.
    pub(crate) async fn sign_in_vouched(&self, subject: Subject, remote: &Remote) -> Result<SignedIn, OidcError> {
        let entry = remote.deed(&subject.name, "user.meet");
        let met = self.changing(self.store().meet(subject.clone(), entry.into())).await;
        let user = match met.map_err(AccessError::from)? {
            Met::User(user) => user,
            Met::NameTaken => return Err(OidcError::NameTaken(subject.name)),
            Met::Disabled => return Err(OidcError::Disabled),
            Met::Full => return Err(OidcError::Full),
        };
        Ok(self.begin_session(&user, "oidc", remote).await?)
    }
}

#[cfg(test)]
mod tests;
