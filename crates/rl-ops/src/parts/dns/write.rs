//! Writes the records of one zone.
//!
//! *Guarantees*: a record set is written only where it still is what the plan saw and nobody else holds it; the change states what
//! it expects, so that nobody's change in between is overwritten. What is as it shall be already is left alone, so that the step
//! may be repeated after any interruption.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rl_engine::{Envelope, OpClass, PriorAttempt, Receipt, Step, StepCx, StepError, fail_point};
use rl_model::{Fqdn, RecordChange, Records};
use rl_providers::dns::{DnsError, DnsProvider, owned};
use serde::{Deserialize, Serialize};

use super::dns_error;
use crate::context::Ctx;

/// Longest time one change may take: connecting, sending, and reading the answer.
const CHANGE_LIMIT: Duration = Duration::from_secs(45);
/// Wait before a change that somebody else was faster than is looked at again.
const AGAIN: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct WriteRecords {
    pub(super) part: Arc<Records>,
}

/// What is announced before a change, and left by it.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    zone: Fqdn,
    names: Vec<String>,
}

impl Written {
    fn envelope(part: &Records) -> Result<Envelope, StepError> {
        let names = part.changes.iter().map(|change| format!("{} {}", change.name, change.kind)).collect();
        Ok(Envelope::of("dns-change", 1, &Self { zone: part.zone.clone(), names })?)
    }
}

#[async_trait]
impl Step for WriteRecords {
    fn name(&self) -> &str {
        "write records"
    }

    fn class(&self) -> OpClass {
        OpClass::StateGuarded
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        write(cx, &self.part).await
    }

    async fn undo(&self, cx: &StepCx) -> Result<(), StepError> {
        if matches!(cx.done_so_far(), PriorAttempt::None) {
            return Ok(());
        }
        let back = |change: &RecordChange| RecordChange {
            before: change.after.clone(),
            after: change.before.clone(),
            ..change.clone()
        };
        let part = Records { changes: self.part.changes.iter().map(back).collect(), ..(*self.part).clone() };
        write(cx, &part).await.map(drop)
    }
}

async fn write(cx: &StepCx, part: &Records) -> Result<Receipt, StepError> {
    let zone = cx.context::<Ctx>().zone(&part.zone)?;
    let receipt = Written::envelope(part)?;
    let Some(change) = open(&*zone, part).await? else { return Ok(receipt) };
    cx.progress(format!("writing {} record sets of {}", part.changes.len(), part.zone), None);
    cx.may_announce(CHANGE_LIMIT)?;
    cx.intent(Written::envelope(part)?).await?;
    fail_point!("ops.call.before");
    cx.may_call(CHANGE_LIMIT)?;
    match zone.apply(&change).await {
        Ok(()) => {
            fail_point!("ops.call.after");
            cx.submitted(part.zone.to_string()).await?;
        }
        Err(error @ DnsError::Conflict(_)) => {
            cx.withdraw().await?;
            // The next look tells whose it is now.
            return Err(StepError::retry(AGAIN, error.full()));
        }
        Err(error) if error.may_pass() => return Err(dns_error(&error)),
        Err(error) => {
            cx.withdraw().await?;
            return Err(dns_error(&error));
        }
    }
    match open(&*zone, part).await? {
        None => Ok(receipt),
        Some(_) => Err(StepError::retry(AGAIN, format!("the zone {} does not show yet what was written", part.zone))),
    }
}

/// What is still to be changed.
async fn open(zone: &dyn DnsProvider, part: &Records) -> Result<Option<rl_model::dns::ZoneChange>, StepError> {
    let found = zone.read(&owned::names(part)).await.map_err(|error| dns_error(&error))?;
    owned::open_change(part, &found).map_err(|taken| StepError::blocked(taken.to_string(), taken.hint()))
}
