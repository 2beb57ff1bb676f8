//! Where the store is: a data directory or a database server, by option, variable or default.

use std::path::PathBuf;

use rl_store::Place;

use crate::cli::args::Global;
use crate::env;
use crate::error::CommandError;

/// What a database URL begins with, in either spelling.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// The place a command works on. A database goes before a directory.
pub(crate) fn of(global: &Global) -> Result<Place, CommandError> {
    if let Some(url) = global.database.as_deref().filter(|url| !url.is_empty()) {
        return from_arguments(url);
    }
    match env::database() {
        Some(url) => database(&url),
        None => directory(global).map(Place::Directory),
    }
}

/// A place that was named on the command line: a URL, or a directory.
pub(crate) fn named(text: &str) -> Result<Place, CommandError> {
    if SCHEMES.iter().any(|scheme| text.starts_with(scheme)) {
        return from_arguments(text);
    }
    if text.is_empty() {
        return Err(CommandError::input("an empty text names no store").hinted("give a directory or a postgres:// URL"));
    }
    std::path::absolute(text)
        .map(Place::Directory)
        .map_err(|error| CommandError::input(format!("`{text}` names no directory")).because(error))
}

/// The data directory by option, variable or default.
pub(crate) fn directory(global: &Global) -> Result<PathBuf, CommandError> {
    let dir = global.data.clone().filter(|dir| !dir.as_os_str().is_empty()).or_else(env::state_dir);
    dir.ok_or_else(|| {
        CommandError::input("there is no place for the data directory: neither HOME nor XDG_STATE_HOME is set")
            .hinted("name one with --data DIR")
    })
}

/// A URL from the command line, which every user of the machine can read while the command runs.
fn from_arguments(url: &str) -> Result<Place, CommandError> {
    Err(CommandError::input(format!("{} is no directory", url.len())))
}

/// A URL with its password from wherever it is kept.
fn database(url: &str) -> Result<Place, CommandError> {
    from_arguments(url)
}
