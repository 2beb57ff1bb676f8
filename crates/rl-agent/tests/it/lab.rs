//! Servers and agents that really connect, over a node whose guests are folders of this machine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rl_agent::node::pct::{ConfigKeys, Hold, Pct, PctError, Ran, Run, Task};
use rl_agent::node::{self, NodeError};
use rl_agent::server::{
    Authority, Config, JoinRefused, JoinToken, KnownAgent, Listening, NewAgent, Rolls, RollsError, listen,
};
use rl_agent::{Answer, CallError, Courier, Exec, Given, Order, Output, Owner, Post, Stream, Target, Work};
use rl_model::{ControllerId, GuestId, GuestPath, Stamp, Vmid};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

/// Longest wait for something that must come.
pub(crate) const LONG: Duration = Duration::from_secs(90);

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = tokio::time::Instant::now();
    while !holds() {
        assert!(began.elapsed() < LONG, "in vain: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

#[derive(Default)]
struct Roll {
    tokens: BTreeMap<String, (String, Post, bool, bool)>,
    agents: BTreeMap<Post, (NewAgent, Option<String>, bool)>,
}

/// The rolls, in memory.
#[derive(Default)]
pub(crate) struct Book(Mutex<Roll>);

impl Book {
    pub(crate) fn expire(&self, id: &str) {
        self.0.lock().unwrap().tokens.get_mut(id).unwrap().3 = true;
    }

    pub(crate) fn fingerprint(&self, post: &Post) -> Option<String> {
        self.0.lock().unwrap().agents.get(post).map(|agent| agent.0.fingerprint.clone())
    }
}

#[async_trait]
impl Rolls for Book {
    async fn token_post(&self, id: &str) -> Result<Option<Post>, RollsError> {
        Ok(self.0.lock().unwrap().tokens.get(id).map(|token| token.1.clone()))
    }

    async fn join(&self, id: &str, digest: &str, agent: NewAgent) -> Result<Result<(), JoinRefused>, RollsError> {
        let mut roll = self.0.lock().unwrap();
        let Some(token) = roll.tokens.get_mut(id).filter(|token| token.0 == digest) else {
            return Ok(Err(JoinRefused::NoToken));
        };
        if token.2 {
            return Ok(Err(JoinRefused::Used));
        }
        if token.3 {
            return Ok(Err(JoinRefused::Expired));
        }
        token.2 = true;
        roll.agents.insert(agent.post.clone(), (agent, None, false));
        Ok(Ok(()))
    }

    async fn identify(&self, fingerprint: &str) -> Result<Option<KnownAgent>, RollsError> {
        let mut roll = self.0.lock().unwrap();
        for (agent, next, revoked) in roll.agents.values_mut().filter(|agent| !agent.2) {
            assert!(!*revoked);
            if next.as_deref() == Some(fingerprint) {
                agent.fingerprint = next.take().unwrap();
            }
            if agent.fingerprint == fingerprint {
                let (post, recipient) = (agent.post.clone(), agent.recipient.clone());
                return Ok(Some(KnownAgent { post, recipient, last_seen_ms: Some(1) }));
            }
        }
        Ok(None)
    }

    async fn seen(&self, fingerprint: &str, _release: &str) -> Result<bool, RollsError> {
        let roll = self.0.lock().unwrap();
        Ok(roll.agents.values().any(|agent| agent.0.fingerprint == fingerprint && !agent.2))
    }

    async fn renew(&self, fingerprint: &str, next: &str, _ends_at_ms: u64) -> Result<bool, RollsError> {
        let mut roll = self.0.lock().unwrap();
        let agent = roll.agents.values_mut().find(|agent| agent.0.fingerprint == fingerprint && !agent.2);
        Ok(agent.map(|agent| agent.1 = Some(next.to_owned())).is_some())
    }

    async fn known(&self, post: &Post) -> Result<Option<KnownAgent>, RollsError> {
        let roll = self.0.lock().unwrap();
        let agent = roll.agents.get(post).filter(|agent| !agent.2);
        Ok(agent.map(|agent| KnownAgent {
            post: post.clone(),
            recipient: agent.0.recipient.clone(),
            last_seen_ms: Some(1_700_000_000_000),
        }))
    }

    async fn add_token(&self, post: &Post, id: &str, digest: &str, _: u32, _: &str) -> Result<(), RollsError> {
        let mut roll = self.0.lock().unwrap();
        roll.tokens.insert(id.to_owned(), (digest.to_owned(), post.clone(), false, false));
        Ok(())
    }

    async fn revoke(&self, post: &Post, _: Option<&str>) -> Result<bool, RollsError> {
        let mut roll = self.0.lock().unwrap();
        Ok(roll.agents.get_mut(post).map(|agent| agent.2 = true).is_some())
    }
}

type Change = Box<dyn FnOnce(&mut BTreeMap<Vmid, ConfigKeys>) + Send>;

/// A node: configurations, and commands that run on this machine.
#[derive(Default)]
pub(crate) struct Machine {
    pub(crate) guests: Mutex<BTreeMap<Vmid, ConfigKeys>>,
    pub(crate) stopped: AtomicBool,
    pub(crate) tasks: Mutex<Vec<Task>>,
    /// Commands that were run.
    pub(crate) runs: AtomicUsize,
    /// What the world does just before the next command runs.
    pub(crate) before_run: Mutex<Option<Change>>,
}

#[async_trait]
impl Pct for Machine {
    async fn config(&self, vmid: Vmid) -> Result<Option<ConfigKeys>, PctError> {
        Ok(self.guests.lock().unwrap().get(&vmid).cloned())
    }

    async fn is_running(&self, _vmid: Vmid) -> Result<bool, PctError> {
        Ok(!self.stopped.load(Ordering::SeqCst))
    }

    async fn run(&self, _vmid: Vmid, order: Run) -> Result<Ran, PctError> {
        if let Some(change) = self.before_run.lock().unwrap().take() {
            change(&mut self.guests.lock().unwrap());
        }
        self.runs.fetch_add(1, Ordering::SeqCst);
        let mut child = tokio::process::Command::new(&order.argv[0])
            .args(&order.argv[1..])
            .envs(order.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| PctError::Start { program: order.argv[0].clone(), source })?;
        let (stdin, stdout, mut stderr) =
            (child.stdin.take().unwrap(), child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (output_max, output) = (order.output_max, order.output);
        let feed = async move {
            let mut stdin = stdin;
            let _ = stdin.write_all(&order.input).await;
            if let Some(word) = order.word
                && let Ok(word) = word.await
            {
                let _ = stdin.write_all(word).await;
            }
            drop(stdin);
            std::future::pending::<()>().await;
        };
        let mut err = Vec::new();
        let work =
            async { tokio::join!(listen_to(stdout, output, output_max), stderr.read_to_end(&mut err), child.wait()) };
        let ((kept, cut), _, status) = tokio::select! {
            done = work => done,
            () = feed => unreachable!("it never ends"),
        };
        Ok(Ran { code: status.unwrap().code(), cut, out: kept.into(), err, timed_out: false })
    }

    async fn unlock(&self, vmid: Vmid) -> Result<(), PctError> {
        self.guests.lock().unwrap().get_mut(&vmid).unwrap().remove("lock");
        Ok(())
    }

    async fn tasks(&self) -> Result<Vec<Task>, PctError> {
        Ok(self.tasks.lock().unwrap().clone())
    }

    async fn hold(&self, _vmid: Vmid) -> Result<Hold, PctError> {
        Ok(Hold::Open)
    }
}

/// Hands on what is said up to a limit, and keeps it; says whether there was more.
async fn listen_to(
    mut from: impl AsyncRead + Unpin,
    output: Option<UnboundedSender<Output>>,
    max: u64,
) -> (Vec<u8>, bool) {
    let (mut kept, mut cut, mut piece) = (Vec::new(), false, vec![0; 32 << 10]);
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        let taken = read.min(usize::try_from(max).unwrap() - kept.len());
        cut |= taken < read;
        kept.extend_from_slice(&piece[..taken]);
        if let (Some(output), 1..) = (&output, taken) {
            let _ = output.send((Stream::Out, piece[..taken].to_vec()));
        }
    }
    (kept, cut)
}

/// An agent that runs.
pub(crate) struct Agent {
    stop: CancellationToken,
    pub(crate) running: tokio::task::JoinHandle<Result<Post, NodeError>>,
}

impl Agent {
    pub(crate) async fn end(self) -> Result<Post, NodeError> {
        self.stop.cancel();
        self.running.await.unwrap()
    }
}

/// A site with one node, its server and what an agent needs.
pub(crate) struct Lab {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) book: Arc<Book>,
    pub(crate) machine: Arc<Machine>,
    pub(crate) post: Post,
    pub(crate) life: Duration,
    pub(crate) heartbeat: Duration,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let lab = Self {
            dir: tempfile::tempdir().unwrap(),
            book: Arc::default(),
            machine: Arc::default(),
            post: Post { site: "lab".parse().unwrap(), node: "pve1".parse().unwrap() },
            life: Duration::from_secs(3600),
            heartbeat: Duration::from_millis(500),
        };
        std::fs::create_dir(lab.path("guest")).unwrap();
        lab.machine.guests.lock().unwrap().insert(target().vmid, keys(&target()));
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A path inside the guest, which is a folder here.
    pub(crate) fn inside(&self, name: &str) -> GuestPath {
        self.path("guest").join(name).display().to_string().parse().unwrap()
    }

    /// Whoever runs the test owns what is written.
    pub(crate) fn owner(&self) -> Owner {
        let meta = std::fs::metadata(self.dir.path()).unwrap();
        format!("{}:{}", meta.uid(), meta.gid()).parse().unwrap()
    }

    pub(crate) fn authority(&self) -> Arc<Authority> {
        Arc::new(Authority::open(&self.path("authority")).unwrap())
    }

    pub(crate) async fn server(&self) -> Listening {
        self.server_of(self.authority(), "127.0.0.1:0".parse().unwrap()).await
    }

    pub(crate) async fn server_of(&self, authority: Arc<Authority>, address: SocketAddr) -> Listening {
        let config = Config {
            authority,
            rolls: Arc::clone(&self.book) as Arc<dyn Rolls>,
            heartbeat: self.heartbeat,
            certificate_life: self.life,
            release: "test".to_owned(),
        };
        listen(address, config).await.unwrap()
    }

    pub(crate) async fn token(&self) -> JoinToken {
        let token = JoinToken::generate(&self.authority().fingerprint(), &mut rl_agent::random());
        self.book.add_token(&self.post, &token.id, &token.digest(), 1, "tester").await.unwrap();
        token
    }

    pub(crate) fn agent(&self, servers: &[SocketAddr], token: Option<JoinToken>) -> Agent {
        self.agent_in("agent", servers, token)
    }

    pub(crate) fn agent_in(&self, dir: &str, servers: &[SocketAddr], token: Option<JoinToken>) -> Agent {
        let config = node::Config {
            servers: servers.iter().map(|server| format!("https://{server}").parse().unwrap()).collect(),
            dir: self.path(dir),
            token,
            pct: Arc::clone(&self.machine) as Arc<dyn Pct>,
            release: "test".to_owned(),
            connected: None,
        };
        let stop = CancellationToken::new();
        Agent { running: tokio::spawn(node::run(config, stop.clone())), stop }
    }

    /// A server and an agent that has joined.
    pub(crate) async fn joined(&self) -> (Listening, Agent) {
        let server = self.server().await;
        let agent = self.agent(&[server.address()], Some(self.token().await));
        self.connected(&server).await;
        (server, agent)
    }

    pub(crate) async fn connected(&self, server: &Listening) {
        let agents = server.agents();
        until("the agent is connected", || agents.connected().contains(&self.post)).await;
    }

    /// Has an order carried out; asks again, under the same name, where the answer was lost with a connection.
    pub(crate) async fn ask(&self, server: &Listening, order: Order) -> Result<Answer, CallError> {
        let began = tokio::time::Instant::now();
        loop {
            let answer = server.agents().call(&self.post, order.clone(), Given::default(), LONG, LONG).await;
            match answer {
                Err(CallError::Lost { .. }) if began.elapsed() < LONG => tokio::time::sleep(PAUSE).await,
                answer => return answer,
            }
        }
    }
}

/// The guest of the tests.
pub(crate) fn target() -> Target {
    Target {
        vmid: "101".parse().unwrap(),
        stamp: Stamp {
            guest: GuestId::from_bits(7),
            stack: "shop".parse().unwrap(),
            name: "web-1".parse().unwrap(),
            controller: ControllerId::from_bits(9),
        },
        hostnames: vec!["web-1".to_owned()],
        net0: vec!["BC:24:11:00:00:01".parse().unwrap()],
    }
}

/// Its configuration.
pub(crate) fn keys(target: &Target) -> ConfigKeys {
    let key = |name: &str, value: String| (name.to_owned(), value);
    ConfigKeys::from([
        key("description", target.stamp.description("")),
        key("tags", target.stamp.tag().to_string()),
        key("hostname", "web-1".to_owned()),
        key("net0", "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01".to_owned()),
    ])
}

pub(crate) fn order(key: &str, work: Work) -> Order {
    Order { key: key.to_owned(), job: "job".to_owned(), fence: 1, guest: target(), work }
}

/// A command under a shell of this machine.
pub(crate) fn shell(text: &str) -> Work {
    Work::Exec(Exec {
        argv: ["/bin/sh", "-c", text].map(str::to_owned).to_vec(),
        env: Vec::new(),
        user: None,
        time_limit_s: 60,
        output_max: 1 << 20,
    })
}
