//! The commands, one file each.

pub(crate) mod access;
pub(crate) mod agent;
mod apply;
pub(crate) mod args;
mod audit;
mod bench;
pub(crate) mod completion;
mod demo;
mod destroy;
mod drift;
pub(crate) mod firewall;
mod grant;
pub(crate) mod guest;
pub(crate) mod inside;
mod op;
pub(crate) mod openapi;
mod plan;
pub(crate) mod quota;
pub(crate) mod schedule;
pub(crate) mod schema;
pub(crate) mod secret;
pub(crate) mod serve;
mod sim;
pub(crate) mod site;
mod stack;
mod store;
mod token;
mod user;
pub(crate) mod validate;
mod verify;

use args::{Cli, Command, Global, GuestCommand};
use secret::SecretCommand;

use crate::error::CommandError;
use crate::out::Out;

/// Runs a command that needs the runtime.
pub(crate) async fn run(cli: Cli, out: &Out) -> Result<(), CommandError> {
    let global = cli.global;
    refuse_remote(&global, &cli.command)?;
    match cli.command {
        Command::Plan(args) => plan::run(&global, &args, out).await,
        Command::Apply(args) => apply::run(&global, &args, out).await,
        Command::Destroy(args) => destroy::run(&global, &args, out).await,
        Command::Verify(args) => verify::run(&global, &args, out).await,
        Command::Drift(args) => drift::run(&global, &args, out).await,
        Command::Op(command) => op::run(&global, &command, out).await,
        Command::Site(command) => site::run(&global, &command, out).await,
        Command::Secret(command) => secret::run(&global, &command, out).await,
        Command::Agent(args) => agent::run(&global, &args, out).await,
        Command::Firewall(command) => firewall::run(&global, &command, out).await,
        Command::Guest(command) => guest::run(&global, &command, out).await,
        Command::Quota(command) => quota::run(&global, &command, out).await,
        Command::Schedule(command) => schedule::run(&global, &command, out).await,
        Command::Stack(command) => stack::run(&global, &command, out).await,
        Command::Access(command) => access::run(&global, &command, out).await,
        Command::Store(command) => store::run(&global, &command, out).await,
        Command::Demo(args) => demo::run(&global, &args, out).await,
        Command::Serve(args) => serve::run(&global, &args, out).await,
        Command::Sim(args) => sim::run(&args, out).await,
        Command::Bench(args) => bench::run(&args, out).await,
        Command::Validate(args) => validate::run(&args, out),
        Command::Schema => schema::run(out),
        Command::Openapi => openapi::run(out),
        Command::Completion { shell } => completion::run(shell, out),
    }
}

/// Refuses what is not done through a server, where one is named.
fn refuse_remote(global: &Global, command: &Command) -> Result<(), CommandError> {
    if !global.remote.is_given() {
        return Ok(());
    }
    let (name, why) = match command {
        Command::Store(_) => ("store", "it looks into the data directory or database itself"),
        Command::Serve(_) => ("serve", "it is the server"),
        Command::Demo(_) => ("demo", "it brings its own data directory"),
        Command::Sim(_) => ("sim", "it is a site, and knows no server"),
        Command::Bench(_) => ("bench", "it brings its own server"),
        Command::Guest(GuestCommand::Exec(_) | GuestCommand::Cp(_) | GuestCommand::Logs(_)) => {
            ("guest exec`, `cp` and `logs", "they reach the agents of nodes from the machine of the server alone")
        }
        Command::Secret(SecretCommand::Recovery(_)) => ("secret recovery", "it works with the key of the installation"),
        _ => return Ok(()),
    };
    Err(CommandError::input(format!("`{name}` is not done through a server: {why}"))
        .hinted("run it on the machine of the server, without --server and RAPIDLAUNCH_SERVER"))
}
