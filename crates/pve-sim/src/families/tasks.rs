//! Tasks: lists, status, logs, stopping.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::api::call::{Call, Identity, Reply, ReplyResult};
use crate::api::endpoint::{Endpoint, delete, get};
use crate::api::error::{ApiError, ApiResult};
use crate::api::format::split_list;
use crate::families::index;
use crate::tasks::{Task, parse_upid};

/// How many tasks the list gives when nobody says.
const DEFAULT_LIMIT: i64 = 50;
/// How many lines a log gives when nobody says.
const DEFAULT_LINES: i64 = 50;
/// The cluster-wide list is this long.
const CLUSTER_TASKS: usize = 25;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/cluster/tasks", "all", &[], cluster_list).returns("array"),
        get(
            "/nodes/{node}/tasks",
            "all",
            &["node errors?:b limit?:i[0..] since?:i source?:s{archive|active|all} start?:i[0..] \
               statusfilter?:s@pve-task-status-type-list typefilter?:s until?:i userfilter?:s vmid?:i@pve-vmid[100..999999999]"],
            list,
        )
        .returns("array"),
        get("/nodes/{node}/tasks/{upid}", "all", &["node upid:s"], |_| {
            Ok(index("name", &["log", "status"]).into())
        })
        .local()
        .returns("array"),
        delete("/nodes/{node}/tasks/{upid}", "all", &["node upid:s"], stop),
        get("/nodes/{node}/tasks/{upid}/log", "all", &["node upid:s download?:b limit?:i[0..] start?:i[0..]"], log)
            .protected()
            .returns("array"),
        get("/nodes/{node}/tasks/{upid}/status", "all", &["node upid:s"], status).protected().returns("object"),
    ]
}

/// Whose task is it? Tokens see their own; their user sees those of its tokens too.
fn is_own(who: &Identity, user: &str) -> bool {
    if who.token.is_some() {
        return who.authuser() == user;
    }
    user.split('!').next() == Some(who.user.as_str())
}

fn check_owner(call: &Call, user: &str, privilege: &str) -> ApiResult<()> {
    if is_own(&call.who, user) {
        return Ok(());
    }
    call.check(&format!("/nodes/{}", call.node()), &[privilege])
}

fn user_parts(out: &mut Map<String, Value>, user: &str) {
    let who = Identity::parse(user);
    out.insert("user".into(), json!(who.user));
    if let Some(token) = who.token {
        out.insert("tokenid".into(), json!(token));
    }
}

fn entry(task: &Task) -> Map<String, Value> {
    let mut out = Map::new();
    let fields = [
        ("upid", json!(task.upid)),
        ("node", json!(task.node)),
        ("type", json!(task.kind)),
        ("id", json!(task.id)),
        ("starttime", json!(task.start)),
    ];
    out.extend(fields.map(|(k, v)| (k.to_owned(), v)));
    if let Some((end, status)) = task.end() {
        user_parts(&mut out, &task.user);
        out.insert("endtime".into(), json!(end));
        out.insert("status".into(), json!(status));
    } else {
        out.insert("user".into(), json!(task.user));
        out.insert("status".into(), json!("RUNNING"));
        out.insert("saved".into(), json!("0"));
    }
    out
}

fn cluster_list(call: &Call) -> ReplyResult {
    let mut out = Vec::new();
    for task in call.site.tasks.recent(CLUSTER_TASKS) {
        let seen = is_own(&call.who, &task.user) || call.may(&format!("/nodes/{}", task.node), &["Sys.Audit"]);
        if seen {
            let mut item = entry(&task);
            if task.end().is_some() {
                item.insert("saved".into(), json!("1"));
            } else {
                item.remove("status");
                item.insert("pid".into(), json!(task.pid));
                item.insert("pstart".into(), json!(task.pstart));
                user_parts(&mut item, &task.user);
            }
            out.push(Value::Object(item));
        }
    }
    Ok(Value::Array(out).into())
}

fn list(call: &Call) -> ReplyResult {
    let source = call.text("source").unwrap_or("archive");
    let audit = call.may(&format!("/nodes/{}", call.node()), &["Sys.Audit"]);
    let mut tasks = Vec::new();
    if source != "archive" {
        tasks.extend(call.site.tasks.active(call.node()));
    }
    if source != "active" {
        tasks.extend(call.site.tasks.finished(call.node()));
    }
    let start = call.args.int("start").unwrap_or(0);
    let limit = call.args.int("limit").unwrap_or(DEFAULT_LIMIT);
    let mut out = Vec::new();
    let mut total = 0;
    for task in tasks.iter().filter(|t| (audit || is_own(&call.who, &t.user)) && wanted(call, t)) {
        total += 1;
        if total > start && (out.len() as i64) < limit {
            let mut item = entry(task);
            item.insert("pid".into(), json!(task.pid));
            item.insert("pstart".into(), json!(task.pstart));
            out.push(Value::Object(item));
        }
    }
    Ok(Reply { data: Value::Array(out), total: Some(total as u64), ..Reply::default() })
}

