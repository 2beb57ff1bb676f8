//! Goal: what the README says to type does what it says. Method: its shell lines are run as they stand, against a real server and
//! a simulated site.

use std::process::Command;

use crate::harness::{Allow, World};

/// The lines of the README that are to be run.
fn script(readme: &str) -> &str {
    let (_, rest) = readme.split_once("<!-- This is run by a test. -->\n```sh\n").expect("the README has lines to run");
    rest.split_once("```").expect("they have an end").0
}

/// The two documents of the README's first example, the site's with the simulated site's address, certificate and token.
fn documents(readme: &str, world: &World) -> (String, String) {
    let (_, rest) = readme.split_once("```yaml\n").expect("the README has a first stack");
    let (site, stack) =
        rest.split_once("```").expect("it has an end").0.split_once("---\n").expect("it has two documents");
    let lines = site.lines().map(|line| match line.trim_start().split(':').next() {
        Some("endpoints") => format!("  endpoints: {}\n", serde_json::json!(world.sim.urls())),
        Some("token") => "  token: { secret: sites/fra1 }\n".to_owned(),
        Some("tls") => format!("  tls: {{ fingerprint: \"{}\" }}\n", world.sim.fingerprint()),
        _ => format!("{line}\n"),
    });
    (lines.collect(), stack.to_owned())
}

#[test]
fn a_stack_is_launched_by_curl() {
    let readme = include_str!("../../../../README.md");
    let world = World::new();
    let served = world.api_server(&[]);
    let folder = world.path("typed");
    std::fs::create_dir(&folder).unwrap();
    let (site, stack) = documents(readme, &world);
    std::fs::write(folder.join("site.yaml"), site).unwrap();
    std::fs::write(folder.join("fra1.token"), format!("{}\n", world.sim.token())).unwrap();
    std::fs::write(folder.join("shop.yaml"), stack).unwrap();
    let mut bash = Command::new("bash");
    let ran =
        bash.args(["-euo", "pipefail", "-c", script(readme)]).current_dir(&folder).env("data", &world.data).output();
    let ran = ran.expect("bash is there");
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}{err}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 4, "{out}");
    assert!(lines[..3].iter().all(|line| line.starts_with("create web-")), "{out}");
    assert_eq!(lines[3], "done and proven: true");
    world.end(served).expect(0);
    world.finish_with(Allow { volumes: true, ..Allow::default() });
}
