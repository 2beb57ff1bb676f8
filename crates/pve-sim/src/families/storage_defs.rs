//! Storage definitions: `/storage`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::api::call::{Call, Reply, ReplyResult};
use crate::api::endpoint::{Endpoint, delete, get, post, put};
use crate::api::error::{ApiError, ApiResult};
use crate::api::format::split_list;
use crate::world::World;
use crate::world::firewall::digest;
use crate::world::storage::Storage;

const TYPES: &str = "btrfs|cephfs|cifs|dir|esxi|iscsi|iscsidirect|lvm|lvmthin|nfs|pbs|rbd|zfs|zfspool";
/// What both create and update take.
const COMMON: &str = "blocksize?:s bwlimit?:s@$bwlimit comstar_hg?:s comstar_tg?:s content?:s@pve-storage-content-list \
    content-dirs?:s@pve-dir-override-list create-base-path?:b create-subdirs?:b data-pool?:s disable?:b domain?:s<256 \
    encryption-key?:s fingerprint?:s~([A-Fa-f0-9]{2}:){31}[A-Fa-f0-9]{2} format?:s{raw|qcow2|subvol|vmdk} \
    fs-name?:s@pve-configid fuse?:b is_mountpoint?:s keyring?:s krbd?:b lio_tpg?:s master-pubkey?:s \
    max-protected-backups?:i[-1..] mkdir?:b monhost?:s@pve-storage-portal-dns-list mountpoint?:s@pve-storage-path namespace?:s \
    nocow?:b nodes?:s@pve-node-list nowritecache?:b options?:s@pve-storage-options password?:s<256 pool?:s port?:i[1..65535] \
    preallocation?:s{off|metadata|falloc|full} prune-backups?:s@prune-backups saferemove?:b \
    saferemove-stepsize?:i{1|2|4|8|16|32} saferemove_throughput?:s server?:s@pve-storage-server shared?:b \
    skip-cert-verification?:b smbversion?:s{default|2.0|2.1|3|3.0|3.11} snapshot-as-volume-chain?:b sparse?:b \
    storage:s@pve-storage-id subdir?:s@pve-storage-path tagged_only?:b username?:s zfs-base-path?:s@pve-storage-path";
const CREATE_ONLY: &str = "authsupported?:s base?:s@pve-volume-id datastore?:s export?:s@pve-storage-path iscsiprovider?:s \
    path?:s@pve-storage-path portal?:s@pve-storage-portal-dns share?:s target?:s thinpool?:s@pve-storage-vgname \
    vgname?:s@pve-storage-vgname";
/// Options every type has.
const ANY_TYPE: &[&str] =
    &["nodes", "disable", "content", "shared", "bwlimit", "prune-backups", "max-protected-backups", "format"];

/// Options of the file based types for the folders they make.
const FOLDERS: &[&str] = &["mkdir", "create-base-path", "create-subdirs", "content-dirs"];

/// Required options of a type, then the optional ones that are its own.
fn options_of(kind: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match kind {
        "dir" => (&["path"], &["is_mountpoint", "preallocation", "snapshot-as-volume-chain"]),
        "btrfs" => (&["path"], &["is_mountpoint", "nocow", "preallocation"]),
        "nfs" => (&["server", "export"], &["path", "options", "preallocation"]),
        "cifs" => {
            (&["server", "share"], &["path", "subdir", "username", "password", "domain", "smbversion", "options"])
        }
        "zfspool" => (&["pool"], &["blocksize", "sparse", "mountpoint"]),
        "lvm" => (&["vgname"], &["base", "saferemove", "saferemove-stepsize", "saferemove_throughput", "tagged_only"]),
        "lvmthin" => (&["vgname", "thinpool"], &[]),
        "rbd" => (&[], &["monhost", "pool", "data-pool", "namespace", "username", "krbd", "keyring"]),
        "cephfs" => (&[], &["monhost", "username", "path", "subdir", "fuse", "keyring", "fs-name", "options"]),
        "pbs" => {
            (&["server", "datastore"], &["namespace", "port", "username", "password", "encryption-key", "fingerprint"])
        }
        "iscsi" | "iscsidirect" => (&["portal", "target"], &[]),
        "esxi" => (&["server"], &["username", "password", "skip-cert-verification"]),
        _ => (&["portal", "target", "pool", "iscsiprovider", "blocksize"], &["nowritecache", "sparse", "lio_tpg"]),
    }
}

fn makes_folders(kind: &str) -> bool {
    matches!(kind, "dir" | "btrfs" | "nfs" | "cifs" | "cephfs")
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let allocate = "/storage Datastore.Allocate";
    let one = &["storage:s@pve-storage-id"];
    let types = format!("type?:s{{{TYPES}}}");
    let needed_type = format!("type:s{{{TYPES}}}");
    vec![
        get("/storage", "all", &[&types], list).returns("array"),
        post("/storage", allocate, &[COMMON, CREATE_ONLY, &needed_type], create).returns("object"),
        get("/storage/{storage}", "/storage/{storage} Datastore.Allocate", one, look).returns("object"),
        put("/storage/{storage}", allocate, &[COMMON, "delete?:s@pve-configid-list<4096 digest?:s<64"], update)
            .returns("object"),
        delete("/storage/{storage}", allocate, one, remove),
    ]
}

/// The digest of all definitions, as of storage.cfg.
fn file_digest(world: &World) -> String {
    let text: String = world.storages.defs.iter().map(|(id, s)| format!("{id}: {s:?}\n")).collect();
    digest(&text)
}

