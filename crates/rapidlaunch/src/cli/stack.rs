//! `rapidlaunch stack …`

use clap::Subcommand;
use rl_model::StackName;

use crate::cli::args::Global;
use crate::error::CommandError;
use crate::out::Out;
use crate::render::table::table;
use crate::shape::stack::StackShape;
use crate::work::data::{Data, store_error};
use crate::work::planning;

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
    let data = Data::look(global).await?;
    match command {
        StackCommand::Ls => list(&data, out).await,
        StackCommand::Show { name } => {
            let stored = planning::stored(&data, name).await?;
            if out.json() {
                out.print_json(&serde_json::json!({ "file": stored.file, "text": stored.text, "stack": stored.stack }));
            } else {
                out.print(&stored.text);
            }
            Ok(())
        }
    }
}

async fn list(data: &Data, out: &Out) -> Result<(), CommandError> {
    let stacks = data.store.stacks().await.map_err(store_error)?;
    if out.json() {
        let rows: Vec<StackShape> = stacks.iter().map(StackShape::of).collect();
        out.print_json(&serde_json::json!({ "stacks": rows }));
        return Ok(());
    }
    let rows: Vec<Vec<String>> = stacks
        .iter()
        .map(|stack| {
            let guests = stack.applied.as_ref().map_or(0, |applied| applied.guests.len());
            let applied = stack.applied_revision.map_or_else(|| "-".to_owned(), |revision| revision.to_string());
            vec![
                stack.name.to_string(),
                stack.state.as_str().to_owned(),
                stack.revision.to_string(),
                applied,
                guests.to_string(),
            ]
        })
        .collect();
    out.print(&table(&["stack", "state", "revision", "applied", "guests"], rows));
    Ok(())
}
