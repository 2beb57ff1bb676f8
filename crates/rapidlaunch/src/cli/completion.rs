//! `rapidlaunch completion SHELL`

use clap::CommandFactory;

use crate::cli::args::Cli;
use crate::error::CommandError;
use crate::out::Out;

/// Prints a completion script.
pub(crate) fn run(shell: clap_complete::Shell, out: &Out) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "rapidlaunch", &mut script);
    out.print(&String::from_utf8_lossy(&script));
    Ok(())
}
