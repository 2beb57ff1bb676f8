//! Starting and stopping containers.

use std::time::Duration;

use crate::api::call::{Call, ReplyResult};
use crate::api::error::{ApiError, ApiResult};
use crate::families::lxc::{change, check_lock};
use crate::latency::Work;
use crate::site::{Site, TaskCtx};
use crate::world::guest::Running;

/// Only root@pam itself may pass over a lock.
fn check_skiplock(call: &Call) -> ApiResult<bool> {
    let skip = call.args.is_set("skiplock");
    if skip && !call.who.is_root() {
        return Err(ApiError::param("skiplock", "Only root may use this option."));
    }
    Ok(skip)
}

fn is_running(call: &Call) -> bool {
    call.site.world().container(call.node(), call.vmid()).is_ok_and(|g| g.running.is_some())
}

fn need_running(call: &Call, kind: &str) -> ApiResult<()> {
    if is_running(call) { Ok(()) } else { Err(ApiError::die(format!("{kind} {} not running", call.vmid()))) }
}

pub(super) fn start(call: &Call) -> ReplyResult {
    let skip = check_skiplock(call)?;
    if is_running(call) {
        return Err(ApiError::die(format!("CT {} already running", call.vmid())));
    }
    let (vmid, node) = (call.vmid(), call.node().to_owned());
    Ok(Site::spawn(call, "vzstart", &vmid.to_string(), |ctx| run_start(ctx, node, vmid, skip)))
}

/// Starts a container as the last act of another task; it gets a task of its own.
pub(super) fn start_inside(call: &Call, vmid: u32) {
    let node = call.node().to_owned();
    let call = Call { task_fault: None, ..call.clone() };
    Site::start_task(&call, "vzstart", &vmid.to_string(), |ctx| run_start(ctx, node, vmid, false));
}

async fn run_start(ctx: TaskCtx, node: String, vmid: u32, skiplock: bool) -> Result<(), String> {
    let _lock = ctx.site.locks.lock_guest(&ctx.site.clock, vmid).await.map_err(|e| e.message)?;
    check_startable(&ctx, &node, vmid, skiplock)?;
    boot(&ctx, &node, vmid).await?;
    ctx.effect("start", vmid);
    Ok(())
}

/// The container's first process is there long before the task is satisfied.
async fn boot(ctx: &TaskCtx, node: &str, vmid: u32) -> Result<(), String> {
    let all = ctx.site.draws.duration(Work::Start);
    let spawned = all / 4;
    ctx.spend(spawned).await?;
    set_running(ctx, node, vmid)?;
    let rest = ctx.spend(all - spawned).await;
    if let Err(why) = rest.and_then(|()| ctx.last_chance()) {
        if let Ok(guest) = ctx.site.world().container_mut(node, vmid) {
            guest.running = None;
        }
        return Err(why);
    }
    Ok(())
}

fn check_startable(ctx: &TaskCtx, node: &str, vmid: u32, skiplock: bool) -> Result<(), String> {
    let mut world = ctx.site.world();
    let guest = world.container(node, vmid).map_err(|e| e.message)?;
    if guest.is_template() {
        return Err("you can't start a CT if it's a template".to_owned());
    }
    if !skiplock {
        check_lock(&guest.config).map_err(|e| e.message)?;
    }
    if guest.running.is_some() {
        return Err(format!("CT {vmid} already running"));
    }
    change::apply_pending(&ctx.site, &mut world, node, vmid, false).map_err(|e| e.message)?;
    if let Some(bridge) = change::missing_bridge(&world, node, vmid) {
        return Err(format!("bridge '{bridge}' does not exist"));
    }
    match change::untaggable_bridge(&world, node, vmid) {
        Some(bridge) => Err(format!("no physical interface on bridge '{bridge}'")),
        None => Ok(()),
    }
}

fn set_running(ctx: &TaskCtx, node: &str, vmid: u32) -> Result<(), String> {
    let now = ctx.site.clock.now_precise();
    let pid = ctx.site.tasks.next_pid();
    let mut world = ctx.site.world();
    world.touch(vmid, now);
    let guest = world.container_mut(node, vmid).map_err(|e| e.message)?;
    guest.running = Some(Running { pid, since: now });
    Ok(())
}

