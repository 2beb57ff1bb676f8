//! `rapidlaunch user …`

use std::sync::Arc;

use clap::{Args, Subcommand};
use rl_engine::UnixMs;
use rl_model::UserName;
use rl_store::{Changed, Deed, NewUser};
use serde_json::json;

use crate::cli::args::Global;
use crate::env;
use crate::error::CommandError;
use crate::out::Out;
use crate::render::style::time;
use crate::render::table::table;
use crate::shape::access::UserShape;
use crate::work::accounts::{did, hashed};
use crate::work::data::{Data, store_error};
use crate::work::typed;

/// Users read at once.
const PART: u32 = 1_000;

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
        return list(&Data::look(global).await?, out).await;
    }
    let data = Arc::new(Data::open(global).await?);
    match command {
        UserCommand::Ls => Ok(()),
        UserCommand::Add { user, no_password } => add(&data, &user.name, !no_password, out).await,
        UserCommand::Rm(user) => {
            let removed = data.store.remove_user(&user.name, None, deed("user.remove", &user.name)).await;
            say(removed.map_err(store_error)?, &user.name, "is removed", out)
        }
        UserCommand::Password(user) => password(&data, &user.name, out).await,
        UserCommand::Disable(user) => shut_out(&data, &user.name, true, out).await,
        UserCommand::Enable(user) => shut_out(&data, &user.name, false, out).await,
    }
}

fn deed(action: &str, name: &UserName) -> Deed {
    did(action, format!("/users/{name}")).into()
}

async fn list(data: &Data, out: &Out) -> Result<(), CommandError> {
    let mut users = Vec::new();
    loop {
        let after = users.last().map(|user: &rl_store::UserRecord| user.name.clone());
        let part = data.store.users(after, PART).await.map_err(store_error)?;
        let is_last = part.len() < PART as usize;
        users.extend(part);
        if is_last {
            break;
        }
    }
    let shapes: Vec<UserShape> = users.iter().map(UserShape::of).collect();
    if out.json() {
        out.print_json(&json!({ "users": shapes }));
        return Ok(());
    }
    let row = |user: &UserShape| {
        let way = match (user.password, user.oidc) {
            (true, false) => "password",
            (false, true) => "provider",
            (true, true) => "password, provider",
            (false, false) => "-",
        };
        let state = if user.disabled { "shut out" } else { "in force" };
        let groups = if user.groups.is_empty() { "-".to_owned() } else { user.groups.join(", ") };
        let seen = user.signed_in_at_ms.map_or_else(|| "-".to_owned(), |at| time(UnixMs(at)));
        vec![user.name.clone(), state.to_owned(), way.to_owned(), user.totp.to_owned(), groups, seen]
    };
    out.print(&table(
        &["user", "state", "signs in by", "second factor", "groups", "signed in"],
        shapes.iter().map(row).collect(),
    ));
    Ok(())
}

async fn add(data: &Arc<Data>, name: &UserName, asks: bool, out: &Out) -> Result<(), CommandError> {
    if data.store.user(name).await.map_err(store_error)?.is_some() {
        return Err(taken(name));
    }
    let password = match asks {
        true => Some(hashed(Arc::clone(data), typed::from_stdin(&format!("the password of {name}"))?).await?),
        false => None,
    };
    let new = NewUser { name: name.clone(), password, actor: env::actor() };
    if !data.store.add_user(new, deed("user.create", name)).await.map_err(store_error)? {
        return Err(taken(name));
    }
    show(
        data,
        name,
        out,
        &format!("User {name} is added. Give them a role: rapidlaunch grant add user:{name} ROLE PATH\n"),
    )
    .await
}

fn taken(name: &UserName) -> CommandError {
    CommandError::blocked(format!("there is a user {name} already, or no room for another"))
        .hinted(format!("set another password with `rapidlaunch user password {name}`"))
}

async fn password(data: &Arc<Data>, name: &UserName, out: &Out) -> Result<(), CommandError> {
    if data.store.user(name).await.map_err(store_error)?.is_none() {
        return Err(unknown(name));
    }
    let hash = hashed(Arc::clone(data), typed::from_stdin(&format!("the new password of {name}"))?).await?;
    let changed = data.store.set_password(name, None, Some(hash), None, deed("user.password", name)).await;
    say(changed.map_err(store_error)?, name, "has another password, and every session of theirs has ended", out)
}

async fn shut_out(data: &Data, name: &UserName, disabled: bool, out: &Out) -> Result<(), CommandError> {
    let (action, text) = match disabled {
        true => ("user.disable", "is shut out"),
        false => ("user.enable", "may come in"),
    };
    let changed = data.store.set_disabled(name, None, disabled, deed(action, name)).await;
    say(changed.map_err(store_error)?, name, text, out)
}

fn unknown(name: &UserName) -> CommandError {
    CommandError::input(format!("there is no user {name}")).hinted("`rapidlaunch user ls` lists them")
}

/// Says what has come of a change.
fn say(changed: Changed, name: &UserName, text: &str, out: &Out) -> Result<(), CommandError> {
    match changed {
        Changed::Done(version) if out.json() => out.print_json(&json!({ "name": name, "version": version })),
        Changed::Done(_) => out.print(&format!("User {name} {text}.\n")),
        Changed::Gone => return Err(unknown(name)),
        Changed::Moved(_) | Changed::Refused => {
            return Err(
                CommandError::blocked(format!("user {name} was changed at the same moment")).hinted("try again")
            );
        }
    }
    Ok(())
}

async fn show(data: &Data, name: &UserName, out: &Out, text: &str) -> Result<(), CommandError> {
    if !out.json() {
        out.print(text);
        return Ok(());
    }
    let user = data.store.user(name).await.map_err(store_error)?.ok_or_else(|| unknown(name))?;
    out.print_json(&UserShape::of(&user));
    Ok(())
}
