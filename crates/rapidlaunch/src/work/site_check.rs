//! Checks a site: reachability, TLS, versions, and every privilege that stacks need.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rl_model::{Plan, Policy, Site, StackName, StorageId};
use rl_ops::{CheckItem, Scope, SiteCheck, check_endpoint, check_privileges, needs, observe};

use crate::cli::args::StackRef;
use crate::error::CommandError;
use crate::out::Out;
use crate::work::data::Data;
use crate::work::planning::{self, Subject};
use crate::work::{connect, operate};

/// Checks a site, and what the stacks of these files need there.
pub(crate) async fn check(data: &Data, site: &Site, files: &[PathBuf], out: &Out) -> Result<SiteCheck, CommandError> {
    let mut check = SiteCheck::default();
    for endpoint in &site.endpoints {
        let alone = Site { endpoints: vec![endpoint.clone()], ..site.clone() };
        check.items.push(check_endpoint(&*connect::connect_one(data, &alone, connect::pace(), out).await?).await);
    }
    if check.items.iter().any(|item| item.ok) {
        check.items.extend(deeper(data, site, files, out).await?);
    }
    Ok(check)
}

/// Everything beyond reachability: what is seen, and what the given stacks need.
async fn deeper(data: &Data, site: &Site, files: &[PathBuf], out: &Out) -> Result<Vec<CheckItem>, CommandError> {
    let api = connect::connect_one(data, site, connect::pace(), out).await?;
    let connected = BTreeMap::from([(site.name.clone(), api.clone())]);
    let mut items = Vec::new();
    let observed = match observe(&connected, &Scope::default(), operate::now_ms()).await {
        Ok(observed) => observed,
        Err(error) => {
            let found = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            return Ok(vec![CheckItem { name: "reading the site".to_owned(), ok: false, found, hint: None }]);
        }
    };
    let seen = &observed.sites[&site.name];
    let offline: Vec<String> =
        seen.nodes.iter().filter(|(_, node)| !node.online).map(|(name, _)| name.to_string()).collect();
    let found = format!(
        "{} nodes, {} guests, {}",
        seen.nodes.len(),
        seen.guests.len(),
        if seen.quorate { "quorate" } else { "no quorum" }
    );
    items.push(CheckItem {
        name: "cluster".to_owned(),
        ok: seen.quorate && offline.is_empty() && !seen.nodes.is_empty(),
        found: if offline.is_empty() { found } else { format!("{found}, offline: {}", offline.join(", ")) },
        hint: seen.nodes.is_empty().then(|| "the token sees no node: give it Sys.Audit on /nodes".to_owned()),
    });
    items.extend(seen.unread.iter().map(|unread| CheckItem {
        name: unread.what.clone(),
        ok: false,
        found: unread.why.clone(),
        hint: None,
    }));
    let (plans, failed) = plans(data, site, files, out).await?;
    items.extend(failed);
    let storages: BTreeSet<StorageId> =
        site.images.values().map(rl_model::VolumeId::storage).chain(site.storage.clone()).collect();
    let storages: Vec<StorageId> = storages.into_iter().collect();
    let plans: Vec<&Plan> = plans.iter().collect();
    items.extend(check_privileges(&api, &needs(&site.name, &observed, &storages, &plans)).await);
    Ok(items)
}

/// The plans of the given stacks, and what kept one from being made.
async fn plans(
    data: &Data,
    site: &Site,
    files: &[PathBuf],
    out: &Out,
) -> Result<(Vec<Plan>, Vec<CheckItem>), CommandError> {
    let (mut plans, mut failed) = (Vec::new(), Vec::new());
    if files.is_empty() {
        return Ok((plans, failed));
    }
    let reference = StackRef { stack: None, files: files.to_vec() };
    let subject: Subject = match planning::subject(data, &reference, out).await {
        Ok(subject) => subject,
        // Files that hold sites alone are fine here.
        Err(_) => return Ok((plans, failed)),
    };
    let on_site = |name: &&StackName| subject.manifest.stacks[*name].sites().contains(&site.name);
    for name in subject.stacks.iter().filter(on_site) {
        match planning::plan(data, &subject, name, &Policy::default(), false, out).await {
            Ok(planned) => plans.push(planned.plan),
            Err(error) => {
                failed.push(not_planned(name, &error));
                // The privileges it would need are told all the same.
                let assumed = planning::plan_assuming(data, &subject, name, site, out).await;
                plans.extend(assumed.map(|planned| planned.plan));
            }
        }
    }
    Ok((plans, failed))
}

/// Why a plan cannot be made: its own message, and every finding behind it.
fn not_planned(name: &StackName, error: &CommandError) -> CheckItem {
    let findings = error.details.iter().flat_map(|details| details["diagnostics"].as_array()).flatten();
    let messages: Vec<&str> = findings.filter_map(|finding| finding["message"].as_str()).collect();
    let found = if messages.is_empty() { error.message.clone() } else { messages.join("; ") };
    let hint = error.hints.first().cloned().unwrap_or_else(|| {
        "Proxmox hides what the token may not use: mend the privileges below first; what is still missing then is not there".to_owned()
    });
    CheckItem { name: format!("plan of stack {name}"), ok: false, found, hint: Some(hint) }
}
