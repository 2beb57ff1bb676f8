//! Roles, the access control list, effective permissions and realms.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::api::call::{Call, Identity, Reply, ReplyResult};
use crate::api::endpoint::{Endpoint, delete, get, post, put};
use crate::api::error::{ApiError, ApiResult};
use crate::api::format::split_list;
use crate::families::index;
use crate::world::access::{Access, Subject, ancestors, is_acl_path, normalize_path};
use crate::world::{World, privileges};

const ROLE: &str = "roleid:s@pve-roleid";
const USERID_PATTERN: &str =
    r"path?:s userid?:s~(?^:^(?^:[^\s:/]+)\@(?^:[A-Za-z][A-Za-z0-9\.\-_]+)(?:!(?^:[A-Za-z][A-Za-z0-9\.\-_]+))?$)";
/// Paths that are looked at although no entry of the list names them.
const BASE_PATHS: &[&str] = &["/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"];

pub(super) fn endpoints() -> Vec<Endpoint> {
    let modify = "/access Sys.Modify";
    vec![
        get("/access", "all", &[], |_| {
            let names = &["users", "groups", "roles", "acl", "domains", "openid", "tfa", "ticket", "password"];
            Ok(index("subdir", names).into())
        })
        .returns("array"),
        get("/access/roles", "all", &[], list_roles).returns("array"),
        post("/access/roles", modify, &[ROLE, "privs?:s@pve-priv-list"], create_role),
        get("/access/roles/{roleid}", "all", &[ROLE], one_role).returns("object"),
        put("/access/roles/{roleid}", modify, &[ROLE, "append?:b!privs privs?:s@pve-priv-list"], update_role),
        delete("/access/roles/{roleid}", modify, &[ROLE], delete_role),
        get("/access/acl", "all", &[], list_acl).returns("array"),
        put(
            "/access/acl",
            "perm-modify {path}",
            &[
                "delete?:b groups?:s@pve-groupid-list path:s propagate?:b roles:s@pve-roleid-list tokens?:s@pve-tokenid-list \
               users?:s@pve-userid-list",
            ],
            update_acl,
        ),
        get("/access/permissions", "all", &[USERID_PATTERN], permissions).returns("object"),
        get("/access/domains", "world", &[], domains).returns("array"),
        get("/access/tfa", "all", &[], |_| Ok(json!([]).into())).protected().returns("array"),
    ]
}

fn domains(_call: &Call) -> ReplyResult {
    Ok(json!([
        {"realm": "pam", "type": "pam", "comment": "Linux PAM standard authentication"},
        {"realm": "pve", "type": "pve", "comment": "Proxmox VE authentication server"},
    ])
    .into())
}

fn role_entry(id: &str, privs: &BTreeSet<String>, special: bool) -> Value {
    let privs: Vec<&str> = privs.iter().map(String::as_str).collect();
    json!({"roleid": id, "privs": privs.join(","), "special": i32::from(special)})
}

fn list_roles(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let builtin =
        privileges::builtin_roles().map(|id| role_entry(id, &world.access.role(id).unwrap_or_default(), true));
    let own = world.access.roles.iter().map(|(id, privs)| role_entry(id, privs, false));
    Ok(Value::Array(builtin.chain(own).collect()).into())
}

fn one_role(call: &Call) -> ReplyResult {
    let id = call.args.must("roleid");
    let world = call.site.world();
    let privs = world.access.role(id).ok_or_else(|| ApiError::die(format!("role '{id}' does not exist")))?;
    let out: Map<String, Value> = privs.into_iter().map(|p| (p, json!(1))).collect();
    Ok(Value::Object(out).into())
}

fn privs_of(call: &Call) -> BTreeSet<String> {
    split_list(call.text("privs").unwrap_or("")).map(str::to_owned).collect()
}

