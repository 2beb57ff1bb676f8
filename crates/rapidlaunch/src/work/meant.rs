//! Which stacks a command is about, and what is said where that cannot be told.

use rl_model::StackName;
use rl_model::manifest::Manifest;

use crate::error::CommandError;

/// The stacks of a manifest, or the one of them that is named.
pub(crate) fn declared_stacks(manifest: &Manifest, only: Option<&StackName>) -> Result<Vec<StackName>, CommandError> {
    let stacks: Vec<StackName> = match only {
        Some(name) if manifest.stacks.contains_key(name) => vec![name.clone()],
        Some(name) => return Err(CommandError::input(format!("the files declare no stack `{name}`"))),
        None => manifest.stacks.keys().cloned().collect(),
    };
    if stacks.is_empty() {
        return Err(CommandError::input("the files declare no stack").hinted("a stack begins with `kind: stack`"));
    }
    Ok(stacks)
}

/// The error for a stack that is not stored.
pub(crate) fn never_stored(name: &StackName) -> CommandError {
    CommandError::input(format!("no stack `{name}` was applied before"))
        .hinted("give its file with -f FILE; `rapidlaunch stack ls` lists the stored ones")
}

/// The error where neither files nor a stack were given.
pub(crate) fn nothing_named() -> CommandError {
    CommandError::input("no stack was named")
        .hinted("give files with -f FILE, or the name of a stack applied before (`rapidlaunch stack ls`)")
}
