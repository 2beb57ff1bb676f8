//! From status, reason phrase and body to a kind. Proxmox answers 500 to nearly everything, so the text decides.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{ErrorKind, TEXT_CHARS_MAX, clean};

/// Most parameters whose error is kept: a create has about 320 possible ones, an honest answer names a few.
const PARAMETER_ERRORS_MAX: usize = 64;
/// Longest rule kept for one parameter.
const RULE_CHARS_MAX: usize = 240;

/// A refusal as it came over the wire.
pub(crate) struct Refusal<'a> {
    /// HTTP status.
    pub(crate) status: u16,
    /// Reason phrase: the first line of the error, in releases before 8.4 the only place where it stands.
    pub(crate) reason: &'a str,
    /// Body; empty for errors of the HTTP layer.
    pub(crate) body: &'a [u8],
}

/// What a refusal means, with its text.
pub(crate) fn classify(refusal: &Refusal<'_>, read: bool) -> (ErrorKind, String) {
    let body: Value = serde_json::from_slice(refusal.body).unwrap_or(Value::Null);
    let message = body.get("message").and_then(Value::as_str).map(str::trim).unwrap_or_default();
    let text = if message.is_empty() { refusal.reason } else { message };
    let errors = parameter_errors(&body);
    let kind = match refusal.status {
        401 => ErrorKind::Unauthorized,
        403 => forbidden(text),
        400 => bad_request(errors),
        429 | 503 => ErrorKind::Busy,
        501 => ErrorKind::NotImplemented,
        595..=599 | 502 | 504 if read => ErrorKind::Unreachable,
        595..=599 | 502 | 504 => ErrorKind::MayHaveHappened,
        _ => by_text(text, read),
    };
    (kind, clean(text, TEXT_CHARS_MAX))
}

fn parameter_errors(body: &Value) -> BTreeMap<String, String> {
    let Some(Value::Object(errors)) = body.get("errors") else { return BTreeMap::new() };
    let rule = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    errors
        .iter()
        .take(PARAMETER_ERRORS_MAX)
        .map(|(name, value)| (clean(name, 64), clean(&rule(value), RULE_CHARS_MAX)))
        .collect()
}

fn bad_request(errors: BTreeMap<String, String>) -> ErrorKind {
    let says = |name: &str, text: &str| errors.get(name).is_some_and(|rule| rule.contains(text));
    if says("upid", "no such task") {
        return ErrorKind::NoSuchTask;
    }
    if says("vmid", "already exists") {
        return ErrorKind::AlreadyExists;
    }
    ErrorKind::BadParameters(errors)
}

/// `Permission check failed (/vms/100, VM.Audit|VM.Config.Disk)`.
fn forbidden(text: &str) -> ErrorKind {
    let root_only = text.contains("root@pam");
    let inner = text.split_once('(').map(|(_, rest)| rest.strip_suffix(')').unwrap_or(rest));
    let named = inner.and_then(|inner| inner.split_once(", ")).filter(|(path, _)| path.starts_with('/'));
    let (path, privileges) = match named {
        Some((path, privileges)) => {
            (Some(clean(path, 200)), privileges.split('|').map(|p| clean(p.trim(), 64)).collect())
        }
        None => (None, Vec::new()),
    };
    ErrorKind::Forbidden { path, privileges, root_only }
}

/// `CT is locked (backup)`.
fn lock_name(text: &str) -> Option<String> {
    let (_, rest) = text.split_once(" is locked (")?;
    let (name, _) = rest.split_once(')')?;
    Some(clean(name, 32))
}

/// Texts that mean one thing, in the order they are looked for.
const BY_TEXT: &[(&str, ErrorKind)] = &[
    ("detected modified configuration", ErrorKind::DigestMismatch),
    ("checksum mismatch", ErrorKind::DigestMismatch),
    ("no quorum", ErrorKind::NoQuorum),
    ("cluster not ready", ErrorKind::NoQuorum),
    ("got lock request timeout", ErrorKind::LockTimeout),
    ("already exists", ErrorKind::AlreadyExists),
    ("already defined", ErrorKind::AlreadyExists),
    ("is already a pool member", ErrorKind::AlreadyExists),
    ("File exists", ErrorKind::AlreadyExists),
    ("already running", ErrorKind::AlreadyRunning),
    ("container is running", ErrorKind::StillRunning),
    ("CT is running", ErrorKind::StillRunning),
    ("of a running container", ErrorKind::StillRunning),
    ("not running", ErrorKind::NotRunning),
    ("protection mode enabled", ErrorKind::Protected),
    ("already at specified size", ErrorKind::SameSize),
    ("no such task", ErrorKind::NoSuchTask),
    ("could not find CT", ErrorKind::DoesNotExist),
    ("does not exist", ErrorKind::NotFound),
    ("no such cluster node", ErrorKind::NotFound),
    ("hostname lookup", ErrorKind::NotFound),
    ("no such user", ErrorKind::NotFound),
    ("no such token", ErrorKind::NotFound),
];

fn by_text(text: &str, read: bool) -> ErrorKind {
    if let Some(lock) = lock_name(text) {
        return ErrorKind::Locked(lock);
    }
    if text.contains("can't lock file") && text.contains("got timeout") {
        return ErrorKind::LockTimeout;
    }
    if text.starts_with("Configuration file ") && text.contains(".conf' does not exist") {
        return ErrorKind::DoesNotExist;
    }
    // The work under a cluster lock was killed after a minute, somewhere in its middle.
    if text.contains("-locked command timed out") {
        return if read { ErrorKind::Busy } else { ErrorKind::MayHaveHappened };
    }
    BY_TEXT.iter().find(|(part, _)| text.contains(part)).map_or(ErrorKind::Server, |(_, kind)| kind.clone())
}
