//! API tokens of users.

use serde_json::{Map, Value, json};

use crate::api::call::{Call, Reply, ReplyResult};
use crate::api::endpoint::{Endpoint, delete, get, post, put};
use crate::api::error::{ApiError, ApiResult};
use crate::api::format::split_list;
use crate::site::Site;
use crate::world::access::{Access, Subject, Token};

const USER: &str = "userid:s@pve-userid<64";
const TOKEN: &str = r"userid:s@pve-userid<64 tokenid:s~(?^:[A-Za-z][A-Za-z0-9\.\-_]+)";
const PERM: &str = "or(userid-param self; userid-group User.Modify)";

pub(super) fn endpoints() -> Vec<Endpoint> {
    let fields = "comment?:s expire?:i[0..] privsep?:b";
    let one = "/access/users/{userid}/token/{tokenid}";
    vec![
        get("/access/users/{userid}/token", PERM, &[USER], list).returns("array"),
        get(one, PERM, &[TOKEN], look).returns("object"),
        post(one, PERM, &[TOKEN, fields], create).returns("object"),
        put(one, PERM, &[TOKEN, fields, "delete?:s@pve-configid-list"], update).returns("object"),
        delete(one, PERM, &[TOKEN], remove),
    ]
}

/// What is told of a token; never its secret.
pub(super) fn entry(token: &Token, name: Option<&str>) -> Value {
    let mut out = Map::new();
    if let Some(name) = name {
        out.insert("tokenid".into(), json!(name));
    }
    out.insert("privsep".into(), json!(i32::from(token.privsep)));
    out.insert("expire".into(), json!(token.expire));
    if let Some(comment) = &token.comment {
        out.insert("comment".into(), json!(comment));
    }
    Value::Object(out)
}

fn missing(call: &Call) -> ApiError {
    let (user, token) = (call.args.must("userid"), call.args.must("tokenid"));
    ApiError::die(format!("no such token '{token}' for user '{user}'"))
}

fn token_mut<'a>(call: &Call, access: &'a mut Access) -> ApiResult<&'a mut Token> {
    let user = access.users.get_mut(call.args.must("userid"));
    user.and_then(|u| u.tokens.get_mut(call.args.must("tokenid"))).ok_or_else(|| missing(call))
}

fn list(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let user = world.access.users.get(call.args.must("userid"));
    let tokens = user.into_iter().flat_map(|u| u.tokens.iter()).map(|(name, t)| entry(t, Some(name)));
    Ok(Value::Array(tokens.collect()).into())
}

fn look(call: &Call) -> ReplyResult {
    let mut world = call.site.world();
    Ok(entry(token_mut(call, &mut world.access)?, None).into())
}

/// The given values as they came, which is how PVE echoes them.
fn echo(call: &Call, out: &mut Map<String, Value>) {
    for key in ["comment", "expire", "privsep"] {
        if let Some(text) = call.text(key) {
            out.insert(key.to_owned(), json!(text));
        }
    }
}

fn create(call: &Call) -> ReplyResult {
    let (user, id) = (call.args.must("userid"), call.args.must("tokenid"));
    let secret = new_secret(&call.site);
    let mut world = call.site.world();
    let owner = world.access.users.get_mut(user).ok_or_else(|| ApiError::die(format!("no such user ('{user}')")))?;
    if owner.tokens.contains_key(id) {
        return Err(ApiError::param("tokenid", "Token already exists."));
    }
    let token = Token {
        secret: secret.clone(),
        privsep: call.args.flag("privsep").unwrap_or(true),
        expire: call.args.int("expire").unwrap_or(0),
        comment: call.text("comment").map(str::to_owned),
    };
    owner.tokens.insert(id.to_owned(), token);
    let mut info = Map::from_iter([("privsep".to_owned(), json!(1))]);
    echo(call, &mut info);
    Ok(json!({"full-tokenid": format!("{user}!{id}"), "value": secret, "info": info}).into())
}

fn new_secret(site: &Site) -> String {
    let [a, b, c, d] = [0; 4].map(|_: u32| site.draws.number());
    format!("{a:08x}-{:04x}-4{:03x}-8{:03x}-{:04x}{d:08x}", b >> 16, b & 0xfff, c & 0xfff, c >> 16)
}

fn update(call: &Call) -> ReplyResult {
    let mut world = call.site.world();
    let token = token_mut(call, &mut world.access)?;
    if let Some(privsep) = call.args.flag("privsep") {
        token.privsep = privsep;
    }
    if let Some(expire) = call.args.int("expire") {
        token.expire = expire;
    }
    if let Some(comment) = call.text("comment") {
        token.comment = Some(comment.to_owned());
    }
    if split_list(call.text("delete").unwrap_or("")).any(|k| k == "comment") {
        token.comment = None;
    }
    let mut out = entry(token, None).as_object().cloned().unwrap_or_default();
    echo(call, &mut out);
    Ok(Value::Object(out).into())
}

fn remove(call: &Call) -> ReplyResult {
    let (user, id) = (call.args.must("userid").to_owned(), call.args.must("tokenid").to_owned());
    let mut world = call.site.world();
    token_mut(call, &mut world.access)?;
    if let Some(owner) = world.access.users.get_mut(&user) {
        owner.tokens.remove(&id);
    }
    world.access.forget(Subject::Token, &format!("{user}!{id}"));
    Ok(Reply::null())
}
