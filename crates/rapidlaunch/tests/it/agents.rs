//! Agents as processes on simulated nodes: what they do in guests, and what happens when they are killed, stopped or put out.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::office::{Office, SLOW};

#[test]
fn inside_a_guest() {
    let (office, agent) = Office::open();
    let world = &office.world;
    assert_eq!(office.exec(&["echo", "a b", "$HOME"]).expect(0).stdout, "a b $HOME\n");
    office.exec(&["sh", "-c", "exit 7"]).expect(7);
    office.exec(&["no-such-program"]).expect(127);
    let run = world.run(&["guest", "exec", "w-1", "--limit", "1s", "--", "sleep", "600"]).expect(124);
    assert!(run.stderr.contains("ran out of time"), "{run:?}");
    let run = world.run(&[
        "guest",
        "exec",
        "w-1",
        "-e",
        "COLOUR=blue",
        "--",
        "sh",
        "-c",
        "echo $COLOUR; hostname >/dev/null",
    ]);
    assert_eq!(run.expect(0).stdout, "blue\n");

    // A file goes in with owner and mode, and comes back as it was.
    let here = world.write("app.conf", "one\ntwo\n").display().to_string();
    world.run(&["guest", "cp", &here, "w-1:/etc/app/app.conf", "--mode", "0640"]).expect(0);
    assert_eq!(office.exec(&["stat", "-c", "%a", "/etc/app/app.conf"]).expect(0).stdout, "640\n");
    let back = world.path("back.conf").display().to_string();
    world.run(&["guest", "cp", "farm/w-1:/etc/app/app.conf", &back]).expect(0);
    assert_eq!(std::fs::read_to_string(&back).unwrap(), "one\ntwo\n");
    assert_eq!(office.world.found("etc/app/app.conf").len(), 1);
    world.run(&["guest", "cp", "w-1:/etc/nothing", &back]).expect(1);
    office.exec(&["sh", "-c", "echo line > /var/log/app.log"]).expect(0);
    assert_eq!(world.run(&["guest", "logs", "w-1", "-n", "5"]).expect(0).stdout, "line\n");

    // What lies under /run is gone after a restart, the rest is not.
    office.exec(&["sh", "-c", "touch /run/gone /etc/stays"]).expect(0);
    let restart = json!({"vmid": 3000, "running": false});
    world.runtime.block_on(world.sim.control("POST", "/guests", restart));
    let stopped = office.exec(&["true"]).expect(1);
    assert!(stopped.stderr.contains("does not run"), "{stopped:?}");
    world.runtime.block_on(world.sim.control("POST", "/guests", json!({"vmid": 3000, "running": true})));
    office.exec(&["test", "-e", "/run/gone"]).expect(1);
    office.exec(&["test", "-e", "/etc/stays"]).expect(0);
    office.close(vec![agent]);
}

/// The agent is killed while a command runs. Nobody knows how the command ended, and it is not run again.
#[test]
fn a_killed_agent_repeats_nothing() {
    let (office, mut agent) = Office::open();
    let asking = office.world.spawn(&["guest", "exec", "w-1", "--", "sh", "-c", SLOW]);
    office.world.until("the command runs", || office.marks() == 1);
    agent.kill();
    office.world.wait(agent);
    let agent = office.agent(&office.node(3000));
    let run = office.world.wait(asking).expect(1);
    assert!(run.stderr.contains("not run again"), "{run:?}");
    assert_eq!(office.marks(), 1);
    office.go();
    // The agent goes on with what is new.
    assert_eq!(office.exec(&["cat", "/root/marks"]).expect(0).stdout, "mark\n");
    office.close(vec![agent]);
}

/// The agent stops for longer than anybody waits, and then goes on: the command it had begun ends once, a file that was on its
/// way to it arrives whole.
#[test]
fn a_stopped_agent_repeats_nothing() {
    let office = Office::brisk();
    let node = office.node(3000);
    let agent = office.join(&node);
    let asking = office.world.spawn(&["guest", "exec", "w-1", "--wait", "4m", "--", "sh", "-c", SLOW]);
    office.world.until("the command runs", || office.marks() == 1);
    agent.signal(Signal::STOP);
    let here = office.world.write("late.conf", "whole\n").display().to_string();
    let copying = office.world.spawn(&["guest", "cp", &here, "w-1:/etc/late.conf", "--wait", "4m"]);
    office.world.until_agent(&node, "away");
    agent.signal(Signal::CONT);
    office.world.until_agent(&node, "connected");
    office.go();
    assert!(office.world.wait(asking).expect(0).stdout.contains("ended"));
    office.world.wait(copying).expect(0);
    assert_eq!(office.marks(), 1);
    assert_eq!(office.exec(&["cat", "/etc/late.conf"]).expect(0).stdout, "whole\n");
    office.close(vec![agent]);
}

/// The world turns: the guest moves, another takes its VMID, its agent is put out. Nothing is done in a wrong guest.
#[test]
fn the_wrong_guest_is_not_entered() {
    let (office, agent) = Office::open();
    let world = &office.world;
    let control = |body: Value| world.runtime.block_on(world.sim.control("POST", "/guests", body));
    let home = office.node(3000);
    let away = ["pve1", "pve2", "pve3"].into_iter().find(|node| *node != home && *node != office.node(3001)).unwrap();
    office.exec(&["touch", "/root/ours"]).expect(0);

    // It migrated: the agent of its old node refuses, and that of the new one is asked for.
    control(json!({"vmid": 3000, "node": away}));
    let run = office.exec(&["touch", "/root/wrong"]).expect(4);
    assert!(run.stderr.contains(&format!("node lab/{away} has no agent")), "{run:?}");
    let other = office.join(away);
    office.exec(&["test", "-e", "/root/ours"]).expect(0);
    control(json!({"vmid": 3000, "node": home}));
    office.exec(&["test", "-e", "/root/ours"]).expect(0);

    // Another guest has its VMID, first a stranger, then one that carries our stamp with another MAC.
    let ours = world.whole_config(3000);
    let mut copied = ours.clone();
    let net0 = ours["net0"].as_str().unwrap();
    let at = net0.find("hwaddr=").unwrap() + "hwaddr=".len();
    copied["net0"] = json!(format!("{}02:00:00:00:00:01{}", &net0[..at], &net0[at + 17..]));
    for config in [json!({"hostname": "w-1", "net0": ours["net0"]}), copied] {
        control(json!({"vmid": 3000, "node": home, "replace": true, "config": config, "running": true}));
        let here = world.write("secret.conf", "not for it\n").display().to_string();
        let pushed = world.run(&["guest", "cp", &here, "w-1:/etc/secret.conf"]).expect(4);
        assert!(pushed.stderr.contains("nothing was done to it"), "{pushed:?}");
        office.exec(&["touch", "/root/wrong"]).expect(4);
    }
    assert_eq!(office.world.found("etc/secret.conf").len() + office.world.found("root/wrong").len(), 0);

    // The agent of the other guest's node is revoked: it is put out, and what needs it says so.
    world.run(&["agent", "revoke", "--site", "lab", "--node", away]).expect(0);
    assert_eq!(office.world.agent_state(away).as_deref(), Some("revoked"));
    control(json!({"vmid": 3000, "node": home, "replace": true, "config": ours, "running": true}));
    office.exec(&["true"]).expect(0);
    office.close(vec![agent, other]);
}
