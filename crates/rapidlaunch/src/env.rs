//! Every environment variable the program reads, in one place.

use std::path::PathBuf;
use std::sync::LazyLock;

/// Colour is off when this is set to anything but an empty text (no-color.org).
const NO_COLOR: &str = "NO_COLOR";
/// Base of per-user state (XDG Base Directory Specification).
const XDG_STATE_HOME: &str = "XDG_STATE_HOME";
/// The user's home directory.
const HOME: &str = "HOME";
/// Who acts, written into operations.
const USER: &str = "USER";
/// The users of this machine, passwd(5).
const PASSWD: &str = "/etc/passwd";
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

/// The user's name, as the environment gives it; where it gives none, as services and jobs of cron see it, the name of the user
/// that the process runs as (passwd(5)), or the number.
pub(crate) fn actor() -> String {
    static PROCESS: LazyLock<String> = LazyLock::new(|| {
        let uid = rustix::process::geteuid().as_raw();
        let known = std::fs::read_to_string(PASSWD).unwrap_or_default();
        user_of(uid, &known).unwrap_or_else(|| format!("uid {uid}"))
    });
    text(USER).unwrap_or_else(|| PROCESS.clone())
}

/// The name of a user in the lines of passwd(5).
fn user_of(uid: u32, passwd: &str) -> Option<String> {
    let name = |line: &str| {
        let mut fields = line.split(':');
        let (name, _, found) = (fields.next()?, fields.next()?, fields.next()?);
        (found.parse() == Ok(uid) && !name.is_empty()).then(|| name.to_owned())
    };
    passwd.lines().find_map(name)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_number() {
        let passwd =
            "root:x:0:0:root:/root:/bin/bash\n# no user\nbroken:x\n:x:7::\nmaria:x:1000:1000::/home/maria:/bin/sh\n";
        assert_eq!(user_of(0, passwd).as_deref(), Some("root"));
        assert_eq!(user_of(1000, passwd).as_deref(), Some("maria"));
        assert_eq!(user_of(7, passwd), None);
        assert_eq!(user_of(100, passwd), None);
    }
}
