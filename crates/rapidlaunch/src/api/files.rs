//! Stack and site files as they come over the API: texts, never paths; and what they name must not be the server's own.

use rl_model::{AccessPath, Provider, Right, Site, TlsTrust, TokenSource};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Api;
use super::caller::Caller;
use super::problem::{Code, Problem};
use crate::out::Out;
use crate::work::inputs::{self, Inputs};

/// Most files of one request.
const FILES_MAX: usize = 64;

/// A file.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileText {
    /// Its name, for messages.
    #[schema(max_length = 255)]
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
}

/// Parses files. Sites they declare must be known as they are, or the caller must have the right to declare them.
pub(crate) async fn parse(api: &Api, caller: &Caller, files: Vec<FileText>) -> Result<Inputs, Problem> {
    if files.len() > FILES_MAX {
        return Err(Problem::new(Code::INPUT, format!("`files` has more than {FILES_MAX} entries")));
    }
    let raw: Vec<(String, Vec<u8>)> = files.into_iter().map(|file| (file.name, file.text.into_bytes())).collect();
    // What one may not see is as if it were not declared.
    let mut known = api.data.known().await?;
    known.sites.retain(|name, _| caller.may(Right::Read, &[AccessPath::Site(name.clone())]));
    let inputs = inputs::parsed(&raw, &known, &Out::silent())?;
    for site in inputs.manifest.sites.values() {
        if known.sites.get(&site.name) == Some(site) {
            continue;
        }
        may_declare(api, caller, site).await?;
    }
    Ok(inputs)
}

/// Whether the caller may declare a site so.
pub(crate) async fn may_declare(api: &Api, caller: &Caller, site: &Site) -> Result<(), Problem> {
    caller.need(Right::Admin, &[AccessPath::Site(site.name.clone())], "site", site.name.as_str())?;
    let stored = api.data.site(&site.name).await?;
    if stored.as_ref().is_some_and(|stored| of_the_server(stored) == of_the_server(site)) {
        return Ok(());
    }
    match of_the_server(site).first() {
        None => Ok(()),
        Some(named) => Err(Problem::new(Code::SERVER_FILE, format!("site {} names {named} of the server", site.name))
            .hint(format!("store the value as a secret, and name that: `{{ secret: sites/{} }}`", site.name))
            .hint("files can be named where they are: with `rapidlaunch apply` on the server itself")),
    }
}

/// Where the credentials of a site come from: its own, and those of its zones and providers.
pub(crate) fn credentials(site: &Site) -> Vec<TokenSource> {
    let mut site = site.clone();
    let zones = site.zones.values_mut().flat_map(rl_model::dns::Zone::credentials_mut).map(|source| source.clone());
    let mut sources: Vec<TokenSource> = zones.collect();
    sources.extend(site.providers.values_mut().map(|provider| Provider::credential_mut(provider).clone()));
    sources.push(site.token);
    sources
}

/// Files and variables of the server that a site names.
fn of_the_server(site: &Site) -> Vec<String> {
    let mut site = site.clone();
    let mut found = Vec::new();
    if let TlsTrust::CaFile(path) = &site.tls {
        found.push(format!("the file {}", path.display()));
    }
    let paths = site.providers.values_mut().flat_map(Provider::paths_mut);
    found.extend(paths.map(|path| format!("the file {}", path.display())));
    found.extend(credentials(&site).iter().filter_map(|source| match source {
        TokenSource::File(path) => Some(format!("the file {}", path.display())),
        TokenSource::Env(name) => Some(format!("the environment variable {name}")),
        TokenSource::Secret(_) => None,
    }));
    found
}
