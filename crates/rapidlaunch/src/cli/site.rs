//! `rapidlaunch site …`

use std::collections::BTreeMap;
use std::path::PathBuf;

use rl_model::{Site, SiteName, TlsTrust, TokenSource};
use rl_ops::SiteCheck;

use crate::cli::args::{Global, SiteCommand};
use crate::error::{CommandError, ErrorKind};
use crate::out::Out;
use crate::render::style::Style;
use crate::render::table::table;
use crate::work::data::Data;
use crate::work::site_check;

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
    let check = site_check::check(data, site, files, out).await?;
    show(name, &check, out);
    if check.ok() { Ok(()) } else { Err(CommandError::said(ErrorKind::Failed)) }
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
