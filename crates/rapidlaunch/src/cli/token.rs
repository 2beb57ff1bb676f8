//! `rapidlaunch token …`. The text of a token is shown once, when it is made.

use clap::{Args, Subcommand};
use rl_engine::UnixMs;
use rl_model::{Grant, TokenId, UserName};
use serde_json::json;

use crate::cli::args::Global;
use crate::env;
use crate::error::CommandError;
use crate::out::Out;
use crate::render::style::time;
use crate::render::table::table;
use crate::shape::access::TokenShape;
use crate::side::Side;
use crate::work::accounts::WantedToken;
use crate::work::runner;

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
        TokenCommand::Ls { owner } => list(&Side::look(global, out).await?, owner.as_ref(), out).await,
        TokenCommand::Add(args) => add(&Side::open(global, out).await?, args, out).await,
        TokenCommand::Rm { id } => revoke(&Side::open(global, out).await?, id, out).await,
    }
}

async fn list(side: &Side, owner: Option<&UserName>, out: &Out) -> Result<(), CommandError> {
    let tokens = side.tokens(owner).await?;
    if out.json() {
        out.print_json(&json!({ "tokens": tokens }));
        return Ok(());
    }
    let row = |token: TokenShape| {
        let scopes: Vec<String> = token.scopes.iter().map(|scope| format!("{}:{}", scope.role, scope.path)).collect();
        let at = |at: Option<u64>| at.map_or_else(|| "-".to_owned(), |at| time(UnixMs(at)));
        let (ends, used) = (at(token.expires_at_ms), at(token.used_at_ms));
        vec![token.id, token.owner, token.label, scopes.join(" "), token.state.replace('_', " "), ends, used]
    };
    let rows = tokens.into_iter().map(row).collect();
    out.print(&table(&["token", "owner", "label", "scopes", "state", "ends", "used"], rows));
    Ok(())
}

async fn add(side: &Side, args: &AddArgs, out: &Out) -> Result<(), CommandError> {
    let expires_at = args.days.map(|days| UnixMs(runner::now().0 + u64::from(days) * DAY_MS));
    let (owner, label, scopes) = (args.owner.clone(), args.label.clone(), args.scopes.clone());
    let made = side.add_token(WantedToken { owner, label, scopes, expires_at, actor: env::actor() }).await?;
    if out.json() {
        out.print_json(&made);
    } else {
        out.say(&format!("Token {} is made. It is shown once, here:", made.id()));
        out.print(&format!("{}\n", made.text().unwrap_or_default()));
    }
    Ok(())
}

async fn revoke(side: &Side, id: &TokenId, out: &Out) -> Result<(), CommandError> {
    side.revoke_token(id).await?;
    if out.json() {
        out.print_json(&json!({ "id": id, "revoked": true }));
    } else {
        out.print(&format!("Token {id} is revoked. A server takes it for 5 seconds more at most.\n"));
    }
    Ok(())
}
