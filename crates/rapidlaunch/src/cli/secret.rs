//! `rapidlaunch secret …`. A value goes in, and never comes out.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use rl_engine::UnixMs;
use rl_model::SecretRef;
use rl_store::{GENERATED_LEN_MAX, RecipientRole};
use serde_json::json;

use crate::cli::args::Global;
use crate::error::CommandError;
use crate::out::Out;
use crate::render::style::{self, count};
use crate::render::table::table;
use crate::shape::secret::{DeliveredShape, SecretSet, SecretShape, VersionShape};
use crate::side::{NewValue, Side};
use crate::work::data::{Data, store_error};
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
        SecretCommand::Set(args) => set(global, args, out).await,
        SecretCommand::Ls => list(&Side::look(global, out).await?, out).await,
        SecretCommand::History(secret) => history(&Side::look(global, out).await?, &secret.name, out).await,
        SecretCommand::Rotate(secret) => {
            say_version(&Side::open(global, out).await?.rotate_secret(&secret.name).await?, out);
            Ok(())
        }
        SecretCommand::Rm { secret, force } => remove(&Side::open(global, out).await?, &secret.name, *force, out).await,
        SecretCommand::Recovery(RecoveryCommand::Show) => recovery(&Data::look(global).await?, out).await,
        SecretCommand::Recovery(RecoveryCommand::Set { recipient }) => {
            change_recovery(&Data::open(global).await?, Some(recipient), out).await
        }
        SecretCommand::Recovery(RecoveryCommand::Off) => change_recovery(&Data::open(global).await?, None, out).await,
    }
}

fn time(at_ms: u64) -> String {
    style::time(UnixMs(at_ms))
}

async fn set(global: &Global, args: &SetArgs, out: &Out) -> Result<(), CommandError> {
    let name = &args.secret.name;
    if !args.misplaced.is_empty() {
        return Err(CommandError::input(
            "every user of this machine can read a command line, so no value is taken from it",
        )
        .hinted(format!("give it on standard input: `rapidlaunch secret set {name} < FILE`"))
        .hinted("take the value that was just given for known to others, and choose another one"));
    }
    let side = Side::open(global, out).await?;
    let value = match (&args.file, args.generate) {
        (Some(path), _) => NewValue::Given(typed::from_file(path)?),
        (None, Some(length)) => NewValue::Made(length),
        (None, None) => NewValue::Given(typed::from_stdin(name.as_str())?),
    };
    say_version(&side.set_secret(name, value).await?, out);
    Ok(())
}

fn held_json(held: &[DeliveredShape]) -> Vec<serde_json::Value> {
    held.iter().map(|one| json!({ "guest": one.guest, "path": one.path, "version": one.version })).collect()
}

fn say_version(set: &SecretSet, out: &Out) {
    let SecretSet { name, version, held } = set;
    if out.json() {
        out.print_json(&json!({ "name": name, "version": version, "held": held_json(held) }));
        return;
    }
    out.print(&format!("Secret {name} is at version {version}.\n"));
    if !held.is_empty() {
        let guests: Vec<&str> = held.iter().map(|held| held.guest.as_str()).collect();
        out.print(&format!(
            "Held in an older version by {}: the next apply of their stacks delivers it.\n",
            guests.join(", ")
        ));
    }
}

async fn list(side: &Side, out: &Out) -> Result<(), CommandError> {
    let secrets = side.secrets().await?;
    if out.json() {
        let listed = secrets.iter().map(|s| {
            json!({
                "name": s.name, "version": s.version, "set_at": time(s.changed_at_ms), "set_by": s.changed_by,
                "generated_length": s.generated_length, "files": s.files,
            })
        });
        out.print_json(&json!({ "secrets": listed.collect::<Vec<_>>() }));
        return Ok(());
    }
    let row = |s: SecretShape| {
        let made = s.generated_length.map_or_else(|| "a person".to_owned(), |length| format!("generator, {length}"));
        vec![s.name, s.version.to_string(), time(s.changed_at_ms), s.changed_by, made, s.files.to_string()]
    };
    let rows = secrets.into_iter().map(row).collect();
    out.print(&table(&["secret", "version", "set", "by", "value from", "files"], rows));
    Ok(())
}

async fn history(side: &Side, name: &SecretRef, out: &Out) -> Result<(), CommandError> {
    let whole = side.secret(name).await?;
    let removed = whole.removed_at_ms.zip(whole.removed_by.as_ref());
    if out.json() {
        let versions: Vec<serde_json::Value> = whole.versions.iter().map(version_json).collect();
        let removed = removed.map(|(at, by)| json!({ "at": time(at), "by": by }));
        let held = held_json(&whole.delivered);
        out.print_json(&json!({ "name": name, "versions": versions, "removed": removed, "held": held }));
        return Ok(());
    }
    if let Some((at, by)) = removed {
        out.print(&format!("Removed {} by {by}.\n", time(at)));
    }
    let holders = |version: u64| {
        let of: Vec<&str> = whole.delivered.iter().filter(|h| h.version == version).map(|h| h.guest.as_str()).collect();
        if of.is_empty() { "-".to_owned() } else { of.join(" ") }
    };
    let row = |v: &VersionShape| {
        let value = if v.wiped_at_ms.is_some() { "wiped" } else { "kept" };
        let (at, origin) = (time(v.at_ms), v.origin.clone());
        vec![v.version.to_string(), at, v.set_by.clone(), origin, value.to_owned(), holders(v.version)]
    };
    let rows = whole.versions.iter().map(row).collect();
    out.print(&table(&["version", "set", "by", "origin", "value", "held by"], rows));
    Ok(())
}

fn version_json(v: &VersionShape) -> serde_json::Value {
    json!({
        "version": v.version, "set_at": time(v.at_ms), "set_by": v.set_by, "origin": v.origin,
        "wiped_at": v.wiped_at_ms.map(time),
    })
}

async fn remove(side: &Side, name: &SecretRef, force: bool, out: &Out) -> Result<(), CommandError> {
    side.remove_secret(name, force).await?;
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
