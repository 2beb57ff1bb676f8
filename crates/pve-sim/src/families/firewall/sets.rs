//! IP sets and their entries.

use serde_json::{Value, json};

use super::Rights;
use super::level::{Level, change, check_digest, load};
use crate::api::call::{Call, ReplyResult};
use crate::api::endpoint::{Endpoint, delete, get, post, put};
use crate::api::error::{ApiError, ApiResult};
use crate::world::firewall::{
    Conf, Entry, IpSet, clean_cidr, entries_digest, is_name, is_zero_prefix, named_digest, show_entries, split_scope,
};

const NAME: &str = r"name:s<64>2~[A-Za-z][A-Za-z0-9\-\_]+";
const CIDR: &str = "cidr:s@IPorCIDRorAlias";
const NEW_SET: &str = r"comment?:s digest?:s<64 rename?:s<64>2~[A-Za-z][A-Za-z0-9\-\_]+";
const ENTRY: &str = "comment?:s nomatch?:b";

pub(super) fn endpoints<L: Level>(
    rights: Rights,
    list: &'static str,
    one: &'static str,
    entry: &'static str,
) -> Vec<Endpoint> {
    let Rights { own, audit, change } = rights;
    vec![
        get(list, audit, &[own], read_all::<L>).returns("array"),
        post(list, change, &[own, NAME, NEW_SET], add::<L>),
        get(one, audit, &[own, NAME], read_one::<L>).returns("array"),
        post(one, change, &[own, NAME, CIDR, ENTRY], add_entry::<L>),
        delete(one, change, &[own, NAME, "force?:b"], remove::<L>),
        get(entry, audit, &[own, NAME, CIDR], read_entry::<L>).protected().returns("object").rest(),
        put(entry, change, &[own, NAME, CIDR, ENTRY, "digest?:s<64"], update_entry::<L>).rest(),
        delete(entry, change, &[own, NAME, CIDR, "digest?:s<64"], remove_entry::<L>).rest(),
    ]
}

fn names_digest(conf: &Conf) -> String {
    named_digest("name", conf.sets.iter().map(|(name, set)| (name, set.comment.as_ref())))
}

fn read_all<L: Level>(call: &Call) -> ReplyResult {
    let conf = load::<L>(call);
    let digest = names_digest(&conf);
    let shown = conf.sets.iter().map(|(name, set)| {
        let mut out = json!({"name": name, "digest": digest});
        if let Some(comment) = &set.comment {
            out["comment"] = json!(comment);
        }
        out
    });
    Ok(Value::Array(shown.collect()).into())
}

/// Makes a set, or with `rename` renames one or changes its comment. Rules that use the old name keep using it.
fn add<L: Level>(call: &Call) -> ReplyResult {
    change::<L>(call, |conf, _| {
        let name = call.args.must("name");
        let comment = call.text("comment").map(str::to_owned);
        let Some(old) = call.text("rename").filter(|r| !r.is_empty()) else {
            if conf.sets.contains_key(name) {
                return Err(ApiError::param("name", format!("IPSet '{name}' already exists")));
            }
            conf.sets.insert(name.to_owned(), IpSet { comment, entries: Vec::new() });
            return Ok(());
        };
        check_digest(call, &names_digest(conf))?;
        if !conf.sets.contains_key(old) {
            return Err(ApiError::param("name", format!("IPSet '{old}' does not exists")));
        }
        if name != old && conf.sets.contains_key(name) {
            return Err(ApiError::param("name", format!("IPSet '{name}' does already exist")));
        }
        let mut set = conf.sets.remove(old).unwrap_or_default();
        set.comment = comment.or(set.comment);
        conf.sets.insert(name.to_owned(), set);
        Ok(())
    })
}

fn find<'a>(call: &Call, conf: &'a Conf) -> ApiResult<&'a IpSet> {
    let name = call.args.must("name");
    conf.sets.get(name).ok_or_else(|| ApiError::die(format!("no such IPSet '{name}'")))
}

fn find_mut<'a>(call: &Call, conf: &'a mut Conf) -> ApiResult<&'a mut IpSet> {
    let name = call.args.must("name");
    conf.sets.get_mut(name).ok_or_else(|| ApiError::die(format!("no such IPSet '{name}'")))
}

fn read_one<L: Level>(call: &Call) -> ReplyResult {
    Ok(Value::Array(show_entries(find(call, &load::<L>(call))?)).into())
}

fn remove<L: Level>(call: &Call) -> ReplyResult {
    change::<L>(call, |conf, _| {
        let name = call.args.must("name");
        if !find(call, conf)?.entries.is_empty() && !call.args.is_set("force") {
            return Err(ApiError::die(format!("IPSet '{name}' is not empty")));
        }
        conf.sets.remove(name);
        Ok(())
    })
}

fn add_entry<L: Level>(call: &Call) -> ReplyResult {
    change::<L>(call, |conf, around| {
        find(call, conf)?;
        let given = call.args.must("cidr");
        let alias = split_scope(given).1;
        let cidr = if is_name(alias) {
            if around.names(conf).alias(given).is_none() {
                return Err(ApiError::die(format!("no such alias '{alias}'")));
            }
            given.to_owned()
        } else {
            whole(&clean_cidr(given))
        };
        let set = find_mut(call, conf)?;
        if set.entries.iter().any(|e| e.cidr == cidr) {
            return Err(ApiError::param("cidr", format!("address '{cidr}' already exists")));
        }
        if is_zero_prefix(&cidr) {
            return Err(ApiError::param("cidr", "a zero prefix is not allowed in ipset entries"));
        }
        let comment = call.text("comment").filter(|c| !c.is_empty()).map(str::to_owned);
        let entry = Entry { cidr, nomatch: call.args.is_set("nomatch"), comment, ..Entry::default() };
        set.entries.insert(0, entry);
        Ok(())
    })
}

/// A prefix that covers the whole address is left away.
fn whole(cidr: &str) -> String {
    let longest = if cidr.contains(':') { "/128" } else { "/32" };
    cidr.strip_suffix(longest).unwrap_or(cidr).to_owned()
}

fn no_entry() -> ApiError {
    ApiError::param("cidr", "no such IP/Network")
}

fn read_entry<L: Level>(call: &Call) -> ReplyResult {
    let conf = load::<L>(call);
    let entries = show_entries(find(call, &conf)?);
    let found = entries.into_iter().find(|e| e["cidr"] == call.args.must("cidr"));
    found.map(Into::into).ok_or_else(no_entry)
}

/// Sets comment and `nomatch`; what is left out is gone.
fn update_entry<L: Level>(call: &Call) -> ReplyResult {
    change::<L>(call, |conf, _| {
        let set = find_mut(call, conf)?;
        check_digest(call, &entries_digest(set))?;
        let cidr = call.args.must("cidr");
        let entry = set.entries.iter_mut().find(|e| e.cidr == cidr).ok_or_else(no_entry)?;
        entry.nomatch = call.args.is_set("nomatch");
        entry.comment = call.text("comment").map(str::to_owned);
        Ok(())
    })
}

/// An entry that is not there is gone, too.
fn remove_entry<L: Level>(call: &Call) -> ReplyResult {
    change::<L>(call, |conf, _| {
        let set = find_mut(call, conf)?;
        check_digest(call, &entries_digest(set))?;
        let cidr = call.args.must("cidr");
        set.entries.retain(|e| e.cidr != cidr);
        Ok(())
    })
}
