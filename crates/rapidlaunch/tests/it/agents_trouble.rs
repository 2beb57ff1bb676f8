//! Agents that are killed, stopped, cut off and started anew in the middle of a command and of a file: nothing is run twice,
//! nothing lands in a wrong guest, and no half file stays.

use rustix::process::Signal;
use serde_json::json;

use crate::harness::{Child, Held, Proxy, World};
use crate::office::{Office, SLOW};

/// Signs of life in these tests: an agent is gone after three that did not come.
const HEARTBEAT_MS: u32 = 1_000;
/// Larger than what a pipe holds, so that a file can be cut in the middle.
const FILE_BYTES: usize = 1 << 20;
const FILE: &str = "etc/big.conf";

impl Office {
    /// One whose agents are soon taken for gone.
    pub(crate) fn brisk() -> Self {
        let mut world = World::new();
        world.heartbeat_ms = Some(HEARTBEAT_MS);
        Self::without_agent(world)
    }

    /// Begins to copy a large file into the first guest; answers the copying and what the file holds.
    fn copy(&self, round: &str) -> (Child, String) {
        let content: String = std::iter::repeat_n(round, FILE_BYTES / round.len()).collect();
        let here = self.world.write("big.conf", &content).display().to_string();
        (self.world.spawn(&["guest", "cp", &here, &format!("w-1:/{FILE}"), "--wait", "4m"]), content)
    }

    fn slow(&self) -> Child {
        self.world.spawn(&["guest", "exec", "w-1", "--wait", "4m", "--limit", "10m", "--", "sh", "-c", SLOW])
    }

    /// A file begun lies beside its name and has no name yet.
    #[track_caller]
    fn lies_beside(&self, before: Option<&str>) {
        self.world.until("a file is being written", || self.world.parts("etc", "big.conf").len() == 1);
        self.holds(before);
    }

    /// The file is in no guest, or in one with this content.
    #[track_caller]
    fn holds(&self, content: Option<&str>) {
        let found: Vec<String> =
            self.world.found(FILE).iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
        assert!(
            found.iter().map(String::as_str).eq(content),
            "{} files, of {:?} bytes",
            found.len(),
            found.first().map(String::len)
        );
    }

    /// The file came whole, into one guest, and nothing of it lies beside.
    #[track_caller]
    fn came_whole(&self, copying: Child, content: &str) {
        self.world.wait(copying).expect(0);
        self.holds(Some(content));
        self.nothing_beside();
    }

    #[track_caller]
    fn nothing_beside(&self) {
        self.world.until("nothing lies beside the file", || self.world.parts("etc", "big.conf").is_empty());
    }
}

/// Killed with half of a file in the guest, and with the whole of it beside its name: what lies there goes, and the file comes
/// with the next agent.
#[test]
fn an_agent_killed_in_the_middle_of_a_file_leaves_none_of_it() {
    let office = Office::brisk();
    let home = office.node(3000);
    let mut agent = office.join(&home);
    let mut before: Option<String> = None;
    for (round, what) in [("half ", Held::Input), ("whole ", Held::Output)] {
        office.world.hold(&home, what);
        let (copying, content) = office.copy(round);
        office.world.until_held(&home);
        office.lies_beside(before.as_deref());
        agent.kill();
        office.world.wait(agent);
        office.world.release(&home, what);
        office.nothing_beside();
        office.holds(before.as_deref());
        agent = office.agent(&home);
        office.came_whole(copying, &content);
        before = Some(content);
    }
    office.close(vec![agent]);
}

