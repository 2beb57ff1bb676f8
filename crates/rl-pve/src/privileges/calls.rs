//! The table: what each call needs.

use rl_model::config::volume_of;
use rl_model::{PropertyString, Vmid};

use super::{Facts, Needs};
use crate::request::Method;

/// What allocating on a storage needs.
const ALLOCATE_SPACE: &[&str] = &["Datastore.AllocateSpace"];
/// What reading a storage needs.
const READ_STORAGE: &[&str] = &["Datastore.Audit", "Datastore.AllocateSpace"];

/// Calls on one guest that need one privilege, whatever their parameters.
const SIMPLE: &[(Method, &str, &[&str], &str)] = &[
    (Method::Get, "/nodes/{node}/lxc/{vmid}/config", &["VM.Audit"], "read configurations"),
    (Method::Get, "/nodes/{node}/lxc/{vmid}/pending", &["VM.Audit"], "read configurations"),
    (Method::Get, "/nodes/{node}/lxc/{vmid}/interfaces", &["VM.Audit"], "read live addresses"),
    (Method::Get, "/nodes/{node}/lxc/{vmid}/status/current", &["VM.Audit"], "read the state of guests"),
    (Method::Get, "/nodes/{node}/lxc/{vmid}/snapshot", &["VM.Audit"], "list snapshots"),
    (Method::Get, "/nodes/{node}/qemu/{vmid}/config", &["VM.Audit"], "read configurations"),
    (Method::Get, "/nodes/{node}/lxc/{vmid}/firewall/options", &["VM.Audit"], "read the firewall of guests"),
    (Method::Get, "/nodes/{node}/lxc/{vmid}/firewall/rules", &["VM.Audit"], "read the firewall of guests"),
    (Method::Get, "/nodes/{node}/lxc/{vmid}/firewall/ipset", &["VM.Audit"], "read the firewall of guests"),
    (Method::Get, "/nodes/{node}/lxc/{vmid}/firewall/ipset/{name}", &["VM.Audit"], "read the firewall of guests"),
    (Method::Get, "/nodes/{node}/lxc/{vmid}/firewall/aliases", &["VM.Audit"], "read the firewall of guests"),
    (Method::Get, "/nodes/{node}/qemu/{vmid}/firewall/options", &["VM.Audit"], "read the firewall of guests"),
    (Method::Get, "/nodes/{node}/qemu/{vmid}/firewall/rules", &["VM.Audit"], "read the firewall of guests"),
    (Method::Get, "/nodes/{node}/qemu/{vmid}/firewall/ipset", &["VM.Audit"], "read the firewall of guests"),
    (Method::Get, "/nodes/{node}/qemu/{vmid}/firewall/ipset/{name}", &["VM.Audit"], "read the firewall of guests"),
    (Method::Get, "/nodes/{node}/qemu/{vmid}/firewall/aliases", &["VM.Audit"], "read the firewall of guests"),
    (Method::Post, "/nodes/{node}/lxc/{vmid}/firewall/rules", &["VM.Config.Network"], "write the firewall of guests"),
    (
        Method::Put,
        "/nodes/{node}/lxc/{vmid}/firewall/rules/{pos}",
        &["VM.Config.Network"],
        "write the firewall of guests",
    ),
    (
        Method::Delete,
        "/nodes/{node}/lxc/{vmid}/firewall/rules/{pos}",
        &["VM.Config.Network"],
        "write the firewall of guests",
    ),
    (Method::Put, "/nodes/{node}/lxc/{vmid}/firewall/options", &["VM.Config.Network"], "write the firewall of guests"),
    (Method::Post, "/nodes/{node}/lxc/{vmid}/status/start", &["VM.PowerMgmt"], "start guests"),
    (Method::Post, "/nodes/{node}/lxc/{vmid}/status/shutdown", &["VM.PowerMgmt"], "shut guests down"),
    (Method::Post, "/nodes/{node}/lxc/{vmid}/status/stop", &["VM.PowerMgmt"], "stop guests"),
    (Method::Post, "/nodes/{node}/lxc/{vmid}/status/reboot", &["VM.PowerMgmt"], "restart guests"),
    (Method::Post, "/nodes/{node}/lxc/{vmid}/migrate", &["VM.Migrate"], "move guests to another node"),
    (Method::Post, "/nodes/{node}/lxc/{vmid}/template", &["VM.Allocate"], "make templates"),
    (Method::Post, "/nodes/{node}/lxc/{vmid}/snapshot", &["VM.Snapshot"], "take snapshots"),
    (Method::Delete, "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}", &["VM.Snapshot"], "delete snapshots"),
    (
        Method::Post,
        "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}/rollback",
        &["VM.Snapshot", "VM.Snapshot.Rollback"],
        "roll back to snapshots",
    ),
    (Method::Delete, "/nodes/{node}/lxc/{vmid}", &["VM.Allocate"], "remove guests"),
];

