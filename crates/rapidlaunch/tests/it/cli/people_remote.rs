//! Commands about people through a server: users, grants, tokens, quotas and the audit.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use super::remote::{person, with_token};
use super::shape;
use crate::harness::{World, farm};

const PASSWORD: &str = "correct horse battery";

/// Some of everything about people.
pub(super) fn people(world: &World) {
    for args in [
        &["user", "add", "maria", "--no-password"][..],
        &["user", "add", "otto", "--no-password"],
        &["user", "disable", "otto"],
        &["grant", "add", "user:maria", "deployer", "/stacks/farm"],
        &["grant", "add", "group:ops", "operator", "/"],
        &["token", "add", "maria", "--label", "pipeline", "--scope", "viewer:/", "--scope", "deployer:/stacks"],
        &["token", "add", "otto", "--label", "ended", "--scope", "viewer:/", "--days", "9"],
        &["quota", "set", "team", "--guests", "3", "--memory", "8GiB", "--disk", "20GiB"],
    ] {
        world.run(args).expect(0);
    }
    let tokens = world.run(&["token", "ls", "--owner", "otto", "-o", "json"]).expect(0).json();
    world.run(&["token", "rm", tokens["tokens"][0]["id"].as_str().unwrap()]).expect(0);
}

/// A text without the ids and tokens in it, which differ from run to run.
fn steady(text: &str) -> String {
    let letters = "0123456789abcdefghjkmnpqrstvwxyz";
    let is_id = |word: &str| word.len() == 12 && word.chars().all(|letter| letters.contains(letter));
    let is_other = |letter: char| !(letter.is_ascii_alphanumeric() || letter == '_' || letter == '-');
    let told = |part: &str| {
        let word = part.trim_end_matches(is_other);
        let told = if is_id(word) || word.starts_with("rlt_") { "ID" } else { word };
        format!("{told}{}", &part[word.len()..])
    };
    text.split_inclusive(is_other).map(told).collect()
}

fn typed(world: &World, mut command: Command, input: &str) -> (String, String) {
    command.stdin(Stdio::piped());
    let mut child = world.spawn_command(command);
    // A command that is refused before it asks has closed its end.
    let _ = child.input().write_all(input.as_bytes());
    let run = world.wait(child);
    let out = match run.stdout.starts_with('{') {
        true => shape(&run.json()),
        false => steady(&run.stdout),
    };
    (format!("{:?} {out}", run.code), steady(&run.stderr))
}

