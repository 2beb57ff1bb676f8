//! `rapidlaunch guest …`

use std::collections::BTreeMap;
use std::sync::Arc;

use rl_engine::{Ids, SystemClock};
use rl_model::{GuestStatus, ObservedGuest, SiteName, StackName, Stamp, Vmid};
use rl_ops::{GuestVerb, Scope, Target, compile_guest, look_closer, observe};
use rl_store::GuestRecord;

use crate::cli::apply::said;
use crate::cli::args::{Global, GuestCommand, GuestRef, SnapshotCommand};
use crate::cli::inside;
use crate::error::CommandError;
use crate::out::Out;
use crate::render::table::table;
use crate::shape::operation::OperationShape;
use crate::work::connect::{self, Sites};
use crate::work::data::{Data, store_error};
use crate::work::operate;

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
    let (stack, name) = match guest.guest.split_once('/') {
        Some((stack, name)) => (Some(stack), name),
        None => (None, guest.guest.as_str()),
    };
    let all = data.store.all_guests().await.map_err(store_error)?;
    let mut found: Vec<GuestRecord> = all
        .into_iter()
        .filter(|g| g.name.as_str() == name && stack.is_none_or(|stack| g.stack.as_str() == stack))
        .collect();
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(CommandError::input(format!("there is no guest `{}`", guest.guest))
            .hinted("`rapidlaunch guest ls` lists them")),
        _ => {
            let stacks: Vec<String> = found.iter().map(|g| format!("{}/{}", g.stack, g.name)).collect();
            Err(CommandError::input(format!("several stacks have a guest `{name}`"))
                .hinted(format!("name one of {}", stacks.join(", "))))
        }
    }
}

pub(crate) async fn connect_sites(
    data: &Data,
    names: impl IntoIterator<Item = SiteName>,
    out: &Out,
) -> Result<Sites, CommandError> {
    let mut sites = Vec::new();
    for name in names {
        sites.extend(data.site(&name).await?);
    }
    connect::connect(data, &sites, connect::pace(), out).await
}

async fn list(data: &Data, stack: Option<&StackName>, out: &Out) -> Result<(), CommandError> {
    let records = match stack {
        Some(stack) => data.store.guests(stack).await.map_err(store_error)?,
        None => data.store.all_guests().await.map_err(store_error)?,
    };
    let names: std::collections::BTreeSet<SiteName> = records.iter().map(|record| record.site.clone()).collect();
    let sites = connect_sites(data, names, out).await?;
    let mut seen: BTreeMap<(SiteName, Vmid), ObservedGuest> = BTreeMap::new();
    for (name, api) in &sites {
        let one = BTreeMap::from([(name.clone(), Arc::clone(api))]);
        match observe(&one, &Scope::default(), operate::now_ms()).await {
            Ok(observed) => {
                let guests = observed.sites.into_values().flat_map(|site| site.guests.into_values());
                seen.extend(guests.map(|guest| ((name.clone(), guest.vmid), guest)));
            }
            Err(error) => out.say(
                &CommandError::failed(format!("site {name} cannot be read; its guests are shown as unknown"))
                    .because(error)
                    .text(out.colour_err),
            ),
        }
    }
    let rows: Vec<(GuestRecord, &'static str, String)> = records
        .into_iter()
        .map(|record| {
            let now = seen
                .get(&(record.site.clone(), record.vmid))
                .filter(|now| now.has_stamp_tag(&Stamp::tag_of(&record.id)));
            let state = now.map_or("gone", |now| status(now.status));
            let state =
                if sites.is_empty() || !seen.keys().any(|(site, _)| *site == record.site) { "unknown" } else { state };
            let node = now.map_or_else(|| record.node.to_string(), |now| now.node.to_string());
            (record, state, node)
        })
        .collect();
    if out.json() {
        let guests: Vec<serde_json::Value> =
            rows.iter().map(|(record, state, node)| json(record, state, node)).collect();
        out.print_json(&serde_json::json!({ "guests": guests }));
        return Ok(());
    }
    let rows = rows
        .iter()
        .map(|(record, state, node)| {
            vec![
                record.stack.to_string(),
                record.name.to_string(),
                record.site.to_string(),
                node.clone(),
                record.vmid.to_string(),
                (*state).to_owned(),
                addresses(record).join(" "),
            ]
        })
        .collect();
    out.print(&table(&["stack", "guest", "site", "node", "VMID", "state", "addresses"], rows));
    Ok(())
}

fn status(status: GuestStatus) -> &'static str {
    match status {
        GuestStatus::Running => "running",
        GuestStatus::Stopped => "stopped",
        GuestStatus::Unknown => "unknown",
    }
}

