//! What whoever is told of something must be allowed. What is not named here is for those who administer everything.

use rl_model::{AccessPath, Right, StackName};

/// Actions about who may come in and where things are sent: they tell more than their paths do.
const PRIVATE: [&str; 10] = ["user", "token", "grant", "session", "setup", "totp", "oidc", "webhook", "quota", "audit"];
/// What whoever may read everything is told of.
const SHARED: [&str; 4] = ["secrets", "zones", "schedules", "guests"];

/// For an event of an operation, by its stack.
pub(super) fn of_operation(stack: Option<&str>) -> (Right, AccessPath) {
    match stack.and_then(|name| name.parse::<StackName>().ok()) {
        Some(stack) => (Right::Read, AccessPath::Stack(stack)),
        None => (Right::Read, AccessPath::Root),
    }
}

/// For an entry of the audit; `subject` is the stack of the operation it names.
pub(super) fn of_change(action: &str, path: &str, subject: Option<&str>) -> (Right, AccessPath) {
    let everything = (Right::Admin, AccessPath::Root);
    let family = action.split('.').next().unwrap_or_default();
    if PRIVATE.contains(&family) {
        return everything;
    }
    let mut segments = path.trim_start_matches('/').split('/');
    let place = match (segments.next().unwrap_or_default(), segments.next()) {
        ("stacks", Some(name)) => name.parse().ok().map(AccessPath::Stack),
        ("sites" | "agents", Some(name)) => name.parse().ok().map(AccessPath::Site),
        ("operations", Some(_)) => subject.and_then(|name| name.parse().ok()).map(AccessPath::Stack),
        (shared, Some(_)) if SHARED.contains(&shared) => Some(AccessPath::Root),
        _ => None,
    };
    place.map_or(everything, |place| (Right::Read, place))
}

/// The operation that a path names.
pub(super) fn operation(path: &str) -> Option<&str> {
    path.strip_prefix("/operations/").and_then(|rest| rest.split('/').next())
}

/// The stack that a path names.
pub(super) fn stack(path: &str) -> Option<&str> {
    path.strip_prefix("/stacks/").and_then(|rest| rest.split('/').next())
}
