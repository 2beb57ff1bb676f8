//! Applies options to a container's config: formats, hotplug, pending changes, volumes.

use std::collections::BTreeMap;

use crate::api::error::{ApiError, ApiResult};
use crate::api::propstr;
use crate::families::lxc::{gigabytes, new_disk};
use crate::site::Site;
use crate::world::World;
use crate::world::config::{Keys, Mount, is_numbered};

/// Options that take effect at once on a running container without any plugging.
const FAST: &[&str] =
    &["description", "onboot", "startup", "protection", "hostname", "hookscript", "cores", "tags", "lock"];
/// Options that are plugged into a running container.
const HOTPLUG: &[&str] = &["cpulimit", "cpuunits", "memory", "swap"];
/// A fresh file system takes about this part of its size.
const FRESH_PERMILLE: u64 = 30;

/// What to do to one container.
pub(super) struct Update<'a> {
    pub(super) node: &'a str,
    pub(super) vmid: u32,
    pub(super) set: &'a BTreeMap<String, String>,
    pub(super) delete: &'a [String],
    pub(super) revert: &'a [String],
}

/// Writes an option the way the config file has it.
pub(super) fn canonical(site: &Site, mac_prefix: &str, key: &str, value: &str) -> String {
    if is_numbered(key, "net") {
        return print_nic(site, mac_prefix, value);
    }
    match key {
        "tags" => normal_tags(value),
        "nameserver" | "searchdomain" => crate::api::format::split_list(value).collect::<Vec<_>>().join(" "),
        "description" => with_newline(value),
        _ => value.to_owned(),
    }
}

/// A NIC always has a type and a MAC address.
pub(super) fn print_nic(site: &Site, mac_prefix: &str, value: &str) -> String {
    let Ok(mut nic) = propstr::parse("net", value, "net") else { return value.to_owned() };
    nic.entry("type".to_owned()).or_insert_with(|| "veth".to_owned());
    nic.entry("hwaddr".to_owned()).or_insert_with(|| site.new_mac(mac_prefix));
    propstr::print("net", &nic)
}

/// Tags in lower case, sorted, each once.
fn normal_tags(value: &str) -> String {
    let tags: std::collections::BTreeSet<String> =
        crate::api::format::split_list(value).map(str::to_lowercase).collect();
    tags.into_iter().collect::<Vec<_>>().join(";")
}

