//! Every environment variable the program reads, in one place.

use std::path::PathBuf;

/// Colour is off when this is set to anything but an empty text (no-color.org).
const NO_COLOR: &str = "NO_COLOR";
/// Base of per-user state (XDG Base Directory Specification).
const XDG_STATE_HOME: &str = "XDG_STATE_HOME";
/// The user's home directory.
const HOME: &str = "HOME";
/// Who acts, written into operations.
const USER: &str = "USER";
/// Log filter in the syntax of `tracing`, beside `-v`.
const RAPIDLAUNCH_LOG: &str = "RAPIDLAUNCH_LOG";

fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether the user asked for no colour.
pub(crate) fn no_color() -> bool {
    text(NO_COLOR).is_some()
}

/// The log filter, where one is set.
pub(crate) fn log_filter() -> Option<String> {
    text(RAPIDLAUNCH_LOG)
}

/// `$XDG_STATE_HOME/rapidlaunch`, else `~/.local/state/rapidlaunch`.
pub(crate) fn state_dir() -> Option<PathBuf> {
    let base = text(XDG_STATE_HOME).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = base.or_else(|| text(HOME).map(|home| PathBuf::from(home).join(".local/state")));
    base.map(|base| base.join("rapidlaunch"))
}

/// The database's URL; the environment is readable for the user alone, so that it may hold the password.
pub(crate) fn database() -> Option<String> {
    text("RAPIDLAUNCH_DATABASE")
}

/// The file that holds the database's password.
pub(crate) fn database_password_file() -> Option<PathBuf> {
    text("RAPIDLAUNCH_DATABASE_PASSWORD_FILE").map(PathBuf::from)
}

/// The secret of this server at the provider of identities.
pub(crate) fn oidc_client_secret() -> Option<rl_model::SecretValue> {
    text("RAPIDLAUNCH_OIDC_CLIENT_SECRET").map(rl_model::SecretValue::new)
}

/// The user's name, as the environment gives it.
pub(crate) fn actor() -> String {
    text(USER).unwrap_or_else(|| "unknown".to_owned())
}

/// The API token that commands show to a server; the environment is readable for the user alone.
pub(crate) fn token() -> Option<String> {
    text("RAPIDLAUNCH_TOKEN")
}

/// A variable that a site file names as the source of its token.
pub(crate) fn named(name: &str) -> Option<String> {
    text(name)
}

/// Where traces are sent, by the name that OpenTelemetry gives it.
pub(crate) fn otlp_endpoint() -> Option<String> {
    text("OTEL_EXPORTER_OTLP_ENDPOINT")
}

/// Requests a second that one token or session may send, where another number is wanted.
pub(crate) fn rate() -> Option<u32> {
    text("RAPIDLAUNCH_RATE").and_then(|rate| rate.parse().ok()).filter(|rate| *rate > 0)
}

/// How many times faster than real nodes the sites work, where they are simulated.
pub(crate) fn pace() -> Option<f64> {
    text("RAPIDLAUNCH_PACE").and_then(|factor| factor.parse().ok())
}

/// Time between signs of life of agents and their server, where tests want another.
pub(crate) fn heartbeat() -> Option<std::time::Duration> {
    text("RAPIDLAUNCH_HEARTBEAT_MS").and_then(|ms| ms.parse().ok()).map(std::time::Duration::from_millis)
}

/// Number of the process whose end shall end this one: the demo's, for its applies.
pub(crate) const PARENT: &str = "RAPIDLAUNCH_PARENT";

/// Asks the kernel to kill this process when its parent ends, where the parent wishes so.
pub(crate) fn die_with_parent() {
    let Some(parent) = text(PARENT).and_then(|pid| pid.parse::<u32>().ok()) else { return };
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let still_there =
        rustix::process::getppid().is_some_and(|pid| u32::try_from(pid.as_raw_nonzero().get()) == Ok(parent));
    if !still_there {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}
