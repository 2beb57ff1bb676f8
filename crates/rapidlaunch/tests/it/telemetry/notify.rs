//! Signs of life to the service manager, whose socket is the test's.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rl_engine::failpoints::STALL_VARIABLE;
use rustix::process::Signal;

use super::finish;
use crate::harness::{Served, World};

/// The service manager's side.
struct Manager {
    socket: UnixDatagram,
    said: Vec<String>,
}

/// The time in which the server is to give a sign of life: several of its heartbeats.
const WATCHDOG: Duration = Duration::from_secs(2);

impl Manager {
    fn start(world: &World) -> Self {
        let socket = UnixDatagram::bind(world.path("notify")).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, said: Vec::new() }
    }

    fn serve(&self, world: &World, stalled: bool) -> Served {
        let mut command = world.command(&["serve", "--listen", "127.0.0.1:0", "--lease", "2s"]);
        command.env("NOTIFY_SOCKET", world.path("notify")).env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string());
        if stalled {
            command.env(STALL_VARIABLE, "engine.beat");
        }
        world.api_server_command(command)
    }

    fn count(&mut self, sign: &str) -> usize {
        let mut buffer = [0; 1024];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            self.said.extend(String::from_utf8_lossy(&buffer[..length]).lines().map(str::to_owned));
        }
        self.said.iter().filter(|line| line.as_str() == sign).count()
    }
}

#[test]
fn a_server_that_makes_progress_says_so_until_it_ends() {
    let world = World::new();
    let mut manager = Manager::start(&world);
    let served = manager.serve(&world, false);
    world.until("it is ready", || manager.count("READY=1") == 1);
    world.until("it goes on giving signs of life", || manager.count("WATCHDOG=1") >= 4);
    assert_eq!(manager.count("STOPPING=1"), 0);
    world.end(served).expect(0);
    assert_eq!(manager.count("STOPPING=1"), 1, "{:?}", manager.said);
    assert!(manager.said.iter().any(|line| line.starts_with("STATUS=")), "{:?}", manager.said);
    finish(world);
}

#[test]
fn a_server_whose_engine_is_stuck_gives_no_sign_of_life() {
    let world = World::new();
    let mut manager = Manager::start(&world);
    let mut served = manager.serve(&world, true);
    world.until("it is ready", || manager.count("READY=1") == 1);
    // Its process lives and answers all the while; only its engine does not.
    std::thread::sleep(2 * WATCHDOG);
    assert_eq!(served.get(&world, "/healthz").status(), 200);
    assert!(manager.count("WATCHDOG=1") <= 1, "{:?}", manager.said);
    // What the service manager does then.
    served.child().signal(Signal::ABORT);
    world.until("it has ended", || !served.child().runs());
    finish(world);
}
