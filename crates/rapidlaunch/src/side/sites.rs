//! Sites: listed, checked.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rl_model::{Site, SiteName};
use serde_json::json;

use super::{Side, plans};
use crate::error::CommandError;
use crate::out::Out;
use crate::shape::site::CheckShape;
use crate::work::{inputs, site_check};

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
}
