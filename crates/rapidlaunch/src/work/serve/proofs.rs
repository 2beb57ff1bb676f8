//! Proves stacks after they were applied, by itself: whoever looks later finds the proof.

use std::sync::Arc;

use rl_model::StackName;
use rl_store::StackState;
use tokio::sync::mpsc;

use crate::error::CommandError;
use crate::out::Out;
use crate::work::compare;
use crate::work::data::{Data, store_error};

/// Stacks that wait to be proven; one more is found at the next start.
const WAITING_MAX: usize = 1_024;

/// Where stacks are put that are to be proven.
#[derive(Clone)]
pub(super) struct Proofs {
    wanted: mpsc::Sender<StackName>,
}

impl Proofs {
    /// Begins with the stacks that were applied and not proven since: the process may have ended in between.
    pub(super) fn start(data: Arc<Data>) -> (Self, impl Future<Output = ()>) {
        let (wanted, mut waiting) = mpsc::channel::<StackName>(WAITING_MAX);
        let work = async move {
            match unproven(&data).await {
                Ok(stacks) => {
                    for stack in stacks {
                        tell(prove(&data, &stack).await, &stack);
                    }
                }
                Err(error) => tracing::warn!(error = error.text(false), "it cannot be told which stacks are unproven"),
            }
            while let Some(stack) = waiting.recv().await {
                tell(prove(&data, &stack).await, &stack);
            }
        };
        (Self { wanted }, work)
    }

    /// Wants a stack proven, if there is room.
    pub(super) fn want(&self, subject: &str) {
        if let Ok(stack) = subject.parse()
            && self.wanted.try_send(stack).is_err()
        {
            tracing::warn!(subject, "too many stacks wait to be proven; this one is left out");
        }
    }
}

async fn unproven(data: &Data) -> Result<Vec<StackName>, CommandError> {
    let looks = data.store.looks().await.map_err(store_error)?;
    let stacks = data.store.stacks().await.map_err(store_error)?;
    let proven = |stack: &rl_store::StackRecord| {
        let look = looks.iter().find(|look| look.stack == stack.name);
        look.and_then(|look| look.proof.as_ref()).is_some_and(|proof| Some(proof.at) >= stack.applied_at)
    };
    let due = stacks.into_iter().filter(|stack| stack.state == StackState::Applied && !proven(stack));
    Ok(due.map(|stack| stack.name).collect())
}

async fn prove(data: &Data, stack: &StackName) -> Result<(), CommandError> {
    let record = data.store.stack(stack).await.map_err(store_error)?;
    if record.is_none_or(|record| record.state != StackState::Applied) {
        return Ok(());
    }
    let known = data.known().await?.sites;
    let proof = compare::prove(data, &known, stack, &Out::silent()).await?;
    data.store.put_proof(&proof).await.map_err(store_error)
}

fn tell(proven: Result<(), CommandError>, stack: &StackName) {
    if let Err(error) = proven {
        tracing::warn!(%stack, error = error.text(false), "a stack could not be proven");
    }
}
