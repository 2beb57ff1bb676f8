//! `rapidlaunch user …`

use clap::{Args, Subcommand};
use rl_engine::UnixMs;
use rl_model::UserName;
use serde_json::json;

use crate::cli::args::Global;
use crate::error::CommandError;
use crate::out::Out;
use crate::render::style::time;
use crate::render::table::table;
use crate::shape::access::UserShape;
use crate::side::Side;
use crate::work::accounts::{taken, unknown_user};
use crate::work::typed;

/// `user …`
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// List users
    Ls,
    /// Add a user, whose password comes from standard input; they may do nothing before they have a grant
    Add {
        #[command(flatten)]
        user: Name,
        /// Without a password: they cannot sign in with their name, and tokens can be made for them
        #[arg(long)]
        no_password: bool,
    },
    /// Remove a user with all their tokens, grants and sessions
    Rm(Name),
    /// Set a user's password from standard input; every session of theirs ends
    Password(Name),
    /// Shut a user out; every session of theirs ends
    Disable(Name),
    /// Let a user who was shut out in again
    Enable(Name),
}

/// A user.
#[derive(Debug, Clone, Args)]
pub(crate) struct Name {
    /// The user
    #[arg(value_name = "NAME")]
    name: UserName,
}

/// Runs the command.
pub(crate) async fn run(global: &Global, command: &UserCommand, out: &Out) -> Result<(), CommandError> {
    if let UserCommand::Ls = command {
        return list(&Side::look(global, out).await?, out).await;
    }
    let side = Side::open(global, out).await?;
    match command {
        UserCommand::Ls => Ok(()),
        UserCommand::Add { user, no_password } => add(&side, &user.name, !no_password, out).await,
        UserCommand::Rm(user) => remove(&side, &user.name, out).await,
        UserCommand::Password(user) => password(&side, &user.name, out).await,
        UserCommand::Disable(user) => shut_out(&side, &user.name, true, out).await,
        UserCommand::Enable(user) => shut_out(&side, &user.name, false, out).await,
    }
}

async fn list(side: &Side, out: &Out) -> Result<(), CommandError> {
    let users = side.users().await?;
    if out.json() {
        out.print_json(&json!({ "users": users }));
        return Ok(());
    }
    let row = |user: UserShape| {
        let way = match (user.password, user.oidc) {
            (true, false) => "password",
            (false, true) => "provider",
            (true, true) => "password, provider",
            (false, false) => "-",
        };
        let state = if user.disabled { "shut out" } else { "in force" };
        let groups = if user.groups.is_empty() { "-".to_owned() } else { user.groups.join(", ") };
        let seen = user.signed_in_at_ms.map_or_else(|| "-".to_owned(), |at| time(UnixMs(at)));
        vec![user.name, state.to_owned(), way.to_owned(), user.totp, groups, seen]
    };
    out.print(&table(
        &["user", "state", "signs in by", "second factor", "groups", "signed in"],
        users.into_iter().map(row).collect(),
    ));
    Ok(())
}

async fn add(side: &Side, name: &UserName, asks: bool, out: &Out) -> Result<(), CommandError> {
    // Before anybody is asked for a password.
    if side.user(name).await?.is_some() {
        return Err(taken(name));
    }
    let password = match asks {
        true => Some(typed::from_stdin(&format!("the password of {name}"))?),
        false => None,
    };
    let user = side.add_user(name, password).await?;
    if out.json() {
        out.print_json(&user);
    } else {
        out.print(&format!("User {name} is added. Give them a role: rapidlaunch grant add user:{name} ROLE PATH\n"));
    }
    Ok(())
}

async fn remove(side: &Side, name: &UserName, out: &Out) -> Result<(), CommandError> {
    side.remove_user(name).await?;
    if out.json() {
        out.print_json(&json!({ "name": name, "removed": true }));
    } else {
        out.print(&format!("User {name} is removed.\n"));
    }
    Ok(())
}

async fn password(side: &Side, name: &UserName, out: &Out) -> Result<(), CommandError> {
    if side.user(name).await?.is_none() {
        return Err(unknown_user(name));
    }
    let password = typed::from_stdin(&format!("the new password of {name}"))?;
    let version = side.set_password(name, password).await?;
    say(version, name, "has another password, and every session of theirs has ended", out);
    Ok(())
}

async fn shut_out(side: &Side, name: &UserName, disabled: bool, out: &Out) -> Result<(), CommandError> {
    let version = side.shut_out(name, disabled).await?;
    say(version, name, if disabled { "is shut out" } else { "may come in" }, out);
    Ok(())
}

/// Says what has become of a user.
fn say(version: u64, name: &UserName, text: &str, out: &Out) {
    if out.json() {
        out.print_json(&json!({ "name": name, "version": version }));
    } else {
        out.print(&format!("User {name} {text}.\n"));
    }
}
