//! Proxmox's own tools on the node, run word by word.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rl_model::Vmid;
use rustix::fs::{FlockOperation, flock};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::courier::{Output, Stream};

/// Longest one of the tools may take for itself, without a command in a guest: Perl on a busy node takes seconds.
const TOOL_LIMIT: Duration = Duration::from_secs(60);
/// Most bytes taken of a tool's own output: a configuration has some kilobytes, the list of tasks some hundred.
const TOOL_OUTPUT_MAX: u64 = 4 << 20;
/// Time between two tries for a guest's lock.
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// Longest wait for a guest's lock: as long as Proxmox waits itself (`PVE/AbstractConfig.pm`, `lock_config`).
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// Time a command that ran out of time has to end before it is killed.
const KILL_GRACE: Duration = Duration::from_secs(5);
/// Bytes read from a command at a time.
const READ: usize = 32 << 10;
/// Where programs are looked for on a node and in a guest.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Keys of a guest's configuration.
pub type ConfigKeys = BTreeMap<String, String>;

/// What can be done on a node.
#[async_trait]
pub trait Pct: Send + Sync {
    /// Reads the configuration of a container; `None` when this node has none of that VMID.
    async fn config(&self, vmid: Vmid) -> Result<Option<ConfigKeys>, PctError>;
    /// Whether a container runs.
    async fn is_running(&self, vmid: Vmid) -> Result<bool, PctError>;
    /// Runs a command in a container.
    async fn run(&self, vmid: Vmid, command: Run) -> Result<Ran, PctError>;
    /// Takes the lock out of a container's configuration.
    async fn unlock(&self, vmid: Vmid) -> Result<(), PctError>;
    /// Tasks that run on the node now.
    async fn tasks(&self) -> Result<Vec<Task>, PctError>;
    /// Keeps everybody else from making, changing, starting or removing the container while it is held.
    async fn hold(&self, vmid: Vmid) -> Result<Hold, PctError>;
}

/// A command in a guest.
pub struct Run {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Variables.
    pub env: Vec<(String, String)>,
    /// Standard input.
    pub input: Zeroizing<Vec<u8>>,
    /// A last word after the input, said when it comes; the input ends without one when it does not.
    pub word: Option<oneshot::Receiver<&'static [u8]>>,
    /// How long it may take.
    pub limit: Duration,
    /// Most bytes of output that are kept.
    pub output_max: u64,
    /// Where output goes as it comes.
    pub output: Option<tokio::sync::mpsc::UnboundedSender<Output>>,
    /// Given back as soon as the command surely is inside the guest, or has ended.
    pub hold: Option<Hold>,
}

/// How it ended.
#[derive(Debug, Default)]
pub struct Ran {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: Zeroizing<Vec<u8>>,
    /// Standard error.
    pub err: Vec<u8>,
    /// There was more output.
    pub cut: bool,
    /// It ran out of time.
    pub timed_out: bool,
}

/// A task of the node.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Task {
    /// Its UPID.
    pub upid: String,
    /// Its kind, such as `vzdump`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it works on; empty when that is several things.
    #[serde(default)]
    pub id: String,
    /// How it ended; a task that runs has none.
    #[serde(default)]
    pub status: Option<String>,
}

/// A guest's configuration is held. Let go by dropping it.
#[derive(Debug)]
pub enum Hold {
    /// By Proxmox's own lock file.
    Held(File),
    /// Not at all: this node keeps no lock files. Whoever acts looks again afterwards.
    Open,
}

impl Hold {
    /// Whether nobody else can change the guest meanwhile.
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Held(_))
    }
}

/// Why a tool did not do it.
#[derive(Debug, thiserror::Error)]
pub enum PctError {
    /// The program cannot be started. Nothing happened.
    #[error("{program} cannot be started: {source}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// The program failed.
    #[error("{what} failed: {said}")]
    Failed {
        /// What was tried.
        what: String,
        /// Its own words.
        said: String,
    },
    /// Somebody else holds the guest.
    #[error("another program holds the lock of container {0}")]
    Held(Vmid),
    /// Its output is not what it should be.
    #[error("the output of {what} cannot be read")]
    Output {
        /// What was tried.
        what: &'static str,
    },
}