fn create_role(call: &Call) -> ReplyResult {
    let id = call.args.must("roleid");
    if id.to_lowercase().starts_with("pve") {
        let text = "cannot use role ID starting with the (case-insensitive) 'PVE' namespace";
        return Err(ApiError::param("roleid", text));
    }
    let mut world = call.site.world();
    if world.access.role(id).is_some() {
        return Err(ApiError::die(format!("create role failed: role '{id}' already exists")));
    }
    world.access.roles.insert(id.to_owned(), privs_of(call));
    Ok(Reply::null())
}

fn update_role(call: &Call) -> ReplyResult {
    let id = call.args.must("roleid");
    if privileges::builtin_role(id).is_some() {
        return Err(ApiError::die(format!("auto-generated role '{id}' cannot be modified")));
    }
    let mut world = call.site.world();
    let missing = || ApiError::die(format!("update role failed: role '{id}' does not exist"));
    let role = world.access.roles.get_mut(id).ok_or_else(missing)?;
    if call.args.has("privs") {
        if !call.args.is_set("append") {
            role.clear();
        }
        role.extend(privs_of(call));
    }
    Ok(Reply::null())
}

fn delete_role(call: &Call) -> ReplyResult {
    let id = call.args.must("roleid");
    if privileges::builtin_role(id).is_some() {
        return Err(ApiError::die(format!("auto-generated role '{id}' cannot be deleted")));
    }
    let mut world = call.site.world();
    if world.access.roles.remove(id).is_none() {
        return Err(ApiError::die(format!("delete role failed: role '{id}' does not exist")));
    }
    world.access.forget_role(id);
    Ok(Reply::null())
}

fn list_acl(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let audit = world.access.check(&call.who, "/access", &["Sys.Audit"], false).is_ok();
    let mut out = Vec::new();
    for (path, entries) in &world.access.acl {
        if !audit && world.access.check_modify(&call.who, path).is_err() {
            continue;
        }
        for ((subject, name), roles) in entries {
            for (role, down) in roles {
                out.push(json!({
                    "path": path, "type": subject.name(), "ugid": name, "roleid": role, "propagate": i32::from(*down),
                }));
            }
        }
    }
    Ok(Value::Array(out).into())
}

fn update_acl(call: &Call) -> ReplyResult {
    let subjects = [("users", Subject::User), ("groups", Subject::Group), ("tokens", Subject::Token)];
    if !subjects.iter().any(|(name, _)| call.args.has(name)) {
        let text = "either 'users', 'groups' or 'tokens' is required.";
        let errors = subjects.map(|(name, _)| (name.to_owned(), text.to_owned()));
        return Err(ApiError::params(errors.into()));
    }
    let given = call.args.must("path");
    let path = normalize_path(given).filter(|p| is_acl_path(p));
    let path = path.ok_or_else(|| ApiError::param("path", format!("invalid ACL path '{given}'")))?;
    let mut world = call.site.world();
    change_acl(call, &mut world.access, &path, &subjects)
        .map_err(|e| ApiError { message: format!("ACL update failed: {}", e.message), ..e })?;
    Ok(Reply::null())
}

fn change_acl(call: &Call, access: &mut Access, path: &str, subjects: &[(&str, Subject)]) -> ApiResult<()> {
    let propagate = call.args.flag("propagate").unwrap_or(true);
    let removing = call.args.is_set("delete");
    for role in split_list(call.args.must("roles")) {
        let privs = access.role(role).ok_or_else(|| ApiError::die(format!("role '{role}' does not exist")))?;
        check_grantable(call, access, path, role, &privs, removing)?;
        for (parameter, subject) in subjects {
            for name in split_list(call.text(parameter).unwrap_or("")) {
                check_subject(access, *subject, name)?;
                let key = (*subject, name.to_owned());
                if !removing {
                    let roles = access.acl.entry(path.to_owned()).or_default().entry(key).or_default();
                    roles.insert(role.to_owned(), propagate);
                } else if let Some(entries) = access.acl.get_mut(path) {
                    if let Some(roles) = entries.get_mut(&key) {
                        roles.remove(role);
                    }
                    entries.retain(|_, roles| !roles.is_empty());
                }
            }
        }
    }
    access.acl.retain(|_, entries| !entries.is_empty());
    Ok(())
}

