//! `rapidlaunch agent …`

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use rl_agent::Post;
use rl_agent::node::{self, Server, pct::Tools};
use rl_agent::server::JoinToken;
use rl_engine::UnixMs;
use rl_model::{NodeName, SiteName};
use tokio_util::sync::CancellationToken;

use crate::cli::args::Global;
use crate::env;
use crate::error::CommandError;
use crate::out::Out;
use crate::render::style::time;
use crate::render::table::table;
use crate::shape::agent::AgentShape;
use crate::side::Side;
use crate::work::agents;

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
    let made = Side::open_or_look(global, out).await?.join_token(post, hours).await?;
    let text = made.token.ok_or_else(|| {
        CommandError::failed("the token was made, and the answer with it got lost; it is shown once")
            .hinted("give the same command again, which makes another one")
    })?;
    if let Some(note) = made.note {
        out.say(&format!("Note: {note}."));
    }
    if out.json() {
        out.print_json(&serde_json::json!({ "site": post.site, "node": post.node, "hours": hours, "token": text }));
    } else {
        out.print(&format!("{text}\n"));
    }
    Ok(())
}

async fn list(global: &Global, out: &Out) -> Result<(), CommandError> {
    let agents = Side::look(global, out).await?.agents().await?;
    if out.json() {
        let shown = |agent: &AgentShape| {
            serde_json::json!({
                "site": agent.site, "node": agent.node, "state": agent.state, "release": agent.version,
                "joined_at": agent.joined_at_ms, "seen_at": agent.last_seen_ms,
                "certificate_ends_at": agent.certificate_ends_ms, "recipient": agent.recipient,
            })
        };
        out.print_json(&serde_json::json!({ "agents": agents.iter().map(shown).collect::<Vec<_>>() }));
        return Ok(());
    }
    let row = |agent: AgentShape| {
        let seen = agent.last_seen_ms.map_or_else(|| "never".to_owned(), |at| time(UnixMs(at)));
        vec![agent.site, agent.node, agent.state, seen, agent.version, time(UnixMs(agent.certificate_ends_ms))]
    };
    let rows = agents.into_iter().map(row).collect();
    out.print(&table(&["site", "node", "state", "seen", "release", "certificate ends"], rows));
    Ok(())
}

async fn revoke(global: &Global, post: &Post, out: &Out) -> Result<(), CommandError> {
    Side::open_or_look(global, out).await?.revoke_agent(post).await?;
    out.say(&format!("Revoked the agent of {post}."));
    Ok(())
}
