//! How a server is told of its provider of identities.
use std::path::PathBuf;

use clap::Args;
use rl_model::{SecretRef, SecretValue};
use url::Url;

use super::provider::{Provider, is_safe};
use super::{Config, Oidc};
use crate::env;
use crate::error::CommandError;
use crate::work::data::Data;
use crate::work::secrets;

/// Where the provider sends browsers back to.
const CALLBACK: &str = "/v1/oidc/callback";
/// Asks for OpenID Connect (Core, 3.1.2.1).
const OPENID: &str = "openid";

/// A provider of identities.
#[derive(Debug, Clone, Args)]
pub(crate) struct OidcArgs {
    /// Let people sign in at this OpenID Connect provider: its issuer, as https://id.example.com
    #[arg(long, value_name = "URL", requires = "oidc_client_id")]
    oidc_issuer: Option<String>,
    /// Name of this server at the provider
    #[arg(long, value_name = "ID", requires = "oidc_issuer")]
    oidc_client_id: Option<String>,
    /// File with the secret that the provider gave for it [or env: RAPIDLAUNCH_OIDC_CLIENT_SECRET; without one the client is public]
    #[arg(long, value_name = "FILE", requires = "oidc_issuer", conflicts_with = "oidc_client_secret")]
    oidc_client_secret_file: Option<PathBuf>,
    /// The same as a secret of the store, as oidc/client
    #[arg(long, value_name = "SECRET", requires = "oidc_issuer")]
    oidc_client_secret: Option<SecretRef>,
    /// What is asked for, beside `openid` [default: profile,email]
    #[arg(long, value_name = "SCOPE", value_delimiter = ',', requires = "oidc_issuer")]
    oidc_scopes: Vec<String>,
    /// Claim that names a user's groups
    #[arg(long, value_name = "CLAIM", default_value = "groups")]
    oidc_groups_claim: String,
    /// Claim that names a new user
    #[arg(long, value_name = "CLAIM", default_value = "preferred_username")]
    oidc_user_claim: String,
    /// What the page calls the provider [default: the host of its issuer]
    #[arg(long, value_name = "NAME", requires = "oidc_issuer")]
    oidc_name: Option<String>,
    /// Where the provider sends browsers back to [default: https://NAME:PORT/v1/oidc/callback, with the first --name]
    #[arg(long, value_name = "URL", requires = "oidc_issuer")]
    oidc_callback: Option<Url>,
}

impl OidcArgs {
    /// The provider, where there is one. `base` is how people reach the server. Nothing is asked of the provider yet: it may be
    /// down, and people still sign in with passwords.
    pub(crate) async fn open(&self, data: &Data, base: &str) -> Result<Option<Oidc>, CommandError> {
        let (Some(issuer), Some(client_id)) = (&self.oidc_issuer, &self.oidc_client_id) else { return Ok(None) };
        let url: Url = issuer
            .parse()
            .map_err(|error| CommandError::input(format!("--oidc-issuer `{issuer}` is no address")).because(error))?;
        if !is_safe(&url) || url.query().is_some() || url.fragment().is_some() {
            return Err(CommandError::input(format!("--oidc-issuer `{issuer}` is not asked for over TLS"))
                .hinted("write https://HOST or https://HOST/PATH; http is for a provider on this machine alone"));
        }
        let callback = match &self.oidc_callback {
            Some(callback) => Ok(callback.clone()),
            None => format!("{base}{CALLBACK}").parse(),
        };
        let callback = callback.map_err(|error: url::ParseError| {
            CommandError::input("there is no address that the provider could send browsers back to")
                .because(error)
                .hinted("name it with --oidc-callback")
        })?;
        let client = rl_providers::web::client()
            .map_err(|error| CommandError::failed("there is no client for the provider").because(error))?;
        let name = self.oidc_name.clone().or_else(|| url.host_str().map(str::to_owned)).unwrap_or_default();
        let config = Config {
            issuer: issuer.clone(),
            client_id: client_id.clone(),
            client_secret: self.secret(data).await?,
            scopes: self.scopes(),
            groups_claim: self.oidc_groups_claim.clone(),
            user_claim: self.oidc_user_claim.clone(),
            name,
            callback,
        };
        Ok(Some(Oidc { config, provider: Provider::new(issuer.clone(), client) }))
    }

    fn scopes(&self) -> String {
        let wanted: Vec<&str> = match self.oidc_scopes.is_empty() {
            true => vec!["profile", "email"],
            false => self.oidc_scopes.iter().map(String::as_str).filter(|scope| *scope != OPENID).collect(),
        };
        [&[OPENID], wanted.as_slice()].concat().join(" ")
    }

    async fn secret(&self, data: &Data) -> Result<Option<SecretValue>, CommandError> {
        if let Some(path) = &self.oidc_client_secret_file {
            let text = std::fs::read_to_string(path).map_err(|error| {
                CommandError::input(format!("the client's secret cannot be read from {}", path.display()))
                    .because(error)
            })?;
            return Ok(Some(SecretValue::new(text.trim_end_matches(['\r', '\n']))));
        }
        let Some(name) = &self.oidc_client_secret else { return Ok(env::oidc_client_secret()) };
        match secrets::newest(data, name).await? {
            Some(value) => Ok(Some(value)),
            None => Err(CommandError::input(format!("there is no secret {name} for the provider"))
                .hinted(format!("set it with `rapidlaunch secret set {name}`"))),
        }
    }
}
