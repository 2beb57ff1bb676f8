//! The commands as a person and as a script meet them.

/// Makes a test of each function named, with its commands working through a server.
macro_rules! also_through_a_server {
    ($($test:ident),* $(,)?) => {
        mod through_a_server {
            $(#[test] fn $test() { crate::harness::through_a_server(super::$test); })*
        }
    };
}

mod access;
mod agents;
mod dns;
mod exits;
pub(crate) mod firewall;
mod guests;
mod ops;
mod people;
mod people_remote;
mod refusals;
mod remote;
mod rights;
mod schedules;
mod secrets;
mod shapes;
mod sites;
mod stacks;

use insta::Settings;
use serde_json::Value;

use crate::harness::World;

/// Snapshot settings that put words in the place of what differs from run to run.
fn settings(world: &World) -> Settings {
    let mut settings = Settings::clone_current();
    let folder = regex_of(&world.folder().display().to_string());
    for (from, to) in [
        (folder.as_str(), "DIR"),
        (r"\b[0-9A-HJKMNP-TV-Z]{26}\b", "OPERATION"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        (r"\b([0-9A-F]{2}:){31}[0-9A-F]{2}\b", "FINGERPRINT"),
        (r"\b52(:[0-9A-F]{2}){5}\b", "MAC"),
        (r"\brl-[0-9a-hjkmnp-tv-z]{12}\b", "TAG"),
        (r"\b[0-9a-hjkmnp-tv-z]{20}\b", "ID"),
        (r"\b[Pp]lan [0-9a-f]{16}\b", "plan PLAN"),
        (r"\b\d+\.\d s\b", "N s"),
        (r"\b\d+ ms\b", "N ms"),
        (r"\b\d+ s ago", "N s ago"),
        (r"[Pp]rocess \d+", "process PID"),
        (r"UPID:[^\s]+", "UPID"),
        (r"[ ]+\n", "\n"),
    ] {
        settings.add_filter(from, to);
    }
    settings
}

/// What the audit says was done, oldest first. It is read beside the server, where there is one.
fn audited(world: &World) -> Vec<String> {
    let list = ["audit", "ls", "--limit", "200", "-o", "json"];
    let listed = world.wait(world.spawn_command(world.command_here(&list))).expect(0).json();
    let entries = listed["entries"].as_array().unwrap().iter().rev();
    entries.map(|e| format!("{} {}", e["action"].as_str().unwrap(), e["path"].as_str().unwrap())).collect()
}

fn regex_of(text: &str) -> String {
    text.replace('.', r"\.")
}

/// The shape of a JSON document: every value by its type, of a list what its items have in common with the first.
fn shape(value: &Value) -> String {
    let mut out = String::new();
    write_shape(value, 0, &mut out);
    out
}

fn write_shape(value: &Value, depth: usize, out: &mut String) {
    let pad = "  ".repeat(depth);
    match value {
        Value::Object(map) if map.is_empty() => out.push_str("{}\n"),
        Value::Object(map) => {
            out.push('\n');
            for (key, value) in map {
                let nested = value.as_object().is_some_and(|map| !map.is_empty());
                out.push_str(&format!("{pad}{key}:{}", if nested { "" } else { " " }));
                write_shape(value, depth + 1, out);
            }
        }
        Value::Array(list) if list.is_empty() => out.push_str("[]\n"),
        Value::Array(list) if list[0].is_object() => {
            out.push_str("list of");
            write_shape(&list[0], depth + 1, out);
        }
        Value::Array(list) => {
            out.push_str("list of ");
            write_shape(&list[0], depth + 1, out);
        }
        Value::String(_) => out.push_str("text\n"),
        Value::Number(_) => out.push_str("number\n"),
        Value::Bool(_) => out.push_str("yes or no\n"),
        Value::Null => out.push_str("null\n"),
    }
}
