//! Waits until every authoritative server answers what was written. Changes nothing.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rl_engine::{Envelope, OpClass, Receipt, Step, StepCx, StepError};
use rl_model::Records;
use rl_providers::dns::Witness;

use super::dns_error;
use super::expected::Expected;
use crate::context::Ctx;

/// Looks made before the step gives the job back to the engine.
const LOOKS_MAX: u32 = 10;
/// Wait between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Rounds of looks before a person is asked. With the engine's growing waits between them some five minutes: longer than
/// secondaries need that are told of changes, and shorter than one that must find out by itself.
const ROUNDS_MAX: u32 = 10;

/// See the module.
pub(super) struct RecordsAnswer {
    pub(super) part: Arc<Records>,
}

#[async_trait]
impl Step for RecordsAnswer {
    fn name(&self) -> &str {
        "records answer"
    }

    fn class(&self) -> OpClass {
        OpClass::StateGuarded
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        let zone = cx.context::<Ctx>().zone(&self.part.zone)?;
        let mut missing = String::new();
        for look in 0..LOOKS_MAX {
            if look > 0 {
                tokio::select! {
                    biased;
                    () = cx.clock().sleep(LOOK_EVERY) => {}
                    () = cx.cancelled() => return Err(StepError::Cancelled),
                }
            }
            let witnesses = zone.witnesses().await.map_err(|error| dns_error(&error))?;
            let Some(text) = self.open(&witnesses).await else { return Ok(Envelope::of("nothing", 1, &())?) };
            cx.progress(format!("waiting: {text}"), None);
            missing = text;
        }
        if cx.attempt() >= ROUNDS_MAX {
            let hint =
                "look at the server's log: it may refuse the transfer, or not be told of changes; then `op retry`";
            return Err(StepError::blocked(missing, hint));
        }
        Err(StepError::retry(LOOK_EVERY, missing))
    }

    async fn undo(&self, _cx: &StepCx) -> Result<(), StepError> {
        Ok(())
    }
}

impl RecordsAnswer {
    /// What is not yet answered as it shall be.
    async fn open(&self, witnesses: &[Witness]) -> Option<String> {
        for witness in witnesses {
            for change in &self.part.changes {
                let (name, kind, expected) = (&change.name, change.kind, Expected::after(change));
                let found = match witness.ask(name, kind).await {
                    Ok(answer) if expected.holds(&answer) => continue,
                    Ok(answer) => answer.to_string(),
                    Err(error) => error.full(),
                };
                return Some(format!("{witness} answers for {name} {kind}: {found}; expected: {expected}"));
            }
        }
        None
    }
}
