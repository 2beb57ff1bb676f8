//! `DELETE /nodes/{node}/lxc/{vmid}`.

use std::time::Duration;

use crate::api::call::{Call, ReplyResult};
use crate::api::error::ApiError;
use crate::families::lxc::check_lock;
use crate::latency::Work;
use crate::site::{Site, TaskCtx};
use crate::world::storage::is_base;

/// Checks, then removes the container in a task.
pub(super) async fn destroy(call: Call) -> ReplyResult {
    let vmid = call.vmid();
    let force = call.args.is_set("force");
    {
        let world = call.site.world();
        let guest = world.container(call.node(), vmid)?;
        check_lock(&guest.config)?;
        if guest.config.is_on("protection") {
            return Err(ApiError::die(format!("can't remove CT {vmid} - protection mode enabled")));
        }
        if guest.running.is_some() && !force {
            return Err(ApiError::die(format!("unable to destroy CT {vmid} - container is running")));
        }
    }
    let job = Job {
        vmid,
        node: call.node().to_owned(),
        purge: call.args.is_set("purge"),
        unreferenced: call.args.is_set("destroy-unreferenced-disks"),
        force,
    };
    let id = vmid.to_string();
    Ok(Site::spawn(&call, "vzdestroy", &id, |ctx| run(ctx, job)))
}

struct Job {
    vmid: u32,
    node: String,
    purge: bool,
    unreferenced: bool,
    force: bool,
}

async fn run(ctx: TaskCtx, job: Job) -> Result<(), String> {
    let vmid = job.vmid;
    let _lock = ctx.site.locks.lock_guest(&ctx.site.clock, vmid).await.map_err(|e| e.message)?;
    let running = {
        let world = ctx.site.world();
        let guest = world.container(&job.node, vmid).map_err(|e| e.message)?;
        check_lock(&guest.config).map_err(|e| e.message)?;
        guest.running.is_some()
    };
    if running {
        if !job.force {
            return Err(format!("unable to destroy CT {vmid} - container is running"));
        }
        ctx.log(format!("forced to stop CT {vmid} before destroying!"));
        ctx.work(Work::Stop).await?;
        if let Some(guest) = ctx.site.world().guests.get_mut(&vmid) {
            guest.running = None;
        }
        ctx.effect("stop", vmid);
    }
    check_bases(&ctx, &job)?;
    let all = ctx.site.draws.duration(Work::Destroy);
    let most: Duration = all.mul_f64(0.8);
    ctx.spend(most).await?;
    set_lock(&ctx, &job, Some("destroyed"));
    let rest = ctx.spend(all - most).await;
    if let Err(why) = rest.and_then(|()| ctx.last_chance()) {
        set_lock(&ctx, &job, None);
        return Err(why);
    }
    if job.purge {
        ctx.log(format!("purging CT {vmid} from related configurations.."));
    }
    ctx.effect("destroy", vmid);
    let mut world = ctx.site.world();
    remove_volumes(&mut world, &job);
    world.remove_guest(vmid);
    Ok(())
}

fn set_lock(ctx: &TaskCtx, job: &Job, lock: Option<&str>) {
    let mut world = ctx.site.world();
    if let Ok(guest) = world.container_mut(&job.node, job.vmid) {
        guest.config.keys.remove("lock");
        guest.config.keys.extend(lock.map(|l| ("lock".to_owned(), l.to_owned())));
    }
}

/// A base volume that linked clones stand on cannot go.
fn check_bases(ctx: &TaskCtx, job: &Job) -> Result<(), String> {
    let world = ctx.site.world();
    let guest = world.container(&job.node, job.vmid).map_err(|e| e.message)?;
    for (_, mount) in guest.config.mounts() {
        let Some((storage, name)) = mount.volume().split_once(':').filter(|(_, n)| is_base(n)) else { continue };
        let stem = format!("{name}/");
        if world.storages.volumes(storage, &job.node).any(|(other, _)| other.starts_with(&stem)) {
            return Err(format!("base volume '{name}' is still in use by linked cloned"));
        }
    }
    Ok(())
}

/// Removes the volumes that the config names; all of the guest's when asked for.
fn remove_volumes(world: &mut crate::world::World, job: &Job) {
    let Some(guest) = world.guests.get(&job.vmid) else { return };
    let config = guest.config.clone();
    let named = config.mounts().into_iter().map(|(_, m)| m.volume().to_owned());
    let unused = config.keys.iter().filter(|(k, _)| k.starts_with("unused")).map(|(_, v)| v.clone());
    for volid in named.chain(unused) {
        if let Some((storage, name)) = volid.split_once(':') {
            world.storages.remove(storage, &job.node, name);
        }
    }
    if job.unreferenced {
        world.storages.remove_all_of(job.vmid, &job.node);
    }
}
