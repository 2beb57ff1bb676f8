//! `rapidlaunch agent …`

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use rl_agent::Post;
use rl_agent::node::{self, Server, pct::Tools};
use rl_agent::server::{JoinToken, Rolls};
use rl_model::{NodeName, SiteName};
use tokio_util::sync::CancellationToken;

use crate::cli::args::Global;
use crate::env;
use crate::error::CommandError;
use crate::out::Out;
use crate::render::table::table;
use crate::work::agents::{self, StoreRolls};
use crate::work::data::{Data, store_error};

/// Folder of an agent where none is named.
const FOLDER: &str = "agent";
/// Most bytes of a token file: a token has some 150.
const TOKEN_BYTES_MAX: u64 = 4_096;

/// `agent`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct AgentArgs {
    #[command(subcommand)]
    command: Option<AgentCommand>,
    /// Server to connect to, as https://HOST:PORT; may be given several times: the agent stays connected to all of them
    #[arg(id = "server", long = "server", value_name = "URL", required = true)]
    servers: Vec<Server>,
    /// File with the join token; needed until the agent has joined
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Proxmox's `pct`
    #[arg(long, value_name = "PATH", default_value = "/usr/sbin/pct")]
    pct: PathBuf,
    /// Proxmox's `pvesh`
    #[arg(long, value_name = "PATH", default_value = "/usr/bin/pvesh")]
    pvesh: PathBuf,
    /// Folder of Proxmox's lock files of containers; an empty text where there is none
    #[arg(long, value_name = "DIR", default_value = "/run/lock/lxc")]
    lock_dir: String,
}

/// `agent …`
#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Print a one-time token with which the agent of a node joins
    Token {
        #[command(flatten)]
        post: PostArgs,
        /// Hours until it ends
        #[arg(long, default_value_t = agents::TOKEN_HOURS, value_parser = clap::value_parser!(u32).range(1..=i64::from(agents::TOKEN_HOURS_MAX)))]
        hours: u32,
    },
    /// List agents
    Ls,
    /// Revoke the agent of a node: its certificate is refused from now on
    Revoke(PostArgs),
}

/// A node of a site.
#[derive(Debug, Clone, Args)]
pub(crate) struct PostArgs {
    /// The site
    #[arg(long, value_name = "SITE")]
    site: SiteName,
    /// The node
    #[arg(long, value_name = "NODE")]
    node: NodeName,
}

impl PostArgs {
    fn post(&self) -> Post {
        Post { site: self.site.clone(), node: self.node.clone() }
    }
}

impl AgentArgs {
    /// Whether agents are looked after, rather than one run.
    pub(crate) fn manages(&self) -> bool {
        self.command.is_some()
    }
}

/// Runs the agent, or looks after agents.
pub(crate) async fn run(global: &Global, args: &AgentArgs, out: &Out) -> Result<(), CommandError> {
    match &args.command {
        None => serve(global, args, out).await,
        Some(AgentCommand::Token { post, hours }) => token(global, &post.post(), *hours, out).await,
        Some(AgentCommand::Ls) => list(global, out).await,
        Some(AgentCommand::Revoke(post)) => revoke(global, &post.post(), out).await,
    }
}

async fn serve(global: &Global, args: &AgentArgs, out: &Out) -> Result<(), CommandError> {
    keep_memory_private();
    let dir = global.data.clone().or_else(|| env::state_dir().map(|dir| dir.join(FOLDER))).ok_or_else(|| {
        CommandError::input("there is no place for the agent's folder").hinted("name one with --data DIR")
    })?;
    let token = args.token_file.as_ref().map(read_token).transpose()?;
    let locks = (!args.lock_dir.is_empty()).then(|| PathBuf::from(&args.lock_dir));
    let tools = Tools { pct: args.pct.clone(), pvesh: args.pvesh.clone(), locks };
    let (connected, mut names) = tokio::sync::mpsc::unbounded_channel();
    let config = node::Config {
        servers: args.servers.clone(),
        dir,
        token,
        pct: Arc::new(tools),
        release: env!("CARGO_PKG_VERSION").to_owned(),
        connected: Some(connected),
    };
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let said = *out;
    tokio::spawn(async move {
        while let Some(name) = names.recv().await {
            said.say(&format!("connected to {name}"));
        }
    });
    tokio::spawn(async move {
        crate::cli::serve::asked_to_end().await;
        stop.cancel();
    });
    match node::run(config, shutdown).await {
        Ok(_) | Err(node::NodeError::Ended) => Ok(()),
        Err(error @ (node::NodeError::NoToken | node::NodeError::NoServer)) => {
            Err(CommandError::input(error.to_string()))
        }
        Err(error) => Err(CommandError::failed("the agent cannot run").because(error)),
    }
}

