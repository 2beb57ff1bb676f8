//! Logins with a password, and passwords.

use std::collections::{BTreeMap, BTreeSet};

use futures::FutureExt;
use serde_json::{Value, json};

use crate::api::call::{Call, Identity, Reply, ReplyResult};
use crate::api::endpoint::{Endpoint, get, slow};
use crate::api::error::ApiError;
use crate::auth;
use crate::world::access::Access;

/// Which privileges the `cap` of a login lists under which heading.
const HEADINGS: &[(&str, &[&str])] = &[
    ("vms", &["VM.", "Permissions.Modify"]),
    ("access", &["User.", "Group.", "Permissions.Modify"]),
    ("storage", &["Datastore.", "Permissions.Modify"]),
    ("nodes", &["Sys.", "Permissions.Modify"]),
    ("sdn", &["SDN.", "Permissions.Modify"]),
    ("dc", &["Sys.Audit", "Sys.Modify", "SDN."]),
    ("mapping", &["Mapping.", "Permissions.Modify"]),
];
const CAP_PATHS: &[&str] = &["/", "/nodes", "/access/groups", "/vms", "/storage", "/sdn", "/mapping"];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/access/ticket", "world", &[], |_| Ok(Reply::null())),
        slow(
            "POST",
            "/access/ticket",
            "world",
            &["new-format?:b otp?:s password:s path?:s<64!privs privs?:s@pve-priv-list<64!path realm?:s@pve-realm<32 \
               tfa-challenge?:s username:s<64"],
            |c| login(c).boxed(),
        )
        .no_tokens()
        .returns("object"),
        slow(
            "PUT",
            "/access/password",
            "or(userid-param self; and(userid-param Realm.AllocateUser; userid-group User.Modify))",
            &["confirmation-password?:s<64>5 password:s<64>8 userid:s@pve-userid<64"],
            |c| set_password(c).boxed(),
        )
        .no_tokens(),
    ]
}

/// A wrong name or password is answered late.
async fn refuse(call: &Call) -> ApiError {
    tokio::time::sleep(call.site.limits.auth_delay).await;
    ApiError::status(401, "authentication failure")
}

fn password_is(call: &Call, user: &str, given: &str) -> bool {
    let by_ticket = given.starts_with("PVE:") && auth::check_ticket(&call.site, given).as_deref() == Some(user);
    let world = call.site.world();
    let known = world.access.users.get(user).filter(|u| u.enable);
    by_ticket || known.is_some_and(|u| u.password.as_deref() == Some(given))
}

async fn login(call: Call) -> ReplyResult {
    let name = call.args.must("username");
    let user = match call.text("realm") {
        Some(realm) if !name.contains('@') => format!("{name}@{realm}"),
        _ => name.to_owned(),
    };
    if !password_is(&call, &user, call.args.must("password")) {
        return Err(refuse(&call).await);
    }
    let who = Identity { user: user.clone(), token: None };
    let cap = caps(&call.site.world().access, &who);
    Ok(json!({
        "username": user,
        "ticket": auth::make_ticket(&call.site, &user),
        "CSRFPreventionToken": auth::make_csrf(&call.site, &user),
        "cap": cap,
    })
    .into())
}

/// What the user may do, by heading, for interfaces that hide buttons.
fn caps(access: &Access, who: &Identity) -> Value {
    let mut out: BTreeMap<&str, BTreeMap<String, i32>> =
        HEADINGS.iter().map(|(name, _)| (*name, BTreeMap::new())).collect();
    let paths: BTreeSet<&str> = CAP_PATHS.iter().copied().chain(access.acl.keys().map(String::as_str)).collect();
    for path in paths {
        let top = path.split('/').nth(1).filter(|t| !t.is_empty()).unwrap_or("dc");
        for privilege in access.permissions(who, path).into_keys() {
            for heading in headings_for(top, &privilege) {
                out.entry(heading).or_default().insert(privilege.clone(), 1);
            }
        }
    }
    json!(out)
}

fn headings_for(top: &str, privilege: &str) -> Vec<&'static str> {
    let fits = |name: &str| {
        HEADINGS.iter().find(|(h, p)| *h == name && p.iter().any(|p| privilege.starts_with(p))).map(|(h, _)| *h)
    };
    match top {
        "pool" => ["vms", "storage"].into_iter().filter_map(fits).collect(),
        _ => fits(top).into_iter().collect(),
    }
}

async fn set_password(call: Call) -> ReplyResult {
    let userid = call.args.must("userid").to_owned();
    if !call.who.is_root() {
        let confirmation = call.text("confirmation-password").unwrap_or("");
        if !password_is(&call, &call.who.user, confirmation) {
            return Err(refuse(&call).await);
        }
    }
    let mut world = call.site.world();
    let user =
        world.access.users.get_mut(&userid).ok_or_else(|| ApiError::die(format!("no such user ('{userid}')")))?;
    user.password = Some(call.args.must("password").to_owned());
    Ok(Reply::null())
}
