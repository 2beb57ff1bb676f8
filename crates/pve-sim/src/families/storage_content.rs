//! What lies on a storage: listing, allocating, removing, downloading.

use std::time::Duration;

use serde_json::{Value, json};

use crate::api::call::{Call, Reply, ReplyResult};
use crate::api::endpoint::{Endpoint, delete, get, post, put};
use crate::api::error::{ApiError, ApiResult};
use crate::latency::Work;
use crate::site::Site;
use crate::world::World;
use crate::world::guest::GuestKind;
use crate::world::storage::{Volume, VolumeId};

const AUDIT: &str = "/storage/{storage} Datastore.Audit|Datastore.AllocateSpace";
const VOLUME: &str = "node storage?:s@pve-storage-id volume:s";
const DOWNLOAD_PERM: &str =
    "and(/storage/{storage} Datastore.AllocateTemplate; or(/ Sys.Audit+Sys.Modify; /nodes/{node} Sys.AccessNetwork))";

pub(super) fn endpoints() -> Vec<Endpoint> {
    let one = "/nodes/{node}/storage/{storage}/content/{volume}";
    vec![
        get(
            "/nodes/{node}/storage/{storage}/content",
            AUDIT,
            &["node storage:s@pve-storage-id content?:s@pve-storage-content vmid?:i@pve-vmid[100..999999999]"],
            list,
        )
        .protected()
        .returns("array"),
        post(
            "/nodes/{node}/storage/{storage}/content",
            "/storage/{storage} Datastore.AllocateSpace",
            &[r"node vmid storage:s@pve-storage-id filename:s format?:s{raw|qcow2|subvol|vmdk}!size size:s~\d+[MG]?"],
            allocate,
        )
        .returns("string"),
        get(one, "all", &[VOLUME], look).protected().rest().returns("object"),
        delete(one, "all", &[VOLUME, "delay?:i[1..30]"], remove).rest().returns("string"),
        put(one, "all", &[VOLUME, "notes?:s protected?:b"], annotate).rest(),
        post(
            "/nodes/{node}/storage/{storage}/download-url",
            DOWNLOAD_PERM,
            &["node storage:s@pve-storage-id checksum?:s!checksum-algorithm \
               checksum-algorithm?:s{md5|sha1|sha224|sha256|sha384|sha512}!checksum compression?:s \
               content:s@pve-storage-content{iso|vztmpl|import} filename:s<255 url:s~https?://.* verify-certificates?:b"],
            download,
        )
        .returns("string"),
    ]
}

/// What the name of a volume says of it.
pub(super) struct NameKind {
    pub(super) content: &'static str,
    pub(super) owner: Option<u32>,
}

/// Reads a volume's name: templates and images have a directory, disks carry their guest's number.
pub(super) fn kind_of_name(name: &str) -> NameKind {
    if let Some((dir, file)) = name.split_once('/') {
        let content = match dir {
            "iso" => "iso",
            "vztmpl" => "vztmpl",
            "snippets" => "snippets",
            "import" => "import",
            "backup" => {
                let owner = file.split('-').nth(2).and_then(|v| v.parse().ok());
                return NameKind { content: "backup", owner };
            }
            _ => "images",
        };
        if content != "images" {
            return NameKind { content, owner: None };
        }
        if let Ok(owner) = dir.parse() {
            return NameKind { content: "images", owner: Some(owner) };
        }
    }
    let file = name.rsplit('/').next().unwrap_or(name);
    NameKind { content: "images", owner: file.split('-').nth(1).and_then(|v| v.parse().ok()) }
}

/// Disks of a container are `rootdir`, disks of anybody else `images`.
fn content_of(world: &World, volume: &Volume) -> &'static str {
    if let Some(content) = volume.content {
        return content;
    }
    let owner = volume.vmid.and_then(|v| world.guests.get(&v));
    if owner.is_some_and(|g| g.kind == GuestKind::Lxc) { "rootdir" } else { "images" }
}

