//! `rapidlaunch stack …`

use clap::Subcommand;
use rl_model::StackName;

use crate::cli::args::Global;
use crate::error::CommandError;
use crate::out::Out;
use crate::render::table::table;
use crate::shape::stack::StackShape;
use crate::side::Side;

/// `stack …`
#[derive(Debug, Subcommand)]
pub(crate) enum StackCommand {
    /// List stacks applied before
    Ls,
    /// Print the stored file of a stack
    Show {
        /// The stack
        #[arg(value_name = "STACK")]
        name: StackName,
    },
}

/// Lists and shows stored stacks.
pub(crate) async fn run(global: &Global, command: &StackCommand, out: &Out) -> Result<(), CommandError> {
    let side = Side::look(global, out).await?;
    match command {
        StackCommand::Ls => list(&side, out).await,
        StackCommand::Show { name } => {
            let declared = side.declaration(name).await?;
            if out.json() {
                out.print_json(&declared);
            } else {
                out.print(&declared.text);
            }
            Ok(())
        }
    }
}

async fn list(side: &Side, out: &Out) -> Result<(), CommandError> {
    let stacks = side.stacks().await?;
    if out.json() {
        out.print_json(&serde_json::json!({ "stacks": stacks }));
        return Ok(());
    }
    let row = |stack: StackShape| {
        let applied = stack.applied_revision.map_or_else(|| "-".to_owned(), |revision| revision.to_string());
        vec![stack.name, stack.state, stack.revision.to_string(), applied, stack.guests.to_string()]
    };
    let rows = stacks.into_iter().map(row).collect();
    out.print(&table(&["stack", "state", "revision", "applied", "guests"], rows));
    Ok(())
}
