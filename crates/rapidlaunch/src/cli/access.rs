//! Who may come in and do what, and what was done: `user`, `grant`, `token` and `audit`.

use clap::Subcommand;

use super::{audit, grant, token, user};
use crate::cli::args::Global;
use crate::error::CommandError;
use crate::out::Out;

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum AccessCommand {
    /// List, add and remove users; set passwords, shut users out
    #[command(subcommand)]
    User(user::UserCommand),
    /// Give roles on paths to users and groups, and take them back
    #[command(subcommand)]
    Grant(grant::GrantCommand),
    /// List, make and revoke API tokens
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Show, check and export the audit
    #[command(subcommand)]
    Audit(audit::AuditCommand),
}

/// Runs the command.
pub(crate) async fn run(global: &Global, command: &AccessCommand, out: &Out) -> Result<(), CommandError> {
    match command {
        AccessCommand::User(command) => user::run(global, command, out).await,
        AccessCommand::Grant(command) => grant::run(global, command, out).await,
        AccessCommand::Token(command) => token::run(global, command, out).await,
        AccessCommand::Audit(command) => audit::run(global, command, out).await,
    }
}
