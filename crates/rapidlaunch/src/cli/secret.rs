//! `rapidlaunch secret …`. A value goes in, and never comes out.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use rl_model::{SecretRef, SecretSource, SecretValue};
use rl_providers::secrets::generated;
use rl_store::{GENERATED_LEN_MAX, Generator, RecipientRole, SecretRecord, VersionRecord};
use serde_json::json;

use crate::cli::args::Global;
use crate::env;
use crate::error::CommandError;
use crate::out::Out;
use crate::render::style::{count, time};
use crate::render::table::table;
use crate::work::data::{Data, store_error};
use crate::work::secrets::{Held, Put};
use crate::work::{secrets, typed};

/// `secret …`
#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Set the value of a secret, from standard input, a file or a generator
    Set(SetArgs),
    /// List secrets, without their values
    Ls,
    /// List the versions of a secret
    History(Name),
    /// Make another value, where the last one was generated
    Rotate(Name),
    /// Remove a secret and wipe its values
    Rm {
        #[command(flatten)]
        secret: Name,
        /// Remove it although guests hold it
        #[arg(long)]
        force: bool,
    },
    /// Show, name and take away who can decrypt beside the installation
    #[command(subcommand)]
    Recovery(RecoveryCommand),
}

/// `secret set`
#[derive(Debug, Clone, Args)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    secret: Name,
    /// Take the value from this file, byte for byte
    #[arg(long, value_name = "FILE", conflicts_with = "generate")]
    file: Option<PathBuf>,
    /// Let a value of so many letters and digits be made
    #[arg(long, value_name = "LENGTH", value_parser = clap::value_parser!(u32).range(1..=i64::from(GENERATED_LEN_MAX)))]
    generate: Option<u32>,
    /// Catches a value where none belongs, so that it is refused without being repeated.
    #[arg(hide = true, allow_hyphen_values = true, value_name = "")]
    misplaced: Vec<String>,
}

/// A secret.
#[derive(Debug, Clone, Args)]
pub(crate) struct Name {
    /// The secret, as in shop/db-password
    #[arg(value_name = "NAME")]
    name: SecretRef,
}

/// `secret recovery …`
#[derive(Debug, Subcommand)]
pub(crate) enum RecoveryCommand {
    /// Show who can decrypt the values
    Show,
    /// Encrypt all values for this recipient too, whose key is kept offline
    Set {
        /// Its public key, as in age1…
        #[arg(value_name = "RECIPIENT")]
        recipient: String,
    },
    /// Encrypt all values for the installation alone
    Off,
}

/// Runs the command.
pub(crate) async fn run(global: &Global, command: &SecretCommand, out: &Out) -> Result<(), CommandError> {
    match command {
        SecretCommand::Set(args) => set(&Data::open(global).await?, args, out).await,
        SecretCommand::Ls => list(&Data::look(global).await?, out).await,
        SecretCommand::History(secret) => history(&Data::look(global).await?, &secret.name, out).await,
        SecretCommand::Rotate(secret) => rotate(&Data::open(global).await?, &secret.name, out).await,
        SecretCommand::Rm { secret, force } => remove(&Data::open(global).await?, &secret.name, *force, out).await,
        SecretCommand::Recovery(RecoveryCommand::Show) => recovery(&Data::look(global).await?, out).await,
        SecretCommand::Recovery(RecoveryCommand::Set { recipient }) => {
            change_recovery(&Data::open(global).await?, Some(recipient), out).await
        }
        SecretCommand::Recovery(RecoveryCommand::Off) => change_recovery(&Data::open(global).await?, None, out).await,
    }
}

async fn set(data: &Data, args: &SetArgs, out: &Out) -> Result<(), CommandError> {
    let name = &args.secret.name;
    if !args.misplaced.is_empty() {
        return Err(CommandError::input(
            "every user of this machine can read a command line, so no value is taken from it",
        )
        .hinted(format!("give it on standard input: `rapidlaunch secret set {name} < FILE`"))
        .hinted("take the value that was just given for known to others, and choose another one"));
    }
    let (value, generator) = match (&args.file, args.generate) {
        (Some(path), _) => (typed::from_file(path)?, None),
        (None, Some(length)) => (generated(length), Some(Generator { length })),
        (None, None) => (typed::from_stdin(name.as_str())?, None),
    };
    put(data, name, &value, generator, out).await
}

async fn put(
    data: &Data,
    name: &SecretRef,
    value: &SecretValue,
    generator: Option<Generator>,
    out: &Out,
) -> Result<(), CommandError> {
    let actor = env::actor();
    let put = Put { generator, ..Put::given(name, value, &actor) };
    let version = secrets::put::<CommandError>(data, put, |_| Ok(None)).await?.map_err(store_error)?;
    say_version(data, name, version, out).await
}

async fn rotate(data: &Data, name: &SecretRef, out: &Out) -> Result<(), CommandError> {
    let generator = secrets::rotation(&existing(data, name).await?, None)?;
    put(data, name, &generated(generator.length), Some(generator), out).await
}

/// A secret that is there.
async fn existing(data: &Data, name: &SecretRef) -> Result<SecretRecord, CommandError> {
    secrets::existing(data, name).await?.ok_or_else(|| unknown(name))
}

fn unknown(name: &SecretRef) -> CommandError {
    CommandError::input(format!("there is no secret {name}")).hinted("`rapidlaunch secret ls` lists them")
}

fn held_json(held: &[Held]) -> Vec<serde_json::Value> {
    held.iter().map(|one| json!({ "guest": one.guest, "path": one.path, "version": one.version })).collect()
}

