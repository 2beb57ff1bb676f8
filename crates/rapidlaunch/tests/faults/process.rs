//! A child process whose lines are read while it runs, and that can be stopped, continued and killed.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::World;

/// How often something that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// A child process.
pub(crate) struct Process {
    name: String,
    child: std::process::Child,
    lines: Arc<Mutex<Vec<String>>>,
    errors: Arc<Mutex<String>>,
}

impl Process {
    /// Starts a command.
    pub(crate) fn start(name: &str, mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let errors = Arc::new(Mutex::new(String::new()));
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let into = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                into.lock().unwrap().push(line);
            }
        });
        let into = Arc::clone(&errors);
        std::thread::spawn(move || {
            let mut reader = err;
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                into.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self { name: name.to_owned(), child, lines, errors }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The lines said so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Lines so far that begin so.
    pub(crate) fn count(&self, begin: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| line.starts_with(begin)).count()
    }

    /// What it said on standard error so far.
    pub(crate) fn errors(&self) -> String {
        self.errors.lock().unwrap().clone()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal);
    }

    /// Kills it the hard way and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.drained();
    }

    /// The readers have the last lines shortly after the end.
    fn drained(&self) {
        std::thread::sleep(Duration::from_millis(20));
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for a line that begins so.
    #[track_caller]
    pub(crate) fn wait_line(&mut self, begin: &str, patience: Duration) -> String {
        let began = Instant::now();
        let mut ended = false;
        loop {
            let found = self.lines.lock().unwrap().iter().find(|line| line.contains(begin)).cloned();
            if let Some(line) = found {
                return line;
            }
            assert!(
                began.elapsed() < patience && !ended,
                "{} did not say `{begin}` (ended: {ended})\n{}\n{}",
                self.name,
                self.tail(),
                self.errors()
            );
            // What it said last is looked at once more after its end.
            if !self.runs() {
                self.drained();
                ended = true;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait_end(&mut self, patience: Duration) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.drained();
                return status;
            }
            assert!(began.elapsed() < patience, "{} did not end\n{}\n{}", self.name, self.tail(), self.errors());
            std::thread::sleep(LOOK);
        }
    }

    /// Asks it to end and gives its last figures.
    #[track_caller]
    pub(crate) fn end(&mut self, patience: Duration) -> Value {
        self.signal(Signal::TERM);
        let status = self.wait_end(patience);
        assert_eq!(status.code(), Some(0), "{} ended with {status}\n{}\n{}", self.name, self.tail(), self.errors());
        self.figures()
    }

    /// The figures in its last line of JSON.
    pub(crate) fn figures(&self) -> Value {
        let lines = self.lines();
        let found =
            lines.iter().rev().find_map(|line| serde_json::from_str::<Value>(line.trim_start_matches("stats ")).ok());
        found.unwrap_or_default()
    }

    fn tail(&self) -> String {
        let lines = self.lines();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Peak resident memory so far in bytes (`VmHWM`, proc(5)).
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a process was ended by SIGKILL.
pub(crate) fn killed(status: ExitStatus) -> bool {
    status.signal() == Some(9)
}

/// How long a server may take to say that it is ready, on a busy machine.
pub(crate) const READY: Duration = Duration::from_secs(60);

impl World {
    /// `rapidlaunch serve` with further arguments and variables; not waited for.
    pub(crate) fn serve_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Process {
        let all: Vec<&str> = ["serve", "--output", "json"].into_iter().chain(args.iter().copied()).collect();
        let mut command = self.command(&all);
        command.envs(variables.iter().copied());
        Process::start("serve", command)
    }

    /// `rapidlaunch serve`, ready.
    pub(crate) fn serve(&self, args: &[&str]) -> Process {
        let mut server = self.serve_with(args, &[]);
        server.wait_line("\"ready\"", READY);
        server
    }
}
