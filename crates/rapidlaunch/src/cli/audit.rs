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
use crate::shape::audit::{AuditShape, VerdictShape};
use crate::work::data::{Data, store_error};

/// Entries read at once.
const PART: usize = 1_000;

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
    let data = Data::look(global).await?;
    match command {
        AuditCommand::Ls(args) => list(&data, args, out).await,
        AuditCommand::Verify { head } => verify(&data, *head, out).await,
        AuditCommand::Export => export(&data, out).await,
    }
}

async fn list(data: &Data, args: &ListArgs, out: &Out) -> Result<(), CommandError> {
    let limit = args.limit as usize;
    let (mut entries, mut before) = (Vec::new(), None);
    loop {
        let ListArgs { actor, action, path, .. } = args.clone();
        let wanted = limit - entries.len();
        let query = AuditQuery { after: None, before, actor, action, path, limit: wanted };
        let page = data.store.audit_page(query).await.map_err(store_error)?;
        entries.extend(page.items.into_iter().map(AuditShape::of));
        before = page.next;
        if before.is_none() || entries.len() >= limit {
            break;
        }
    }
    if out.json() {
        out.print_json(&json!({ "entries": entries }));
        return Ok(());
    }
    let row = |entry: &AuditShape| {
        let from = entry.remote.clone().unwrap_or_else(|| "-".to_owned());
        let (number, at) = (entry.seq.to_string(), time(UnixMs(entry.at_ms)));
        vec![number, at, entry.actor.clone(), entry.via.clone(), from, entry.action.clone(), entry.path.clone()]
    };
    let rows = entries.iter().map(row).collect();
    out.print(&table(&["entry", "when", "who", "by", "from", "action", "path"], rows));
    Ok(())
}

async fn verify(data: &Data, kept: Option<AuditHash>, out: &Out) -> Result<(), CommandError> {
    let verdict = VerdictShape::of(data.store.verify_audit(kept).await.map_err(store_error)?);
    if out.json() && verdict.ok {
        out.print_json(&verdict);
    }
    if let (Some(seq), Some(fault)) = (verdict.broken_seq, &verdict.fault) {
        let whole = count(verdict.count as usize, "entry before it is", "entries before it are");
        return Err(CommandError::failed(format!("the audit is broken: entry {seq} {fault}; the {whole} whole"))
            .hinted("keep a copy of the store as it is, and compare it with the last export")
            .detailed(json!(verdict)));
    }
    if !out.json() {
        let whole = count(verdict.count as usize, "entry is", "entries are");
        out.print(&format!("The audit is whole: {whole} as written.\nHead: {}\n", verdict.head));
    }
    Ok(())
}

async fn export(data: &Data, out: &Out) -> Result<(), CommandError> {
    let mut after = 0;
    loop {
        let query = AuditQuery { after: Some(after), limit: PART, ..AuditQuery::default() };
        let page = data.store.audit_page(query).await.map_err(store_error)?;
        let last = page.items.last().map(|entry| entry.seq);
        out.print_bytes(&AuditShape::lines(page.items));
        match page.next.or(last).filter(|next| *next > after) {
            Some(next) => after = next,
            None => return Ok(()),
        }
    }
}
