//! A server, and the agent of a guest's node.

use std::net::SocketAddr;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::harness::{Allow, Child, Run, World, farm, free_address};

/// A server, and what agents need.
pub(crate) struct Office {
    pub(crate) world: World,
    address: SocketAddr,
    server: Option<Child>,
}

/// Leaves a mark each time it runs, and ends when it is let.
pub(crate) const SLOW: &str = "echo mark >> /root/marks; while [ ! -e /root/go ]; do sleep 0.1; done; echo ended";

impl Office {
    /// Two guests, a server that listens for agents, and the agent of the first guest's node.
    pub(crate) fn open() -> (Self, Child) {
        let office = Self::without_agent(World::new());
        let agent = office.join(&office.node(3000));
        (office, agent)
    }

    /// Two guests, and a server that listens for agents.
    pub(crate) fn without_agent(world: World) -> Self {
        world.apply(&world.write_farm(&farm(2))).expect(0);
        let address = free_address();
        let server = world.spawn(&["serve", "--agents", &address.to_string()]);
        world.until("the server's door is open", || world.data.join("agents/door").exists());
        Self { world, address, server: Some(server) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn node(&self, vmid: u64) -> String {
        self.world.guest(vmid)["node"].as_str().unwrap().to_owned()
    }

    fn marked(&self) -> Vec<PathBuf> {
        self.world.found("root/marks")
    }

    /// How often the slow command has begun.
    pub(crate) fn marks(&self) -> usize {
        self.marked().iter().map(|file| std::fs::read_to_string(file).unwrap().lines().count()).sum()
    }

    /// Lets a slow command end.
    pub(crate) fn go(&self) {
        for marks in self.marked() {
            std::fs::write(marks.with_file_name("go"), "").unwrap();
        }
    }

    /// The agent of a node that has joined before.
    pub(crate) fn agent(&self, node: &str) -> Child {
        self.world.agent(node, self.address, None)
    }

    /// An agent that joins, and is connected.
    pub(crate) fn join(&self, node: &str) -> Child {
        self.join_at(node, self.address)
    }

    /// The same, by another way.
    pub(crate) fn join_at(&self, node: &str, address: SocketAddr) -> Child {
        let agent = self.world.agent(node, address, Some(&self.world.agent_token(node)));
        self.world.until_agent(node, "connected");
        agent
    }

    pub(crate) fn exec(&self, words: &[&str]) -> Run {
        let args: Vec<&str> = ["guest", "exec", "w-1", "--"].into_iter().chain(words.iter().copied()).collect();
        self.world.run(&args)
    }

    pub(crate) fn close(mut self, agents: Vec<Child>) {
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
