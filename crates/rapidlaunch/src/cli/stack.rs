//! `rapidlaunch stack …`

use clap::{Args, Subcommand};
use rl_model::StackName;
use rl_store::Owner;
use serde_json::json;

use crate::cli::args::Global;
use crate::error::CommandError;
use crate::out::Out;
use crate::render::table::table;
use crate::shape::stack::StackListed;
use crate::side::Side;
use crate::work::rules::RulesChange;

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
    /// Let plans of a stack need the approval of another person than their author
    Protect(StackArg),
    /// Let plans of a stack be carried out without another person's approval
    Unprotect(StackArg),
    /// Say whose quota counts a stack
    Owner {
        #[command(flatten)]
        stack: StackArg,
        /// The owner: a person or a team, by the name that its quota has
        #[arg(value_name = "OWNER", required_unless_present = "none")]
        owner: Option<Owner>,
        /// Let no quota count it
        #[arg(long, conflicts_with = "owner")]
        none: bool,
    },
}

/// A stack.
#[derive(Debug, Clone, Args)]
pub(crate) struct StackArg {
    /// The stack
    #[arg(value_name = "STACK")]
    name: StackName,
}

/// Lists and shows stored stacks, and sets their rules.
pub(crate) async fn run(global: &Global, command: &StackCommand, out: &Out) -> Result<(), CommandError> {
    let protect = |protected| RulesChange { protected: Some(protected), owner: None };
    match command {
        StackCommand::Ls => list(&Side::look(global, out).await?, out).await,
        StackCommand::Show { name } => {
            let declared = Side::look(global, out).await?.declaration(name).await?;
            if out.json() {
                out.print_json(&declared);
            } else {
                out.print(&declared.text);
            }
            Ok(())
        }
        StackCommand::Protect(stack) => change(global, &stack.name, protect(true), out).await,
        StackCommand::Unprotect(stack) => change(global, &stack.name, protect(false), out).await,
        StackCommand::Owner { stack, owner, .. } => {
            let owner = RulesChange { protected: None, owner: Some(owner.clone()) };
            change(global, &stack.name, owner, out).await
        }
    }
}

async fn change(global: &Global, name: &StackName, change: RulesChange, out: &Out) -> Result<(), CommandError> {
    let rules = Side::open(global, out).await?.change_rules(name, &change).await?;
    if out.json() {
        out.print_json(&json!({ "name": name, "protected": rules.protected, "owner": rules.owner }));
        return Ok(());
    }
    out.print(&match (change.protected, rules.owner) {
        (Some(true), _) => {
            format!("Stack {name} is protected: its plans need the approval of another person than their author.\n")
        }
        (Some(false), _) => format!("Stack {name} is not protected: its plans need nobody else's approval.\n"),
        (None, Some(owner)) => format!("Stack {name} is owned by {owner}, whose quota counts it.\n"),
        (None, None) => format!("Stack {name} is owned by nobody: no quota counts it.\n"),
    });
    Ok(())
}

async fn list(side: &Side, out: &Out) -> Result<(), CommandError> {
    let stacks = side.stacks().await?;
    if out.json() {
        out.print_json(&serde_json::json!({ "stacks": stacks }));
        return Ok(());
    }
    let row = |StackListed { stack, rules }: StackListed| {
        let none = || "-".to_owned();
        let applied = stack.applied_revision.map_or_else(none, |revision| revision.to_string());
        let protected = if rules.protected { "yes" } else { "no" }.to_owned();
        let (revision, guests) = (stack.revision.to_string(), stack.guests.to_string());
        vec![stack.name, stack.state, revision, applied, guests, protected, rules.owner.unwrap_or_else(none)]
    };
    let rows = stacks.into_iter().map(row).collect();
    out.print(&table(&["stack", "state", "revision", "applied", "guests", "protected", "owner"], rows));
    Ok(())
}
