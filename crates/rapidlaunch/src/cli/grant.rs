//! `rapidlaunch grant …`

use clap::Subcommand;
use rl_engine::UnixMs;
use rl_model::{AccessPath, Grant, GrantId, Grantee, Role};
use rl_store::{GrantRecord, Granted};
use serde_json::json;

use crate::cli::args::Global;
use crate::env;
use crate::error::CommandError;
use crate::out::Out;
use crate::render::style::time;
use crate::render::table::table;
use crate::shape::access::GivenShape;
use crate::work::accounts::{did, new_grant};
use crate::work::data::{Data, store_error};

/// Grants read at once.
const PART: u32 = 1_000;

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
        GrantCommand::Ls => list(&Data::look(global).await?, out).await,
        GrantCommand::Add { to, role, path } => {
            add(&Data::open(global).await?, to, Grant::new(*role, path.clone()), out).await
        }
        GrantCommand::Rm { id } => remove(&Data::open(global).await?, id, out).await,
    }
}

async fn list(data: &Data, out: &Out) -> Result<(), CommandError> {
    let mut grants: Vec<GrantRecord> = Vec::new();
    loop {
        let after = grants.last().map(|grant| grant.id.clone());
        let part = data.store.grants(after, PART).await.map_err(store_error)?;
        let is_last = part.len() < PART as usize;
        grants.extend(part);
        if is_last {
            break;
        }
    }
    let shapes: Vec<GivenShape> = grants.iter().map(GivenShape::of).collect();
    if out.json() {
        out.print_json(&json!({ "grants": shapes }));
        return Ok(());
    }
    let row = |grant: &GivenShape| {
        let GivenShape { id, to, role, path, created_at_ms, created_by } = grant;
        [id, to, role, path, &time(UnixMs(*created_at_ms)), created_by].map(Clone::clone).to_vec()
    };
    out.print(&table(&["grant", "who", "role", "path", "given", "by"], shapes.iter().map(row).collect()));
    Ok(())
}

async fn add(data: &Data, to: &Grantee, grant: Grant, out: &Out) -> Result<(), CommandError> {
    let text = format!("{to} has the role {} on {}", grant.role, grant.path);
    let new = new_grant(to.clone(), grant, env::actor());
    let id = new.id.clone();
    let deed = did("grant.create", format!("/grants/{id}")).into();
    match data.store.add_grant(new, deed).await.map_err(store_error)? {
        Granted::Added => {}
        Granted::NoUser => {
            return Err(CommandError::input(format!("there is no such user: {to}"))
                .hinted("`rapidlaunch user ls` lists them; a group needs no user yet"));
        }
        Granted::Before(id) => {
            return Err(CommandError::blocked(format!("{text} already, by grant {id}")));
        }
    }
    if out.json() {
        let record = data.store.grant(&id).await.map_err(store_error)?.ok_or_else(|| unknown(&id))?;
        out.print_json(&GivenShape::of(&record));
    } else {
        out.print(&format!("{text}, by grant {id}.\n"));
    }
    Ok(())
}

fn unknown(id: &GrantId) -> CommandError {
    CommandError::input(format!("there is no grant {id}")).hinted("`rapidlaunch grant ls` lists them")
}

async fn remove(data: &Data, id: &GrantId, out: &Out) -> Result<(), CommandError> {
    let deed = did("grant.remove", format!("/grants/{id}")).into();
    if !data.store.remove_grant(id, deed).await.map_err(store_error)? {
        return Err(unknown(id));
    }
    if out.json() {
        out.print_json(&json!({ "id": id, "removed": true }));
    } else {
        out.print(&format!("Grant {id} is taken back.\n"));
    }
    Ok(())
}
