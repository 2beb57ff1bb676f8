//! Aliases of the datacenter.

use rl_engine::{StepCx, StepError};
use rl_model::AliasChange;
use rl_pve::api::firewall;
use rl_pve::decode;

use super::{WriteSiteFirewall, given};
use crate::fault::look_error;
use crate::site::SiteApi;

/// Looks at one alias in one run of the step: a lost digest costs one.
const LOOKS_MAX: usize = 64;

impl WriteSiteFirewall {
    /// Writes those that come and change, or removes those that go.
    pub(super) async fn aliases(&self, cx: &StepCx, api: &SiteApi, going: bool) -> Result<(), StepError> {
        for alias in self.part.aliases.iter().filter(|alias| alias.after.is_none() == going) {
            cx.progress(format!("alias {}", alias.name), None);
            self.alias(cx, api, alias).await?;
        }
        Ok(())
    }

    async fn alias(&self, cx: &StepCx, api: &SiteApi, change: &AliasChange) -> Result<(), StepError> {
        for _ in 0..LOOKS_MAX {
            let rows = api.pve().send(firewall::aliases()).await.map_err(look_error)?;
            let (have, digest) = decode::firewall::alias_texts(rows);
            let have = have.get(&change.name.key());
            if let Some(have) = have {
                self.ours("an alias", change.name.as_str(), &have.comment)?;
            }
            let request = match (have, &change.after) {
                (None, None) => return Ok(()),
                (Some(have), Some(wanted)) if have == wanted => return Ok(()),
                (None, Some(wanted)) => firewall::create_alias(&change.name, wanted),
                (Some(_), Some(wanted)) => firewall::change_alias(&change.name, wanted, &given(digest)?),
                (Some(_), None) => firewall::delete_alias(&change.name, &given(digest)?),
            };
            self.send(cx, api, request).await?;
        }
        Err(self.never_still("alias", change.name.as_str()))
    }
}
