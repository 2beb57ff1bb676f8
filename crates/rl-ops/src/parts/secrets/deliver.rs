//! Delivers one value into one guest.
//!
//! *Guarantees*: the value is fetched here and lives in this step's memory alone; it is sealed for the agent of the node on
//! which the guest was found by its stamp, and that agent compares stamp, type, host name and MAC again before it writes. The
//! file is read back inside the guest and compared in memory.

use async_trait::async_trait;
use rl_agent::{DeliverFile, FileFacts, FileMode, Owner, Work, deliver_sealed, seal};
use rl_engine::{OpClass, Receipt, Step, StepCx, StepError, fail_point};
use rl_model::{GrantChange, SecretValue};

use super::{FileNote, LIMIT, Place, WAIT, secret_error};
use crate::agent::agent_error;
use crate::context::Ctx;
use crate::payload::Target;

/// See the module.
pub(super) struct Deliver {
    target: Target,
    grant: GrantChange,
    name: String,
}

impl Deliver {
    pub(super) fn new(target: Target, grant: GrantChange) -> Self {
        let name = format!("deliver {}", grant.path);
        Self { target, grant, name }
    }

    fn note(&self) -> FileNote {
        FileNote { path: self.grant.path.clone(), secret: self.grant.secret.clone(), version: self.grant.after }
    }

    async fn value(&self, cx: &StepCx) -> Result<SecretValue, StepError> {
        let desk = cx.context::<Ctx>().secrets()?;
        let version = self.grant.after.unwrap_or_default();
        let fetched = desk.provider.fetch(&self.grant.secret, version).await;
        fetched.map_err(|error| secret_error(&self.target, &error))
    }

    /// Whether the file is as granted. The owner may be given by name or by number, with a group or without.
    fn is_as_granted(&self, facts: &FileFacts, digest: &str) -> bool {
        facts.sha256 == digest && facts.mode == self.grant.mode && super::owned_by(facts, &self.grant.owner)
    }

    async fn send(&self, cx: &StepCx, place: &Place, value: &SecretValue) -> Result<String, StepError> {
        let wrong = |error: rl_agent::OrderError| StepError::fatal(format!("{}: {error}", self.target.stamp.name));
        let file = DeliverFile {
            path: self.grant.path.clone(),
            mode: FileMode::new(self.grant.mode).map_err(wrong)?,
            owner: self.grant.owner.parse::<Owner>().map_err(wrong)?,
            sha256: None,
        };
        let order = place.order(cx, &format!("deliver-{}", cx.attempt()), Work::Deliver(file.clone()));
        cx.may_announce(LIMIT)?;
        cx.intent(self.note().envelope()?).await?;
        fail_point!("ops.secret.before");
        cx.may_call(LIMIT)?;
        let courier = cx.context::<Ctx>().courier()?;
        let bytes = value.expose().as_bytes();
        let sent = deliver_sealed(courier, &place.post(), order, file, bytes, WAIT, LIMIT).await;
        fail_point!("ops.secret.after");
        sent.map_err(|error| agent_error(&self.target, error))
    }
}

#[async_trait]
impl Step for Deliver {
    fn name(&self) -> &str {
        &self.name
    }

    fn class(&self) -> OpClass {
        OpClass::StateGuarded
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        let desk = cx.context::<Ctx>().secrets()?;
        let place = Place::of(cx, &self.target).await?;
        let value = self.value(cx).await?;
        let digest = seal::sha256(value.expose().as_bytes());
        let before = place.facts(cx, "look", &self.grant.path).await?;
        if !before.is_some_and(|facts| self.is_as_granted(&facts, &digest))
            && self.send(cx, &place, &value).await? != digest
        {
            let (name, path) = (&self.target.stamp.name, &self.grant.path);
            return Err(StepError::blocked(
                format!("{name}: what was read back from {path} is not what was delivered"),
                "look who else writes that file, then retry the operation",
            ));
        }
        desk.book.delivered(self.target.id(), &self.grant).await?;
        self.note().envelope()
    }

    async fn undo(&self, _cx: &StepCx) -> Result<(), StepError> {
        // What was delivered stays: the version before may be gone, and a service may have read the new one already.
        Ok(())
    }
}