fn addresses(record: &GuestRecord) -> Vec<String> {
    let nics = record.applied.iter().flat_map(|guest| &guest.nics);
    nics.flat_map(|nic| [nic.ipv4.leased(), nic.ipv6.leased()]).flatten().map(|address| address.to_string()).collect()
}

fn json(record: &GuestRecord, state: &str, node: &str) -> serde_json::Value {
    serde_json::json!({
        "id": record.id, "stack": record.stack, "name": record.name, "site": record.site, "node": node, "vmid": record.vmid,
        "state": state, "addresses": addresses(record),
    })
}

async fn show(data: &Data, guest: &GuestRef, out: &Out) -> Result<(), CommandError> {
    let record = find(data, guest).await?;
    let sites = connect_sites(data, [record.site.clone()], out).await?;
    let unseen = |error: rl_ops::ObserveError| CommandError::failed("the site cannot be read").because(error);
    let mut observed = observe(&sites, &Scope::default(), operate::now_ms()).await.map_err(unseen)?;
    let mut scope = Scope::default();
    scope.configs.entry(record.site.clone()).or_default().insert(record.vmid);
    look_closer(&sites, &scope, &mut observed).await;
    let now = observed.sites.get(&record.site).and_then(|site| site.guests.get(&record.vmid));
    if out.json() {
        let node = now.map_or_else(|| record.node.to_string(), |now| now.node.to_string());
        let mut value = json(&record, now.map_or("gone", |now| status(now.status)), &node);
        value["applied"] = serde_json::json!(record.applied);
        value["observed"] = serde_json::json!(now);
        out.print_json(&value);
        return Ok(());
    }
    let mut text = format!("{} of stack {}, VMID {} on site {}\n", record.name, record.stack, record.vmid, record.site);
    match now {
        None => text.push_str("  it is not there\n"),
        Some(now) => {
            text.push_str(&format!("  node      {}\n  state     {}\n", now.node, status(now.status)));
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

/// Who a guest is, for whoever acts on it.
pub(crate) fn target(data: &Data, record: &GuestRecord) -> Result<Target, CommandError> {
    let guest = record.applied.as_ref().ok_or_else(|| {
        CommandError::input(format!("{} was never made", record.name)).hinted("apply its stack first")
    })?;
    let stamp = Stamp {
        guest: record.id.clone(),
        stack: record.stack.clone(),
        name: record.name.clone(),
        controller: data.store.controller(),
    };
    let mut target = Target::applied(stamp, guest);
    target.vmid = record.vmid;
    target.node = record.node.clone();
    Ok(target)
}

async fn act(global: &Global, guest: &GuestRef, verb: GuestVerb, out: &Out) -> Result<(), CommandError> {
    let data = Data::open(global).await?;
    let record = find(&data, guest).await?;
    let target = target(&data, &record)?;
    let sites = connect_sites(&data, [record.site.clone()], out).await?;
    let ids = Ids::from_os(Arc::new(SystemClock::new()));
    let job = compile_guest(target, verb, &ids)
        .map_err(|error| CommandError::failed("the job cannot be written down").because(error))?;
    let summary = job.key.clone();
    let id = operate::start_on_guest(&data, &record.site, &record.stack, summary.clone(), job).await?;
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
    let sites = connect_sites(data, [record.site.clone()], out).await?;
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
