//! `rapidlaunch site …`

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rl_model::{Plan, Policy, Site, SiteName, StackName, StorageId, TlsTrust, TokenSource};
use rl_ops::{CheckItem, Scope, SiteCheck, check_endpoint, check_privileges, needs, observe};

use crate::cli::args::{Global, SiteCommand, StackRef};
use crate::error::{CommandError, ErrorKind};
use crate::out::Out;
use crate::render::style::Style;
use crate::render::table::table;
use crate::work::connect;
use crate::work::data::Data;
use crate::work::operate;
use crate::work::planning::{self, Subject};

/// Lists and checks sites.
pub(crate) async fn run(global: &Global, command: &SiteCommand, out: &Out) -> Result<(), CommandError> {
    let data = Data::look(global).await?;
    match command {
        SiteCommand::Ls { files } => list(&data, files, out).await,
        SiteCommand::Check { name, files } => check(&data, name, files, out).await,
    }
}

async fn sites(data: &Data, files: &[PathBuf], out: &Out) -> Result<BTreeMap<SiteName, Site>, CommandError> {
    let mut sites: BTreeMap<SiteName, Site> =
        data.sites().await?.into_iter().map(|site| (site.name.clone(), site)).collect();
    if !files.is_empty() {
        let inputs = crate::work::inputs::read(files, &data.known().await?, out)?;
        sites.extend(inputs.manifest.sites);
    }
    Ok(sites)
}

async fn list(data: &Data, files: &[PathBuf], out: &Out) -> Result<(), CommandError> {
    let sites = sites(data, files, out).await?;
    if out.json() {
        out.print_json(&serde_json::json!({ "sites": sites.values().collect::<Vec<_>>() }));
        return Ok(());
    }
    let rows = sites
        .values()
        .map(|site| {
            let endpoints: Vec<String> = site.endpoints.iter().map(ToString::to_string).collect();
            let token = match &site.token {
                TokenSource::File(path) => path.display().to_string(),
                TokenSource::Env(name) => format!("${name}"),
                TokenSource::Secret(name) => name.to_string(),
            };
            let trust = match &site.tls {
                TlsTrust::System => "system roots",
                TlsTrust::CaFile(_) => "CA file",
                TlsTrust::Fingerprints(_) => "fingerprint",
            };
            let place = site.datacenter.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
            vec![site.name.to_string(), place, endpoints.join(" "), site.vmids.to_string(), token, trust.to_owned()]
        })
        .collect();
    out.print(&table(&["site", "data centre", "endpoints", "VMIDs", "token from", "trust"], rows));
    Ok(())
}

async fn check(data: &Data, name: &SiteName, files: &[PathBuf], out: &Out) -> Result<(), CommandError> {
    let sites = sites(data, files, out).await?;
    let site = sites.get(name).ok_or_else(|| {
        CommandError::input(format!("site `{name}` is not known"))
            .hinted("give its file with -f FILE; `rapidlaunch site ls` lists the known ones")
    })?;
    let mut check = SiteCheck::default();
    for endpoint in &site.endpoints {
        let alone = Site { endpoints: vec![endpoint.clone()], ..site.clone() };
        check.items.push(check_endpoint(&*connect::connect_one(data, &alone, connect::pace(), out).await?).await);
    }
    if check.items.iter().any(|item| item.ok) {
        check.items.extend(deeper(data, site, files, out).await?);
    }
    show(name, &check, out);
    if check.ok() { Ok(()) } else { Err(CommandError::said(ErrorKind::Failed)) }
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

fn show(name: &SiteName, check: &SiteCheck, out: &Out) {
    if out.json() {
        out.print_json(&serde_json::json!({ "site": name, "ok": check.ok(), "items": check.items }));
        return;
    }
    let style = Style::new(out.colour);
    let mut text = format!("{} {}\n\n", style.bold("Check of site"), style.cyan(name.as_str()));
    for item in &check.items {
        let mark = if item.ok { style.green("ok  ") } else { style.red("FAIL") };
        text.push_str(&format!("  {mark} {}: {}\n", item.name, item.found));
        if let Some(hint) = &item.hint {
            text.push_str(&format!("       {} {hint}\n", style.cyan("hint:")));
        }
    }
    let bad = check.items.iter().filter(|item| !item.ok).count();
    let verdict = if bad == 0 {
        style.green("The site is ready.")
    } else {
        style.red(&format!(
            "{bad} of {} points {} attention.",
            check.items.len(),
            if bad == 1 { "needs" } else { "need" }
        ))
    };
    out.print(&format!("{text}\n{}\n", style.bold(&verdict)));
}
