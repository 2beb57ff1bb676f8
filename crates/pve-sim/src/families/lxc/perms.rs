//! Who may set which option of a container.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::call::{Args, Call};
use crate::api::error::{ApiError, ApiResult};
use crate::api::propstr::{self, Props};
use crate::families::lxc::new_disk;
use crate::world::config::{Keys, Mount, is_numbered};
use crate::world::storage::VolumeId;

/// What a change of options is checked against.
pub(super) struct Change<'a> {
    pub(super) vmid: u32,
    /// The pool a new container goes into.
    pub(super) pool: Option<&'a str>,
    pub(super) old: &'a Keys,
    pub(super) new: &'a BTreeMap<String, String>,
    pub(super) delete: &'a [String],
    pub(super) unprivileged: bool,
}

/// Checks every option that is set or deleted. root@pam itself may do anything.
pub(super) fn check(call: &Call, change: &Change<'_>) -> ApiResult<()> {
    if call.who.is_root() {
        return Ok(());
    }
    for (option, value) in change.new {
        check_option(call, change, option, Some(value))?;
    }
    for option in change.delete {
        check_option(call, change, option, None)?;
    }
    Ok(())
}

fn check_option(call: &Call, change: &Change<'_>, option: &str, value: Option<&str>) -> ApiResult<()> {
    let need = |privilege: &str| check_vm(call, change.vmid, change.pool, privilege);
    match option {
        "cores" | "cpuunits" | "cpulimit" => need("VM.Config.CPU"),
        "memory" | "swap" => need("VM.Config.Memory"),
        "nameserver" | "searchdomain" | "hostname" => need("VM.Config.Network"),
        "features" => check_features(call, change, value),
        "hookscript" => Err(ApiError::perm("changing the hookscript is only allowed for root@pam")),
        _ if option == "rootfs" || is_numbered(option, "mp") => {
            need("VM.Config.Disk")?;
            value.map_or(Ok(()), |v| check_mount(call, change.vmid, option, v))
        }
        _ if is_numbered(option, "net") => {
            need("VM.Config.Network")?;
            if let Some(old) = change.old.get(option) {
                check_bridge(call, old, option)?;
            }
            value.map_or(Ok(()), |v| check_bridge(call, v, option))
        }
        _ if is_numbered(option, "dev") => {
            Err(ApiError::perm("configuring device passthrough is only allowed for root@pam"))
        }
        _ if is_numbered(option, "unused") => need("VM.Config.Disk"),
        _ => need("VM.Config.Options"),
    }
}

/// A privilege on a container, or on the pool it will be in.
fn check_vm(call: &Call, vmid: u32, pool: Option<&str>, privilege: &str) -> ApiResult<()> {
    if let Some(pool) = pool
        && call.may(&format!("/pool/{pool}"), &[privilege])
    {
        return Ok(());
    }
    call.check(&format!("/vms/{vmid}"), &[privilege])
}

fn check_mount(call: &Call, vmid: u32, option: &str, value: &str) -> ApiResult<()> {
    let mount = Mount::parse(option, value).map_err(propstr::PropError::into_api)?;
    if mount.kind() != "volume" {
        return Err(ApiError::perm(format!("mount point type {} is only allowed for root@pam", mount.kind())));
    }
    match new_disk(mount.volume()) {
        Some((storage, _)) => call.check(&format!("/storage/{storage}"), &["Datastore.AllocateSpace"]),
        None => check_volume(call, Some(vmid), mount.volume(), "rootdir"),
    }
}

/// May the caller use an existing volume for this purpose?
pub(super) fn check_volume(call: &Call, vmid: Option<u32>, volid: &str, wanted: &str) -> ApiResult<()> {
    let Some(id) = VolumeId::parse(volid) else {
        if call.who.is_root() {
            return Ok(());
        }
        let text = "Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 651.";
        return Err(ApiError::die(text));
    };
    call.site.world().storages.get(id.storage)?;
    let kind = crate::families::storage_content::kind_of_name(id.name);
    let fits = kind.content == wanted || (wanted == "rootdir" && kind.content == "images");
    if !fits {
        return Err(ApiError::die(format!("unable to use volume {volid} - content type needs to be '{wanted}'")));
    }
    let path = format!("/storage/{}", id.storage);
    if call.may(&path, &["Datastore.Allocate"]) {
        return Ok(());
    }
    match (kind.content, kind.owner) {
        ("iso" | "vztmpl" | "import", _) => {
            call.site.world().access.check(&call.who, &path, &["Datastore.AllocateSpace", "Datastore.Audit"], true)
        }
        (_, Some(owner)) if Some(owner) == vmid => Ok(()),
        ("backup", Some(owner)) => {
            call.check(&path, &["Datastore.AllocateSpace"])?;
            call.check(&format!("/vms/{owner}"), &["VM.Backup"])
        }
        ("images" | "rootdir", Some(owner)) => {
            call.check(&path, &["Datastore.Audit"])?;
            call.check(&format!("/vms/{owner}"), &["VM.Config.Disk"])
        }
        _ => Err(ApiError::die(format!("missing privileges to access {volid}"))),
    }
}

/// A NIC may only go on a bridge, and with a tag, that its owner may use.
fn check_bridge(call: &Call, value: &str, option: &str) -> ApiResult<()> {
    let Ok(nic) = propstr::parse("net", value, option) else { return Ok(()) };
    let Some(bridge) = nic.get("bridge") else { return Ok(()) };
    let base = format!("/sdn/zones/localnetwork/{bridge}");
    let tags: BTreeSet<&str> = nic
        .get("tag")
        .map(String::as_str)
        .into_iter()
        .chain(nic.get("trunks").into_iter().flat_map(|t| t.split(';')))
        .collect();
    if tags.is_empty() {
        return call.check(&base, &["SDN.Use"]);
    }
    tags.into_iter().try_for_each(|tag| call.check(&format!("{base}/{tag}"), &["SDN.Use"]))
}

fn check_features(call: &Call, change: &Change<'_>, value: Option<&str>) -> ApiResult<()> {
    if !change.unprivileged {
        return Err(ApiError::perm("changing feature flags for privileged container is only allowed for root@pam"));
    }
    let parse = |text: &str| propstr::parse("features", text, "features").unwrap_or_default();
    let old = change.old.get("features").map(|f| parse(f)).unwrap_or_default();
    let new = value.map(parse).unwrap_or_default();
    let differs = |name: &String| flag(&old, name) != flag(&new, name);
    let changed: BTreeSet<&String> = old.keys().chain(new.keys()).filter(|n| differs(n)).collect();
    if changed.iter().any(|name| name.as_str() != "nesting") {
        return Err(ApiError::perm("changing feature flags (except nesting) is only allowed for root@pam"));
    }
    if changed.is_empty() { Ok(()) } else { check_vm(call, change.vmid, change.pool, "VM.Allocate") }
}

fn flag<'a>(features: &'a Props, name: &str) -> &'a str {
    features.get(name).map_or("", String::as_str)
}

/// The texts of the options in a call, path parameters and those with a meaning of their own left out.
pub(super) fn options_of(args: &Args, left_out: &[&str]) -> BTreeMap<String, String> {
    let keep = |name: &str| !left_out.contains(&name);
    args.0.keys().filter(|n| keep(n)).filter_map(|n| args.text(n).map(|t| (n.clone(), t.to_owned()))).collect()
}
