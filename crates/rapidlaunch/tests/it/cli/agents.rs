//! Agents looked after by command; `tests/it/agents.rs` has them at work.

use serde_json::json;

use super::audited;
use crate::harness::{World, farm, free_address};

#[test]
fn invited_and_not_there_yet() {
    let world = World::new();
    world.apply(&world.write_farm(&farm(1))).expect(0);
    let token = |site: &str, more: &[&str]| {
        world.run(&[&["agent", "token", "--site", site, "--node", "pve1"], more].concat()).expect(0)
    };
    let run = token("lab", &[]);
    assert_eq!((run.stdout.lines().count(), run.stderr.as_str()), (1, ""));
    let made = token("lab", &["--hours", "2", "-o", "json"]).json();
    assert_eq!((&made["site"], &made["node"], &made["hours"]), (&json!("lab"), &json!("pve1"), &json!(2)));
    let early = token("later", &[]).stderr;
    assert!(early.contains("Note: no site `later` is known yet"), "{early}");
    world.run(&["agent", "token", "--site", "lab", "--node", "pve1", "--hours", "0"]).expect(2);
    assert_eq!(world.run(&["agent", "ls", "-o", "json"]).expect(0).json(), json!({ "agents": [] }));
    let none = world.run(&["agent", "revoke", "--site", "lab", "--node", "pve1"]).expect(2).stderr;
    assert!(none.contains("node lab/pve1 has no agent"), "{none}");
    let deeds: Vec<String> = audited(&world).into_iter().filter(|deed| deed.starts_with("agent.")).collect();
    assert_eq!(deeds, ["agent.invite /sites/lab", "agent.invite /sites/lab", "agent.invite /sites/later"]);
    world.finish();
}

/// The same bytes beside a server and through it, for an agent that is there.
#[test]
fn an_agent_that_is_there_is_listed_and_put_out() {
    let world = World::new();
    world.apply(&world.write_farm(&farm(1))).expect(0);
    let address = free_address();
    let served = world.api_server(&["--agents", &address.to_string()]);
    let through = |args: &[&str]| {
        let mut command = world.command_here(args);
        served.name_to(&world, &mut command);
        world.wait(world.spawn_command(command))
    };
    let token = through(&["agent", "token", "--site", "lab", "--node", "pve1"]).expect(0).stdout;
    let file = world.write_private("join", &token);
    let mut agent = world.agent("pve1", address, Some(file.to_str().unwrap()));
    world.until_agent("pve1", "connected");
    for format in ["text", "json"] {
        let list = ["agent", "ls", "-o", format];
        // Between the two the agent may have given a sign of life.
        world.until("both say the same", || world.run(&list).expect(0).stdout == through(&list).expect(0).stdout);
    }
    let revoke = ["agent", "revoke", "--site", "lab", "--node", "pve1"];
    assert_eq!(through(&revoke).expect(0).stderr, "Revoked the agent of lab/pve1.\n");
    assert_eq!(world.agent_state("pve1").as_deref(), Some("revoked"));
    let again = through(&revoke).expect(2).stderr;
    assert_eq!(again, world.run(&revoke).expect(2).stderr);
    let deeds: Vec<String> = audited(&world).into_iter().filter(|deed| deed.starts_with("agent.")).collect();
    assert_eq!(deeds, ["agent.invite /sites/lab", "agent.revoke /sites/lab"]);
    agent.kill();
    let _ = world.wait(agent);
    world.end(served).expect(0);
    world.finish();
}

also_through_a_server![invited_and_not_there_yet];
