//! The binary as a child process: run, watched, signalled, killed.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{SPEED, World};

/// A run that takes longer is taken for stuck.
const LIMIT: Duration = Duration::from_secs(300);
/// How often a child is looked after.
const LOOK: Duration = Duration::from_millis(5);

/// Characters of an output that a failed test shows of its beginning and of its end.
const SHOWN: usize = 1500;

/// A finished run.
#[derive(Clone)]
pub(crate) struct Run {
    /// The exit code, unless a signal ended it.
    pub(crate) code: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, signal, stdout, stderr } = self;
        write!(f, "code {code:?}, signal {signal:?}\n--- stdout\n{}\n--- stderr\n{}", short(stdout), short(stderr))
    }
}

fn short(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= 2 * SHOWN {
        return text.to_owned();
    }
    let (head, tail) = (&letters[..SHOWN], &letters[letters.len() - SHOWN..]);
    format!("{} [...] {}", head.iter().collect::<String>(), tail.iter().collect::<String>())
}

impl Run {
    /// Fails unless the run ended with this exit code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// Fails when the run ended with this exit code, or by a signal.
    #[track_caller]
    pub(crate) fn expect_not(self, code: i32) -> Self {
        assert!(self.code.is_some_and(|found| found != code), "{self:?}");
        self
    }

    /// Its standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{}\n{}", self.stdout, self.stderr))
    }

    /// Whether SIGKILL ended it.
    pub(crate) fn killed(&self) -> bool {
        self.signal == Some(9)
    }

    /// Both outputs.
    pub(crate) fn text(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }
}

/// A child that runs.
pub(crate) struct Child {
    child: std::process::Child,
    out: Option<[JoinHandle<String>; 2]>,
    began: Instant,
}

impl Child {
    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, signal);
    }

    /// Kills it the hard way.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
    }

    /// Whether it runs still.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Its standard input, where that was asked for; closed when it is dropped.
    pub(crate) fn input(&mut self) -> std::process::ChildStdin {
        self.child.stdin.take().unwrap()
    }

    fn join(&mut self) -> ExitStatus {
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            if self.began.elapsed() > LIMIT {
                self.kill();
                let _ = self.child.wait();
                let [out, err] = self.out.take().unwrap().map(|reader| reader.join().unwrap());
                panic!("the run did not end within {LIMIT:?}\n--- stdout\n{out}\n--- stderr\n{err}");
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.out.is_some() {
            self.kill();
            let _ = self.child.wait();
        }
    }
}

fn reader(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

impl World {
    /// The command with the test's data directory and nothing of the caller's own settings; it works through the server, where
    /// there is one and it can.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.command_here(args);
        if args.first() != Some(&"store") {
            self.name_server(&mut command);
        }
        command
    }

    /// The command that works on the data directory itself.
    pub(crate) fn command_here(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rapidlaunch"));
        command.args(args).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("RAPIDLAUNCH_DATA", &self.data).env("RAPIDLAUNCH_PACE", SPEED.to_string());
        if let Some(url) = &self.database {
            command.env("RAPIDLAUNCH_DATABASE", url);
        }
        if let Some(ms) = self.heartbeat_ms {
            command.env("RAPIDLAUNCH_HEARTBEAT_MS", ms.to_string());
        }
        command
            .env("HOME", self.folder())
            .env("USER", "tester")
            .env("PATH", "/usr/bin:/bin")
            .current_dir(self.folder());
        command
    }

    /// Starts the binary.
    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        self.spawn_command(self.command(args))
    }

    /// Starts a prepared command.
    pub(crate) fn spawn_command(&self, mut command: Command) -> Child {
        let mut child = command.spawn().unwrap();
        let out = [reader(child.stdout.take().unwrap()), reader(child.stderr.take().unwrap())];
        Child { child, out: Some(out), began: Instant::now() }
    }

    /// Waits for the end of a child.
    pub(crate) fn wait(&self, mut child: Child) -> Run {
        let status = child.join();
        let [stdout, stderr] = child.out.take().unwrap().map(|reader| reader.join().unwrap());
        self.heard(&stdout);
        self.heard(&stderr);
        Run { code: status.code(), signal: status.signal(), stdout, stderr }
    }

    /// Runs the binary to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        self.wait(self.spawn(args))
    }

    /// Runs it with a variable set.
    pub(crate) fn run_with(&self, args: &[&str], variable: &str, value: &str) -> Run {
        let mut command = self.command(args);
        command.env(variable, value);
        self.wait(self.spawn_command(command))
    }

    /// Runs a command with the files of a stack.
    pub(crate) fn run_files(&self, command: &[&str], files: &[String]) -> Run {
        let args: Vec<&str> = command.iter().copied().chain(files.iter().map(String::as_str)).collect();
        self.run(&args)
    }

    /// Starts a command with the files of a stack.
    pub(crate) fn spawn_files(&self, command: &[&str], files: &[String]) -> Child {
        let args: Vec<&str> = command.iter().copied().chain(files.iter().map(String::as_str)).collect();
        self.spawn(&args)
    }

    /// Applies without asking and gives the result.
    pub(crate) fn apply(&self, files: &[String]) -> Run {
        self.run_files(&["apply", "--yes", "--output", "json"], files)
    }

    /// Plans until there is nothing to do: the resource list shows what was started or stopped some seconds later
    /// (`PVE/Service/pvestatd.pm`, ten seconds on a real node).
    #[track_caller]
    pub(crate) fn needs_nothing(&self, files: &[String]) {
        self.until("the plan is empty", || {
            let run = self.run_files(&["plan", "--exit-code"], files);
            let empty = run.code == Some(0);
            assert!(empty || run.code == Some(3), "{run:?}");
            empty
        });
    }
}
