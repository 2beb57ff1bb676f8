//! Secrets from the store into guests, through agents as processes on simulated nodes, and the hunt for their values in all that
//! anybody wrote: output with every log, the data directory with the database and its log, the folders of the agents.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Allow, Child, Run, World, free_address};

pub(crate) const VALUE: &str = "Xq7-pf2Lm9ZtRw4cEy6b";
pub(crate) const OTHER: &str = "Kd8+vh3Nn0BuSx5eGz7a";

/// A site with agents on every node, and a stack of two guests of which one is granted a secret.
pub(crate) struct Vault {
    pub(crate) world: World,
    pub(crate) address: SocketAddr,
    pub(crate) agents: Vec<Child>,
}

impl Vault {
    pub(crate) fn open() -> Self {
        Self::open_in(World::new())
    }

    /// The same in a world that was set up before.
    pub(crate) fn open_in(world: World) -> Self {
        world.hide(VALUE);
        world.hide(OTHER);
        world.write_site();
        let mut vault = Self { world, address: free_address(), agents: Vec::new() };
        vault.join();
        vault
    }

    /// Lets an agent of each node join. They go on looking for a server at the address.
    fn join(&mut self) {
        let server = self.world.spawn(&["serve", "--agents", &self.address.to_string()]);
        self.world.until("the server's door is open", || self.world.data.join("agents/door").exists());
        for node in ["pve1", "pve2", "pve3"] {
            self.agents.push(self.world.agent(node, self.address, Some(&self.world.agent_token(node))));
        }
        self.world.until("three agents are connected", || {
            let listed = self.world.run(&["agent", "ls", "-o", "json"]).expect(0).json();
            let agents = listed["agents"].as_array().cloned().unwrap_or_default();
            agents.iter().filter(|agent| agent["state"] == "connected").count() == 3
        });
        server.signal(Signal::TERM);
        self.world.wait(server).expect(0);
    }

    pub(crate) fn set(&self, value: &str) {
        let path = self.world.path("value");
        std::fs::write(&path, value).unwrap();
        self.world.run(&["secret", "set", "shop/db", "--file", path.to_str().unwrap(), "-vv"]).expect(0);
        std::fs::remove_file(path).unwrap();
    }

    /// The stack's file, with these lines in the entry of the first guest.
    pub(crate) fn stack(&self, grants: &str) -> [String; 4] {
        let common = "image: debian-12, cores: 1, memory: 256 MiB, disk: 1 GiB, nics: { eth0: { network: lan } }";
        let yaml = format!(
            "kind: stack\nname: shop\nsite: lab\ncontainers:\n  db: {{ {common}{grants} }}\n  web: {{ {common} }}\n"
        );
        self.world.write_stack("shop", &yaml)
    }

    pub(crate) fn act(&self, words: &[&str], files: &[String]) -> Run {
        let address = self.address.to_string();
        let args: Vec<&str> = words.iter().copied().chain(["--agents", &address, "-vv"]).collect();
        self.world.run_files(&args, files)
    }

    pub(crate) fn apply(&self, files: &[String]) -> Value {
        self.act(&["apply", "--yes", "--output", "json"], files).expect(0).json()
    }

    pub(crate) fn verify(&self) -> Run {
        self.act(&["verify", "shop", "--output", "json"], &[])
    }

    /// Files of that name in all guests, with what they hold.
    pub(crate) fn found(&self, name: &str) -> Vec<(PathBuf, String)> {
        let files = self.world.found(name).into_iter();
        files.map(|file| (file.clone(), std::fs::read_to_string(file).unwrap())).collect()
    }

    pub(crate) fn close(self) {
        self.close_with(Allow::default());
    }

    pub(crate) fn close_with(mut self, allow: Allow) {
        for agent in self.agents.drain(..) {
            agent.signal(Signal::TERM);
            self.world.wait(agent).expect(0);
        }
        self.world.finish_with(allow);
    }
}

pub(crate) const GRANT: &str = r#", secrets: [{ from: shop/db, reload: [sh, -c, "echo again >> /root/reloads"] }]"#;

