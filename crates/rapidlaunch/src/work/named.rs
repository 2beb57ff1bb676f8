//! What a site names outside of its own file: files and environment variables of whoever does the work.

use std::fmt;
use std::path::PathBuf;

use rl_model::{Provider, Site, TlsTrust, TokenSource};

/// Something outside of a site's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outside {
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Variable(name) => write!(f, "the environment variable {name}"),
        }
    }
}

/// Files and variables that a site names.
pub(crate) fn outside(site: &Site) -> Vec<Outside> {
    let mut site = site.clone();
    let mut found = Vec::new();
    if let TlsTrust::CaFile(path) = &site.tls {
        found.push(Outside::File(path.clone()));
    }
    let paths = site.providers.values_mut().flat_map(Provider::paths_mut);
    found.extend(paths.map(|path| Outside::File(path.clone())));
    found.extend(credentials(&site).into_iter().filter_map(|source| match source {
        TokenSource::File(path) => Some(Outside::File(path)),
        TokenSource::Env(name) => Some(Outside::Variable(name.to_string())),
        TokenSource::Secret(_) => None,
    }));
    found
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
