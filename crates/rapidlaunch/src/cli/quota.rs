//! `rapidlaunch quota …`

use clap::{Args, Subcommand};
use rl_model::{DiskSize, Memory};
use rl_store::Owner;
use serde_json::json;

use crate::cli::args::Global;
use crate::error::CommandError;
use crate::out::Out;
use crate::render::table::table;
use crate::shape::quota::{LimitsShape, QuotaShape};
use crate::side::Side;

/// Bytes in a mebibyte.
const MIB: u64 = 1 << 20;
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
    fn limits(&self) -> Result<LimitsShape, CommandError> {
        let disk = self.disk.map(DiskSize::mib);
        if disk.is_some_and(|mib| mib % GIB_MIB != 0) {
            return Err(CommandError::input("--disk is no whole number of GiB"));
        }
        let bytes = |mib: u64| mib.saturating_mul(MIB);
        let limits = LimitsShape {
            guests: self.guests.map(u64::from),
            cores: self.cores.map(u64::from),
            memory_bytes: self.memory.map(Memory::mib).map(bytes),
            disk_bytes: disk.map(bytes),
            addresses: self.addresses.map(u64::from),
        };
        if limits == LimitsShape::default() {
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
        QuotaCommand::Ls => list(&Side::look(global, out).await?, out).await,
        QuotaCommand::Show(of) => {
            say(&Side::look(global, out).await?.quota(&of.owner).await?, out);
            Ok(())
        }
        QuotaCommand::Set(args) => {
            let limits = args.limits()?;
            say(&Side::open(global, out).await?.set_quota(&args.of.owner, limits).await?, out);
            Ok(())
        }
        QuotaCommand::Rm(of) => remove(&Side::open(global, out).await?, &of.owner, out).await,
    }
}

async fn list(side: &Side, out: &Out) -> Result<(), CommandError> {
    let quotas = side.quotas().await?;
    if out.json() {
        out.print_json(&json!({ "quotas": quotas }));
    } else {
        out.print(&text(&quotas));
    }
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

async fn remove(side: &Side, owner: &Owner, out: &Out) -> Result<(), CommandError> {
    side.remove_quota(owner).await?;
    if out.json() {
        out.print_json(&json!({ "owner": owner.as_str(), "removed": true }));
    } else {
        out.print(&format!("The quota of {owner} is removed.\n"));
    }
    Ok(())
}