fn list(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let id = call.args.must("storage");
    world.storages.usable(id, call.node())?;
    let vmid = call.args.int("vmid").and_then(|v| u32::try_from(v).ok());
    let may_all = world.access.check(&call.who, &format!("/storage/{id}"), &["Datastore.Allocate"], false).is_ok();
    let mut out = Vec::new();
    for (name, volume) in world.storages.volumes(id, call.node()) {
        let content = content_of(&world, volume);
        let owned = volume
            .vmid
            .is_none_or(|v| world.access.check(&call.who, &format!("/vms/{v}"), &["VM.Audit"], false).is_ok());
        let fits = call.text("content").is_none_or(|c| c == content) && (vmid.is_none() || vmid == volume.vmid);
        if fits && (may_all || owned) {
            out.push(entry(id, name, volume, content));
        }
    }
    Ok(Value::Array(out).into())
}

fn entry(storage: &str, name: &str, volume: &Volume, content: &str) -> Value {
    let mut out = json!({
        "volid": format!("{storage}:{name}"),
        "content": content,
        "format": volume.format,
        "size": volume.size,
        "ctime": volume.ctime,
    });
    if let Some(notes) = &volume.notes {
        out["notes"] = json!(notes);
    }
    if volume.protected {
        out["protected"] = json!(1);
    }
    if let Some(vmid) = volume.vmid {
        out["vmid"] = json!(vmid);
        if volume.content.is_none() {
            out["used"] = json!(volume.used);
            out["parent"] = Value::Null;
        }
    }
    out
}

/// The volume a path names, with the storage it is on.
fn volume_of(call: &Call) -> ApiResult<(String, String)> {
    let storage = call.args.must("storage").to_owned();
    let text = call.args.must("volume");
    let Some(id) = VolumeId::parse(text) else {
        call.site.world().storages.get(&storage)?;
        let known = text.contains('/') && kind_of_name(text).content != "images" || kind_of_name(text).owner.is_some();
        return if known {
            Ok((storage, text.to_owned()))
        } else {
            Err(ApiError::die(format!("unable to parse directory volume name '{text}'")))
        };
    };
    if id.storage != storage {
        return Err(ApiError::param("volume", format!("storage ID mismatch ({} != {storage})\n", id.storage)));
    }
    Ok((storage, id.name.to_owned()))
}

fn look(call: &Call) -> ReplyResult {
    let (storage, name) = volume_of(call)?;
    let volid = format!("{storage}:{name}");
    check_access(call, &volid)?;
    let world = call.site.world();
    let def = world.storages.usable(&storage, call.node())?;
    let volume = world
        .storages
        .volume(&storage, call.node(), &name)
        .ok_or_else(|| ApiError::die(format!("volume_size_info on '{volid}' failed - no format")))?;
    /// qemu-img counts sectors, the file system blocks.
    const SECTOR: u64 = 512;
    const BLOCK: u64 = 4096;
    let format = if volume.content.is_some() { "raw" } else { &volume.format };
    let (size, used) = (volume.size.next_multiple_of(SECTOR), volume.used.next_multiple_of(BLOCK));
    Ok(json!({"path": def.path_of(&name), "size": size, "used": used, "format": format}).into())
}

/// Volumes of a guest need its privileges, files those of the storage.
fn check_access(call: &Call, volid: &str) -> ApiResult<()> {
    let (storage, name) = volid.split_once(':').unwrap_or(("", volid));
    let path = format!("/storage/{storage}");
    let world = call.site.world();
    world.storages.get(storage)?;
    if world.access.check(&call.who, &path, &["Datastore.Allocate"], false).is_ok() {
        return Ok(());
    }
    let kind = kind_of_name(name);
    match kind.owner {
        None => world.access.check(&call.who, &path, &["Datastore.AllocateSpace", "Datastore.Audit"], true),
        Some(owner) => {
            world.access.check(&call.who, &path, &["Datastore.Audit"], false)?;
            let privilege = if kind.content == "backup" { "VM.Backup" } else { "VM.Config.Disk" };
            world.access.check(&call.who, &format!("/vms/{owner}"), &[privilege], false)
        }
    }
}

