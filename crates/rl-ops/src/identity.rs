//! Before every change: is this the guest we mean?

use rl_engine::StepError;
use rl_model::{ContainerConfig, GuestKind, NodeName, Vmid};
use rl_pve::ErrorKind;

use crate::fault::look_error;
use crate::payload::Target;
use crate::site::{RawConfig, SiteApi};

/// What was found under a VMID.
#[derive(Debug)]
pub(crate) enum Found {
    /// The guest we mean.
    Ours(Box<Ours>),
    /// No guest has this VMID.
    Absent,
    /// A guest is being made under this VMID: its stamp is not written yet.
    BeingMade {
        /// The node it is made on.
        node: NodeName,
    },
    /// Another guest: it must not be touched.
    Foreign {
        /// How that shows, in a sentence.
        why: String,
        /// Whether it bears our very stamp all the same: ours with another name or MAC, or a copy of it.
        claims: bool,
    },
}

/// The guest we mean, as it is now.
#[derive(Debug)]
pub(crate) struct Ours {
    /// The node it lies on.
    pub(crate) node: NodeName,
    /// Its VMID.
    pub(crate) vmid: Vmid,
    /// Its configuration.
    pub(crate) config: ContainerConfig,
    /// The same, key by key as Proxmox answered.
    pub(crate) raw: RawConfig,
}

/// Looks for the target under a VMID, on the node it was last seen on and, when it is not there, on every other.
pub(crate) async fn find(api: &SiteApi, target: &Target, vmid: Vmid) -> Result<Found, StepError> {
    match api.config(&target.node, vmid).await {
        Ok(Some((config, raw))) => Ok(judge(target, target.node.clone(), vmid, config, raw)),
        Ok(None) => find_listed(api, target, vmid).await,
        // A node that is down may have been left: what lay on it is looked for where the cluster says it is now.
        Err(error) if matches!(error.kind(), ErrorKind::Unreachable) => match api.where_is(vmid).await {
            Ok(Some((_, node))) if node != target.node => find_listed(api, target, vmid).await,
            _ => Err(look_error(error)),
        },
        // The node is no longer part of the site.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound) => find_listed(api, target, vmid).await,
        Err(error) => Err(look_error(error)),
    }
}

/// Looks for the target where the resource list has its VMID; no node is asked when it has it nowhere.
pub(crate) async fn find_listed(api: &SiteApi, target: &Target, vmid: Vmid) -> Result<Found, StepError> {
    let Some((kind, node)) = api.where_is(vmid).await.map_err(look_error)? else { return Ok(Found::Absent) };
    if kind == GuestKind::Vm {
        let why = format!("VMID {vmid} belongs to a virtual machine on node {node}");
        return Ok(Found::Foreign { why, claims: false });
    }
    match api.config(&node, vmid).await.map_err(look_error)? {
        Some((config, raw)) => Ok(judge(target, node, vmid, config, raw)),
        // The resource list lags behind by some seconds: it went in this moment.
        None => Ok(Found::Absent),
    }
}

fn judge(target: &Target, node: NodeName, vmid: Vmid, config: ContainerConfig, raw: RawConfig) -> Found {
    if config.stamp.is_none() && config.lock.as_deref() == Some("create") {
        return Found::BeingMade { node };
    }
    match difference(target, &config) {
        None => Found::Ours(Box::new(Ours { node, vmid, config, raw })),
        Some(why) => {
            let wanted = &target.stamp;
            let claims =
                config.stamp.as_ref().is_some_and(|s| (&s.guest, &s.controller) == (&wanted.guest, &wanted.controller));
            Found::Foreign { why: format!("container {vmid} on node {node} {why}"), claims }
        }
    }
}

/// How a configuration differs from the identity that is wanted, or `None` when it is the one.
fn difference(target: &Target, config: &ContainerConfig) -> Option<String> {
    let Some(stamp) = &config.stamp else { return Some("bears no stamp of RapidLaunch".to_owned()) };
    if stamp.controller != target.stamp.controller {
        return Some("bears the stamp of another RapidLaunch installation".to_owned());
    }
    if stamp.guest != target.stamp.guest {
        return Some(format!("bears the stamp of another guest, {} of stack {}", stamp.name, stamp.stack));
    }
    let hostname = config.hostname.as_ref().map(ToString::to_string).unwrap_or_default();
    if !target.hostnames.is_empty() && !target.hostnames.contains(&hostname) {
        let wanted = target.hostnames.join("` or `");
        return Some(format!("bears our stamp, but its host name is `{hostname}` instead of `{wanted}`"));
    }
    if let (Some(mac), false) = (config.net0_mac, target.net0.is_empty())
        && !target.net0.contains(&mac)
    {
        let wanted: Vec<String> = target.net0.iter().map(ToString::to_string).collect();
        return Some(format!(
            "bears our stamp, but the MAC of its net0 is {mac} instead of {}: it looks like a clone",
            wanted.join(" or ")
        ));
    }
    None
}

/// The error for a guest that must not be touched.
pub(crate) fn foreign(target: &Target, why: &str) -> StepError {
    StepError::blocked(
        format!("{}: {why}; nothing was done to it", target.stamp.name),
        format!(
            "if that guest is yours and shall be {}, put the line `{}` into its notes and the tag {} on it, then plan again; if it is a copy, take the line out of its notes",
            target.stamp.name,
            target.stamp,
            target.stamp.tag()
        ),
    )
}

/// The target, or the error that says why it must not be touched. For steps that change what must be there.
pub(crate) async fn must_find(api: &SiteApi, target: &Target, vmid: Vmid) -> Result<Ours, StepError> {
    match find(api, target, vmid).await? {
        Found::Ours(ours) => Ok(*ours),
        Found::Foreign { why, .. } => Err(foreign(target, &why)),
        Found::BeingMade { node } => Err(StepError::retry(
            crate::fault::LOCKED_WAIT,
            format!("container {vmid} on node {node} is still being made"),
        )),
        Found::Absent => Err(gone(target, vmid)),
    }
}

/// The error for a guest that is not there any more.
pub(crate) fn gone(target: &Target, vmid: Vmid) -> StepError {
    StepError::blocked(
        format!("{}: no guest has VMID {vmid} on site {} any more", target.stamp.name, target.site),
        "it was removed or moved by somebody else; plan again",
    )
}
