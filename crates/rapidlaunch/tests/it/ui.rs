//! Goal: what people do in the web page works against the real server, in Debian's Chromium. Method: the flows of ui/tests, each
//! in a world of its own; they start and kill the server themselves. At the end the site and the store must be as ever.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::{Allow, SPEED, World, site};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folder of playwright and axe.
fn packages() -> String {
    assert!(
        Path::new("/usr/bin/chromium").exists(),
        "Chromium is missing: `scripts/setup test`, or apt install chromium"
    );
    let made = Command::new(root().join("scripts/page-packages")).stderr(Stdio::inherit()).output().unwrap();
    assert!(
        made.status.success(),
        "scripts/page-packages installs playwright and axe; `scripts/setup test` installs node"
    );
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

/// Runs a flow of ui/tests to its end.
#[track_caller]
fn flow(script: &str, allow: Allow) {
    let packages = packages();
    let world = World::new();
    let ready: Value = serde_json::from_str(&world.sim.ready_line()).unwrap();
    let given = json!({
        "program": env!("CARGO_BIN_EXE_rapidlaunch"),
        "dir": world.folder(),
        "pace": SPEED,
        "site": ready,
        "site_file": site(&world.sim.urls(), world.sim.fingerprint(), "{ secret: sites/lab }"),
    });
    let mut command = Command::new("node");
    command.arg(root().join("ui/tests").join(script)).env_clear().stdin(Stdio::null());
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", world.folder()).current_dir(world.folder());
    command.env("UI_WORLD", given.to_string()).env("UI_PACKAGES", packages);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = world.wait(world.spawn_command(command));
    // All of it: where the page was, what it showed, what the server said.
    assert_eq!(run.code, Some(0), "{}", run.text());
    world.finish_with(allow);
}

#[test]
fn a_new_user_comes_from_the_set_up_link_to_a_proof() {
    flow("new_user.mjs", Allow { volumes: true, ..Allow::default() });
}

#[test]
fn people_sign_in_approve_and_cancel() {
    flow("people.mjs", Allow { volumes: true, made_again: true, ..Allow::default() });
}

#[test]
fn the_page_follows_through_kills_and_gaps() {
    flow("following.mjs", Allow { volumes: true, ..Allow::default() });
}

#[test]
fn every_view_is_read_and_accessible() {
    flow("views.mjs", Allow { volumes: true, ..Allow::default() });
}
