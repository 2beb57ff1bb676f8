//! Takes a file out of a guest whose grant is gone.

use async_trait::async_trait;
use rl_agent::{Answer, Given, Work};
use rl_engine::{OpClass, Receipt, Step, StepCx, StepError, fail_point};
use rl_model::GrantChange;

use super::{FileNote, LIMIT, Place, WAIT, odd};
use crate::agent::agent_error;
use crate::context::Ctx;
use crate::payload::Target;

/// See the module.
pub(super) struct Take {
    target: Target,
    grant: GrantChange,
    name: String,
}

impl Take {
    pub(super) fn new(target: Target, grant: GrantChange) -> Self {
        let name = format!("remove {}", grant.path);
        Self { target, grant, name }
    }

    fn note(&self) -> FileNote {
        FileNote { path: self.grant.path.clone(), secret: self.grant.secret.clone(), version: None }
    }
}

#[async_trait]
impl Step for Take {
    fn name(&self) -> &str {
        &self.name
    }

    fn class(&self) -> OpClass {
        OpClass::StateGuarded
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        let ctx = cx.context::<Ctx>();
        let desk = ctx.secrets()?;
        let place = Place::of(cx, &self.target).await?;
        let path = &self.grant.path;
        if place.facts(cx, "look", path).await?.is_some() {
            cx.may_announce(LIMIT)?;
            cx.intent(self.note().envelope()?).await?;
            fail_point!("ops.secret.before");
            cx.may_call(LIMIT)?;
            let order = place.order(cx, &format!("remove-{}", cx.attempt()), Work::Remove { path: path.clone() });
            let answer = ctx.courier()?.call(&place.post(), order, Given::default(), WAIT, LIMIT).await;
            fail_point!("ops.secret.after");
            match answer.map_err(|error| agent_error(&self.target, error))? {
                Answer::Removed { .. } => {}
                other => return Err(odd(&self.target, &other)),
            }
            if place.facts(cx, "look again", path).await?.is_some() {
                let text = format!("{}: {path} is there again after it was removed", self.target.stamp.name);
                return Err(StepError::blocked(text, "look who writes that file, then retry the operation"));
            }
        }
        desk.book.gone(self.target.id(), path).await?;
        self.note().envelope()
    }

    async fn undo(&self, _cx: &StepCx) -> Result<(), StepError> {
        // The grant is gone; the file is not brought back.
        Ok(())
    }
}
