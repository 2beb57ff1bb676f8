//! Stack and site files as they come over the API: texts, never paths; and what they name must not be the server's own.

use rl_model::{AccessPath, Right, Site};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Api;
use super::caller::Caller;
use super::problem::{Code, Problem};
use crate::out::Out;
use crate::work::inputs::{self, Inputs};
use crate::work::named::{self, Outside};

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
    if stored.as_ref().is_some_and(|stored| named::outside(stored) == named::outside(site)) {
        return Ok(());
    }
    // Whoever may read the data directory may read what the server may; its variables are its own.
    let forbidden = |thing: &Outside| !(caller.is_local() && matches!(thing, Outside::File(_)));
    match named::outside(site).iter().find(|thing| forbidden(thing)) {
        None => Ok(()),
        Some(named) => Err(Problem::new(Code::SERVER_FILE, format!("site {} names {named} of the server", site.name))
            .hint(format!("store the value as a secret, and name that: `{{ secret: sites/{} }}`", site.name))
            .hint("files can be named where they are: with `rapidlaunch apply` on the server itself")),
    }
}