#[test]
fn secret_is_delivered_rotated_brought_back_and_taken() {
    let vault = Vault::open();
    let files = vault.stack(GRANT);
    let blocked = vault.act(&["plan", "--output", "json"], &files).json();
    assert!(blocked["plans"][0]["blocked"].as_bool().unwrap(), "{blocked}");
    vault.set(VALUE);
    vault.apply(&files);
    let found = vault.found("run/secrets/db");
    assert_eq!(found.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>(), [VALUE]);
    assert_eq!(std::fs::metadata(&found[0].0).unwrap().permissions().mode() & 0o777, 0o400);
    vault.world.until("nothing is left to do", || vault.act(&["plan", "--exit-code"], &files).code == Some(0));
    assert_eq!(vault.found("root/reloads").len(), 0, "nobody has read the first value yet");

    // Another value: exchanged without a restart, and the service is told once.
    vault.set(OTHER);
    let plan = vault.act(&["plan", "--exit-code"], &files).expect(3);
    assert!(plan.stdout.contains("/run/secrets/db from shop/db (version 1 -> version 2)"), "{plan:?}");
    vault.apply(&files);
    assert_eq!(vault.found("run/secrets/db")[0].1, OTHER);
    assert_eq!(vault.found("root/reloads")[0].1, "again\n");

    // After a start of the guest the file is gone. The proof says so, and the next apply brings it back.
    let vmid = vault.vmid("db");
    for running in [false, true] {
        vault.world.put_guest(json!({ "vmid": vmid, "running": running }));
    }
    let proof = vault.verify().expect(1).json().to_string();
    assert!(proof.contains("no such file"), "{proof}");
    vault.apply(&files);
    assert_eq!(vault.found("run/secrets/db")[0].1, OTHER);
    vault.verify().expect(0);

    // A file that was not granted is found by the proof.
    let stray = vault.found("run/secrets/db")[0].0.with_file_name("stray");
    std::fs::write(&stray, "x").unwrap();
    let proof = vault.verify().expect(1).json().to_string();
    assert!(proof.contains("/run/secrets/stray"), "{proof}");
    std::fs::remove_file(stray).unwrap();

    // The grant goes, and the file with it; until then the secret is not removed.
    vault.world.run(&["secret", "rm", "shop/db"]).expect(4);
    vault.apply(&vault.stack(""));
    assert_eq!(vault.found("run/secrets/db").len(), 0);
    vault.world.run(&["secret", "rm", "shop/db"]).expect(0);
    vault.act(&["destroy", "shop", "--yes"], &[]).expect(0);
    vault.close();
}

impl Vault {
    /// Starts an apply and waits until its operation has begun: the door to the agents is opened after that. No other command
    /// looks meanwhile, as whoever comes first holds the data directory.
    pub(crate) fn apply_that_waits(&self, files: &[String]) -> Child {
        let door = self.world.data.join("agents/door");
        let _ = std::fs::remove_file(&door);
        let address = self.address.to_string();
        let words = ["apply", "--yes", "--agents", &address, "-vv"];
        let args: Vec<&str> = words.into_iter().chain(files.iter().map(String::as_str)).collect();
        let mut applying = self.world.spawn(&args);
        self.world.until("the delivery waits for its agent", || door.exists() || !applying.runs());
        if !door.exists() {
            panic!("the apply has ended: {:?}", self.world.wait(applying));
        }
        applying
    }

    pub(crate) fn vmid(&self, name: &str) -> u64 {
        let listed = self.world.run(&["guest", "ls", "--output", "json"]).expect(0).json();
        let guests = listed["guests"].as_array().unwrap();
        guests.iter().find(|guest| guest["name"] == name).unwrap()["vmid"].as_u64().unwrap()
    }
}

