//! Sites declared and removed, with the tokens that are kept for them.

use rl_model::{AccessPath, SecretRef, SecretValue, Site, SiteName, TokenSource};
use rl_pve::ApiToken;
use rl_store::{Conflict, NewAudit, SiteRecord, StoreError};
use serde_json::json;

use crate::error::CommandError;
use crate::shape::site::{SiteRemoved, SiteSecret};
use crate::work::data::{Data, store_error};
use crate::work::secrets::{self, Put};
use crate::work::{connect, named};

/// A site to be declared.
pub(crate) struct Declaration {
    /// The site.
    pub(crate) site: Site,
    /// Its API token, to be kept as a secret.
    pub(crate) token: Option<SecretValue>,
    /// The version of the site that was seen, where one must be.
    pub(crate) seen: Option<u64>,
}

/// The secret as which the token of a site is kept.
pub(crate) fn token_name(site: &SiteName) -> Result<SecretRef, CommandError> {
    format!("sites/{site}").parse().map_err(|error: rl_model::ParseError| {
        CommandError::input(format!("the token of site {site} has no place")).because(error)
    })
}

/// Declares a site, in place of an earlier one of its name. `by` says who does it and from where.
pub(crate) async fn declare(
    data: &Data,
    new: Declaration,
    by: &NewAudit,
) -> Result<Result<SiteRecord, StoreError>, CommandError> {
    let Declaration { site, token, seen } = new;
    if let Some(token) = token {
        let name = checked(&site, &token)?;
        // Before anything is kept; the store looks again.
        let found = data.store.site(&site.name).await.map_err(store_error)?.map_or(0, |record| record.updated_at.0);
        if let Some(seen) = seen.filter(|seen| *seen != found) {
            return Ok(Err(Conflict::Version { what: "the site", seen, found }.into()));
        }
        let deed = |version: u64| {
            let after = json!({ "version": version, "generated_length": null });
            let deed = entry(by, "secret.set", format!("/secrets/{name}")).change(None, Some(after));
            Ok::<_, CommandError>(Some(deed.into()))
        };
        if let Err(error) = secrets::put(data, Put::given(&name, &token, &by.actor), deed).await? {
            return Ok(Err(error));
        }
    }
    let deed = entry(by, "site.declare", format!("/sites/{}", site.name));
    Ok(data.store.declare_site(site, seen, deed.into()).await)
}

/// The place of a site's token: one that could not be used, or that the site does not take from there, is refused.
fn checked(site: &Site, token: &SecretValue) -> Result<SecretRef, CommandError> {
    let name = token_name(&site.name)?;
    if site.token != TokenSource::Secret(name.clone()) {
        return Err(CommandError::input(format!(
            "site {} does not take its API token from the secret {name}",
            site.name
        ))
        .hinted(format!("write `token: {{ secret: {name} }}` in its file, or give no token beside it")));
    }
    ApiToken::parse(token).map_err(|error| connect::unusable(&site.name, error))?;
    Ok(name)
}

/// Removes a site that nothing lies on any more, and the token that was kept for it, unless that is used elsewhere; `None` where
/// there is no such site. By whom it is used is told where `sees` says so of the path.
pub(crate) async fn remove(
    data: &Data,
    name: &SiteName,
    seen: Option<u64>,
    by: &NewAudit,
    sees: impl Fn(&AccessPath) -> bool,
) -> Result<Result<Option<SiteRemoved>, StoreError>, CommandError> {
    let deed = entry(by, "site.remove", format!("/sites/{name}"));
    match data.store.remove_site(name, seen, deed.into()).await {
        Ok(true) => {}
        Ok(false) => return Ok(Ok(None)),
        Err(error) => return Ok(Err(error)),
    }
    let secret = remove_token(data, name, by, sees).await?;
    Ok(Ok(Some(SiteRemoved { name: name.to_string(), secret })))
}

/// Removes the token of a site that is gone.
async fn remove_token(
    data: &Data,
    site: &SiteName,
    by: &NewAudit,
    sees: impl Fn(&AccessPath) -> bool,
) -> Result<Option<SiteSecret>, CommandError> {
    let name = token_name(site)?;
    if secrets::existing(data, &name).await?.is_none() {
        return Ok(None);
    }
    let hidden = || "something that you may not see".to_owned();
    let used_by = user(data, &name).await?.map(|(user, path)| if sees(&path) { user } else { hidden() });
    let removed = used_by.is_none();
    if removed {
        let deed = entry(by, "secret.remove", format!("/secrets/{name}"));
        let deed = deed.change(None, Some(json!({ "forced": false, "with": format!("/sites/{site}") })));
        data.store.remove_secret(&name, None, by.actor.clone(), Some(deed.into())).await.map_err(store_error)?;
    }
    Ok(Some(SiteSecret { name: name.to_string(), removed, used_by }))
}

/// Who needs a secret beside the site that it was kept for: another site, or a guest that holds it. With the path that it
/// lies under.
async fn user(data: &Data, name: &SecretRef) -> Result<Option<(String, AccessPath)>, CommandError> {
    let source = TokenSource::Secret(name.clone());
    let sites = data.sites().await?;
    if let Some(site) = sites.iter().find(|site| named::credentials(site).contains(&source)) {
        return Ok(Some((format!("site {}", site.name), AccessPath::Site(site.name.clone()))));
    }
    let held = secrets::held(data, name).await?;
    Ok(held.first().map(|held| {
        let stack = held.guest.split_once('/').and_then(|(stack, _)| stack.parse().ok());
        (format!("the guest {}", held.guest), stack.map_or(AccessPath::Root, AccessPath::Stack))
    }))
}

/// An entry of the audit about a part of what somebody does.
fn entry(by: &NewAudit, action: &str, path: String) -> NewAudit {
    NewAudit { action: action.to_owned(), path, ..by.clone() }
}