/// Stopped beyond the time after which it is taken for gone, and let go on: its line is dead by then, so it leaves the file, and
/// writes it when it is asked again.
#[test]
fn an_agent_stopped_in_the_middle_of_a_file_does_not_finish_behind_our_back() {
    let office = Office::brisk();
    let home = office.node(3000);
    let agent = office.join(&home);
    office.world.hold(&home, Held::Output);
    let (copying, content) = office.copy("stopped ");
    office.world.until_held(&home);
    agent.signal(Signal::STOP);
    office.world.release(&home, Held::Output);
    office.world.until_agent(&home, "away");
    office.lies_beside(None);
    // What it had begun for a caller that is gone is not finished: the gate shows what is written from now on.
    office.world.hold(&home, Held::Config);
    agent.signal(Signal::CONT);
    office.world.until_agent(&home, "connected");
    office.nothing_beside();
    office.holds(None);
    office.world.release(&home, Held::Config);
    office.came_whole(copying, &content);
    office.close(vec![agent]);
}

/// The way between agent and server is held in the middle of a command and of a file. What was held comes late, and changes
/// nothing.
fn cut_off(up: bool, down: bool) {
    let office = Office::brisk();
    let home = office.node(3000);
    let proxy = Proxy::before(office.address());
    let agent = office.join_at(&home, proxy.address);
    let asking = office.slow();
    office.world.until("the command runs", || office.marks() == 1);
    office.world.hold(&home, Held::Output);
    let (copying, content) = office.copy("cut ");
    office.world.until_held(&home);
    proxy.hold(up, down);
    office.world.release(&home, Held::Output);
    office.world.until_agent(&home, "away");
    proxy.hold(false, false);
    office.world.until_agent(&home, "connected");
    office.go();
    assert_eq!(office.world.wait(asking).expect(0).stdout, "ended\n");
    office.came_whole(copying, &content);
    assert_eq!(office.marks(), 1);
    office.close(vec![agent]);
}

#[test]
fn an_agent_whose_words_are_lost_repeats_nothing() {
    cut_off(true, false);
}

#[test]
fn an_agent_that_hears_nothing_repeats_nothing() {
    cut_off(false, true);
}

#[test]
fn an_agent_cut_off_both_ways_repeats_nothing() {
    cut_off(true, true);
}

/// Ended and started anew, as an update does it, in the middle of both.
#[test]
fn an_agent_started_anew_repeats_nothing() {
    let office = Office::brisk();
    let home = office.node(3000);
    let agent = office.join(&home);
    let asking = office.slow();
    office.world.until("the command runs", || office.marks() == 1);
    office.world.hold(&home, Held::Output);
    let (copying, content) = office.copy("anew ");
    office.world.until_held(&home);
    agent.signal(Signal::TERM);
    office.world.wait(agent).expect(0);
    office.world.release(&home, Held::Output);
    office.nothing_beside();
    office.holds(None);
    let agent = office.agent(&home);
    office.came_whole(copying, &content);
    let run = office.world.wait(asking).expect(1);
    assert!(run.stderr.contains("not run again"), "{run:?}");
    assert_eq!(office.marks(), 1);
    office.go();
    office.close(vec![agent]);
}

/// The guest moves to another node while a file is on its way into it: the agent it has left leaves it alone, and the one of its
/// new node is asked.
#[test]
fn a_guest_that_moves_meanwhile_gets_its_file_where_it_is() {
    let office = Office::brisk();
    let home = office.node(3000);
    let others = ["pve1", "pve2", "pve3"].into_iter().filter(|node| *node != home);
    let away = others.into_iter().find(|node| *node != office.node(3001)).unwrap();
    let agents = vec![office.join(&home), office.join(away)];
    let mut before: Option<String> = None;
    for (round, what, from, to) in
        [("looked ", Held::Config, home.as_str(), away), ("staged ", Held::Output, away, home.as_str())]
    {
        office.world.hold(from, what);
        let (copying, content) = office.copy(round);
        office.world.until_held(from);
        office.world.put_guest(json!({ "vmid": 3000, "node": to }));
        office.world.release(from, what);
        office.came_whole(copying, &content);
        before = Some(content);
    }
    office.holds(before.as_deref());
    office.close(agents);
}
