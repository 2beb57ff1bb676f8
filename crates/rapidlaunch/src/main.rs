//! The `rapidlaunch` binary: reads the command line, wires the rooms together, prints what comes of it.

mod access;
mod api;
mod bench;
mod cli;
mod demo;
mod env;
mod error;
mod memory;
mod out;
mod remote;
mod render;
mod shape;
mod side;
mod telemetry;
mod work;

use std::pin::Pin;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::args::{Cli, Command};
use crate::error::{CommandError, ErrorKind};
use crate::out::Out;
use crate::telemetry::logs::{self, Logging};

fn main() -> ExitCode {
    memory::limit_arenas();
    memory::no_core_dumps();
    // Before anything that makes a TLS client: a TLS client that is built before a provider is installed panics.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return ExitCode::FAILURE;
    }
    // The simulated nodes' own tools are this program under their names.
    let mut words = std::env::args_os();
    if let Some(program) = words.next().filter(|program| pve_sim::pct::called_as(program).is_some()) {
        let args: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
        return ExitCode::from(pve_sim::pct::main(&program, &args));
    }
    // After the tools: their parent is an agent, which has inherited the wish.
    env::die_with_parent();
    let cli = Cli::parse();
    let out = Out::new(&cli.global);
    match run(cli, &out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => finish(&error, &out),
    }
}

fn run(cli: Cli, out: &Out) -> Result<(), CommandError> {
    // A server begins to log with its runtime, which sends its traces.
    if !matches!(cli.command, Command::Serve(_)) {
        logs::init(Logging::verbose(cli.global.verbose, out), None, out);
    }
    // Commands that wait for nothing need no runtime.
    match &cli.command {
        Command::Schema => return cli::schema::run(out),
        Command::Openapi => return cli::openapi::run(out),
        Command::Completion { shell } => return cli::completion::run(*shell, out),
        Command::Validate(args) => return cli::validate::run(args, out),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(worker_threads())
        .enable_all()
        .build()
        .map_err(|error| CommandError::failed("no runtime could be started").because(error))?;
    // Boxed: the runtime has several loops, and every command would be compiled into each.
    let work: Pin<Box<dyn Future<Output = Result<(), CommandError>> + '_>> = Box::pin(cli::run(cli, out));
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    result
}

/// Threads of the runtime: the work is waiting, so a few do.
fn worker_threads() -> usize {
    std::thread::available_parallelism().map_or(2, |n| n.get().clamp(1, 4))
}

fn finish(error: &CommandError, out: &Out) -> ExitCode {
    if out.json() && error.kind != ErrorKind::Differences && !(error.message.is_empty() && error.rendered.is_none()) {
        out.print_json(&error.json());
    }
    let text = error.text(out.colour_err);
    if !text.is_empty() {
        out.say(&text);
    }
    error.kind.into()
}
