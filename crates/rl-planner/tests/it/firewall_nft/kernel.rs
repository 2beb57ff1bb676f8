//! The process in the namespace.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// A namespace with nftables in it.
pub(super) struct Kernel {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

/// What became of the packets of one rule set.
pub(super) struct Found(Value);

impl Kernel {
    /// Starts it, or says why there is none.
    pub(super) fn start() -> Option<Self> {
        let driver = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/firewall_nft/driver.py");
        let works = |words: &[&str]| {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        // An ordinary user may be allowed a user namespace, in which he is root.
        let unshare: &[&str] =
            if works(&["unshare", "-n", "true"]) { &["unshare", "-n"] } else { &["unshare", "-r", "-n"] };
        let probe: Vec<&str> = unshare.iter().copied().chain(["nft", "list", "ruleset"]).collect();
        if !works(&probe) {
            return skip("no network namespaces, or no nft, here");
        }
        let mut command = Command::new(unshare[0]);
        command.args(&unshare[1..]).args(["python3", driver]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().ok()?;
        let to = child.stdin.take().unwrap();
        let mut from = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        from.read_line(&mut line).unwrap();
        if line.trim() != "ready" {
            let _ = child.wait();
            return skip("no veth pair in a namespace here");
        }
        Some(Self { child, to, from })
    }

    /// Loads rules, sends frames.
    pub(super) fn ask(&mut self, rules: &str, frames: &[Vec<u8>]) -> Found {
        let hex = |frame: &Vec<u8>| frame.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let asked = json!({ "nft": rules, "frames": frames.iter().map(hex).collect::<Vec<_>>() });
        writeln!(self.to, "{asked}").unwrap();
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        let found: Value = serde_json::from_str(&line).unwrap();
        assert!(found["error"].is_null(), "nft refuses the rules: {}\n{rules}", found["error"].as_str().unwrap());
        Found(found)
    }
}

#[allow(clippy::print_stderr)]
fn skip(why: &str) -> Option<Kernel> {
    eprintln!("skipped: {why}");
    None
}

impl Drop for Kernel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Found {
    fn has(&self, set: &str, index: usize) -> bool {
        self.0[set].as_array().unwrap().iter().any(|id| id.as_u64() == Some(super::frame::mark(index).into()))
    }

    /// Whether connection tracking called the packet invalid.
    pub(super) fn invalid(&self, index: usize) -> bool {
        self.has("invalid", index)
    }

    /// Where the packet ended.
    pub(super) fn end_of(&self, index: usize) -> &'static str {
        let ends = ["accepted", "dropped", "rejected"];
        ends.into_iter().find(|end| self.has(end, index)).unwrap_or("lost")
    }
}