fn wanted(call: &Call, task: &Arc<Task>) -> bool {
    let args = &call.args;
    let status = task.end().map(|(_, s)| s);
    args.text("vmid").is_none_or(|v| v == task.id)
        && args.text("typefilter").is_none_or(|t| t == task.kind)
        && args.text("userfilter").is_none_or(|u| task.user.to_lowercase().contains(&u.to_lowercase()))
        && args.int("since").is_none_or(|s| task.start >= s)
        && args.int("until").is_none_or(|u| task.start <= u)
        && (!args.is_set("errors") || status.as_deref().is_none_or(|s| kind_of(s) == "error"))
        && args.text("statusfilter").is_none_or(|f| {
            let kind = status.as_deref().map_or("unknown", kind_of);
            split_list(f).any(|wanted| wanted == kind)
        })
}

/// The filter's name for a status.
fn kind_of(status: &str) -> &'static str {
    match status {
        "OK" => "ok",
        "unexpected status" => "unknown",
        s if s.starts_with("WARNINGS: ") => "warning",
        _ => "error",
    }
}

/// The user in a task id, after the id itself has been looked at.
fn owner_of(upid: &str) -> ApiResult<(&str, &str)> {
    let parts = parse_upid(upid).ok_or_else(|| ApiError::param("upid", "unable to parse worker upid"))?;
    Ok((parts.node, parts.user))
}

fn status(call: &Call) -> ReplyResult {
    let upid = call.args.must("upid");
    let (_, user) = owner_of(upid)?;
    let task = call.site.tasks.get(upid);
    if task.is_none() && !is_own(&call.who, user) {
        check_owner(call, user, "Sys.Audit")?;
    }
    let task = task.ok_or_else(|| ApiError::param("upid", "no such task"))?;
    check_owner(call, user, "Sys.Audit")?;
    let mut out = Map::new();
    let end = task.end();
    let fields = [
        ("upid", json!(task.upid)),
        ("node", json!(task.node)),
        ("type", json!(task.kind)),
        ("id", json!(task.id)),
        ("pid", json!(task.pid)),
        ("pstart", json!(task.pstart)),
        ("starttime", json!(task.start)),
        ("status", json!(if end.is_some() { "stopped" } else { "running" })),
    ];
    out.extend(fields.map(|(k, v)| (k.to_owned(), v)));
    user_parts(&mut out, &task.user);
    if let Some((_, exit)) = end {
        out.insert("exitstatus".into(), json!(exit));
    }
    Ok(Value::Object(out).into())
}

fn log(call: &Call) -> ReplyResult {
    let upid = call.args.must("upid");
    let (_, user) = owner_of(upid)?;
    check_owner(call, user, "Sys.Audit")?;
    let lines = call.site.tasks.get(upid).map(|t| t.lines());
    if call.args.is_set("download") {
        if call.args.has("start") || call.args.has("limit") {
            return Err(ApiError::die("'download' cannot be used together with 'start' or 'limit' parameters"));
        }
        let text: String = lines.unwrap_or_default().iter().map(|l| format!("{l}\n")).collect();
        return Ok(Reply { raw: Some(("text/plain".to_owned(), text.into_bytes())), ..Reply::default() });
    }
    let lines = match lines {
        None => vec!["unable to open file - No such file or directory".to_owned()],
        Some(lines) if lines.is_empty() => vec!["no content".to_owned()],
        Some(lines) => lines,
    };
    let start = call.args.int("start").unwrap_or(0).max(0) as usize;
    let limit = call.args.int("limit").unwrap_or(DEFAULT_LINES);
    let take = if limit == 0 { usize::MAX } else { limit as usize };
    let total = lines.len() as u64;
    let shown = lines.iter().enumerate().skip(start).take(take);
    let data = shown.map(|(n, text)| json!({"n": n + 1, "t": text})).collect();
    Ok(Reply { data: Value::Array(data), total: Some(total), ..Reply::default() })
}

fn stop(call: &Call) -> ReplyResult {
    let upid = call.args.must("upid");
    let (_, user) = owner_of(upid)?;
    check_owner(call, user, "Sys.Modify")?;
    if let Some(task) = call.site.tasks.get(upid) {
        task.interrupt.cancel();
    }
    Ok(Reply::null())
}