/// Whatever is changed, and whatever is refused: the same words, the same shape and the same exit code.
#[test]
fn changes_say_the_same() {
    let (here, there) = (World::new(), World::new());
    let served = there.api_server(&[]);
    let nobody = "0123456789ab";
    let commands = [
        (&["user", "add", "anna"][..], "too short\n"),
        (&["user", "add", "anna"], PASSWORD),
        (&["user", "add", "anna"], PASSWORD),
        (&["user", "add", "berta", "--no-password"], ""),
        (&["user", "password", "berta"], PASSWORD),
        (&["user", "password", "berta"], "no"),
        (&["user", "password", "nobody"], PASSWORD),
        (&["user", "disable", "berta"], ""),
        (&["user", "enable", "berta"], ""),
        (&["user", "enable", "nobody"], ""),
        (&["grant", "add", "user:anna", "admin", "/"], ""),
        (&["grant", "add", "user:anna", "admin", "/"], ""),
        (&["grant", "add", "user:nobody", "viewer", "/stacks"], ""),
        (&["grant", "rm", nobody], ""),
        (&["user", "disable", "anna"], ""),
        (&["user", "rm", "anna"], ""),
        (&["token", "add", "anna", "--label", "x", "--scope", "viewer:/", "--days", "3"], ""),
        (&["token", "add", "anna", "--label", " ", "--scope", "viewer:/"], ""),
        (&["token", "add", "nobody", "--label", "x", "--scope", "viewer:/"], ""),
        (&["token", "rm", nobody], ""),
        (&["quota", "set", "team/x", "--guests", "1"], ""),
        (&["quota", "set", "team 100%?", "--guests", "1"], ""),
        (&["quota", "set", "team-100%?", "--guests", "1"], ""),
        (&["quota", "show", "team-100%?"], ""),
        (&["quota", "rm", "team-100%?"], ""),
        (&["quota", "rm", "team-100%?"], ""),
        (&["user", "rm", "berta"], ""),
        (&["user", "rm", "berta"], ""),
    ];
    for (number, (args, input)) in commands.into_iter().enumerate() {
        // Each is given twice, and half of them first as JSON: of most, only the first does something.
        for format in if number % 2 == 0 { ["text", "json"] } else { ["json", "text"] } {
            let args: Vec<&str> = args.iter().copied().chain(["-o", format]).collect();
            let mut command = there.command_here(&args);
            served.name_to(&there, &mut command);
            let (one, two) = (typed(&here, here.command_here(&args), input), typed(&there, command, input));
            assert_eq!(one, two, "{args:?}");
        }
    }
    let last = |world: &World| {
        let audit = world.run(&["audit", "ls", "-o", "json"]).expect(0).json();
        let entry = |entry: &serde_json::Value| {
            let (action, path) = (entry["action"].as_str().unwrap(), entry["path"].as_str().unwrap());
            steady(&format!("{action} {path} {}\n", entry["via"]))
        };
        audit["entries"].as_array().unwrap().iter().map(entry).collect::<String>()
    };
    assert_eq!(last(&here), last(&there), "the same is written down");
    there.end(served).expect(0);
    here.finish();
    there.finish();
}

/// An administrator does all of it with an API token from elsewhere, and it is written down as theirs. Whoever is none is refused.
#[test]
fn a_token_administers_as_far_as_its_owner_may() {
    let world = World::new();
    let served = world.api_server(&[]);
    let (_, anna) = person(&world, &served, "anna", "admin");
    let (_, berta) = person(&world, &served, "berta", "viewer");
    for args in [
        &["user", "add", "otto", "--no-password"][..],
        &["grant", "add", "user:otto", "viewer", "/"],
        &["token", "add", "otto", "--label", "x", "--scope", "viewer:/"],
        &["quota", "set", "team", "--guests", "3"],
        &["audit", "verify"],
        &["audit", "export"],
    ] {
        with_token(&world, &served, &anna, args).expect(0);
        let refused = with_token(&world, &served, &berta, args).expect(2);
        assert!(refused.stderr.contains("berta may not admin on /"), "{args:?}: {refused:?}");
    }
    for args in [&["user", "ls"][..], &["grant", "ls"], &["quota", "ls"], &["audit", "ls"]] {
        with_token(&world, &served, &berta, args).expect(2);
    }
    let own = with_token(&world, &served, &berta, &["token", "ls", "-o", "json"]).expect(0).json();
    assert!(own["tokens"].as_array().unwrap().iter().all(|token| token["owner"] == "berta"), "{own}");
    let audit = with_token(&world, &served, &anna, &["audit", "ls", "--path", "/users/otto", "-o", "json"]);
    let entry = &audit.expect(0).json()["entries"][0];
    assert_eq!((&entry["actor"], &entry["action"]), (&json!("anna"), &json!("user.create")));
    assert!(entry["via"].as_str().unwrap().starts_with("token:"), "{entry}");
    world.end(served).expect(0);
    world.finish();
}

/// Beside a server that holds the directory, the commands find it by themselves.
#[test]
fn the_server_beside_is_asked() {
    let world = World::new();
    let files = world.write_farm(&farm(1));
    world.apply(&files).expect(0);
    let served = world.api_server(&[]);
    people(&world);
    world.run(&["audit", "verify"]).expect(0);
    let users = served.json(&world, "/v1/users");
    assert_eq!(users["items"].as_array().unwrap().len(), 2, "{users}");
    world.end(served).expect(0);
    world.run(&["user", "rm", "otto"]).expect(0);
    world.finish();
}
