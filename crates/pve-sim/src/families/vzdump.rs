//! Backups, as far as other operations notice them: the lock, the task and the file.

use serde_json::json;

use crate::api::call::{Call, ReplyResult};
use crate::api::endpoint::{Endpoint, post};
use crate::api::error::{ApiError, ApiResult};
use crate::api::format::split_list;
use crate::families::lxc_check_lock;
use crate::latency::Work;
use crate::site::{Site, TaskCtx};
use crate::world::storage::Volume;

const PARAMS: &str = "all?:b bwlimit?:i[0..] compress?:s{0|1|gzip|lzo|zstd} dumpdir?:s exclude?:s@pve-vmid-list exclude-path?:a \
    fleecing?:s@backup-fleecing ionice?:i[0..8] job-id?:s<50~\\S+ lockwait?:i[0..] mailnotification?:s{always|failure} \
    mailto?:s@email-or-username-list maxfiles?:i[1..] mode?:s{snapshot|suspend|stop} node?:s@pve-node \
    notes-template?:s<1024!storage notification-mode?:s{auto|legacy-sendmail|notification-system} \
    pbs-change-detection-mode?:s{legacy|data|metadata} performance?:s@backup-performance pigz?:i pool?:s \
    protected?:b!storage prune-backups?:s@prune-backups quiet?:b remove?:b script?:s stdexcludes?:b stdout?:b stop?:b \
    stopwait?:i[0..] storage?:s@pve-storage-id tmpdir?:s vmid?:s@pve-vmid-list zstd?:i";
/// Options that only those may set who may change the node.
const NODE_OPTIONS: &[&str] = &["bwlimit", "ionice", "performance"];
/// Options that name files of the node.
const ROOT_OPTIONS: &[&str] = &["dumpdir", "script", "tmpdir", "job-id"];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![post("/nodes/{node}/vzdump", "all", &[PARAMS], backup).returns("string")]
}

fn backup(call: &Call) -> ReplyResult {
    check(call)?;
    let vmids: Vec<u32> = split_list(call.text("vmid").unwrap_or("")).filter_map(|v| v.parse().ok()).collect();
    if vmids.is_empty() && !call.args.is_set("all") && call.text("pool").is_none() {
        return Err(ApiError::param("vmid", "no guests selected"));
    }
    for vmid in &vmids {
        call.check(&format!("/vms/{vmid}"), &["VM.Backup"])?;
    }
    let storage = call.text("storage").unwrap_or("local").to_owned();
    let node = call.node().to_owned();
    let id = if let [one] = vmids.as_slice() { one.to_string() } else { String::new() };
    Ok(Site::spawn(call, "vzdump", &id, |ctx| run(ctx, node, storage, vmids)))
}

fn check(call: &Call) -> ApiResult<()> {
    if !call.who.is_root() {
        if let Some(option) = ROOT_OPTIONS.iter().find(|o| call.args.has(o)) {
            return Err(ApiError::param(option, "Only root may set this option."));
        }
        if NODE_OPTIONS.iter().any(|o| call.args.has(o)) {
            call.check("/", &["Sys.Modify"])?;
        }
    }
    let storage = call.text("storage").unwrap_or("local");
    call.check(&format!("/storage/{storage}"), &["Datastore.AllocateSpace"])?;
    let world = call.site.world();
    let def = world.storages.usable(storage, call.node())?;
    if !def.content.contains("backup") {
        return Err(ApiError::param(
            "storage",
            format!("could not get storage information for '{storage}': can't use for backups - wrong content type\n"),
        ));
    }
    Ok(())
}

async fn run(ctx: TaskCtx, node: String, storage: String, vmids: Vec<u32>) -> Result<(), String> {
    let mut failed = false;
    for vmid in vmids {
        ctx.log(format!("INFO: Starting Backup of VM {vmid} (lxc)"));
        if let Err(why) = one(&ctx, &node, &storage, vmid).await {
            ctx.log(format!("ERROR: Backup of VM {vmid} failed - {why}"));
            failed = true;
        }
    }
    if failed {
        ctx.log("INFO: Backup job finished with errors");
        return Err("job errors".to_owned());
    }
    ctx.log("INFO: Backup job finished successfully");
    Ok(())
}

async fn one(ctx: &TaskCtx, node: &str, storage: &str, vmid: u32) -> Result<(), String> {
    {
        let mut world = ctx.site.world();
        let guest = world.container_mut(node, vmid).map_err(|e| e.message)?;
        lxc_check_lock(&guest.config).map_err(|e| e.message)?;
        guest.config.keys.insert("lock".to_owned(), "backup".to_owned());
    }
    let worked = ctx.heavy(storage, Work::Backup).await.and_then(|()| ctx.last_chance());
    let mut world = ctx.site.world();
    if let Some(guest) = world.guests.get_mut(&vmid) {
        guest.config.keys.remove("lock");
    }
    worked?;
    let name = format!("backup/vzdump-lxc-{vmid}-{}.tar.zst", stamp(ctx.site.now()));
    let volume = Volume {
        vmid: Some(vmid),
        size: 80 << 20,
        used: 80 << 20,
        format: "tar.zst".to_owned(),
        ctime: ctx.site.now(),
        content: Some("backup"),
        ..Volume::default()
    };
    world.storages.insert(storage, node, &name, volume);
    ctx.log(format!("INFO: creating vzdump archive '{}'", json!(name).as_str().unwrap_or("")));
    Ok(())
}

/// `2026_11_22-18_54_30` from seconds since 1970 (civil calendar, days counted from March).
fn stamp(epoch: i64) -> String {
    let (days, seconds) = (epoch.div_euclid(86_400), epoch.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}_{month:02}_{day:02}-{hour:02}_{minute:02}_{second:02}")
}
