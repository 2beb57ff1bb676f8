//! Operations started by one process and carried out by another, through the binary.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Run, World};
use crate::process::Process;

/// How long an operation may take to be settled after the last fault.
pub(crate) const SETTLED: Duration = Duration::from_secs(30);
/// How often the state of an operation is looked at.
const LOOK: Duration = Duration::from_millis(50);

impl World {
    /// Starts what files declare without carrying it out; the operation's id.
    #[track_caller]
    pub(crate) fn detach(&self, files: &[String]) -> String {
        let run = self.run_files(&["apply", "--yes", "--detach", "--output", "json"], files).expect(0);
        started(&run)
    }

    /// An operation with its jobs, as `op show` tells it.
    #[track_caller]
    pub(crate) fn shown(&self, id: &str) -> Value {
        self.run(&["op", "show", id, "--output", "json"]).expect(0).json()
    }

    /// Waits until an operation goes on no more by itself; its state. `None` when the server ends first.
    #[track_caller]
    pub(crate) fn settled(&self, server: &mut Process, id: &str, patience: Duration) -> Option<String> {
        let began = Instant::now();
        loop {
            if let Some(state) = last_state(server, id).filter(|state| state != "running") {
                return Some(state);
            }
            if !server.runs() {
                std::thread::sleep(LOOK);
                return last_state(server, id).filter(|state| state != "running");
            }
            assert!(
                began.elapsed() < patience,
                "operation {id} was not settled in {patience:?}: {:#}\n{}",
                self.shown(id),
                server.errors()
            );
            std::thread::sleep(LOOK);
        }
    }

    /// A server that goes on until the operation is settled; its state.
    #[track_caller]
    pub(crate) fn serve_to_end(&self, args: &[&str], id: &str) -> String {
        let mut server = self.serve(args);
        let before = self.shown(id)["state"].as_str().unwrap().to_owned();
        let state = if matches!(before.as_str(), "done" | "failed" | "cancelled") {
            before
        } else {
            self.settled(&mut server, id, SETTLED).expect("the server ended")
        };
        server.end(SETTLED);
        state
    }
}

/// The operation's id in the result of a detached command.
#[track_caller]
pub(crate) fn started(run: &Run) -> String {
    run.json()["stacks"][0]["operation"]["id"].as_str().unwrap_or_else(|| panic!("{run:?}")).to_owned()
}

/// The newest state of an operation that a server has told.
fn last_state(server: &Process, id: &str) -> Option<String> {
    let lines = server.lines();
    lines.iter().rev().find_map(|line| {
        let event: Value = serde_json::from_str(line).ok()?;
        (event["event"] == "operation.state" && event["operation"] == id)
            .then(|| event["body"]["state"].as_str().map(str::to_owned))?
    })
}

/// Fails unless every stamp was made exactly once and is there, so many of them.
#[track_caller]
pub(crate) fn each_once(world: &World, containers: usize) {
    let ledger = world.sim.ledger();
    let lines = ledger.by_description_line.iter().filter(|(line, _)| line.contains(" controller="));
    let made: Vec<u64> = lines.map(|(_, kinds)| kinds.get("create").copied().unwrap_or(0)).collect();
    assert_eq!(made, vec![1; containers], "{:#?}", ledger.by_description_line);
    assert_eq!(world.stamped().len(), containers);
}
