//! Aliases: names for addresses and networks. Their case does not matter.

use serde_json::{Value, json};

use super::Rights;
use super::level::{Level, change, check_digest, load};
use crate::api::call::{Call, ReplyResult};
use crate::api::endpoint::{Endpoint, delete, get, post, put};
use crate::api::error::ApiError;
use crate::world::firewall::{Alias, aliases_digest, show_alias};

const NAME: &str = r"name:s<64>2~[A-Za-z][A-Za-z0-9\-\_]+";
const VALUE: &str = "cidr:s@IPorCIDR comment?:s";
const RENAME: &str = r"digest?:s<64 rename?:s<64>2~[A-Za-z][A-Za-z0-9\-\_]+";

pub(super) fn endpoints<L: Level>(rights: Rights, list: &'static str, one: &'static str) -> Vec<Endpoint> {
    let Rights { own, audit, change } = rights;
    vec![
        get(list, audit, &[own], read_all::<L>).returns("array"),
        post(list, change, &[own, NAME, VALUE], add::<L>),
        get(one, audit, &[own, NAME], read_one::<L>).returns("object"),
        put(one, change, &[own, NAME, VALUE, RENAME], update::<L>),
        delete(one, change, &[own, NAME, "digest?:s<64"], remove::<L>),
    ]
}

fn read_all<L: Level>(call: &Call) -> ReplyResult {
    let conf = load::<L>(call);
    let digest = aliases_digest(&conf);
    let shown = conf.aliases.values().map(|a| {
        let mut out = show_alias(a);
        out["digest"] = json!(digest);
        out
    });
    Ok(Value::Array(shown.collect()).into())
}

fn read_one<L: Level>(call: &Call) -> ReplyResult {
    let conf = load::<L>(call);
    let alias = conf.aliases.get(&call.args.must("name").to_lowercase());
    alias.map(|a| show_alias(a).into()).ok_or_else(|| ApiError::param("name", "no such alias"))
}

/// The alias that a call describes. Its family is worked out when the file is read.
fn described(call: &Call) -> Alias {
    Alias {
        name: call.args.must("name").to_owned(),
        cidr: call.args.must("cidr").to_owned(),
        ipversion: 0,
        comment: call.text("comment").filter(|c| !c.is_empty()).map(str::to_owned),
    }
}

fn exists(name: &str) -> ApiError {
    ApiError::param("name", format!("alias '{name}' already exists"))
}

fn add<L: Level>(call: &Call) -> ReplyResult {
    change::<L>(call, |conf, _| {
        let alias = described(call);
        let key = alias.name.to_lowercase();
        if conf.aliases.contains_key(&key) {
            return Err(exists(&alias.name));
        }
        conf.aliases.insert(key, alias);
        Ok(())
    })
}

/// Replaces address and comment; a comment that is left out is gone. What uses the old name keeps using it.
fn update<L: Level>(call: &Call) -> ReplyResult {
    change::<L>(call, |conf, _| {
        check_digest(call, &aliases_digest(conf))?;
        let mut alias = described(call);
        let mut key = alias.name.to_lowercase();
        if !conf.aliases.contains_key(&key) {
            return Err(ApiError::param("name", "no such alias"));
        }
        if let Some(rename) = call.text("rename").filter(|r| !r.is_empty() && r.to_lowercase() != key) {
            if conf.aliases.contains_key(&rename.to_lowercase()) {
                return Err(exists(rename));
            }
            conf.aliases.remove(&key);
            rename.clone_into(&mut alias.name);
            key = rename.to_lowercase();
        }
        conf.aliases.insert(key, alias);
        Ok(())
    })
}

/// An alias that is not there is gone, too; one that is used goes all the same.
fn remove<L: Level>(call: &Call) -> ReplyResult {
    change::<L>(call, |conf, _| {
        check_digest(call, &aliases_digest(conf))?;
        conf.aliases.remove(&call.args.must("name").to_lowercase());
        Ok(())
    })
}
