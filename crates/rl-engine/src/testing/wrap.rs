//! Steps wrapped so that they are repeated, fail, or wait for a cancellation where a proof wants it.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::cx::StepCx;
use crate::registry::Steps;
use crate::step::{OpClass, Receipt, Step, StepError};

/// What is done to a job's steps.
#[derive(Debug, Clone)]
pub(super) enum Disturb {
    /// Nothing.
    Nothing,
    /// The named step acts, is taken for interrupted, and is called again.
    Repeat(String),
    /// The named step fails for good before it acts.
    FailBefore(String),
    /// The named step acts and then fails for good.
    FailAfter(String),
    /// As `FailAfter`, and every undo acts, is taken for interrupted, and is called again.
    FailAfterUndoTwice(String),
    /// The operation is cancelled when the named step starts.
    CancelAt(String, Arc<Notify>),
}

impl Disturb {
    pub(super) fn wrap(&self, steps: Steps) -> Steps {
        let wrap = |inner| -> Arc<dyn Step> {
            Arc::new(Wrapped {
                inner,
                disturb: self.clone(),
                done_once: Default::default(),
                undone_once: Default::default(),
            })
        };
        steps.into_iter().map(wrap).collect()
    }
}

struct Wrapped {
    inner: Arc<dyn Step>,
    disturb: Disturb,
    done_once: AtomicBool,
    undone_once: AtomicBool,
}

fn fails() -> StepError {
    StepError::fatal("the proof lets it fail here")
}

#[async_trait]
impl Step for Wrapped {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn class(&self) -> OpClass {
        self.inner.class()
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        match &self.disturb {
            Disturb::Repeat(name) if name == self.name() => {
                let receipt = self.inner.ensure(cx).await?;
                if self.done_once.swap(true, Ordering::SeqCst) {
                    return Ok(receipt);
                }
                Err(StepError::retry(Duration::ZERO, "the proof repeats it"))
            }
            Disturb::FailBefore(name) if name == self.name() => Err(fails()),
            Disturb::FailAfter(name) | Disturb::FailAfterUndoTwice(name) if name == self.name() => {
                self.inner.ensure(cx).await?;
                Err(fails())
            }
            Disturb::CancelAt(name, reached) if name == self.name() => {
                reached.notify_one();
                cx.cancelled().await;
                self.inner.ensure(cx).await
            }
            _ => self.inner.ensure(cx).await,
        }
    }

    async fn undo(&self, cx: &StepCx) -> Result<(), StepError> {
        self.inner.undo(cx).await?;
        if matches!(self.disturb, Disturb::FailAfterUndoTwice(_)) && !self.undone_once.swap(true, Ordering::SeqCst) {
            return Err(StepError::retry(Duration::ZERO, "the proof repeats undoing it"));
        }
        Ok(())
    }
}
