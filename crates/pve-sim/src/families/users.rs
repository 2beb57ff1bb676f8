//! Users and groups.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::api::call::{Call, Reply, ReplyResult};
use crate::api::endpoint::{Endpoint, delete, get, post, put};
use crate::api::error::{ApiError, ApiResult};
use crate::api::format::split_list;
use crate::world::access::{Access, Group, Subject, User};

const USER: &str = "userid:s@pve-userid<64";
const FIELDS: &str = "comment?:s<2048 email?:s@email-opt<254 enable?:b expire?:i[0..] firstname?:s<1024 \
    groups?:s@pve-groupid-list keys?:s~[0-9a-zA-Z!=]{0,4096} lastname?:s<1024";
const TEXTS: &[&str] = &["comment", "email", "firstname", "lastname", "keys"];
const GROUP: &str = "groupid:s@pve-groupid";

pub(super) fn endpoints() -> Vec<Endpoint> {
    let allocate = "/access/groups Group.Allocate";
    vec![
        get("/access/users", "all", &["enabled?:b full?:b"], list).protected().returns("array"),
        post(
            "/access/users",
            "and(userid-param Realm.AllocateUser; userid-group User.Modify create)",
            &[USER, FIELDS, "password?:s<64>8"],
            create,
        ),
        get("/access/users/{userid}", "userid-group User.Modify|Sys.Audit", &[USER], look).returns("object"),
        put("/access/users/{userid}", "userid-group User.Modify update", &[USER, FIELDS, "append?:b!groups"], update),
        delete(
            "/access/users/{userid}",
            "and(userid-param Realm.AllocateUser; userid-group User.Modify)",
            &[USER],
            remove,
        ),
        get(
            "/access/users/{userid}/tfa",
            "or(userid-param self; userid-group User.Modify|Sys.Audit)",
            &[USER, "multiple?:b"],
            |_| Ok(json!({}).into()),
        )
        .protected()
        .returns("object"),
        get("/access/groups", "all", &[], list_groups).returns("array"),
        post("/access/groups", allocate, &[GROUP, "comment?:s"], create_group),
        get("/access/groups/{groupid}", "/access/groups Sys.Audit|Group.Allocate", &[GROUP], look_group)
            .returns("object"),
        put("/access/groups/{groupid}", allocate, &[GROUP, "comment?:s"], update_group),
        delete("/access/groups/{groupid}", allocate, &[GROUP], delete_group),
    ]
}

/// What is told of a user. Fields that are empty are left out, but for the address: user.cfg is read by splitting its lines
/// at colons, so an empty address is there when something stands behind it.
fn fields(user: &User) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("enable".into(), json!(i32::from(user.enable)));
    out.insert("expire".into(), json!(user.expire));
    let filled = |key: &str| user.texts.get(key).filter(|text| !text.is_empty());
    for key in TEXTS {
        if let Some(text) = filled(key) {
            out.insert((*key).to_owned(), json!(text));
        }
    }
    if filled("comment").is_some() || filled("keys").is_some() {
        out.entry("email").or_insert(json!(""));
    }
    out
}

fn groups_of<'a>(access: &'a Access, user: &'a str) -> impl Iterator<Item = &'a str> {
    access.groups.iter().filter(move |(_, g)| g.members.contains(user)).map(|(name, _)| name.as_str())
}

fn list(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let access = &world.access;
    let privs = &["User.Modify", "Sys.Audit"];
    let all = access.check(&call.who, "/access/groups", privs, true).is_ok();
    let held = |group: &str| access.check(&call.who, &format!("/access/groups/{group}"), privs, true).is_ok();
    let mut out = Vec::new();
    for (id, user) in &access.users {
        let seen = all || *id == call.who.authuser() || groups_of(access, id).any(held);
        let fits = call.args.flag("enabled").is_none_or(|e| e == user.enable);
        if !seen || !fits {
            continue;
        }
        let mut entry = fields(user);
        entry.insert("userid".into(), json!(id));
        let realm = id.rsplit_once('@').map_or("", |(_, realm)| realm);
        entry.insert("realm-type".into(), json!(access.realms.get(realm)));
        if call.args.is_set("full") {
            entry.insert("groups".into(), json!(groups_of(access, id).collect::<Vec<_>>().join(",")));
            let tokens: Vec<Value> = user.tokens.iter().map(|(name, t)| super::tokens::entry(t, Some(name))).collect();
            entry.insert("tokens".into(), if tokens.is_empty() { Value::Null } else { Value::Array(tokens) });
        }
        out.push(Value::Object(entry));
    }
    Ok(Value::Array(out).into())
}

fn look(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let id = call.args.must("userid");
    let user = world.access.users.get(id).ok_or_else(|| missing(id))?;
    let mut out = fields(user);
    out.insert("groups".into(), json!(groups_of(&world.access, id).collect::<Vec<_>>()));
    let tokens: BTreeMap<&String, Value> =
        user.tokens.iter().map(|(name, t)| (name, super::tokens::entry(t, None))).collect();
    out.insert("tokens".into(), if tokens.is_empty() { Value::Null } else { json!(tokens) });
    Ok(Value::Object(out).into())
}

fn missing(id: &str) -> ApiError {
    ApiError::die(format!("no such user ('{id}')"))
}