/// The file keeps a description line by line, so it always ends in a newline.
pub(super) fn with_newline(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

/// The MAC prefix of the datacenter.
pub(super) fn mac_prefix(world: &World) -> String {
    world.options.get("mac_prefix").cloned().unwrap_or_else(|| "BC:24:11".to_owned())
}

/// Applies an update under the container's lock. On a running container what cannot be plugged stays pending.
pub(super) fn apply(site: &Site, world: &mut World, update: &Update<'_>) -> ApiResult<()> {
    let prefix = mac_prefix(world);
    let running = world.container(update.node, update.vmid)?.running.is_some();
    check_protection(world, update)?;
    check_fixed(update)?;
    check_content(world, update)?;
    if running {
        check_hotplug(world, update)?;
    }
    let guest = world.container_mut(update.node, update.vmid)?;
    for key in update.revert {
        guest.config.pending.set.remove(key);
        guest.config.pending.delete.remove(key);
    }
    for key in update.delete {
        guest.config.pending.set.remove(key);
        if guest.config.keys.contains_key(key) {
            guest.config.pending.delete.insert(key.clone(), false);
        }
    }
    for (key, value) in update.set {
        let value = canonical(site, &prefix, key, value);
        guest.config.pending.delete.remove(key);
        guest.config.pending.set.insert(key.clone(), value);
    }
    apply_pending(site, world, update.node, update.vmid, running)
}

fn check_protection(world: &World, update: &Update<'_>) -> ApiResult<()> {
    let config = &world.container(update.node, update.vmid)?.config;
    if !config.is_on("protection") {
        return Ok(());
    }
    let is_drive = |key: &str| key == "rootfs" || is_numbered(key, "mp");
    let vmid = update.vmid;
    if let Some(key) = update.set.keys().find(|k| is_drive(k)) {
        return Err(ApiError::die(format!("can't update CT {vmid} drive '{key}' - protection mode enabled")));
    }
    let removed = |k: &&String| (is_drive(k) || is_numbered(k, "unused")) && config.keys.contains_key(*k);
    match update.delete.iter().find(removed) {
        Some(key) => Err(ApiError::die(format!("can't remove CT {vmid} drive '{key}' - protection mode enabled"))),
        None => Ok(()),
    }
}

/// A mount point's storage must exist and take containers.
fn check_content(world: &World, update: &Update<'_>) -> ApiResult<()> {
    for (key, value) in update.set.iter().filter(|(k, _)| k.as_str() == "rootfs" || is_numbered(k, "mp")) {
        let Ok(mount) = Mount::parse(key, value) else { continue };
        let Some((storage, _)) = mount.volume().split_once(':').filter(|_| mount.kind() == "volume") else { continue };
        if !world.storages.get(storage)?.content.contains("rootdir") {
            let text = format!("storage '{storage}' does not support container directories");
            return Err(ApiError::param("storage", text));
        }
    }
    Ok(())
}

fn check_fixed(update: &Update<'_>) -> ApiResult<()> {
    if let Some(key) = update.delete.iter().find(|k| k.as_str() == "rootfs") {
        return Err(ApiError::die(format!("unable to delete required option '{key}'")));
    }
    if update.delete.iter().any(|k| k == "unprivileged") {
        return Err(ApiError::die("unable to delete read-only option: 'unprivileged'"));
    }
    if update.set.contains_key("unprivileged") {
        return Err(ApiError::die("unable to modify read-only option: 'unprivileged'"));
    }
    Ok(())
}

/// A NIC cannot be plugged into a bridge that is not there; then nothing is written at all.
fn check_hotplug(world: &World, update: &Update<'_>) -> ApiResult<()> {
    let mut errors = BTreeMap::new();
    for (key, value) in update.set.iter().filter(|(k, _)| is_numbered(k, "net")) {
        let bridge = propstr::parse("net", value, key).ok().and_then(|p| p.get("bridge").cloned());
        if let Some(bridge) = bridge.filter(|b| !has_bridge(world, update.node, b)) {
            errors.insert(key.clone(), format!("unable to hotplug {key}: bridge '{bridge}' does not exist\n"));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(ApiError::params(errors)) }
}

pub(super) fn has_bridge(world: &World, node: &str, bridge: &str) -> bool {
    world.nodes.get(node).is_some_and(|n| n.bridges.iter().any(|b| b.name == bridge))
}

/// A tag needs a bridge that takes tags, or a port behind it to put the tag on.
pub(super) fn untaggable_bridge(world: &World, node: &str, vmid: u32) -> Option<String> {
    let guest = world.guests.get(&vmid)?;
    let bridges = &world.nodes.get(node)?.bridges;
    let mut tagged = guest.config.nics().into_iter().filter(|(_, nic)| nic.contains_key("tag"));
    tagged.find_map(|(_, nic)| {
        let bridge = bridges.iter().find(|b| nic.get("bridge") == Some(&b.name))?;
        (!bridge.vlan_aware && bridge.ports.is_empty()).then(|| bridge.name.clone())
    })
}

/// The first NIC on a bridge that the node does not have.
pub(super) fn missing_bridge(world: &World, node: &str, vmid: u32) -> Option<String> {
    let guest = world.guests.get(&vmid)?;
    let mut bridges = guest.config.nics().into_iter().filter_map(|(_, nic)| nic.get("bridge").cloned());
    bridges.find(|b| !has_bridge(world, node, b))
}

/// Makes pending changes real; on a running container only those that can be.
pub(super) fn apply_pending(site: &Site, world: &mut World, node: &str, vmid: u32, running: bool) -> ApiResult<()> {
    let pending = world.container(node, vmid)?.config.pending.clone();
    let live = |key: &str| {
        !running
            || FAST.contains(&key)
            || HOTPLUG.contains(&key)
            || is_numbered(key, "net")
            || is_numbered(key, "unused")
    };
    for key in pending.delete.keys().filter(|k| live(k)) {
        delete_key(world, node, vmid, key)?;
    }
    for (key, value) in &pending.set {
        let is_mount = is_numbered(key, "mp");
        let over = world.container(node, vmid)?.config.keys.contains_key(key);
        if live(key) || (running && is_mount && !over) {
            set_key(site, world, node, vmid, key, value)?;
        }
    }
    Ok(())
}

fn delete_key(world: &mut World, node: &str, vmid: u32, key: &str) -> ApiResult<()> {
    let guest = world.container_mut(node, vmid)?;
    guest.config.pending.delete.remove(key);
    let Some(old) = guest.config.keys.remove(key) else { return Ok(()) };
    if is_numbered(key, "mp")
        && let Ok(mount) = Mount::parse(key, &old)
    {
        guest.config.add_unused(mount.volume());
    }
    if is_numbered(key, "unused")
        && let Some((storage, name)) = old.split_once(':')
    {
        world.storages.remove(storage, node, name);
    }
    Ok(())
}

fn set_key(site: &Site, world: &mut World, node: &str, vmid: u32, key: &str, value: &str) -> ApiResult<()> {
    let value =
        if is_numbered(key, "mp") { mount_value(site, world, node, vmid, key, value)? } else { value.to_owned() };
    let guest = world.container_mut(node, vmid)?;
    guest.config.pending.set.remove(key);
    if key == "description" && value.is_empty() {
        guest.config.keys.remove(key);
        return Ok(());
    }
    let old = guest.config.keys.insert(key.to_owned(), value.clone());
    if is_numbered(key, "mp")
        && let Some(mount) = old.and_then(|o| Mount::parse(key, &o).ok())
        && Mount::parse(key, &value).is_ok_and(|new| new.volume() != mount.volume())
    {
        guest.config.add_unused(mount.volume());
    }
    Ok(())
}

/// The entry of a mount point, its volume allocated when it asks for a new one.
fn mount_value(site: &Site, world: &mut World, node: &str, vmid: u32, key: &str, value: &str) -> ApiResult<String> {
    let Ok(mut mount) = Mount::parse(key, value) else { return Ok(value.to_owned()) };
    let volume = mount.volume().to_owned();
    if let Some((storage, count)) = new_disk(&volume) {
        let bytes = gigabytes(count);
        allocate_into(site, world, node, vmid, &mut mount, storage, bytes)?;
    } else if let Some((storage, name)) = volume.split_once(':')
        && let Some(found) = world.storages.volume(storage, node, name)
    {
        let size = crate::api::format::print_size(found.size);
        mount.props.entry("size".to_owned()).or_insert(size);
    }
    Ok(mount.print(key))
}

/// Allocates a volume and writes it and its size into a mount point entry.
pub(super) fn allocate_into(
    site: &Site,
    world: &mut World,
    node: &str,
    vmid: u32,
    mount: &mut Mount,
    storage: &str,
    bytes: u64,
) -> ApiResult<String> {
    let used = bytes * FRESH_PERMILLE / 1000;
    let name = world.storages.allocate(storage, node, vmid, bytes, used, site.now())?;
    let volid = format!("{storage}:{name}");
    mount.props.insert("volume".to_owned(), volid.clone());
    mount.props.insert("size".to_owned(), crate::api::format::print_size(bytes));
    Ok(volid)
}

/// What a new container's config gets when the call does not say.
pub(super) fn add_defaults(keys: &mut Keys, vmid: u32) {
    for (key, value) in [("arch", "amd64"), ("memory", "512"), ("swap", "512")] {
        keys.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    }
    keys.entry("hostname".to_owned()).or_insert_with(|| format!("CT{vmid}"));
}