/// The tools of a real node, or of a simulated one.
#[derive(Debug, Clone)]
pub struct Tools {
    /// `pct`.
    pub pct: PathBuf,
    /// `pvesh`.
    pub pvesh: PathBuf,
    /// Where Proxmox keeps the lock files of guests, where it does.
    pub locks: Option<PathBuf>,
}

impl Default for Tools {
    fn default() -> Self {
        Self { pct: "/usr/sbin/pct".into(), pvesh: "/usr/bin/pvesh".into(), locks: Some("/run/lock/lxc".into()) }
    }
}

impl Tools {
    /// A tool's own work, without a guest's command.
    async fn tool(&self, program: &PathBuf, args: &[&str]) -> Result<Ran, PctError> {
        let mut command = Command::new(program);
        command.args(args);
        let limits = Limits { time: TOOL_LIMIT, output: TOOL_OUTPUT_MAX };
        run(command, program, Feed::default(), limits, None, None).await
    }
}

#[async_trait]
impl Pct for Tools {
    async fn config(&self, vmid: Vmid) -> Result<Option<ConfigKeys>, PctError> {
        let ran = self.tool(&self.pct, &["config", &vmid.to_string(), "--current", "1"]).await?;
        if ran.code == Some(0) {
            return String::from_utf8(ran.out.to_vec())
                .map(|text| Some(super::config::parse(&text)))
                .map_err(|_| PctError::Output { what: "pct config" });
        }
        // Proxmox says "Configuration file 'nodes/NODE/lxc/VMID.conf' does not exist" (PVE/AbstractConfig.pm).
        match said(&ran) {
            text if text.contains("does not exist") => Ok(None),
            text => Err(PctError::Failed { what: format!("pct config {vmid}"), said: text }),
        }
    }

    async fn is_running(&self, vmid: Vmid) -> Result<bool, PctError> {
        let ran = self.tool(&self.pct, &["status", &vmid.to_string()]).await?;
        match ran.code {
            Some(0) => Ok(ran.out.starts_with(b"status: running")),
            _ => Err(PctError::Failed { what: format!("pct status {vmid}"), said: said(&ran) }),
        }
    }

    async fn run(&self, vmid: Vmid, order: Run) -> Result<Ran, PctError> {
        let mut command = Command::new(&self.pct);
        command.args(["exec", &vmid.to_string()]);
        if !order.env.is_empty() {
            // The environment of `pct` is handed on; it has nothing but what is set here.
            command.args(["--keep-env", "1"]);
        }
        command.arg("--").args(&order.argv);
        let limits = Limits { time: order.limit, output: order.output_max };
        command.env_clear().env("PATH", PATH).env("LC_ALL", "C.UTF-8").envs(order.env.iter().map(|(k, v)| (k, v)));
        let feed = Feed { input: order.input, word: order.word };
        run(command, &self.pct, feed, limits, order.output, order.hold).await
    }

    async fn unlock(&self, vmid: Vmid) -> Result<(), PctError> {
        let ran = self.tool(&self.pct, &["unlock", &vmid.to_string()]).await?;
        if ran.code == Some(0) {
            return Ok(());
        }
        Err(PctError::Failed { what: format!("pct unlock {vmid}"), said: said(&ran) })
    }

    async fn tasks(&self) -> Result<Vec<Task>, PctError> {
        let args = ["get", "/nodes/localhost/tasks", "--source", "active", "--output-format", "json"];
        let ran = self.tool(&self.pvesh, &args).await?;
        if ran.code != Some(0) {
            return Err(PctError::Failed { what: "reading the node's tasks".to_owned(), said: said(&ran) });
        }
        let all: Vec<Task> =
            serde_json::from_slice(&ran.out).map_err(|_| PctError::Output { what: "pvesh get tasks" })?;
        Ok(all.into_iter().filter(|task| task.status.is_none()).collect())
    }

    async fn hold(&self, vmid: Vmid) -> Result<Hold, PctError> {
        let Some(dir) = &self.locks else { return Ok(Hold::Open) };
        let path = dir.join(format!("pve-config-{vmid}.lock"));
        let start = |source| PctError::Start { program: path.display().to_string(), source };
        let file = File::options().create(true).append(true).open(&path).map_err(start)?;
        let deadline = Instant::now() + LOCK_WAIT;
        // Shared among our own orders; Proxmox asks for it exclusively, and so excludes us.
        while flock(&file, FlockOperation::NonBlockingLockShared).is_err() {
            if Instant::now() >= deadline {
                return Err(PctError::Held(vmid));
            }
            tokio::time::sleep(LOCK_PAUSE).await;
        }
        Ok(Hold::Held(file))
    }
}

