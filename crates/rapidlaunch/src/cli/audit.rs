//! `rapidlaunch audit …`

use clap::{Args, Subcommand};
use rl_engine::UnixMs;
use rl_store::{AuditHash, AuditQuery};
use serde_json::json;

use crate::cli::args::Global;
use crate::error::CommandError;
use crate::out::Out;
use crate::render::style::{count, time};
use crate::render::table::table;
use crate::shape::audit::AuditShape;
use crate::side::{Side, Verified};

/// `audit …`
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List what was done, by whom, from where; newest first
    Ls(ListArgs),
    /// Check every link of the chain (exit code 1 when one is broken)
    Verify {
        /// Hash of an entry that was kept elsewhere: it must still be there, or something was cut off
        #[arg(long, value_name = "HASH")]
        head: Option<AuditHash>,
    },
    /// Print every entry as a line of JSON, oldest first
    Export,
}

/// `audit ls`
#[derive(Debug, Clone, Args)]
pub(crate) struct ListArgs {
    /// Only what this person did
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only this action, or every action of a kind, as plan or plan.create
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only this path and those below it, as /stacks/shop
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Most entries
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

/// Runs the command.
pub(crate) async fn run(global: &Global, command: &AuditCommand, out: &Out) -> Result<(), CommandError> {
    let side = Side::look(global, out).await?;
    match command {
        AuditCommand::Ls(args) => list(&side, args, out).await,
        AuditCommand::Verify { head } => verify(side.verify_audit(*head).await?, out),
        AuditCommand::Export => side.export_audit(|lines| out.print_bytes(lines)).await,
    }
}

async fn list(side: &Side, args: &ListArgs, out: &Out) -> Result<(), CommandError> {
    let ListArgs { actor, action, path, limit } = args.clone();
    let query = AuditQuery { actor, action, path, limit: limit as usize, ..AuditQuery::default() };
    let entries = side.audit(query).await?;
    if out.json() {
        out.print_json(&json!({ "entries": entries }));
        return Ok(());
    }
    let row = |entry: AuditShape| {
        let from = entry.remote.unwrap_or_else(|| "-".to_owned());
        let (number, at) = (entry.seq.to_string(), time(UnixMs(entry.at_ms)));
        vec![number, at, entry.actor, entry.via, from, entry.action, entry.path]
    };
    let rows = entries.into_iter().map(row).collect();
    out.print(&table(&["entry", "when", "who", "by", "from", "action", "path"], rows));
    Ok(())
}

fn verify(Verified { verdict, is_contradicted }: Verified, out: &Out) -> Result<(), CommandError> {
    if out.json() && verdict.ok {
        out.print_json(&verdict);
    }
    if let (Some(seq), Some(fault)) = (verdict.broken_seq, &verdict.fault) {
        let whole = count(verdict.count as usize, "entry before it is", "entries before it are");
        let error = CommandError::failed(format!("the audit is broken: entry {seq} {fault}; the {whole} whole"))
            .hinted("keep a copy of the store as it is, and compare it with the last export")
            .detailed(json!(verdict));
        return Err(match is_contradicted {
            true => {
                error.hinted("the server calls its audit whole, and what it hands out is not: do not trust the server")
            }
            false => error,
        });
    }
    if !out.json() {
        let whole = count(verdict.count as usize, "entry is", "entries are");
        out.print(&format!("The audit is whole: {whole} as written.\nHead: {}\n", verdict.head));
    }
    Ok(())
}