pub(super) fn collect(facts: &Facts<'_>, needs: &mut Needs) {
    let simple = SIMPLE.iter().find(|(method, path, ..)| *method == facts.method && *path == facts.template);
    if let Some((_, _, privileges, what_for)) = simple {
        needs.add(facts.guest_paths(facts.arg("vmid"), None), privileges, *what_for);
        return;
    }
    match (facts.method, facts.template) {
        (Method::Post, "/nodes/{node}/lxc") => create(facts, needs),
        (Method::Post, "/nodes/{node}/lxc/{vmid}/clone") => clone(facts, needs),
        (Method::Put, "/nodes/{node}/lxc/{vmid}/config") => configure(facts, needs),
        (Method::Put, "/nodes/{node}/lxc/{vmid}/resize") => resize(facts, needs),
        (Method::Post, "/nodes/{node}/lxc/{vmid}/move_volume") => move_volume(facts, needs),
        (Method::Get, "/cluster/status") => needs.add(vec!["/".into()], &["Sys.Audit"], "read the cluster's state"),
        (
            Method::Get,
            "/cluster/firewall/options"
            | "/cluster/firewall/groups/{group}"
            | "/cluster/firewall/ipset"
            | "/cluster/firewall/ipset/{name}"
            | "/cluster/firewall/aliases"
            | "/cluster/firewall/rules",
        ) => needs.add(vec!["/".into()], &["Sys.Audit"], "read the datacenter's firewall"),
        (Method::Post | Method::Put | Method::Delete, path) if path.starts_with("/cluster/firewall/") => {
            needs.add(vec!["/".into()], &["Sys.Modify"], "write the datacenter's firewall");
        }
        (Method::Get, "/nodes/{node}/firewall/options" | "/nodes/{node}/firewall/rules") => {
            needs.add(vec![format!("/nodes/{}", facts.arg("node"))], &["Sys.Audit"], "read the node's firewall");
        }
        (Method::Get, "/nodes/{node}/status") => {
            needs.add(vec![format!("/nodes/{}", facts.arg("node"))], &["Sys.Audit"], "read the node's state");
        }
        (Method::Get, "/nodes/{node}/storage/{storage}/content") => {
            needs.add(vec![format!("/storage/{}", facts.arg("storage"))], READ_STORAGE, "list templates and disks");
        }
        (Method::Put, "/pools") => {
            let pool = facts.param("poolid").unwrap_or_default();
            needs.add(vec![format!("/pool/{pool}")], &["Pool.Allocate"], "put guests into pools");
        }
        // The others answer anyone who is known, with what he may see.
        _ => {}
    }
}

fn create(facts: &Facts<'_>, needs: &mut Needs) {
    let paths = facts.guest_paths(facts.param("vmid").unwrap_or_default(), facts.param("pool"));
    needs.add(paths.clone(), &["VM.Allocate"], "create guests");
    if let Some((storage, _)) = facts.param("ostemplate").and_then(|volume| volume.split_once(':')) {
        needs.add(vec![format!("/storage/{storage}")], READ_STORAGE, "read templates");
    }
    let unprivileged = facts.param("unprivileged") == Some("1");
    if !unprivileged {
        needs.add(vec!["/".into()], &["Sys.Modify"], "create privileged containers");
    }
    for param in facts.params {
        option(facts, &paths, &param.name, param.value.expose(), unprivileged, needs);
    }
}

fn configure(facts: &Facts<'_>, needs: &mut Needs) {
    let paths = facts.guest_paths(facts.arg("vmid"), None);
    for param in facts.params {
        match param.name.as_str() {
            "digest" | "revert" => {}
            "delete" => {
                for key in param.value.expose().split(',').filter(|key| !key.is_empty()) {
                    option(facts, &paths, key, "", true, needs);
                }
            }
            key => option(facts, &paths, key, param.value.expose(), true, needs),
        }
    }
}

