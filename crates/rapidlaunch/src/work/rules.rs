//! The rules of stacks: whether their plans need another person's approval, and whose quota counts them.

use rl_model::StackName;
use rl_store::{Conflict, NewAudit, Owner, StackPolicy, StoreError};
use serde_json::{Value, json};

use crate::work::data::Data;

/// Most tries to change rules while others change them, where no version was named.
const TRIES_MAX: u32 = 5;

/// A change of a stack's rules; what is left out stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct RulesChange {
    /// Whether its plans need the approval of another person than their author.
    pub(crate) protected: Option<bool>,
    /// Whose quota counts it, or nobody's.
    pub(crate) owner: Option<Option<Owner>>,
}

/// Changes the rules of a stack that is there, if they are at the version that was `seen`, where one was. `by` says who does it.
pub(crate) async fn change(
    data: &Data,
    stack: &StackName,
    change: &RulesChange,
    seen: Option<u64>,
    by: &NewAudit,
) -> Result<StackPolicy, StoreError> {
    let mut tries = 0;
    loop {
        let before = data.store.stack_policy(stack).await?;
        let protected = change.protected.unwrap_or(before.protected);
        let owner = change.owner.clone().unwrap_or_else(|| before.owner.clone());
        let (was, is) = (told(before.protected, before.owner.as_ref()), told(protected, owner.as_ref()));
        let deed = by.clone().change(Some(was), Some(is));
        // What is left out must stay as it was read.
        let expected = seen.unwrap_or(before.version);
        match data.store.put_stack_policy(stack, protected, owner, Some(expected), deed.into()).await {
            Err(StoreError::Conflict(Conflict::Version { .. })) if seen.is_none() && tries < TRIES_MAX => tries += 1,
            done => return done,
        }
    }
}

fn told(protected: bool, owner: Option<&Owner>) -> Value {
    json!({ "protected": protected, "owner": owner.map(ToString::to_string) })
}
