//! `rapidlaunch guest …`

use std::sync::Arc;

use rl_engine::{Ids, SystemClock};
use rl_model::StackName;
use rl_ops::{GuestVerb, compile_guest};
use rl_store::GuestRecord;

use crate::cli::apply::said;
use crate::cli::args::{Global, GuestCommand, GuestRef, SnapshotCommand};
use crate::cli::inside;
use crate::env;
use crate::error::CommandError;
use crate::out::Out;
use crate::render::table::table;
use crate::shape::guest::GuestShape;
use crate::shape::operation::OperationShape;
use crate::work::data::Data;
use crate::work::{guests, operate};

/// Lists guests and acts on one.
pub(crate) async fn run(global: &Global, command: &GuestCommand, out: &Out) -> Result<(), CommandError> {
    match command {
        GuestCommand::Ls { stack } => list(&Data::look(global).await?, stack.as_ref(), out).await,
        GuestCommand::Show(guest) => show(&Data::look(global).await?, guest, out).await,
        GuestCommand::Start(guest) => act(global, guest, GuestVerb::Start, out).await,
        GuestCommand::Stop(guest) => act(global, guest, GuestVerb::Stop, out).await,
        GuestCommand::Restart(guest) => act(global, guest, GuestVerb::Restart, out).await,
        GuestCommand::Exec(args) => inside::exec(&Data::look(global).await?, args, out).await,
        GuestCommand::Cp(args) => inside::cp(&Data::look(global).await?, args, out).await,
        GuestCommand::Logs(args) => inside::logs(&Data::look(global).await?, args, out).await,
        GuestCommand::Snapshot(SnapshotCommand::Ls(guest)) => snapshots(&Data::look(global).await?, guest, out).await,
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

/// A guest by its name, or by stack and name.
pub(crate) async fn find(data: &Data, guest: &GuestRef) -> Result<GuestRecord, CommandError> {
    guests::find(data, &guest.guest).await
}

async fn list(data: &Data, stack: Option<&StackName>, out: &Out) -> Result<(), CommandError> {
    let rows = guests::listed(data, stack, out).await?;
    if out.json() {
        out.print_json(&serde_json::json!({ "guests": rows }));
        return Ok(());
    }
    let row = |g: GuestShape| vec![g.stack, g.name, g.site, g.node, g.vmid.to_string(), g.state, g.addresses.join(" ")];
    let rows = rows.into_iter().map(row).collect();
    out.print(&table(&["stack", "guest", "site", "node", "VMID", "state", "addresses"], rows));
    Ok(())
}

async fn show(data: &Data, guest: &GuestRef, out: &Out) -> Result<(), CommandError> {
    let record = find(data, guest).await?;
    let whole = guests::whole(data, &record, out).await?;
    if out.json() {
        out.print_json(&whole);
        return Ok(());
    }
    let mut text = format!("{} of stack {}, VMID {} on site {}\n", record.name, record.stack, record.vmid, record.site);
    match &whole.observed {
        None => text.push_str("  it is not there\n"),
        Some(now) => {
            text.push_str(&format!("  node      {}\n  state     {}\n", now.node, whole.guest.state));
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
    let data = Data::open(global).await?;
    let record = find(&data, guest).await?;
    let target = guests::target(&data, &record)?;
    let sites = guests::connect_sites(&data, [record.site.clone()], out).await?;
    let ids = Ids::from_os(Arc::new(SystemClock::new()));
    let job = compile_guest(target, verb, &ids)
        .map_err(|error| CommandError::failed("the job cannot be written down").because(error))?;
    let summary = job.key.clone();
    let id = operate::start_on_guest(&data, &record.site, &record.stack, summary.clone(), job, &env::actor()).await?;
    let ending = operate::run(&data, &sites, id, out).await?;
    if out.json() {
        out.print_json(&OperationShape::of(&data.operation(&id.to_string()).await?));
    }
    match said(&ending, id, out) {
        Some(kind) => Err(CommandError::said(kind)),
        None => {
            out.say(&format!("Done: {summary}."));
            Ok(())
        }
    }
}

async fn snapshots(data: &Data, guest: &GuestRef, out: &Out) -> Result<(), CommandError> {
    let record = find(data, guest).await?;
    let sites = guests::connect_sites(data, [record.site.clone()], out).await?;
    let api =
        sites.get(&record.site).ok_or_else(|| CommandError::input(format!("site `{}` is not known", record.site)))?;
    let names = api.snapshots(&record.node, record.vmid).await.map_err(|error| {
        CommandError::failed(format!("the snapshots of {} cannot be read", record.name)).because(error)
    })?;
    if out.json() {
        out.print_json(&serde_json::json!({ "guest": record.name, "snapshots": names }));
    } else {
        out.print(&table(&["snapshot"], names.into_iter().map(|name| vec![name]).collect()));
    }
    Ok(())
}