/// What setting (or, with an empty value, taking away) one key of a configuration needs.
fn option(facts: &Facts<'_>, paths: &[String], key: &str, value: &str, unprivileged: bool, needs: &mut Needs) {
    let mut guest = |privilege: &'static str, what_for: &str| needs.add(paths.to_vec(), &[privilege], what_for);
    let numbered = |prefix: &str| key.strip_prefix(prefix).is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
    match key {
        "vmid" | "ostemplate" | "pool" | "start" | "unprivileged" | "ssh-public-keys" | "storage" => {}
        "cores" | "cpulimit" | "cpuunits" => guest("VM.Config.CPU", "set CPU limits"),
        "memory" | "swap" => guest("VM.Config.Memory", "set memory limits"),
        "hostname" | "nameserver" | "searchdomain" => guest("VM.Config.Network", "set names and name servers"),
        "features" => features(value, unprivileged, paths, needs),
        "hookscript" => drop(needs.root_only.insert("hook scripts".into())),
        "rootfs" => disk(paths, value, needs),
        _ if numbered("mp") => disk(paths, value, needs),
        _ if numbered("dev") => drop(needs.root_only.insert("passing host devices to containers".into())),
        _ if numbered("net") => nic(facts, paths, value, needs),
        _ => guest("VM.Config.Options", "set options such as tags and description"),
    }
}

fn features(value: &str, unprivileged: bool, paths: &[String], needs: &mut Needs) {
    let parsed = PropertyString::parse(value);
    let others: Vec<&str> = parsed.pairs().map(|(key, _)| key).filter(|key| *key != "nesting").collect();
    if !others.is_empty() {
        needs.root_only.insert(format!("features other than nesting ({})", others.join(", ")));
    }
    if !unprivileged && parsed.get("nesting").is_some() {
        needs.root_only.insert("features of privileged containers".into());
    }
    if unprivileged && (parsed.get("nesting").is_some() || value.is_empty()) {
        needs.add(paths.to_vec(), &["VM.Allocate"], "switch nesting on or off");
    }
}

fn disk(paths: &[String], value: &str, needs: &mut Needs) {
    needs.add(paths.to_vec(), &["VM.Config.Disk"], "set disks and mount points");
    if value.is_empty() {
        return;
    }
    match volume_of(value) {
        Some(volume) => {
            needs.add(vec![format!("/storage/{}", volume.storage())], ALLOCATE_SPACE, "make disks");
        }
        None => drop(needs.root_only.insert("bind and device mounts".into())),
    }
}

fn nic(facts: &Facts<'_>, paths: &[String], value: &str, needs: &mut Needs) {
    needs.add(paths.to_vec(), &["VM.Config.Network"], "set NICs");
    let parsed = PropertyString::parse(value);
    let Some(bridge) = parsed.get("bridge") else { return };
    let zone =
        bridge.parse().ok().and_then(|name| facts.context.zones.get(&name)).map_or("localnetwork", String::as_str);
    let tag = parsed.get("tag").map(|tag| format!("/{tag}")).unwrap_or_default();
    needs.add(vec![format!("/sdn/zones/{zone}/{bridge}{tag}")], &["SDN.Use"], "use the bridge");
}

fn clone(facts: &Facts<'_>, needs: &mut Needs) {
    let source = facts.arg("vmid");
    needs.add(facts.guest_paths(source, None), &["VM.Clone"], "clone guests");
    let newid = facts.param("newid").unwrap_or_default();
    needs.add(facts.guest_paths(newid, facts.param("pool")), &["VM.Allocate"], "create guests");
    let storage = facts.param("storage").map(str::to_owned).or_else(|| storage_of(facts, source, "rootfs"));
    if let Some(storage) = storage {
        needs.add(vec![format!("/storage/{storage}")], ALLOCATE_SPACE, "make disks");
    }
}

fn resize(facts: &Facts<'_>, needs: &mut Needs) {
    let vmid = facts.arg("vmid");
    needs.add(facts.guest_paths(vmid, None), &["VM.Config.Disk"], "grow disks");
    if let Some(storage) = facts.param("disk").and_then(|disk| storage_of(facts, vmid, disk)) {
        needs.add(vec![format!("/storage/{storage}")], ALLOCATE_SPACE, "grow disks");
    }
}

fn move_volume(facts: &Facts<'_>, needs: &mut Needs) {
    needs.add(facts.guest_paths(facts.arg("vmid"), None), &["VM.Config.Disk"], "move disks");
    let storage = facts.param("storage").unwrap_or_default();
    needs.add(vec![format!("/storage/{storage}")], ALLOCATE_SPACE, "make disks");
}

fn storage_of(facts: &Facts<'_>, vmid: &str, disk: &str) -> Option<String> {
    let vmid: Vmid = vmid.parse().ok()?;
    facts.context.disks.get(&(vmid, disk.to_owned())).map(ToString::to_string)
}
