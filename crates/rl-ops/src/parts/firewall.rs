//! Firewall objects of a site that guests share.
//!
//! *Guarantees*: an IP set is touched only when its comment says that it is this stack's; each removal of a member carries the
//! digest of the members that were seen. What is there already is left as it is, so the step can be repeated at any time.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use rl_engine::{OpClass, Receipt, Step, StepCx, StepError, Steps};
use rl_model::firewall::IpSetName;
use rl_model::{PartAction, PartKind, SetChange, SiteFirewall};
use rl_pve::api::firewall;
use rl_pve::{CallClass, ErrorKind, Request, decode};

use crate::context::Ctx;
use crate::fault::{BUSY_WAIT, look_error};
use crate::live::{NotDone, SiteCall, call_site, wait_out};
use crate::observe_firewall::members;
use crate::site::SiteApi;
use crate::steps::nothing;

/// The step's name.
const NAME: &str = "write the site's firewall";
/// Looks at one set in one run of the step: each removal is followed by one.
const LOOKS_MAX: usize = 4_096;

/// The steps of a part's job.
pub(crate) fn steps(action: &PartAction) -> Steps {
    match &action.kind {
        PartKind::SiteFirewall(part) => vec![Arc::new(WriteSiteFirewall { part: part.clone() })],
        PartKind::Records(_) | PartKind::Secrets(_) => Vec::new(),
    }
}

/// See the module.
struct WriteSiteFirewall {
    part: Box<SiteFirewall>,
}

#[async_trait]
impl Step for WriteSiteFirewall {
    fn name(&self) -> &str {
        NAME
    }

    fn class(&self) -> OpClass {
        OpClass::StateGuarded
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        let api = &cx.context::<Ctx>().site(&self.part.site)?;
        for set in &self.part.sets {
            cx.progress(format!("IP set {}", set.name), None);
            self.set(cx, api, set).await?;
        }
        if let Some(on) = self.part.enable {
            self.switch(cx, api, on).await?;
        }
        Ok(nothing())
    }

    async fn undo(&self, _: &StepCx) -> Result<(), StepError> {
        // Members that are too many open nothing by themselves, and the next plan takes them out.
        Ok(())
    }

    async fn leave(&self, cx: &StepCx) -> Result<(), StepError> {
        let api = cx.context::<Ctx>().site(&self.part.site)?;
        wait_out(cx, &api, &cx.done_so_far(), NAME).await;
        Ok(())
    }
}

impl WriteSiteFirewall {
    async fn set(&self, cx: &StepCx, api: &SiteApi, change: &SetChange) -> Result<(), StepError> {
        for _ in 0..LOOKS_MAX {
            let there = self.is_there(api, &change.name).await?;
            let wanted = change.after.clone().unwrap_or_default();
            if !there {
                if change.after.is_none() {
                    return Ok(());
                }
                self.send(cx, api, firewall::create_ip_set(&change.name, &self.part.owner)).await?;
                continue;
            }
            let (have, digest) = members(api, &change.name).await.map_err(look_error)?;
            let missing: BTreeSet<&String> = wanted.difference(&have).collect();
            for member in &missing {
                self.send(cx, api, firewall::add_to_ip_set(&change.name, member)).await?;
            }
            let extra = have.difference(&wanted).next();
            match (extra, digest) {
                (Some(member), Some(digest)) => {
                    // A member that was just added changes the digest: it is read again first.
                    if missing.is_empty() {
                        self.send(cx, api, firewall::remove_from_ip_set(&change.name, member, &digest)).await?;
                    }
                }
                (Some(_), None) => return Err(StepError::retry(BUSY_WAIT, "Proxmox answered without a digest")),
                (None, _) if change.after.is_none() => {
                    self.send(cx, api, firewall::delete_ip_set(&change.name)).await?;
                }
                (None, _) if missing.is_empty() => return Ok(()),
                (None, _) => {}
            }
        }
        Err(StepError::blocked(
            format!("IP set {} of site {} changes again and again", change.name, self.part.site),
            "somebody else writes the same set; find out who, then retry",
        ))
    }

    /// Whether the set is there; one that is not ours is never touched.
    async fn is_there(&self, api: &SiteApi, name: &IpSetName) -> Result<bool, StepError> {
        let rows = api.pve().send(firewall::ip_sets()).await.map_err(look_error)?;
        let Some(row) = rows.into_iter().find(|row| row.name == name.as_str()) else { return Ok(false) };
        let comment = row.comment.map(|text| text.0).unwrap_or_default();
        if comment == self.part.owner {
            return Ok(true);
        }
        Err(StepError::blocked(
            format!(
                "site {} has an IP set {name} that is not ours (its comment is `{comment}`); nothing was done to it",
                self.part.site
            ),
            "somebody made it since the plan; remove it when nobody needs it, then retry",
        ))
    }

    async fn switch(&self, cx: &StepCx, api: &SiteApi, on: bool) -> Result<(), StepError> {
        let read = || async { api.pve().send(firewall::datacenter_options()).await.map_err(look_error) };
        let row = read().await?;
        let digest = row.digest.clone();
        if decode::firewall::datacenter_options(row).enable == on {
            return Ok(());
        }
        let digest = digest.ok_or_else(|| StepError::retry(BUSY_WAIT, "Proxmox answered without a digest"))?;
        self.send(cx, api, firewall::switch_datacenter(on, &digest)).await?;
        match decode::firewall::datacenter_options(read().await?).enable == on {
            true => Ok(()),
            false => Err(StepError::retry(BUSY_WAIT, "Proxmox took the switch but does not show it")),
        }
    }

    async fn send(&self, cx: &StepCx, api: &SiteApi, request: Request<()>) -> Result<(), StepError> {
        let announced = SiteCall { call: NAME.to_owned(), site: self.part.site.clone() };
        let send = api.pve().send(request);
        match call_site(cx, announced, api.limit(CallClass::Write), send).await {
            Ok(()) => Ok(()),
            // Somebody else wrote, or a lost call was carried out after all: look again.
            Err(NotDone::Refused(error))
                if matches!(error.kind(), ErrorKind::DigestMismatch | ErrorKind::AlreadyExists) =>
            {
                Ok(())
            }
            Err(other) => Err(other.into_step_error()),
        }
    }
}
