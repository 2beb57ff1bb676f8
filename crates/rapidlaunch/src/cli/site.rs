//! `rapidlaunch site …`

use std::path::PathBuf;

use rl_model::{SiteName, TlsTrust, TokenSource};

use crate::cli::args::{Global, SiteCommand};
use crate::error::{CommandError, ErrorKind};
use crate::out::Out;
use crate::render::style::Style;
use crate::render::table::table;
use crate::shape::site::CheckShape;
use crate::side::Side;

/// Lists and checks sites.
pub(crate) async fn run(global: &Global, command: &SiteCommand, out: &Out) -> Result<(), CommandError> {
    let side = Side::look(global, out).await?;
    match command {
        SiteCommand::Ls { files } => list(&side, files, out).await,
        SiteCommand::Check { name, files } => check(&side, name, files, out).await,
    }
}

async fn list(side: &Side, files: &[PathBuf], out: &Out) -> Result<(), CommandError> {
    let sites = side.sites(files, out).await?;
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

async fn check(side: &Side, name: &SiteName, files: &[PathBuf], out: &Out) -> Result<(), CommandError> {
    let check = side.check(name, files, out).await?;
    show(name, &check, out);
    if check.ok { Ok(()) } else { Err(CommandError::said(ErrorKind::Failed)) }
}

fn show(name: &SiteName, check: &CheckShape, out: &Out) {
    if out.json() {
        out.print_json(&serde_json::json!({ "site": name, "ok": check.ok, "items": check.items }));
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