fn definition(world: &World, id: &str, storage: &Storage) -> Value {
    let mut out = Map::new();
    for (key, value) in &storage.options {
        let number =
            value.parse::<i64>().ok().filter(|_| matches!(key.as_str(), "sparse" | "krbd" | "mkdir" | "nocow"));
        out.insert(key.clone(), number.map_or_else(|| json!(value), |n| json!(n)));
    }
    let content: Vec<&str> = storage.content.iter().map(String::as_str).collect();
    out.insert("storage".into(), json!(id));
    out.insert("type".into(), json!(storage.kind));
    out.insert("content".into(), json!(content.join(",")));
    out.insert("digest".into(), json!(file_digest(world)));
    if !storage.nodes.is_empty() {
        let nodes: Vec<&str> = storage.nodes.iter().map(String::as_str).collect();
        out.insert("nodes".into(), json!(nodes.join(",")));
    }
    if storage.shared {
        out.insert("shared".into(), json!(1));
    }
    if storage.disabled {
        out.insert("disable".into(), json!(1));
    }
    Value::Object(out)
}

fn list(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let privs = &["Datastore.Audit", "Datastore.AllocateSpace"];
    let seen = world.storages.defs.iter().filter(|(id, s)| {
        world.access.check(&call.who, &format!("/storage/{id}"), privs, true).is_ok()
            && call.text("type").is_none_or(|t| t == s.kind)
    });
    let out = seen.map(|(id, s)| definition(&world, id, s)).collect();
    Ok(Value::Array(out).into())
}

fn look(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let id = call.args.must("storage");
    let storage = world.storages.get(id)?;
    Ok(definition(&world, id, storage).into())
}

fn given(call: &Call) -> BTreeMap<String, String> {
    let left_out = ["storage", "type", "delete", "digest"];
    let keys = call.args.0.keys().filter(|k| !left_out.contains(&k.as_str()));
    keys.map(|k| (k.clone(), call.args.must(k).to_owned())).collect()
}

fn apply(storage: &mut Storage, options: BTreeMap<String, String>) {
    let set = |text: &str| split_list(text).map(str::to_owned).collect::<BTreeSet<_>>();
    for (key, value) in options {
        match key.as_str() {
            "content" => storage.content = set(&value),
            "nodes" => storage.nodes = set(&value),
            "shared" => storage.shared = value == "1",
            "disable" => storage.disabled = value == "1",
            "password" | "keyring" | "encryption-key" => {}
            _ => {
                storage.options.insert(key, value);
            }
        }
    }
}

fn check_options(kind: &str, options: &BTreeMap<String, String>) -> ApiResult<()> {
    let (required, own) = options_of(kind);
    let folders = |k: &str| makes_folders(kind) && FOLDERS.contains(&k);
    let known = |k: &str| ANY_TYPE.contains(&k) || required.contains(&k) || own.contains(&k) || folders(k);
    match options.keys().find(|k| !known(k)) {
        Some(unknown) => Err(ApiError::die(format!("unexpected property '{unknown}'"))),
        None => Ok(()),
    }
}

fn create(call: &Call) -> ReplyResult {
    /// A new storage's size when nothing says otherwise: that of the node's disk.
    const SIZE: u64 = 252 << 30;
    let (id, kind) = (call.args.must("storage"), call.args.must("type"));
    let options = given(call);
    if let Some(missing) = options_of(kind).0.iter().find(|r| !options.contains_key(**r)) {
        return Err(ApiError::die(format!("missing value for required option '{missing}'")));
    }
    check_options(kind, &options)?;
    let mut world = call.site.world();
    if world.storages.defs.contains_key(id) {
        return Err(ApiError::die(format!("create storage failed: storage ID '{id}' already defined")));
    }
    let mut storage = Storage {
        kind: kind.to_owned(),
        content: default_content(kind),
        shared: Storage::kind_is_shared(kind),
        size: SIZE,
        base_used: 1 << 30,
        ..Storage::default()
    };
    apply(&mut storage, options);
    world.storages.defs.insert(id.to_owned(), storage);
    Ok(json!({"storage": id, "type": kind}).into())
}

fn default_content(kind: &str) -> BTreeSet<String> {
    let content: &[&str] = match kind {
        "nfs" | "cifs" | "rbd" => &["images"],
        "cephfs" | "pbs" => &["backup"],
        "esxi" => &["import"],
        "iscsi" | "iscsidirect" => &["images", "none"],
        _ => &["images", "rootdir"],
    };
    content.iter().map(|c| (*c).to_owned()).collect()
}

fn update(call: &Call) -> ReplyResult {
    let id = call.args.must("storage");
    let failed = |why: String| ApiError::die(format!("update storage failed: {why}"));
    let mut world = call.site.world();
    if call.text("digest").is_some_and(|d| d != file_digest(&world)) {
        return Err(failed("detected modified configuration - file changed by other user? Try again.".to_owned()));
    }
    let mut storage = world.storages.get(id).map_err(|e| failed(e.message))?.clone();
    let options = given(call);
    check_options(&storage.kind, &options)?;
    for key in split_list(call.text("delete").unwrap_or("")) {
        match key {
            "disable" => storage.disabled = false,
            "nodes" => storage.nodes.clear(),
            "shared" => storage.shared = false,
            "content" => storage.content = default_content(&storage.kind),
            _ => {
                storage.options.remove(key);
            }
        }
    }
    apply(&mut storage, options);
    let kind = storage.kind.clone();
    world.storages.defs.insert(id.to_owned(), storage);
    Ok(json!({"storage": id, "type": kind}).into())
}

fn remove(call: &Call) -> ReplyResult {
    let id = call.args.must("storage");
    let mut world = call.site.world();
    world.storages.get(id).map_err(|e| ApiError::die(format!("delete storage failed: {}", e.message)))?;
    world.storages.defs.remove(id);
    world.access.storage_pools.remove(id);
    Ok(Reply::null())
}