/// What a program said about its failure, on one line.
pub(crate) fn said(ran: &Ran) -> String {
    let text = String::from_utf8_lossy(if ran.err.is_empty() { &ran.out } else { &ran.err });
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(3).collect();
    if lines.is_empty() { format!("exit code {}", ran.code.unwrap_or(-1)) } else { lines.join("; ") }
}

struct Limits {
    time: Duration,
    output: u64,
}

/// What a command reads.
#[derive(Default)]
struct Feed {
    input: Zeroizing<Vec<u8>>,
    word: Option<oneshot::Receiver<&'static [u8]>>,
}

impl Feed {
    /// Feeds all of it and closes. A command that does not read its input to the end closes the pipe, which is no error.
    async fn into(self, stdin: Option<ChildStdin>) {
        let Some(mut stdin) = stdin else { return };
        if stdin.write_all(&self.input).await.is_err() {
            return;
        }
        if let Some(word) = self.word
            && let Ok(word) = word.await
        {
            let _ = stdin.write_all(word).await;
        }
    }
}

async fn run(
    mut command: Command,
    program: &std::path::Path,
    feed: Feed,
    limits: Limits,
    output: Option<tokio::sync::mpsc::UnboundedSender<Output>>,
    hold: Option<Hold>,
) -> Result<Ran, PctError> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.current_dir("/").process_group(0).kill_on_drop(true);
    let mut child =
        command.spawn().map_err(|source| PctError::Start { program: program.display().to_string(), source })?;
    let (stdin, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let room = std::sync::atomic::AtomicU64::new(limits.output);
    // Neither of these is waited for: the command's end ends them.
    let beside = async move {
        let release = async move {
            tokio::time::sleep(KILL_GRACE).await;
            drop(hold);
        };
        tokio::join!(feed.into(stdin), release);
        std::future::pending::<()>().await;
    };
    let work = async {
        let out = drain(out, Stream::Out, &room, output.as_ref());
        let err = drain(err, Stream::Err, &room, output.as_ref());
        tokio::join!(out, err, wait(&mut child, limits.time))
    };
    let ((out, out_cut), (err, err_cut), (status, timed_out)) = tokio::select! {
        done = work => done,
        () = beside => unreachable!("it never ends"),
    };
    let code = status.and_then(|status| status.code().or_else(|| status.signal().map(|signal| 128 + signal)));
    Ok(Ran { code, out: Zeroizing::new(out), err, cut: out_cut || err_cut, timed_out })
}

/// Waits for the end; ends the whole group of processes when the time is up.
async fn wait(child: &mut Child, limit: Duration) -> (Option<ExitStatus>, bool) {
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Ok(status) = tokio::time::timeout(limit, child.wait()).await {
        return (status.ok(), false);
    }
    let signal = |signal| group.map(|group| rustix::process::kill_process_group(group, signal));
    signal(rustix::process::Signal::TERM);
    if let Ok(status) = tokio::time::timeout(KILL_GRACE, child.wait()).await {
        return (status.ok(), true);
    }
    signal(rustix::process::Signal::KILL);
    (child.wait().await.ok(), true)
}

/// Reads to the end; keeps and hands on what fits, and drops the rest, so that the command is not held up.
async fn drain(
    from: Option<impl AsyncRead + Unpin>,
    stream: Stream,
    room: &std::sync::atomic::AtomicU64,
    output: Option<&tokio::sync::mpsc::UnboundedSender<Output>>,
) -> (Vec<u8>, bool) {
    use std::sync::atomic::Ordering::Relaxed;
    let (mut kept, mut cut) = (Vec::new(), false);
    let Some(mut from) = from else { return (kept, cut) };
    let mut buffer = Zeroizing::new(vec![0; READ]);
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let left = room.load(Relaxed);
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(read);
        room.store(left - taken as u64, Relaxed);
        cut |= taken < read;
        if taken > 0 {
            kept.extend_from_slice(&buffer[..taken]);
            if let Some(output) = output {
                let _ = output.send((stream, buffer[..taken].to_vec()));
            }
        }
    }
    (kept, cut)
}
