//! Firewall objects of a site that guests share.
//!
//! *Guarantees*: an object is touched only when its comment says that it is this stack's, or this installation's for the site;
//! each change of what is there carries the digest under which it was seen. What is there already is left as it is, so the
//! step can be repeated at any time. Aliases and sets come before the groups that may name them, and go after them.
//! *Caveats*: Proxmox looks at no digest when an entry or a rule is added, and when a set or a group is removed.

mod aliases;
mod groups;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use rl_engine::{OpClass, Receipt, Step, StepCx, StepError, Steps};
use rl_model::firewall::{DatacenterChoice, DatacenterOptions, EXCEPT, IpSetName, is_owned_by, member_prefix};
use rl_model::{PartAction, PartKind, PropertyString, SetChange, SiteFirewall};
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
        // What goes, goes in the other order: no rule names what is gone already.
        for going in [false, true] {
            if going {
                self.groups(cx, api, going).await?;
            } else {
                self.aliases(cx, api, going).await?;
            }
            for set in self.part.sets.iter().filter(|set| set.after.is_none() == going) {
                cx.progress(format!("IP set {}", set.name), None);
                self.set(cx, api, set).await?;
            }
            if going {
                self.aliases(cx, api, going).await?;
            } else {
                self.groups(cx, api, going).await?;
            }
        }
        self.options(cx, api).await?;
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
        let comment = change.comment.as_deref().unwrap_or(&self.part.owner);
        for _ in 0..LOOKS_MAX {
            let Some((said, digest)) = self.set_row(api, &change.name).await? else {
                if change.after.is_none() {
                    return Ok(());
                }
                self.send(cx, api, firewall::create_ip_set(&change.name, comment)).await?;
                continue;
            };
            if change.after.is_some() && said != comment {
                self.send(cx, api, firewall::comment_ip_set(&change.name, comment, &given(digest)?)).await?;
                continue;
            }
            let (have, digest) = members(api, &change.name).await.map_err(look_error)?;
            let wanted = change.after.clone().unwrap_or_default();
            match next(&have, &wanted) {
                Next::Add(missing) => {
                    for member in missing {
                        self.send(cx, api, firewall::add_to_ip_set(&change.name, &member)).await?;
                    }
                }
                Next::Turn(member) => {
                    self.send(cx, api, firewall::turn_in_ip_set(&change.name, &member, &given(digest)?)).await?;
                }
                Next::Remove(member) => {
                    self.send(cx, api, firewall::remove_from_ip_set(&change.name, &member, &given(digest)?)).await?;
                }
                Next::Nothing if change.after.is_none() => {
                    self.send(cx, api, firewall::delete_ip_set(&change.name)).await?;
                }
                Next::Nothing => return Ok(()),
            }
        }
        Err(self.never_still("IP set", change.name.as_str()))
    }

    /// The comment of a set and the digest of the list of sets, when it is there; one that is not ours is never touched.
    async fn set_row(&self, api: &SiteApi, name: &IpSetName) -> Result<Option<(String, Option<String>)>, StepError> {
        let rows = api.pve().send(firewall::ip_sets()).await.map_err(look_error)?;
        let Some(row) = rows.into_iter().find(|row| row.name == name.as_str()) else { return Ok(None) };
        let comment = row.comment.map(|text| text.0).unwrap_or_default();
        self.ours("an IP set", name.as_str(), &comment)?;
        Ok(Some((comment, row.digest)))
    }

    /// Holds that an object is ours by its comment.
    fn ours(&self, what: &str, name: &str, comment: &str) -> Result<(), StepError> {
        if is_owned_by(&self.part.owner, comment) {
            return Ok(());
        }
        Err(StepError::blocked(
            format!(
                "site {} has {what} {name} that is not ours (its comment is `{comment}`); nothing was done to it",
                self.part.site
            ),
            "somebody made it since the plan; remove it when nobody needs it, then retry",
        ))
    }

    fn never_still(&self, what: &str, name: &str) -> StepError {
        StepError::blocked(
            format!("{what} {name} of site {} changes again and again", self.part.site),
            "somebody else writes the same object; find out who, then retry",
        )
    }

    /// The datacenter's switch and options.
    async fn options(&self, cx: &StepCx, api: &SiteApi) -> Result<(), StepError> {
        let SiteFirewall { enable, options, .. } = &*self.part;
        if enable.is_none() && options.is_empty() {
            return Ok(());
        }
        let read = || async { api.pve().send(firewall::datacenter_options()).await.map_err(look_error) };
        let row = read().await?;
        let digest = row.digest.clone();
        if hold(*enable, options, &decode::firewall::datacenter_options(row)) {
            return Ok(());
        }
        self.send(cx, api, firewall::set_datacenter(*enable, options, &given(digest)?)).await?;
        match hold(*enable, options, &decode::firewall::datacenter_options(read().await?)) {
            true => Ok(()),
            false => Err(StepError::retry(BUSY_WAIT, "Proxmox took the options but does not show them")),
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

/// Whether the options are those that were chosen.
fn hold(enable: Option<bool>, chosen: &DatacenterChoice, have: &DatacenterOptions) -> bool {
    let limit = |text: &str| {
        let pairs = PropertyString::parse(text);
        pairs.pairs().map(|(key, value)| (key.to_owned(), value.to_owned())).collect::<BTreeSet<_>>()
    };
    let limits = |wanted: &String| have.log_ratelimit.as_deref().map(limit) == Some(limit(wanted));
    enable.is_none_or(|on| have.enable == on)
        && chosen.policy_in.is_none_or(|wanted| have.policy_in == Some(wanted))
        && chosen.policy_out.is_none_or(|wanted| have.policy_out == Some(wanted))
        && chosen.ebtables.is_none_or(|wanted| have.ebtables == Some(wanted))
        && chosen.log_ratelimit.as_ref().is_none_or(limits)
}

/// Nothing that is there is changed without a digest: what was read could be old.
fn given(digest: Option<String>) -> Result<String, StepError> {
    digest.ok_or_else(|| StepError::retry(BUSY_WAIT, "Proxmox answered without a digest"))
}

/// What is done next to the members of a set.
#[derive(Debug, PartialEq)]
enum Next {
    Add(Vec<String>),
    /// An entry that is there changes from in to out or back.
    Turn(String),
    Remove(String),
    Nothing,
}

/// The longest prefix comes first and goes last: at every moment each address meets the set as it was or as it shall be.
fn next(have: &BTreeSet<String>, wanted: &BTreeSet<String>) -> Next {
    let bare = |member: &String| member.trim_start_matches(EXCEPT).to_owned();
    let known: BTreeSet<String> = have.iter().map(bare).collect();
    let (turned, mut missing): (Vec<&String>, Vec<&String>) =
        wanted.difference(have).partition(|member| known.contains(&bare(member)));
    missing.sort_by_key(|member| std::cmp::Reverse(member_prefix(member)));
    if !missing.is_empty() {
        return Next::Add(missing.into_iter().cloned().collect());
    }
    if let Some(member) = turned.first() {
        return Next::Turn((*member).clone());
    }
    let extra = have.difference(wanted).min_by_key(|member| member_prefix(member));
    extra.map_or(Next::Nothing, |member| Next::Remove(member.clone()))
}

#[cfg(test)]
mod tests;
