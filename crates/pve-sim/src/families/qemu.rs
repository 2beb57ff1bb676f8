//! Virtual machines, as far as they can be seen: they belong to strangers here.

use serde_json::{Value, json};

use crate::api::call::{Call, ReplyResult};
use crate::api::endpoint::{Endpoint, delete, get};
use crate::api::error::ApiError;
use crate::families::index;
use crate::latency::Work;
use crate::site::Site;
use crate::world::config::keys_json;
use crate::world::guest::{Guest, GuestKind};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let audit = "/vms/{vmid} VM.Audit";
    let here = &["node vmid"];
    vec![
        get("/nodes/{node}/qemu", "all", &["node full?:b"], list).protected().returns("array"),
        get("/nodes/{node}/qemu/{vmid}", "all", here, root).returns("array"),
        get("/nodes/{node}/qemu/{vmid}/config", audit, &["node vmid current?:b snapshot?:s@pve-configid<40"], config)
            .returns("object"),
        get("/nodes/{node}/qemu/{vmid}/status/current", audit, here, current).protected().returns("object"),
        delete(
            "/nodes/{node}/qemu/{vmid}",
            "/vms/{vmid} VM.Allocate",
            &["node vmid destroy-unreferenced-disks?:b purge?:b skiplock?:b"],
            destroy,
        )
        .returns("string"),
    ]
}

fn entry(vmid: u32, guest: &Guest, cores: u32, now: f64) -> Value {
    let up = guest.running.is_some();
    let mut out = json!({
        "vmid": vmid,
        "name": guest.name(vmid),
        "status": if up { "running" } else { "stopped" },
        "cpus": guest.config.int("cores").unwrap_or(1).min(u64::from(cores)),
        "maxmem": guest.max_mem(),
        "maxdisk": 0,
        "cpu": 0, "mem": 0, "disk": 0, "diskread": 0, "diskwrite": 0, "netin": 0, "netout": 0, "memhost": 0,
        "uptime": guest.running.as_ref().map_or(0, |r| (now - r.since).max(0.0) as u64),
    });
    for key in ["tags", "lock"] {
        if let Some(value) = guest.config.get(key) {
            out[key] = json!(value);
        }
    }
    if let Some(running) = &guest.running {
        out["pid"] = json!(running.pid);
    }
    if guest.config.is_on("template") {
        out["template"] = json!(1);
    }
    out
}

fn list(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let now = call.site.clock.now_precise();
    let mine = world.guests.iter().filter(|(_, g)| g.kind == GuestKind::Qemu && g.node == call.node());
    let seen = mine.filter(|(v, _)| world.access.check(&call.who, &format!("/vms/{v}"), &["VM.Audit"], false).is_ok());
    let out = seen.map(|(v, g)| entry(*v, g, world.node_cores(&g.node), now)).collect();
    Ok(Value::Array(out).into())
}

fn root(call: &Call) -> ReplyResult {
    call.site.world().guest(GuestKind::Qemu, call.node(), call.vmid())?;
    Ok(index("subdir", &["config", "firewall", "status"]).into())
}

fn config(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let guest = world.guest(GuestKind::Qemu, call.node(), call.vmid())?;
    let mut out = keys_json(&guest.config.keys);
    out.insert("digest".into(), json!(guest.config.digest()));
    Ok(Value::Object(out).into())
}

fn current(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let guest = world.guest(GuestKind::Qemu, call.node(), call.vmid())?;
    let mut out = entry(call.vmid(), guest, world.node_cores(call.node()), call.site.clock.now_precise());
    out["ha"] = json!({"managed": 0});
    out["qmpstatus"] = out["status"].clone();
    Ok(out.into())
}

fn destroy(call: &Call) -> ReplyResult {
    let (vmid, node) = (call.vmid(), call.node().to_owned());
    {
        let world = call.site.world();
        let guest = world.guest(GuestKind::Qemu, &node, vmid)?;
        if let Some(lock) = guest.config.get("lock") {
            return Err(ApiError::die(format!("VM is locked ({lock})")));
        }
        if guest.running.is_some() {
            return Err(ApiError::die(format!("VM {vmid} is running - destroy failed")));
        }
    }
    Ok(Site::spawn(call, "qmdestroy", &vmid.to_string(), |ctx| async move {
        ctx.work(Work::Destroy).await?;
        ctx.last_chance()?;
        ctx.effect("destroy", vmid);
        let mut world = ctx.site.world();
        world.storages.remove_all_of(vmid, &node);
        world.remove_guest(vmid);
        Ok(())
    }))
}
