//! `rapidlaunch guest …`

use rl_model::StackName;
use rl_ops::GuestVerb;

use crate::cli::apply::said;
use crate::cli::args::{Global, GuestCommand, GuestRef, SnapshotCommand};
use crate::cli::inside;
use crate::error::CommandError;
use crate::out::Out;
use crate::render::table::table;
use crate::shape::guest::GuestShape;
use crate::side::{Acted, Side};
use crate::work::data::Data;
use crate::work::operate;

/// Lists guests and acts on one.
pub(crate) async fn run(global: &Global, command: &GuestCommand, out: &Out) -> Result<(), CommandError> {
    match command {
        GuestCommand::Ls { stack } => list(&Side::look(global, out).await?, stack.as_ref(), out).await,
        GuestCommand::Show(guest) => show(&Side::look(global, out).await?, guest, out).await,
        GuestCommand::Start(guest) => act(global, guest, GuestVerb::Start, out).await,
        GuestCommand::Stop(guest) => act(global, guest, GuestVerb::Stop, out).await,
        GuestCommand::Restart(guest) => act(global, guest, GuestVerb::Restart, out).await,
        GuestCommand::Exec(args) => inside::exec(&Data::look(global).await?, args, out).await,
        GuestCommand::Cp(args) => inside::cp(&Data::look(global).await?, args, out).await,
        GuestCommand::Logs(args) => inside::logs(&Data::look(global).await?, args, out).await,
        GuestCommand::Snapshot(SnapshotCommand::Ls(guest)) => {
            snapshots(&Side::look(global, out).await?, guest, out).await
        }
        GuestCommand::Snapshot(SnapshotCommand::Create(snapshot)) => {
            act(global, &snapshot.guest, GuestVerb::SnapshotCreate { name: snapshot.name.clone() }, out).await
        }
        GuestCommand::Snapshot(SnapshotCommand::Rm(snapshot)) => {
            act(global, &snapshot.guest, GuestVerb::SnapshotRemove { name: snapshot.name.clone() }, out).await
        }
        GuestCommand::Snapshot(SnapshotCommand::Rollback { snapshot, yes }) => {
            operate::need_consent(*yes, out)?;
            let question = format!(
                "Return {} to snapshot {}? What was written since is lost.",
                snapshot.guest.guest, snapshot.name
            );
            if !yes && !out.ask(&question) {
                return Err(CommandError::input("not done: the answer was no; nothing was touched"));
            }
            act(global, &snapshot.guest, GuestVerb::SnapshotRollback { name: snapshot.name.clone() }, out).await
        }
    }
}

async fn list(side: &Side, stack: Option<&StackName>, out: &Out) -> Result<(), CommandError> {
    let rows = side.guests(stack, out).await?;
    if out.json() {
        out.print_json(&serde_json::json!({ "guests": rows }));
        return Ok(());
    }
    let row = |g: GuestShape| vec![g.stack, g.name, g.site, g.node, g.vmid.to_string(), g.state, g.addresses.join(" ")];
    let rows = rows.into_iter().map(row).collect();
    out.print(&table(&["stack", "guest", "site", "node", "VMID", "state", "addresses"], rows));
    Ok(())
}

async fn show(side: &Side, guest: &GuestRef, out: &Out) -> Result<(), CommandError> {
    let whole = side.guest(guest, out).await?;
    if out.json() {
        out.print_json(&whole);
        return Ok(());
    }
    let GuestShape { name, stack, vmid, site, state, .. } = &whole.guest;
    let mut text = format!("{name} of stack {stack}, VMID {vmid} on site {site}\n");
    match &whole.observed {
        None => text.push_str("  it is not there\n"),
        Some(now) => {
            text.push_str(&format!("  node      {}\n  state     {state}\n", now.node));
            if let Some(lock) = &now.lock {
                text.push_str(&format!("  lock      {lock}\n"));
            }
            for (key, value) in now.config.iter().flat_map(|config| &config.fields.0) {
                text.push_str(&format!("  {:<9} {}\n", key.to_string(), value.replace('\n', " ")));
            }
        }
    }
    out.print(&text);
    Ok(())
}

async fn act(global: &Global, guest: &GuestRef, verb: GuestVerb, out: &Out) -> Result<(), CommandError> {
    let side = Side::open(global, out).await?;
    let Acted { id, ending, summary } = side.act(guest, verb, out).await?;
    if out.json() {
        out.print_json(&side.operation_of(id).await?);
    }
    match said(&side, &ending, id, out) {
        Some(kind) => Err(CommandError::said(kind)),
        None => {
            out.say(&format!("Done: {summary}."));
            Ok(())
        }
    }
}

async fn snapshots(side: &Side, guest: &GuestRef, out: &Out) -> Result<(), CommandError> {
    let (guest, names) = side.snapshots(guest, out).await?;
    if out.json() {
        out.print_json(&serde_json::json!({ "guest": guest, "snapshots": names }));
    } else {
        out.print(&table(&["snapshot"], names.into_iter().map(|name| vec![name]).collect()));
    }
    Ok(())
}
