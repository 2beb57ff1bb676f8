//! `rapidlaunch quota …`

use clap::{Args, Subcommand};
use rl_model::{DiskSize, Memory};
use rl_store::{Deed, Limits, NewAudit, Owner, QuotaRecord};
use serde_json::json;

use crate::cli::args::Global;
use crate::env;
use crate::error::CommandError;
use crate::out::Out;
use crate::render::table::table;
use crate::shape::quota::{LimitsShape, QuotaShape};
use crate::work::data::{Data, store_error};

/// Mebibytes in a gibibyte.
const GIB_MIB: u64 = 1024;

/// `quota …`
#[derive(Debug, Subcommand)]
pub(crate) enum QuotaCommand {
    /// List quotas with what is used of them
    Ls,
    /// Show the quota of an owner
    Show(Of),
    /// Set what the stacks of an owner may have together; what is not named is not limited
    Set(SetArgs),
    /// Remove the quota of an owner
    Rm(Of),
}

/// An owner.
#[derive(Debug, Args)]
pub(crate) struct Of {
    /// The owner of stacks: a person or a team
    #[arg(value_name = "OWNER")]
    owner: Owner,
}

/// `quota set`
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    of: Of,
    /// Most guests
    #[arg(long, value_name = "N")]
    guests: Option<u32>,
    /// Most CPU cores
    #[arg(long, value_name = "N")]
    cores: Option<u32>,
    /// Most memory, as in 64GiB
    #[arg(long, value_name = "SIZE")]
    memory: Option<Memory>,
    /// Most disk, as in 2048GiB: whole GiB
    #[arg(long, value_name = "SIZE")]
    disk: Option<DiskSize>,
    /// Most leased addresses
    #[arg(long, value_name = "N")]
    addresses: Option<u32>,
}

impl SetArgs {
    fn limits(&self) -> Result<Limits, CommandError> {
        let disk_gib = match self.disk.map(DiskSize::mib) {
            Some(mib) if mib % GIB_MIB != 0 => {
                return Err(CommandError::input("--disk is no whole number of GiB"));
            }
            mib => mib.map(|mib| mib / GIB_MIB),
        };
        let limits = Limits {
            guests: self.guests.map(u64::from),
            cores: self.cores.map(u64::from),
            memory_mib: self.memory.map(Memory::mib),
            disk_gib,
            addresses: self.addresses.map(u64::from),
        };
        if limits == Limits::default() {
            return Err(CommandError::input(
                "nothing is limited: name at least one of --guests, --cores, --memory, --disk and --addresses",
            )
            .hinted("`rapidlaunch quota rm OWNER` takes a quota away"));
        }
        Ok(limits)
    }
}

/// Looks after quotas.
pub(crate) async fn run(global: &Global, command: &QuotaCommand, out: &Out) -> Result<(), CommandError> {
    match command {
        QuotaCommand::Ls => list(&Data::look(global).await?, out).await,
        QuotaCommand::Show(of) => show(&Data::look(global).await?, &of.owner, out).await,
        QuotaCommand::Set(args) => {
            let limits = args.limits()?;
            set(&Data::open(global).await?, &args.of.owner, limits, out).await
        }
        QuotaCommand::Rm(of) => remove(&Data::open(global).await?, &of.owner, out).await,
    }
}

async fn shape(data: &Data, record: &QuotaRecord) -> Result<QuotaShape, CommandError> {
    Ok(QuotaShape::of(record, data.store.quota_use(&record.owner).await.map_err(store_error)?))
}

async fn find(data: &Data, owner: &Owner) -> Result<QuotaRecord, CommandError> {
    data.store
        .quota(owner)
        .await
        .map_err(store_error)?
        .ok_or_else(|| CommandError::input(format!("{owner} has no quota")).hinted("`rapidlaunch quota ls` lists them"))
}

async fn list(data: &Data, out: &Out) -> Result<(), CommandError> {
    let mut shapes = Vec::new();
    for record in data.store.quotas().await.map_err(store_error)? {
        shapes.push(shape(data, &record).await?);
    }
    if out.json() {
        out.print_json(&json!({ "quotas": shapes }));
    } else {
        out.print(&text(&shapes));
    }
    Ok(())
}

async fn show(data: &Data, owner: &Owner, out: &Out) -> Result<(), CommandError> {
    say(&shape(data, &find(data, owner).await?).await?, out);
    Ok(())
}

fn say(shape: &QuotaShape, out: &Out) {
    if out.json() {
        out.print_json(shape);
    } else {
        out.print(&text(std::slice::from_ref(shape)));
    }
}

/// A line for each owner: what is used of what is allowed.
fn text(shapes: &[QuotaShape]) -> String {
    let of = |used: String, limit: Option<String>| match limit {
        Some(limit) => format!("{used} of {limit}"),
        None => used,
    };
    let number = |used: u64, limit: Option<u64>| of(used.to_string(), limit.map(|limit| limit.to_string()));
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let size = |used: u64, limit: Option<u64>| of(mib(used), limit.map(mib));
    let row = |QuotaShape { owner, limits, used }: &QuotaShape| {
        vec![
            owner.clone(),
            number(used.guests, limits.guests),
            number(used.cores, limits.cores),
            size(used.memory_bytes, limits.memory_bytes),
            size(used.disk_bytes, limits.disk_bytes),
            number(used.addresses, limits.addresses),
        ]
    };
    let rows = shapes.iter().map(row).collect();
    table(&["owner", "guests", "cores", "memory", "disk", "addresses"], rows)
}

async fn set(data: &Data, owner: &Owner, limits: Limits, out: &Out) -> Result<(), CommandError> {
    let before = data.store.quota(owner).await.map_err(store_error)?;
    let before = before.map(|before| json!(LimitsShape::from(before.limits)));
    let entry = entry(owner, "quota.set").change(before, Some(json!(LimitsShape::from(limits))));
    let record = data.store.put_quota(owner, limits, None, Deed::from(entry)).await.map_err(store_error)?;
    say(&shape(data, &record).await?, out);
    Ok(())
}

async fn remove(data: &Data, owner: &Owner, out: &Out) -> Result<(), CommandError> {
    let before = find(data, owner).await?;
    let entry = entry(owner, "quota.remove").change(Some(json!(LimitsShape::from(before.limits))), None);
    data.store.remove_quota(owner, None, Deed::from(entry)).await.map_err(store_error)?;
    if out.json() {
        out.print_json(&json!({ "owner": owner.as_str(), "removed": true }));
    } else {
        out.print(&format!("The quota of {owner} is removed.\n"));
    }
    Ok(())
}

fn entry(owner: &Owner, action: &str) -> NewAudit {
    NewAudit::local(env::actor(), action, format!("/quotas/{owner}"))
}
