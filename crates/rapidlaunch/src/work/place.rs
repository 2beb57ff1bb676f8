//! Where the store is: a data directory or a database server, by option, variable or default.

use std::io::Read;
use std::path::PathBuf;

use rl_store::{Place, Target};

use crate::cli::args::Global;
use crate::env;
use crate::error::CommandError;

/// What a database URL begins with, in either spelling.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// Most bytes read from a password file: a password is shorter.
const PASSWORD_BYTES_MAX: u64 = 4096;

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
    let target = parsed(url)?;
    if target.has_password() {
        return Err(CommandError::input(format!(
            "the URL of {target} holds a password, and every user of this machine can read a command line"
        ))
        .hinted("leave the password out, and name the file that holds it in RAPIDLAUNCH_DATABASE_PASSWORD_FILE")
        .hinted("or name a file in PostgreSQL's own format with `?passfile=PATH`, or give the whole URL in RAPIDLAUNCH_DATABASE"));
    }
    with_password(target)
}

/// A URL from the environment, which may hold its password.
fn database(url: &str) -> Result<Place, CommandError> {
    with_password(parsed(url)?)
}

fn parsed(url: &str) -> Result<Target, CommandError> {
    Target::parse(url).map_err(|error| CommandError::input(error.to_string()))
}

/// Adds the password from its file, where the URL has none and a file is named.
fn with_password(target: Target) -> Result<Place, CommandError> {
    let Some(path) = env::database_password_file().filter(|_| !target.has_password()) else {
        return Ok(Place::Database(target));
    };
    let unreadable = |error| {
        CommandError::input(format!("the database's password file {} cannot be read", path.display()))
            .because(error)
            .hinted("it holds the password on its first line, and only you can read it (chmod 600)")
    };
    let mut text = String::new();
    let file = std::fs::File::open(&path).map_err(unreadable)?;
    file.take(PASSWORD_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    let password = text.lines().next().unwrap_or_default().to_owned();
    Ok(Place::Database(target.with_password(password)))
}