/// Ends a container's run; what was pending becomes real.
fn set_stopped(ctx: &TaskCtx, node: &str, vmid: u32) -> Result<(), String> {
    let now = ctx.site.clock.now_precise();
    let mut world = ctx.site.world();
    world.touch(vmid, now);
    world.container_mut(node, vmid).map_err(|e| e.message)?.running = None;
    change::apply_pending(&ctx.site, &mut world, node, vmid, false).map_err(|e| e.message)
}

pub(super) fn stop(call: &Call) -> ReplyResult {
    let skip = check_skiplock(call)?;
    need_running(call, "CT")?;
    let (vmid, node) = (call.vmid(), call.node().to_owned());
    Ok(Site::spawn(call, "vzstop", &vmid.to_string(), |ctx| run_stop(ctx, node, vmid, skip, Work::Stop)))
}

pub(super) fn shutdown(call: &Call) -> ReplyResult {
    need_running(call, "CT")?;
    let (vmid, node) = (call.vmid(), call.node().to_owned());
    Ok(Site::spawn(call, "vzshutdown", &vmid.to_string(), |ctx| run_stop(ctx, node, vmid, false, Work::Shutdown)))
}

async fn run_stop(ctx: TaskCtx, node: String, vmid: u32, skiplock: bool, work: Work) -> Result<(), String> {
    let _lock = ctx.site.locks.lock_guest(&ctx.site.clock, vmid).await.map_err(|e| e.message)?;
    check_unlocked(&ctx, &node, vmid, skiplock)?;
    ctx.work(work).await?;
    ctx.last_chance()?;
    set_stopped(&ctx, &node, vmid)?;
    ctx.effect(if work == Work::Stop { "stop" } else { "shutdown" }, vmid);
    Ok(())
}

fn check_unlocked(ctx: &TaskCtx, node: &str, vmid: u32, skiplock: bool) -> Result<(), String> {
    let world = ctx.site.world();
    let guest = world.container(node, vmid).map_err(|e| e.message)?;
    if skiplock { Ok(()) } else { check_lock(&guest.config).map_err(|e| e.message) }
}

pub(super) fn reboot(call: &Call) -> ReplyResult {
    need_running(call, "VM")?;
    let (vmid, node) = (call.vmid(), call.node().to_owned());
    Ok(Site::spawn(call, "vzreboot", &vmid.to_string(), |ctx| run_reboot(ctx, node, vmid)))
}

async fn run_reboot(ctx: TaskCtx, node: String, vmid: u32) -> Result<(), String> {
    let _lock = ctx.site.locks.lock_guest(&ctx.site.clock, vmid).await.map_err(|e| e.message)?;
    check_unlocked(&ctx, &node, vmid, false)?;
    ctx.work(Work::Shutdown).await?;
    set_stopped(&ctx, &node, vmid)?;
    check_startable(&ctx, &node, vmid, false)?;
    boot(&ctx, &node, vmid).await?;
    ctx.effect("reboot", vmid);
    Ok(())
}

/// Containers can be frozen only with a tool that no node has installed by default.
pub(super) fn suspend(call: &Call) -> ReplyResult {
    need_running(call, "CT")?;
    let vmid = call.vmid();
    let command = format!("lxc-checkpoint -n {vmid} -s -D /var/lib/vz/dump");
    Ok(Site::spawn(call, "vzsuspend", &vmid.to_string(), |ctx| fail_checkpoint(ctx, command)))
}

pub(super) fn resume(call: &Call) -> ReplyResult {
    let vmid = call.vmid();
    if is_running(call) {
        return Err(ApiError::die(format!("CT {vmid} already running")));
    }
    let command = format!("lxc-checkpoint -n {vmid} -r --foreground -D /var/lib/vz/dump");
    Ok(Site::spawn(call, "vzresume", &vmid.to_string(), |ctx| fail_checkpoint(ctx, command)))
}

async fn fail_checkpoint(ctx: TaskCtx, command: String) -> Result<(), String> {
    ctx.spend(Duration::from_millis(100)).await?;
    Err(format!("command '{command}' failed: exit code 1"))
}