async fn say_version(data: &Data, name: &SecretRef, version: u64, out: &Out) -> Result<(), CommandError> {
    let held = secrets::held(data, name).await?;
    if out.json() {
        out.print_json(&json!({ "name": name, "version": version, "held": held_json(&held) }));
        return Ok(());
    }
    out.print(&format!("Secret {name} is at version {version}.\n"));
    if !held.is_empty() {
        let guests: Vec<&str> = held.iter().map(|held| held.guest.as_str()).collect();
        out.print(&format!(
            "Held in an older version by {}: the next apply of their stacks delivers it.\n",
            guests.join(", ")
        ));
    }
    Ok(())
}

async fn list(data: &Data, out: &Out) -> Result<(), CommandError> {
    let records = data.store.secrets().await.map_err(store_error)?;
    let deliveries = data.store.all_deliveries().await.map_err(store_error)?;
    let mut rows = Vec::new();
    let mut listed = Vec::new();
    for record in &records {
        let source = SecretSource::Store(record.name.clone());
        let holders = deliveries.iter().filter(|delivery| delivery.source == source).count();
        let history = data.store.secret_history(&record.name).await.map_err(store_error)?;
        let newest = history.first();
        let (by, at) = newest.map_or_else(Default::default, |v| (v.actor.clone(), time(v.created_at)));
        let made = record.generator.map_or_else(|| "a person".to_owned(), |g| format!("generator, {}", g.length));
        listed.push(json!({
            "name": record.name, "version": record.latest, "set_at": at, "set_by": by,
            "generated_length": record.generator.map(|g| g.length), "files": holders,
        }));
        rows.push(vec![record.name.to_string(), record.latest.to_string(), at, by, made, holders.to_string()]);
    }
    if out.json() {
        out.print_json(&json!({ "secrets": listed }));
    } else {
        out.print(&table(&["secret", "version", "set", "by", "value from", "files"], rows));
    }
    Ok(())
}

async fn history(data: &Data, name: &SecretRef, out: &Out) -> Result<(), CommandError> {
    let record = data.store.secret(name).await.map_err(store_error)?.ok_or_else(|| unknown(name))?;
    let versions = data.store.secret_history(name).await.map_err(store_error)?;
    let held = secrets::held(data, name).await?;
    if out.json() {
        let versions: Vec<serde_json::Value> = versions.iter().map(version_json).collect();
        let removed = record.removed.as_ref().map(|(at, by)| json!({ "at": time(*at), "by": by }));
        out.print_json(&json!({ "name": name, "versions": versions, "removed": removed, "held": held_json(&held) }));
        return Ok(());
    }
    if let Some((at, by)) = &record.removed {
        out.print(&format!("Removed {} by {by}.\n", time(*at)));
    }
    let holders = |version: u64| {
        let of: Vec<&str> = held.iter().filter(|h| h.version == version).map(|h| h.guest.as_str()).collect();
        if of.is_empty() { "-".to_owned() } else { of.join(" ") }
    };
    let row = |v: &VersionRecord| {
        let value = if v.wiped_at.is_some() { "wiped" } else { "kept" };
        let (at, origin) = (time(v.created_at), v.origin.as_str().to_owned());
        vec![v.version.to_string(), at, v.actor.clone(), origin, value.to_owned(), holders(v.version)]
    };
    let rows = versions.iter().map(row).collect();
    out.print(&table(&["version", "set", "by", "origin", "value", "held by"], rows));
    Ok(())
}

fn version_json(v: &VersionRecord) -> serde_json::Value {
    json!({
        "version": v.version, "set_at": time(v.created_at), "set_by": v.actor, "origin": v.origin.as_str(),
        "wiped_at": v.wiped_at.map(time),
    })
}

async fn remove(data: &Data, name: &SecretRef, force: bool, out: &Out) -> Result<(), CommandError> {
    existing(data, name).await?;
    if !force {
        secrets::refuse_held(data, name).await?;
    }
    data.store.remove_secret(name, None, env::actor(), None).await.map_err(store_error)?;
    if out.json() {
        out.print_json(&json!({ "name": name, "removed": true }));
    } else {
        out.print(&format!("Secret {name} is removed and its values are wiped.\n"));
    }
    Ok(())
}

async fn recovery(data: &Data, out: &Out) -> Result<(), CommandError> {
    let installation = data.store.recipient(RecipientRole::Installation).await.map_err(store_error)?;
    let recovery = data.store.recipient(RecipientRole::Recovery).await.map_err(store_error)?;
    if out.json() {
        out.print_json(&json!({ "installation": installation, "recovery": recovery }));
        return Ok(());
    }
    let none = || "none".to_owned();
    out.print(&format!(
        "Installation: {}\nRecovery:     {}\n",
        installation.unwrap_or_else(none),
        recovery.unwrap_or_else(none)
    ));
    Ok(())
}

async fn change_recovery(data: &Data, to: Option<&String>, out: &Out) -> Result<(), CommandError> {
    let to = to.map(|text| secrets::recipient(text)).transpose()?;
    let values = secrets::set_recovery(data, to.clone()).await?;
    if out.json() {
        out.print_json(&json!({ "recovery": to.map(|to| to.to_string()), "values": values }));
        return Ok(());
    }
    let values = count(values, "value is", "values are");
    out.print(&match to {
        Some(to) => format!("{values} encrypted for the installation and for {to}.\n"),
        None => format!("{values} encrypted for the installation alone.\n"),
    });
    Ok(())
}
