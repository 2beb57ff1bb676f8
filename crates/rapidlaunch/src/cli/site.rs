//! `rapidlaunch site …`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use rl_model::{SecretValue, SiteName, TlsTrust, TokenSource};
use serde_json::json;

use crate::cli::args::Global;
use crate::error::{CommandError, ErrorKind};
use crate::out::Out;
use crate::render::style::Style;
use crate::render::table::table;
use crate::shape::site::CheckShape;
use crate::side::Side;
use crate::work::typed;

/// `site …`
#[derive(Debug, Subcommand)]
pub(crate) enum SiteCommand {
    /// List the sites that are known, and those of the given files
    Ls {
        /// Site file
        #[arg(long = "file", short = 'f', value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Declare the sites of a file, in place of earlier ones of their names; contacts nothing
    Add(AddArgs),
    /// Check reachability, TLS, versions, and every privilege the given stacks need
    Check {
        /// The site
        #[arg(value_name = "NAME")]
        name: SiteName,
        /// Site and stack files
        #[arg(long = "file", short = 'f', value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Remove a site that nothing lies on any more, with the token that was kept for it; contacts nothing
    Rm {
        /// The site
        #[arg(value_name = "NAME")]
        name: SiteName,
    },
}

/// `site add`
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Site file; `-` reads standard input
    #[arg(long, short = 'f', value_name = "FILE")]
    file: PathBuf,
    /// File with the site's API token, to be kept as the secret sites/NAME that the site file names; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    site_token_file: Option<PathBuf>,
}

/// Declares, lists, checks and removes sites.
pub(crate) async fn run(global: &Global, command: &SiteCommand, out: &Out) -> Result<(), CommandError> {
    match command {
        SiteCommand::Ls { files } => list(&Side::look(global, out).await?, files, out).await,
        SiteCommand::Add(args) => add(global, args, out).await,
        SiteCommand::Check { name, files } => check(&Side::look(global, out).await?, name, files, out).await,
        SiteCommand::Rm { name } => remove(&Side::open(global, out).await?, name, out).await,
    }
}

async fn add(global: &Global, args: &AddArgs, out: &Out) -> Result<(), CommandError> {
    if global.remote.token_file.is_some() && !global.remote.is_given() {
        return Err(CommandError::input("`--token-file` is for the token of a server, and no server is named")
            .hinted("the token of the site itself is given with --site-token-file FILE"));
    }
    let mut token = args.site_token_file.as_deref().map(|path| token_of(path, args)).transpose()?;
    let side = Side::open(global, out).await?;
    let inputs = side.site_file(args.file.clone(), out).await?;
    let names: Vec<SiteName> = inputs.manifest.sites.keys().cloned().collect();
    if token.is_some() && names.len() > 1 {
        return Err(CommandError::input(format!("a token is for one site, and the file declares {}", names.len()))
            .hinted("set each as a secret: `rapidlaunch secret set sites/NAME`"));
    }
    let mut sites = Vec::new();
    for name in names {
        let site = side.declare_site(&name, &inputs, token.take()).await?;
        if !out.json() {
            out.print(&format!(
                "Site {name} is declared; `rapidlaunch site check {name}` tells whether it is ready.\n"
            ));
        }
        sites.push(site);
    }
    if out.json() {
        out.print_json(&json!({ "sites": sites }));
    }
    Ok(())
}

/// The token of a file; space around it is not part of it.
fn token_of(path: &Path, args: &AddArgs) -> Result<SecretValue, CommandError> {
    let stdin = Path::new("-");
    let text = match path == stdin {
        true if args.file == stdin => {
            return Err(CommandError::input("standard input cannot be both the site file and its token"));
        }
        true => typed::from_stdin("the site's API token")?,
        false => typed::from_file(path)?,
    };
    Ok(SecretValue::new(text.expose().trim()))
}

async fn remove(side: &Side, name: &SiteName, out: &Out) -> Result<(), CommandError> {
    let removed = side.remove_site(name).await?;
    if out.json() {
        out.print_json(&json!({ "name": name, "removed": true, "secret": removed.secret }));
        return Ok(());
    }
    let secret = removed.secret.map(|secret| match &secret.used_by {
        None => format!("Its token, the secret {}, is removed as well, and its values are wiped.\n", secret.name),
        Some(user) => format!("The secret {} stays: {user} uses it.\n", secret.name),
    });
    out.print(&format!("Site {name} is removed.\n{}", secret.unwrap_or_default()));
    Ok(())
}

async fn list(side: &Side, files: &[PathBuf], out: &Out) -> Result<(), CommandError> {
    let sites = side.sites(files, out).await?;
    if out.json() {
        out.print_json(&json!({ "sites": sites.values().collect::<Vec<_>>() }));
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
        out.print_json(&json!({ "site": name, "ok": check.ok, "items": check.items }));
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