/// Who may not change permissions as such can hand on only what he has himself.
fn check_grantable(
    call: &Call,
    access: &Access,
    path: &str,
    role: &str,
    privs: &BTreeSet<String>,
    removing: bool,
) -> ApiResult<()> {
    if call.who.is_root() || access.check(&call.who, path, &["Permissions.Modify"], false).is_ok() {
        return Ok(());
    }
    let held = access.permissions(&call.who, path);
    if privs.iter().all(|p| held.contains_key(p)) {
        return Ok(());
    }
    let verb = if removing { "remove" } else { "add" };
    let text = format!(
        "400 Parameter verification failed.\nrole: Cannot {verb} role '{role}' - requires 'Permissions.Modify' or superset of privileges."
    );
    Err(ApiError::die(text))
}

fn check_subject(access: &Access, subject: Subject, name: &str) -> ApiResult<()> {
    match subject {
        Subject::User if !access.users.contains_key(name) => {
            Err(ApiError::die(format!("user '{name}' does not exist")))
        }
        Subject::Group if !access.groups.contains_key(name) => {
            Err(ApiError::die(format!("group '{name}' does not exist")))
        }
        Subject::Token => {
            let (user, token) = name.split_once('!').unwrap_or((name, ""));
            let owner = access.users.get(user).ok_or_else(|| ApiError::die(format!("user '{user}' does not exist")))?;
            let known = owner.tokens.contains_key(token);
            if known { Ok(()) } else { Err(ApiError::die(format!("no such token '{token}' for user '{user}'"))) }
        }
        _ => Ok(()),
    }
}

fn permissions(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let own = call.who.authuser();
    let about = call.text("userid").unwrap_or(&own);
    let is_own = about == own || about.split('!').next() == Some(own.as_str());
    if !is_own {
        world.access.check(&call.who, "/access", &["Sys.Audit"], false)?;
    }
    let who = Identity::parse(about);
    let mut out = Map::new();
    if !world.access.users.contains_key(&who.user) {
        return Ok(json!({}).into());
    }
    if let Some(given) = call.text("path") {
        let path = normalize_path(given).ok_or_else(|| ApiError::param("path", format!("invalid path '{given}'")))?;
        out.insert(path.clone(), privs_json(&world.access, &who, &path));
        return Ok(Value::Object(out).into());
    }
    for path in known_paths(&world) {
        let privs = privs_json(&world.access, &who, &path);
        if privs.as_object().is_some_and(|p| !p.is_empty()) {
            out.insert(path, privs);
        }
    }
    Ok(Value::Object(out).into())
}

/// The top paths, those of the list with all above them, and those of pools and their members.
fn known_paths(world: &World) -> BTreeSet<String> {
    let mut paths: BTreeSet<String> = BASE_PATHS.iter().map(|p| (*p).to_owned()).collect();
    paths.extend(world.access.acl.keys().flat_map(|path| ancestors(path)));
    paths.extend(world.pools.keys().map(|pool| format!("/pool/{pool}")));
    paths.extend(world.access.guest_pool.keys().map(|vmid| format!("/vms/{vmid}")));
    let storages = world.access.storage_pools.iter().filter(|(_, pools)| !pools.is_empty());
    paths.extend(storages.map(|(storage, _)| format!("/storage/{storage}")));
    paths
}

fn privs_json(access: &Access, who: &Identity, path: &str) -> Value {
    let privs: BTreeMap<String, i32> =
        access.permissions(who, path).into_iter().map(|(p, down)| (p, i32::from(down))).collect();
    json!(privs)
}