/// Values pass through this process: its memory is not written to disk when it crashes, and nobody but root may read it.
fn keep_memory_private() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

fn read_token(path: &PathBuf) -> Result<JoinToken, CommandError> {
    use std::io::Read;
    let wrong = || CommandError::input(format!("the join token in {} cannot be used", path.display()));
    let file = std::fs::File::open(path).map_err(|error| wrong().because(error))?;
    let mut text = secrecy::zeroize::Zeroizing::new(String::new());
    file.take(TOKEN_BYTES_MAX).read_to_string(&mut text).map_err(|error| wrong().because(error))?;
    text.parse().map_err(|error: rl_agent::server::NoToken| wrong().because(error))
}

async fn token(global: &Global, post: &Post, hours: u32, out: &Out) -> Result<(), CommandError> {
    let data = Data::look(global).await?;
    if data.store.site(&post.site).await.map_err(store_error)?.is_none() {
        out.say(&format!("Note: no stack was applied on a site `{}` yet.", post.site));
    }
    let text = if data.is_looking() {
        agents::relay(&data).await?.token(post, hours, &env::actor()).await.map_err(agents::relay_error)?
    } else {
        let authority = agents::authority(&data)?;
        let token = JoinToken::generate(&authority.fingerprint(), &mut rl_agent::random());
        let rolls = StoreRolls(data.store.clone());
        let added = rolls.add_token(post, &token.id, &token.digest(), hours, &env::actor()).await;
        added.map_err(|error| CommandError::failed("the token cannot be stored").because(error))?;
        token.text().to_string()
    };
    if out.json() {
        out.print_json(&serde_json::json!({ "site": post.site, "node": post.node, "hours": hours, "token": text }));
    } else {
        out.print(&format!("{text}\n"));
    }
    Ok(())
}

async fn list(global: &Global, out: &Out) -> Result<(), CommandError> {
    let data = Data::look(global).await?;
    let agents = agents::listed(&data).await?;
    if out.json() {
        let agents: Vec<serde_json::Value> = agents
            .iter()
            .map(|(agent, state)| {
                serde_json::json!({
                    "site": agent.site, "node": agent.node, "state": state, "release": agent.release,
                    "joined_at": agent.joined_at.0, "seen_at": agent.seen_at.map(|at| at.0),
                    "certificate_ends_at": agent.ends_at.0, "recipient": agent.recipient,
                })
            })
            .collect();
        out.print_json(&serde_json::json!({ "agents": agents }));
        return Ok(());
    }
    let time = |at: rl_engine::UnixMs| {
        let at = i64::try_from(at.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        at.map_or_else(String::new, |at| format!("{at:.0}"))
    };
    let rows = agents
        .iter()
        .map(|(agent, state)| {
            vec![
                agent.site.to_string(),
                agent.node.to_string(),
                (*state).to_owned(),
                agent.seen_at.map_or_else(|| "never".to_owned(), time),
                agent.release.clone(),
                time(agent.ends_at),
            ]
        })
        .collect();
    out.print(&table(&["site", "node", "state", "seen", "release", "certificate ends"], rows));
    Ok(())
}

async fn revoke(global: &Global, post: &Post, out: &Out) -> Result<(), CommandError> {
    let data = Data::look(global).await?;
    let was = agents::revoke(&data, post).await?;
    if !was {
        return Err(
            CommandError::input(format!("node {post} has no agent")).hinted("`rapidlaunch agent ls` lists them")
        );
    }
    out.say(&format!("Revoked the agent of {post}."));
    Ok(())
}