fn allocate(call: &Call) -> ReplyResult {
    let vmid = call.vmid();
    let id = call.args.must("storage");
    let filename = call.args.must("filename");
    let plain = filename.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let mut world = call.site.world();
    let def = world.storages.usable(id, call.node())?.clone();
    if !plain || filename.starts_with('.') {
        return Err(ApiError::die(format!("unable to parse volume filename '{filename}'")));
    }
    let name = if def.is_file_based() { format!("{vmid}/{filename}") } else { filename.to_owned() };
    if world.storages.volume(id, call.node(), &name).is_some() {
        return Err(ApiError::die(format!("disk image '{}' already exists", def.path_of(&name))));
    }
    let text = call.args.must("size");
    // A bare number counts KiB here, unlike everywhere else.
    let size = if text.ends_with(['M', 'G']) {
        crate::api::format::parse_size(text).unwrap_or(0)
    } else {
        text.parse::<u64>().unwrap_or(0) << 10
    };
    let by_name = filename.rsplit_once('.').map_or("raw", |(_, ext)| if ext == "qcow2" { "qcow2" } else { "raw" });
    let format = call.text("format").unwrap_or(by_name).to_owned();
    let volume = Volume { vmid: Some(vmid), size, used: 4096, format, ctime: call.site.now(), ..Volume::default() };
    world.storages.insert(id, call.node(), &name, volume);
    Ok(json!(format!("{id}:{name}")).into())
}

fn remove(call: &Call) -> ReplyResult {
    let (storage, name) = volume_of(call)?;
    let volid = format!("{storage}:{name}");
    check_access(call, &volid)?;
    let path = {
        let world = call.site.world();
        let def = world.storages.usable(&storage, call.node())?;
        def.path_of(&name)
    };
    let owner = kind_of_name(&name).owner;
    let id = owner.map_or(storage.clone(), |v| format!("{v}@{storage}"));
    let node = call.node().to_owned();
    Ok(Site::spawn(call, "imgdel", &id, |ctx| async move {
        ctx.work(Work::Small).await?;
        ctx.last_chance()?;
        if ctx.site.world().storages.volume(&storage, &node, &name).is_some_and(|v| v.protected) {
            return Err(format!("cannot remove protected volume '{name}' on '{storage}'"));
        }
        if ctx.site.world().storages.remove(&storage, &node, &name).is_none() {
            ctx.log(format!("disk image '{path}' does not exist"));
        }
        ctx.log(format!("Removed volume '{volid}'"));
        Ok(())
    }))
}

/// Notes and protection are for backups.
fn annotate(call: &Call) -> ReplyResult {
    let (storage, name) = volume_of(call)?;
    check_access(call, &format!("{storage}:{name}"))?;
    let mut world = call.site.world();
    let node = call.node().to_owned();
    let volume = world.storages.volume_mut(&storage, &node, &name);
    let volume = volume.ok_or_else(|| ApiError::die(format!("volume '{storage}:{name}' does not exist")))?;
    if volume.content != Some("backup") {
        let what = if call.args.has("notes") { "notes" } else { "protected" };
        return Err(ApiError::die(format!("attribute '{what}' is not supported for storage type or volume '{name}'")));
    }
    if let Some(notes) = call.text("notes") {
        volume.notes = (!notes.is_empty()).then(|| notes.to_owned());
    }
    if let Some(protected) = call.args.flag("protected") {
        volume.protected = protected;
    }
    Ok(Reply::null())
}

fn download(call: &Call) -> ReplyResult {
    let content = call.args.must("content").to_owned();
    let filename = call.args.must("filename").to_owned();
    let endings: &[&str] = match content.as_str() {
        "vztmpl" => &[".tar.gz", ".tar.xz", ".tar.zst", ".tar"],
        "iso" => &[".iso", ".img"],
        _ => &[".qcow2", ".raw", ".vmdk", ".ova"],
    };
    if !endings.iter().any(|e| filename.ends_with(e)) {
        return Err(ApiError::param("filename", "wrong file extension"));
    }
    let storage = call.args.must("storage").to_owned();
    {
        let world = call.site.world();
        let def = world.storages.usable(&storage, call.node())?;
        if !def.content.contains(&content) {
            return Err(ApiError::die(format!("storage '{storage}' is not configured for content-type '{content}'")));
        }
    }
    let url = call.args.must("url").to_owned();
    Ok(Site::spawn(call, "download", &filename.clone(), |ctx| async move {
        // The simulator has no network behind its nodes: whatever is asked for cannot be reached.
        ctx.spend(Duration::from_secs(1)).await?;
        let host = url.split("://").nth(1).and_then(|r| r.split('/').next()).unwrap_or("").to_owned();
        ctx.log(format!("downloading {url} to /var/lib/vz/template/cache/{filename}"));
        Err(format!("download failed: Connecting to {host}... failed: Connection refused."))
    }))
}