/// Between plan and delivery somebody else's container comes to bear our VMID and host name: the value is brought to nobody.
#[test]
fn secret_reaches_no_guest_that_is_not_the_one() {
    let vault = Vault::open();
    vault.set(VALUE);
    vault.apply(&vault.stack(""));
    let vmid = vault.vmid("db");
    vault.agents.iter().for_each(|agent| agent.signal(Signal::STOP));
    let applying = vault.apply_that_waits(&vault.stack(GRANT));
    let config = vault.world.guest(vmid)["config"].clone();
    let description = config["description"].as_str().unwrap().replace("guest=", "guest=x");
    vault.world.put_guest(json!({ "vmid": vmid, "config": { "description": description, "tags": "theirs" } }));
    vault.agents.iter().for_each(|agent| agent.signal(Signal::CONT));
    let refused = vault.world.wait(applying).expect(4);
    assert!(refused.stderr.contains("stamp"), "{refused:?}");
    assert_eq!(vault.found("run/secrets/db").len(), 0);
    vault.act(&["op", "cancel", "last"], &[]).expect(0);
    vault
        .world
        .put_guest(json!({ "vmid": vmid, "config": { "description": config["description"], "tags": config["tags"] } }));
    vault.apply(&vault.stack(GRANT));
    assert_eq!(vault.found("run/secrets/db").len(), 1);
    vault.close();
}

/// Between plan and delivery the secret is removed: the operation says so and what to do, and nothing is delivered.
#[test]
fn secret_that_is_removed_after_the_plan_is_not_delivered() {
    let vault = Vault::open();
    vault.set(VALUE);
    vault.apply(&vault.stack(""));
    vault.agents.iter().for_each(|agent| agent.signal(Signal::STOP));
    let mut applying = vault.apply_that_waits(&vault.stack(GRANT));
    applying.kill();
    vault.world.wait(applying);
    vault.world.run(&["secret", "rm", "shop/db"]).expect(0);
    vault.agents.iter().for_each(|agent| agent.signal(Signal::CONT));
    let refused = vault.act(&["op", "watch", "last"], &[]).expect(4);
    assert!(refused.text().contains("version 1 of secret shop/db is gone"), "{refused:?}");
    assert_eq!(vault.found("run/secrets/db").len(), 0);
    vault.act(&["op", "cancel", "last"], &[]).expect(0);
    vault.close();
}

/// Killed before and after the call that delivers: the next apply goes on, and the value is there once, in the right guest.
#[test]
fn killed_around_a_delivery() {
    let vault = Vault::open();
    vault.apply(&vault.stack(""));
    let files = vault.stack(GRANT);
    for (point, value) in [("ops.secret.before", VALUE), ("ops.secret.after", OTHER)] {
        vault.set(value);
        let address = vault.address.to_string();
        let words = ["apply", "--yes", "--agents", &address, "-vv"];
        let args: Vec<&str> = words.into_iter().chain(files.iter().map(String::as_str)).collect();
        let mut command = vault.world.command(&args);
        command.env("RAPIDLAUNCH_FAILPOINT", point);
        let killed = vault.world.wait(vault.world.spawn_command(command));
        assert!(killed.killed(), "{point}: {killed:?}");
        vault.apply(&files);
        let found = vault.found("run/secrets/db");
        assert_eq!(found.iter().map(|(_, found)| found.as_str()).collect::<Vec<_>>(), [value], "{point}");
        vault.verify().expect(0);
    }
    vault.close();
}

/// A file that was not granted is found in the guests of other stacks too, by the proof of the stack that has secrets.
#[test]
fn secret_in_a_guest_of_another_stack_is_found() {
    let vault = Vault::open();
    vault.set(VALUE);
    let lone = "kind: stack\nname: other\nsite: lab\ncontainers:\n  lone: { image: debian-12, cores: 1, memory: 256 MiB, \
                disk: 1 GiB, nics: { eth0: { network: lan } } }\n";
    vault.apply(&vault.world.write_stack("other", lone));
    vault.apply(&vault.stack(GRANT));
    // An agent that has not found the command yet is not waited for: its guests are told as not looked into.
    vault
        .world
        .until("the other guest is looked into", || vault.verify().expect(0).stdout.contains("nothing in 1 guests"));
    let address = vault.address.to_string();
    let put = "mkdir -p /run/secrets && echo x > /run/secrets/taken";
    let words = ["guest", "exec", "--agents", &address, "other/lone", "--", "sh", "-c", put];
    vault.world.run(&words).expect(0);
    vault.world.until("the file is found", || {
        let proof = vault.verify();
        assert!(matches!(proof.code, Some(0 | 1)), "{proof:?}");
        proof.code == Some(1) && proof.stdout.contains("other/lone has /run/secrets/taken")
    });
    vault.close();
}
