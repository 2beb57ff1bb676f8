//! On a terminal: questions, colour, live progress. `script` from Debian's essential bsdutils gives the terminal.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::{World, farm};

/// Runs the binary on a terminal of its own and types an answer; gives the exit code and all that the screen got.
fn on_a_terminal(world: &World, args: &[&str], typed: &str, no_color: bool) -> (i32, String) {
    let words: Vec<String> = std::iter::once(env!("CARGO_BIN_EXE_rapidlaunch"))
        .chain(args.iter().copied())
        .map(|word| format!("'{word}'"))
        .collect();
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &words.join(" "), "/dev/null"]).env_clear();
    command.env("RAPIDLAUNCH_DATA", &world.data).env("RAPIDLAUNCH_PACE", "100").env("TERM", "xterm-256color");
    command.env("PATH", "/usr/bin:/bin").env("HOME", world.folder()).env("USER", "tester").env("SHELL", "/bin/sh");
    world.name_server(&mut command);
    if no_color {
        command.env("NO_COLOR", "1");
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(typed.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn asked_and_answered() {
    let world = World::new();
    let files = world.write_farm(&farm(2));
    let args: Vec<&str> = ["apply"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let (code, screen) = on_a_terminal(&world, &args, "n\n", false);
    assert_eq!(code, 2, "{screen}");
    assert!(screen.contains("Apply this plan?") && screen.contains("nothing was touched"), "{screen}");
    assert_eq!(world.state()["guests"], json!({}));
    let (code, screen) = on_a_terminal(&world, &args, "y\n", false);
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains("Proven: 2 guests"), "{screen}");
    assert!(screen.contains("\x1b[1"), "a terminal gets colour: {screen}");
    let (code, screen) = on_a_terminal(&world, &["destroy", "farm"], "yes\n", false);
    assert_eq!(code, 0, "{screen}");
    assert_eq!(world.state()["guests"], json!({}));
    world.finish();
}

#[test]
fn colour_where_it_is_wanted() {
    let world = World::new();
    let files = world.write_farm(&farm(1));
    let args: Vec<&str> = ["plan"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let colour = |text: &str| text.contains("\x1b[3") || text.contains("\x1b[1");
    assert!(colour(&on_a_terminal(&world, &args, "", false).1));
    assert!(!colour(&on_a_terminal(&world, &args, "", true).1), "NO_COLOR is honoured");
    assert!(!colour(&world.run(&args).expect(0).text()), "no terminal, no colour");
    let always: Vec<&str> = args.iter().copied().chain(["--color", "always"]).collect();
    assert!(colour(&world.run(&always).expect(0).stdout));
    let never: Vec<&str> = args.iter().copied().chain(["--color", "never"]).collect();
    assert!(!colour(&on_a_terminal(&world, &never, "", false).1));
    world.finish();
}

/// The loudest log of an apply that meets trouble, in both forms: the harness searches all of it for the token's secret.
#[test]
fn the_log_holds_no_secret() {
    let world = World::new();
    let files = world.write_farm(&farm(2));
    let plan: Vec<&str> = ["plan", "-vvv"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let loud = world.run_with(&plan, "RAPIDLAUNCH_LOG", "trace");
    assert!(loud.stderr.len() > 1000, "nothing was logged: {loud:?}");
    world.faults(
        json!([{ "when": { "method": "POST", "path": "/nodes/*/lxc", "nth": 1 }, "action": { "do": "lose-answer" } }]),
    );
    let apply: Vec<&str> =
        ["apply", "--yes", "-vvv", "-o", "json"].into_iter().chain(files.iter().map(String::as_str)).collect();
    world.run_with(&apply, "RAPIDLAUNCH_LOG", "trace").expect(0);
    world.write_private("lab.token", "root@pam!rapidlaunch=11111111-2222-4333-8444-555555555555");
    let refused = world.run_with(&apply, "RAPIDLAUNCH_LOG", "trace").expect(1);
    assert!(!refused.text().contains("11111111-2222"), "{refused:?}");
    world.write_private("lab.token", world.sim.token());
    world.finish();
}

also_through_a_server![asked_and_answered, colour_where_it_is_wanted];
