//! Sites: listed, declared, checked, removed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use reqwest::Method;
use rl_model::{SecretValue, Site, SiteName};
use serde_json::json;

use super::{Side, plans};
use crate::error::CommandError;
use crate::out::Out;
use crate::remote::{RemoteError, encoded};
use crate::shape::site::{CheckShape, SiteRemoved};
use crate::work::accounts::did;
use crate::work::data::{absolute, store_error};
use crate::work::inputs::Inputs;
use crate::work::sites::Declaration;
use crate::work::{inputs, site_check, sites};

impl Side {
    /// The sites known from earlier applies, and those of files.
    pub(crate) async fn sites(&self, files: &[PathBuf], out: &Out) -> Result<BTreeMap<SiteName, Site>, CommandError> {
        let known = match self {
            Self::Here(data) => data.known().await?,
            Self::There(remote) => plans::known(remote).await?,
        };
        let mut sites = known.sites.clone();
        if !files.is_empty() {
            sites.extend(inputs::read(files, &known, out)?.manifest.sites);
        }
        Ok(sites)
    }

    /// Checks reachability, TLS, versions, and every privilege that the given stacks need.
    pub(crate) async fn check(
        &self,
        name: &SiteName,
        files: &[PathBuf],
        out: &Out,
    ) -> Result<CheckShape, CommandError> {
        let unknown = || {
            CommandError::input(format!("site `{name}` is not known"))
                .hinted("give its file with -f FILE; `rapidlaunch site ls` lists the known ones")
        };
        match self {
            Self::Here(data) => {
                let sites = self.sites(files, out).await?;
                let site = sites.get(name).ok_or_else(unknown)?;
                Ok(CheckShape::of(site_check::check(data, site, files, out).await?))
            }
            Self::There(_) if !files.is_empty() => Err(CommandError::input(
                "a server checks a site as it knows it, and without the stacks of files",
            )
            .hinted(
                "leave the files out, or check on the machine of the server, without --server and RAPIDLAUNCH_SERVER",
            )),
            Self::There(remote) => {
                let checked = remote.post(&format!("/v1/sites/{name}/check"), &json!({})).await;
                checked.map_err(|error| if error.is_not_found() { unknown() } else { error.into() })
            }
        }
    }

    /// Reads a file with sites alone.
    pub(crate) async fn site_file(&self, file: PathBuf, out: &Out) -> Result<Inputs, CommandError> {
        let files = [file];
        let inputs = match self {
            Self::Here(data) => inputs::read(&files, &data.known().await?, out)?,
            Self::There(remote) => plans::read(remote, &files, out).await?,
        };
        let name = files[0].display();
        if let Some(stack) = inputs.manifest.stacks.keys().next() {
            return Err(CommandError::input(format!(
                "{name} declares the stack {stack}, and no stack is applied here"
            ))
            .hinted("put its sites into a file of their own; `rapidlaunch apply` takes both"));
        }
        Ok(inputs)
    }

    /// Declares a site of a file, in place of an earlier one of its name, and keeps its token where one is given. Answers how it
    /// is kept.
    pub(crate) async fn declare_site(
        &self,
        name: &SiteName,
        inputs: &Inputs,
        token: Option<SecretValue>,
    ) -> Result<Site, CommandError> {
        match self {
            Self::Here(data) => {
                let site = absolute(inputs.manifest.sites[name].clone());
                let by = did("site.declare", String::new());
                let record = sites::declare(data, Declaration { site, token, seen: None }, &by).await?;
                Ok(record.map_err(store_error)?.site)
            }
            Self::There(remote) => {
                let text: String = inputs.files.iter().map(|file| file.text.as_str()).collect();
                let body = json!({ "text": text, "token": token.as_ref().map(SecretValue::expose) });
                let kept: Result<plans::Declared, _> = remote.send(Method::PUT, &path(name), &body).await;
                Ok(kept?.declared)
            }
        }
    }

    /// Removes a site that nothing lies on any more.
    pub(crate) async fn remove_site(&self, name: &SiteName) -> Result<SiteRemoved, CommandError> {
        let unknown = || {
            CommandError::input(format!("site `{name}` is not known"))
                .hinted("`rapidlaunch site ls` lists the known ones")
        };
        match self {
            Self::Here(data) => {
                let removed = sites::remove(data, name, None, &did("site.remove", String::new()), |_| true).await?;
                removed.map_err(store_error)?.ok_or_else(unknown)
            }
            Self::There(remote) => {
                let removed = remote.send(Method::DELETE, &path(name), &json!({})).await;
                removed.map_err(|error: RemoteError| if error.is_not_found() { unknown() } else { error.into() })
            }
        }
    }
}

fn path(name: &SiteName) -> String {
    format!("/v1/sites/{}", encoded(name.as_str()))
}