fn create(call: &Call) -> ReplyResult {
    let id = call.args.must("userid");
    let failed = |why: String| ApiError::die(format!("create user failed: {why}"));
    let mut world = call.site.world();
    let access = &mut world.access;
    let realm = id.rsplit_once('@').map_or("", |(_, realm)| realm);
    if access.users.contains_key(id) {
        return Err(failed(format!("user '{id}' already exists")));
    }
    if !access.realms.contains_key(realm) {
        return Err(failed(format!("auth domain '{realm}' does not exist")));
    }
    check_groups(call, access).map_err(|e| failed(e.message))?;
    let mut user = User { enable: call.args.flag("enable").unwrap_or(true), ..User::default() };
    user.password = call.text("password").map(str::to_owned);
    set_fields(call, &mut user);
    access.users.insert(id.to_owned(), user);
    join_groups(call, access, id, true);
    Ok(Reply::null())
}

fn check_groups(call: &Call, access: &Access) -> ApiResult<()> {
    match split_list(call.text("groups").unwrap_or("")).find(|g| !access.groups.contains_key(*g)) {
        Some(group) => Err(ApiError::die(format!("no such group '{group}'"))),
        None => Ok(()),
    }
}

fn set_fields(call: &Call, user: &mut User) {
    if let Some(expire) = call.args.int("expire") {
        user.expire = expire;
    }
    for key in TEXTS {
        if let Some(text) = call.text(key) {
            user.texts.insert((*key).to_owned(), text.to_owned());
        }
    }
}

fn join_groups(call: &Call, access: &mut Access, id: &str, append: bool) {
    let Some(wanted) = call.text("groups") else { return };
    let wanted: Vec<&str> = split_list(wanted).collect();
    for (name, group) in &mut access.groups {
        if wanted.contains(&name.as_str()) {
            group.members.insert(id.to_owned());
        } else if !append {
            group.members.remove(id);
        }
    }
}

fn update(call: &Call) -> ReplyResult {
    let id = call.args.must("userid");
    let mut world = call.site.world();
    let access = &mut world.access;
    check_groups(call, access).map_err(|e| ApiError::die(format!("update user failed: {}", e.message)))?;
    let user = access.users.get_mut(id).ok_or_else(|| missing(id))?;
    if let Some(enable) = call.args.flag("enable") {
        user.enable = enable;
    }
    set_fields(call, user);
    join_groups(call, access, id, call.args.is_set("append"));
    Ok(Reply::null())
}

fn remove(call: &Call) -> ReplyResult {
    let id = call.args.must("userid");
    let mut world = call.site.world();
    let access = &mut world.access;
    let user = access.users.remove(id).ok_or_else(|| missing(id))?;
    for token in user.tokens.keys() {
        access.forget(Subject::Token, &format!("{id}!{token}"));
    }
    access.forget(Subject::User, id);
    access.groups.values_mut().for_each(|g| _ = g.members.remove(id));
    Ok(Reply::null())
}

fn list_groups(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let privs = &["User.Modify", "Sys.Audit", "Group.Allocate"];
    let mut out = Vec::new();
    for (name, group) in &world.access.groups {
        if world.access.check(&call.who, &format!("/access/groups/{name}"), privs, true).is_ok() {
            let members: Vec<&str> = group.members.iter().map(String::as_str).collect();
            let mut entry = json!({"groupid": name, "users": members.join(",")});
            if let Some(comment) = &group.comment {
                entry["comment"] = json!(comment);
            }
            out.push(entry);
        }
    }
    Ok(Value::Array(out).into())
}

fn missing_group(id: &str, doing: &str) -> ApiError {
    ApiError::die(format!("{doing}group '{id}' does not exist"))
}

fn create_group(call: &Call) -> ReplyResult {
    let id = call.args.must("groupid");
    let mut world = call.site.world();
    if world.access.groups.contains_key(id) {
        return Err(ApiError::die(format!("create group failed: group '{id}' already exists")));
    }
    let group = Group { comment: filled(call, "comment"), ..Group::default() };
    world.access.groups.insert(id.to_owned(), group);
    Ok(Reply::null())
}

/// A text that is not empty.
fn filled(call: &Call, key: &str) -> Option<String> {
    call.text(key).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn look_group(call: &Call) -> ReplyResult {
    let id = call.args.must("groupid");
    let world = call.site.world();
    let group = world.access.groups.get(id).ok_or_else(|| missing_group(id, ""))?;
    let mut out = json!({"members": group.members});
    if let Some(comment) = &group.comment {
        out["comment"] = json!(comment);
    }
    Ok(out.into())
}

fn update_group(call: &Call) -> ReplyResult {
    let id = call.args.must("groupid");
    let mut world = call.site.world();
    let group = world.access.groups.get_mut(id).ok_or_else(|| missing_group(id, "update group failed: "))?;
    if call.args.has("comment") {
        group.comment = filled(call, "comment");
    }
    Ok(Reply::null())
}

fn delete_group(call: &Call) -> ReplyResult {
    let id = call.args.must("groupid");
    let mut world = call.site.world();
    world.access.groups.remove(id).ok_or_else(|| missing_group(id, "delete group failed: "))?;
    world.access.forget(Subject::Group, id);
    Ok(Reply::null())
}
