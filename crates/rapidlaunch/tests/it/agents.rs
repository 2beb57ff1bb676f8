//! Agents as processes on simulated nodes: what they do in guests, and what happens when they are killed, stopped or put out.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Allow, Child, Run, World, farm};

/// A server, and what agents need.
struct Office {
    world: World,
    address: SocketAddr,
    server: Option<Child>,
}

/// Leaves a mark each time it runs, and ends when it is let.
const SLOW: &str = "echo mark >> /root/marks; while [ ! -e /root/go ]; do sleep 0.1; done; echo ended";

impl Office {
    /// Two guests, a server that listens for agents, and the agent of the first guest's node.
    fn open() -> (Self, Child) {
        let world = World::new();
        world.apply(&world.write_farm(&farm(2))).expect(0);
        // The port is free when it is chosen; should somebody take it, the server says so and the test fails with that.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut office = Self { world, address, server: None };
        office.serve();
        let agent = office.join(&office.node(3000));
        (office, agent)
    }

    fn serve(&mut self) {
        let address = self.address.to_string();
        self.server = Some(self.world.spawn(&["serve", "--agents", &address]));
        self.world.until("the server's door is open", || self.world.data.join("agents/door").exists());
    }

    fn node(&self, vmid: u64) -> String {
        self.world.guest(vmid)["node"].as_str().unwrap().to_owned()
    }

    /// Files of all guests, as the machine sees them.
    fn trees(&self) -> PathBuf {
        self.world.path("trees")
    }

    /// The file in the guest that has it.
    fn found(&self, name: &str) -> Vec<PathBuf> {
        let trees = std::fs::read_dir(self.trees()).into_iter().flatten().flatten();
        trees
            .filter(|tree| !tree.file_name().to_string_lossy().starts_with('.'))
            .map(|tree| tree.path().join(name))
            .filter(|file| file.exists())
            .collect()
    }

    fn marks(&self) -> usize {
        self.found("root/marks").iter().map(|file| std::fs::read_to_string(file).unwrap().lines().count()).sum()
    }

    /// Lets a slow command end.
    fn go(&self) {
        for marks in self.found("root/marks") {
            std::fs::write(marks.with_file_name("go"), "").unwrap();
        }
    }

    fn agent(&self, node: &str, token: Option<&str>) -> Child {
        let tools = self.world.path(&format!("tools-{node}"));
        let control = self.world.sim.control_url().trim_start_matches("http://").parse().unwrap();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_rapidlaunch"));
        pve_sim::pct::install(&tools, &program, control, node, &self.trees()).unwrap();
        let text = |path: PathBuf| path.display().to_string();
        let (pct, pvesh) = (text(tools.join("pct")), text(tools.join("pvesh")));
        let (server, dir) = (format!("https://{}", self.address), text(self.world.path(&format!("agent-{node}"))));
        let mut args =
            vec!["agent", "--server", &server, "--data", &dir, "--pct", &pct, "--pvesh", &pvesh, "--lock-dir", ""];
        args.extend(token.into_iter().flat_map(|token| ["--token-file", token]));
        self.world.spawn(&args)
    }

    /// An agent that joins, and is connected.
    fn join(&self, node: &str) -> Child {
        let token = self.world.run(&["agent", "token", "--site", "lab", "--node", node]).expect(0).stdout;
        let file = self.world.write_private(&format!("token-{node}"), &token);
        let agent = self.agent(node, Some(&file.display().to_string()));
        self.until_state(node, "connected");
        agent
    }

    fn state(&self, node: &str) -> Value {
        let listed = self.world.run(&["agent", "ls", "-o", "json"]).expect(0).json();
        let agents = listed["agents"].as_array().unwrap();
        agents.iter().find(|agent| agent["node"] == node).map_or(Value::Null, |agent| agent["state"].clone())
    }

    fn until_state(&self, node: &str, state: &str) {
        self.world.until(&format!("the agent of {node} is {state}"), || self.state(node) == state);
    }

    fn exec(&self, words: &[&str]) -> Run {
        let args: Vec<&str> = ["guest", "exec", "w-1", "--"].into_iter().chain(words.iter().copied()).collect();
        self.world.run(&args)
    }

    fn close(mut self, agents: Vec<Child>) {
        for agent in agents {
            agent.signal(Signal::TERM);
            self.world.wait(agent).expect(0);
        }
        let server = self.server.take().unwrap();
        server.signal(Signal::TERM);
        self.world.wait(server).expect(0);
        self.world.finish_with(Allow { volumes: true, ..Allow::default() });
    }
}

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
    assert_eq!(office.found("etc/app/app.conf").len(), 1);
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
    let agent = office.agent(&office.node(3000), None);
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
    let (office, agent) = Office::open();
    let node = office.node(3000);
    let asking = office.world.spawn(&["guest", "exec", "w-1", "--wait", "4m", "--", "sh", "-c", SLOW]);
    office.world.until("the command runs", || office.marks() == 1);
    agent.signal(Signal::STOP);
    let here = office.world.write("late.conf", "whole\n").display().to_string();
    let copying = office.world.spawn(&["guest", "cp", &here, "w-1:/etc/late.conf", "--wait", "4m"]);
    office.until_state(&node, "away");
    agent.signal(Signal::CONT);
    office.until_state(&node, "connected");
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
    let ours = world.guest(3000)["config"].clone();
    let mut copied = ours.clone();
    let net0 = ours["net0"].as_str().unwrap();
    let at = net0.find("hwaddr=").unwrap() + "hwaddr=".len();
    copied["net0"] = json!(format!("{}02:00:00:00:00:01{}", &net0[..at], &net0[at + 17..]));
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let whole = |config: &Value| -> Value {
        config
            .as_object()
            .unwrap()
            .iter()
            .filter(|(key, _)| *key != "digest")
            .map(|(key, value)| (key.clone(), json!(text(value))))
            .collect()
    };
    for config in [json!({"hostname": "w-1", "net0": text(&ours["net0"])}), whole(&copied)] {
        control(json!({"vmid": 3000, "node": home, "replace": true, "config": config, "running": true}));
        let here = world.write("secret.conf", "not for it\n").display().to_string();
        let pushed = world.run(&["guest", "cp", &here, "w-1:/etc/secret.conf"]).expect(4);
        assert!(pushed.stderr.contains("nothing was done to it"), "{pushed:?}");
        office.exec(&["touch", "/root/wrong"]).expect(4);
    }
    assert_eq!(office.found("etc/secret.conf").len() + office.found("root/wrong").len(), 0);

    // The agent of the other guest's node is revoked: it is put out, and what needs it says so.
    world.run(&["agent", "revoke", "--site", "lab", "--node", away]).expect(0);
    assert_eq!(office.state(away), "revoked");
    control(json!({"vmid": 3000, "node": home, "replace": true, "config": whole(&ours), "running": true}));
    office.exec(&["true"]).expect(0);
    office.close(vec![agent, other]);
}
