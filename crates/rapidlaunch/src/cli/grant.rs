//! `rapidlaunch grant …`

use clap::Subcommand;
use rl_engine::UnixMs;
use rl_model::{AccessPath, Grant, GrantId, Grantee, Role};
use serde_json::json;

use crate::cli::args::Global;
use crate::error::CommandError;
use crate::out::Out;
use crate::render::style::time;
use crate::render::table::table;
use crate::shape::access::GivenShape;
use crate::side::Side;

/// `grant …`
#[derive(Debug, Subcommand)]
pub(crate) enum GrantCommand {
    /// List who has which role where
    Ls,
    /// Give a user or a group a role on a path and whatever lies below
    Add {
        /// Who gets it, as user:NAME or group:NAME
        #[arg(value_name = "WHO")]
        to: Grantee,
        /// viewer, operator, deployer, approver or admin
        #[arg(value_name = "ROLE")]
        role: Role,
        /// Where: /, /sites, /sites/NAME, /stacks or /stacks/NAME
        #[arg(value_name = "PATH")]
        path: AccessPath,
    },
    /// Take a grant back
    Rm {
        /// The grant, as `grant ls` calls it
        #[arg(value_name = "ID")]
        id: GrantId,
    },
}

/// Runs the command.
pub(crate) async fn run(global: &Global, command: &GrantCommand, out: &Out) -> Result<(), CommandError> {
    match command {
        GrantCommand::Ls => list(&Side::look(global, out).await?, out).await,
        GrantCommand::Add { to, role, path } => {
            add(&Side::open(global, out).await?, to, &Grant::new(*role, path.clone()), out).await
        }
        GrantCommand::Rm { id } => remove(&Side::open(global, out).await?, id, out).await,
    }
}

async fn list(side: &Side, out: &Out) -> Result<(), CommandError> {
    let grants = side.grants().await?;
    if out.json() {
        out.print_json(&json!({ "grants": grants }));
        return Ok(());
    }
    let row = |grant: GivenShape| {
        let GivenShape { id, to, role, path, created_at_ms, created_by } = grant;
        vec![id, to, role, path, time(UnixMs(created_at_ms)), created_by]
    };
    out.print(&table(&["grant", "who", "role", "path", "given", "by"], grants.into_iter().map(row).collect()));
    Ok(())
}

async fn add(side: &Side, to: &Grantee, grant: &Grant, out: &Out) -> Result<(), CommandError> {
    let given = side.give(to, grant).await?;
    if out.json() {
        out.print_json(&given);
    } else {
        out.print(&format!("{to} has the role {} on {}, by grant {}.\n", grant.role, grant.path, given.id));
    }
    Ok(())
}

async fn remove(side: &Side, id: &GrantId, out: &Out) -> Result<(), CommandError> {
    side.take_back(id).await?;
    if out.json() {
        out.print_json(&json!({ "id": id, "removed": true }));
    } else {
        out.print(&format!("Grant {id} is taken back.\n"));
    }
    Ok(())
}
