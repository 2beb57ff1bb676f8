//! `rapidlaunch firewall …`

use clap::{Args, Subcommand};
use rl_planner::firewall::Verdict;

use crate::cli::args::Global;
use crate::error::{CommandError, ErrorKind};
use crate::out::Out;
use crate::render::firewall as render;
use crate::render::style::Style;
use crate::side::Side;
use crate::work::firewall::ask::{self, Words};

/// `firewall …`
#[derive(Debug, Subcommand)]
pub(crate) enum FirewallCommand {
    /// Tell what a site's firewall does with a packet, and which rule decides (exit code 3 unless it arrives)
    Explain(ExplainArgs),
}

/// `firewall explain`
#[derive(Debug, Clone, Args)]
pub(crate) struct ExplainArgs {
    /// Who sends: an address, a network, or a guest (NAME, STACK/NAME, each with @NIC)
    #[arg(long, value_name = "FROM")]
    pub(crate) from: String,
    /// Who receives: GUEST:PORT[/PROTO], with a port, a service name or `ping`; tcp unless said otherwise
    #[arg(long, value_name = "GUEST:PORT[/PROTO]")]
    pub(crate) to: String,
    /// Port the sender uses [default: any its system may pick]
    #[arg(long, value_name = "PORT")]
    pub(crate) source_port: Option<u16>,
}

/// Explains.
pub(crate) async fn run(global: &Global, command: &FirewallCommand, out: &Out) -> Result<(), CommandError> {
    let FirewallCommand::Explain(args) = command;
    let side = Side::look(global, out).await?;
    let (to, payload) = ask::target(&args.to)?;
    let words = Words { from: &args.from, to, payload, source_port: args.source_port };
    let answer = side.explain(words, out).await?;
    if out.json() {
        out.print_json(&answer);
    } else {
        out.print(&render::text(&answer, global.verbose > 0, Style::new(out.colour)));
    }
    if answer.verdict() == Verdict::Accept { Ok(()) } else { Err(CommandError::said(ErrorKind::Differences)) }
}
