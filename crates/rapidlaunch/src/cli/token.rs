//! `rapidlaunch token …`. The text of a token is shown once, when it is made.

use clap::{Args, Subcommand};
use rl_engine::UnixMs;
use rl_model::{Grant, TokenId, UserName};
use rl_store::{TOKENS_PER_USER_MAX, TokenAdded, TokenRecord};
use serde_json::json;

use crate::cli::args::Global;
use crate::env;
use crate::error::CommandError;
use crate::out::Out;
use crate::render::style::time;
use crate::render::table::table;
use crate::shape::access::{MadeToken, TokenShape};
use crate::work::accounts::{WantedToken, did};
use crate::work::data::{Data, store_error};
use crate::work::runner;

/// Tokens read at once.
const PART: u32 = 1_000;
/// Milliseconds of a day.
const DAY_MS: u64 = 24 * 3600 * 1000;
/// Longest life of a token that ends by itself, in days: ten years.
const DAYS_MAX: i64 = 3650;

/// `token …`
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// List tokens, without their texts
    Ls {
        /// Only those of this user
        #[arg(long, value_name = "USER")]
        owner: Option<UserName>,
    },
    /// Make a token for a user; its text is shown once
    Add(AddArgs),
    /// Revoke a token: it is nobody's at once
    Rm {
        /// The token, as `token ls` calls it
        #[arg(value_name = "ID")]
        id: TokenId,
    },
}

/// `token add`
#[derive(Debug, Clone, Args)]
pub(crate) struct AddArgs {
    /// Whose it is: it never allows more than they may do
    #[arg(value_name = "USER")]
    owner: UserName,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    label: String,
    /// What it allows at most, as deployer:/stacks/shop; may be given several times
    #[arg(long = "scope", value_name = "ROLE:PATH", required = true, value_parser = scope)]
    scopes: Vec<Grant>,
    /// Let it end after so many days [default: it does not end by itself]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=DAYS_MAX))]
    days: Option<u32>,
}

/// Reads a role on a path.
fn scope(text: &str) -> Result<Grant, String> {
    let (role, path) =
        text.split_once(':').ok_or_else(|| format!("`{text}` has no `:`; write it as deployer:/stacks/shop"))?;
    let role = role.parse().map_err(|error: rl_model::ParseError| error.to_string())?;
    let path = path.parse().map_err(|error: rl_model::ParseError| error.to_string())?;
    Ok(Grant::new(role, path))
}

/// Runs the command.
pub(crate) async fn run(global: &Global, command: &TokenCommand, out: &Out) -> Result<(), CommandError> {
    match command {
        TokenCommand::Ls { owner } => list(&Data::look(global).await?, owner.as_ref(), out).await,
        TokenCommand::Add(args) => add(&Data::open(global).await?, args, out).await,
        TokenCommand::Rm { id } => revoke(&Data::open(global).await?, id, out).await,
    }
}

async fn list(data: &Data, owner: Option<&UserName>, out: &Out) -> Result<(), CommandError> {
    let mut tokens: Vec<TokenRecord> = Vec::new();
    loop {
        let after = tokens.last().map(|token| token.id.clone());
        let part = data.store.tokens(owner.cloned(), after, PART).await.map_err(store_error)?;
        let is_last = part.len() < PART as usize;
        tokens.extend(part);
        if is_last {
            break;
        }
    }
    if out.json() {
        let shapes: Vec<TokenShape> = tokens.iter().map(TokenShape::of).collect();
        out.print_json(&json!({ "tokens": shapes }));
        return Ok(());
    }
    let now = runner::now();
    let row = |token: &TokenRecord| {
        let state = match (token.revoked_at, token.is_live(now)) {
            (Some(_), _) => "revoked",
            (None, true) => "in force",
            (None, false) => "ended",
        };
        let scopes: Vec<String> = token.scopes.iter().map(|scope| format!("{}:{}", scope.role, scope.path)).collect();
        let at = |at: Option<UnixMs>| at.map_or_else(|| "-".to_owned(), time);
        let (id, owner) = (token.id.to_string(), token.owner.to_string());
        let (ends, used) = (at(token.expires_at), at(token.used_at));
        vec![id, owner, token.label.clone(), scopes.join(" "), state.to_owned(), ends, used]
    };
    let rows = tokens.iter().map(row).collect();
    out.print(&table(&["token", "owner", "label", "scopes", "state", "ends", "used"], rows));
    Ok(())
}

async fn add(data: &Data, args: &AddArgs, out: &Out) -> Result<(), CommandError> {
    let now = runner::now();
    let expires_at = args.days.map(|days| UnixMs(now.0 + u64::from(days) * DAY_MS));
    let (owner, label, scopes) = (args.owner.clone(), args.label.clone(), args.scopes.clone());
    let (token, new) = WantedToken { owner, label, scopes, expires_at, actor: env::actor() }.made(now)?;
    let made = MadeToken::shown(&new, &token, now);
    let deed = did("token.create", format!("/tokens/{}", token.id)).into();
    match data.store.add_token(new, deed).await.map_err(store_error)? {
        TokenAdded::Added => {}
        TokenAdded::NoUser => {
            return Err(CommandError::input(format!("there is no user {}", args.owner))
                .hinted("`rapidlaunch user ls` lists them"));
        }
        TokenAdded::TooMany => {
            let text = format!("{} has {TOKENS_PER_USER_MAX} tokens in force, as many as there may be", args.owner);
            return Err(CommandError::blocked(text).hinted("revoke those that are not needed any more"));
        }
    }
    if out.json() {
        out.print_json(&made);
    } else {
        out.say(&format!("Token {} is made. It is shown once, here:", token.id));
        out.print(&format!("{}\n", token.expose()));
    }
    Ok(())
}

async fn revoke(data: &Data, id: &TokenId, out: &Out) -> Result<(), CommandError> {
    if data.store.token(id).await.map_err(store_error)?.is_none() {
        return Err(CommandError::input(format!("there is no token {id}")).hinted("`rapidlaunch token ls` lists them"));
    }
    let deed = did("token.revoke", format!("/tokens/{id}")).into();
    if !data.store.revoke_token(id, deed).await.map_err(store_error)? {
        return Err(CommandError::blocked(format!("token {id} was revoked before")));
    }
    if out.json() {
        out.print_json(&json!({ "id": id, "revoked": true }));
    } else {
        out.print(&format!("Token {id} is revoked. A server takes it for 5 seconds more at most.\n"));
    }
    Ok(())
}
