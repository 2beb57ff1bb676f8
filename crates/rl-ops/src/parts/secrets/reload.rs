//! Runs the command that makes a service read an exchanged value.
//!
//! *Guarantees*: the agent runs an order of one name once; asked again after an interruption it answers what came of it.

use std::time::Duration;

use async_trait::async_trait;
use rl_agent::{Answer, Ended, Exec, Given, Work};
use rl_engine::{OpClass, Receipt, Step, StepCx, StepError, fail_point};
use rl_model::GrantChange;

use super::{FileNote, Place, WAIT, odd};
use crate::agent::agent_error;
use crate::context::Ctx;
use crate::payload::Target;

/// Seconds a command may take: a service that reads its configuration anew does so within a minute.
const TIME_LIMIT_S: u32 = 60;
/// Longest wait for the answer: the command's time, and what its ending takes.
const LIMIT: Duration = Duration::from_secs(90);
/// Bytes of output that are brought back: none, as a command may print what it has read.
const OUTPUT_MAX: u64 = 0;

/// See the module.
pub(super) struct Reload {
    target: Target,
    grant: GrantChange,
    name: String,
}

impl Reload {
    pub(super) fn new(target: Target, grant: GrantChange) -> Self {
        let name = format!("reload after {}", grant.path);
        Self { target, grant, name }
    }

    fn note(&self) -> FileNote {
        FileNote { path: self.grant.path.clone(), secret: self.grant.secret.clone(), version: self.grant.after }
    }

    fn failed(&self, ended: &Ended) -> StepError {
        let how = match (ended.timed_out, ended.code) {
            (true, _) => format!("did not end within {TIME_LIMIT_S} s"),
            (false, Some(code)) => format!("ended with exit code {code}"),
            (false, None) => "was ended by a signal".to_owned(),
        };
        let (name, path, command) = (&self.target.stamp.name, &self.grant.path, self.grant.reload.join(" "));
        StepError::blocked(
            format!("{name}: `{command}` {how}; the new value is in {path}"),
            "make the service read it, then cancel this operation and apply again",
        )
    }
}

#[async_trait]
impl Step for Reload {
    fn name(&self) -> &str {
        &self.name
    }

    fn class(&self) -> OpClass {
        OpClass::Keyed
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        let ctx = cx.context::<Ctx>();
        let place = Place::of(cx, &self.target).await?;
        let (argv, env) = (self.grant.reload.clone(), Vec::new());
        let work = Work::Exec(Exec { argv, env, user: None, time_limit_s: TIME_LIMIT_S, output_max: OUTPUT_MAX });
        cx.may_announce(LIMIT)?;
        cx.intent(self.note().envelope()?).await?;
        fail_point!("ops.secret.before");
        cx.may_call(LIMIT)?;
        let order = place.order(cx, "run", work);
        let answer = ctx.courier()?.call(&place.post(), order, Given::default(), WAIT, LIMIT).await;
        fail_point!("ops.secret.after");
        match answer.map_err(|error| agent_error(&self.target, error))? {
            Answer::Ended(ended) if ended.code == Some(0) => self.note().envelope(),
            Answer::Ended(ended) => Err(self.failed(&ended)),
            other => Err(odd(&self.target, &other)),
        }
    }

    async fn undo(&self, _cx: &StepCx) -> Result<(), StepError> {
        // A command cannot be taken back.
        Ok(())
    }
}
