//! `rapidlaunch firewall …`

use clap::{Args, Subcommand};
use rl_model::SiteName;
use rl_planner::firewall::{Question, Verdict, explain, explain_network};

use crate::cli::args::Global;
use crate::error::{CommandError, ErrorKind};
use crate::out::Out;
use crate::render::firewall as render;
use crate::render::style::Style;
use crate::work::connect;
use crate::work::data::Data;
use crate::work::firewall::ask::{self, Asked, Source};
use crate::work::firewall::read;

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
    let data = Data::look(global).await?;
    let asked = ask::understand(&data, args).await?;
    let view = read_view(&data, &asked, out).await?;
    let asked = ask::with_addresses(asked, &view.live)?;
    let style = Style::new(out.colour);
    let verdict = match asked.source {
        Source::Network(net) => {
            let question = asked.question(asked.source_address()?)?;
            let parts = explain_network(&view.firewall, &question, net.net())
                .map_err(|error| CommandError::input(error.to_string()).hinted("give a longer prefix with --from"))?;
            let verdict = render::overall(&parts);
            if out.json() {
                out.print_json(&render::parts_json(&asked, verdict, &parts));
            } else {
                out.print(&render::parts(&asked, &parts, global.verbose > 0, style));
            }
            verdict
        }
        Source::Address(_) | Source::Guest(_) => {
            let question: Question = asked.question(asked.source_address()?)?;
            let explanation = explain(&view.firewall, &question);
            if out.json() {
                out.print_json(&render::json(&asked, &question, &explanation));
            } else {
                out.print(&render::text(&asked, &question, &explanation, style));
            }
            explanation.verdict
        }
    };
    if verdict == Verdict::Accept { Ok(()) } else { Err(CommandError::said(ErrorKind::Differences)) }
}

async fn read_view(data: &Data, asked: &Asked, out: &Out) -> Result<read::View, CommandError> {
    let name: &SiteName = &asked.to.record.site;
    let site = data.site(name).await?.ok_or_else(|| {
        CommandError::input(format!("site `{name}` is not known")).hinted("apply a stack that uses it first")
    })?;
    let api = connect::connect_one(data, &site, connect::pace(), out).await?;
    read::view(api.pve(), asked).await
}
