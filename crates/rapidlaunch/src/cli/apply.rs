//! `rapidlaunch apply`

use rl_engine::{OperationId, OperationState};
use rl_model::{Policy, Proof, StackName};
use serde::Serialize;

use crate::cli::args::{ApplyArgs, Global};
use crate::cli::plan;
use crate::error::{CommandError, ErrorKind};
use crate::out::Out;
use crate::render;
use crate::render::style::Style;
use crate::shape::plan::PlanDocument;
use crate::work::data::Data;
use crate::work::operate::{self, Ending};
use crate::work::planning::{self, Planned, Subject};
use crate::work::trouble::{self, Trouble};

/// Makes stacks be as declared, one after the other, and proves each.
pub(crate) async fn run(global: &Global, args: &ApplyArgs, out: &Out) -> Result<(), CommandError> {
    operate::need_consent(args.yes, out)?;
    let data = Data::open(global).await?;
    let subject = planning::subject(&data, &args.stack, out).await?;
    let policy = planning::policy(&args.policy);
    let mut results = Vec::new();
    for name in &subject.stacks {
        results.push(one(&data, &subject, name, &policy, args, out).await?);
        if results.last().is_some_and(|result| result.ending.is_some()) {
            break;
        }
    }
    if out.json() {
        let stacks: Vec<AppliedJson<'_>> = results.iter().map(Applied::json).collect();
        out.print_json(&std::collections::BTreeMap::from([("stacks", stacks)]));
    }
    let ending = results.last().and_then(|result| result.ending);
    ending.map_or(Ok(()), |kind| Err(CommandError::said(kind)))
}

/// What became of one stack.
struct Applied {
    stack: StackName,
    resumed: Option<OperationId>,
    planned: Option<Planned>,
    operation: Option<OperationJson>,
    proof: Option<Proof>,
    ending: Option<ErrorKind>,
}

/// What became of one stack, for machines.
#[derive(Serialize)]
struct AppliedJson<'a> {
    stack: &'a StackName,
    resumed: Option<String>,
    plan: Option<PlanDocument<'a>>,
    operation: Option<&'a OperationJson>,
    proof: Option<&'a Proof>,
    ok: bool,
}

#[derive(Serialize)]
struct OperationJson {
    id: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    troubles: Vec<Trouble>,
}

impl OperationJson {
    fn begun(id: OperationId) -> Self {
        Self { id: id.to_string(), state: OperationState::Running.as_str(), troubles: Vec::new() }
    }

    async fn of(data: &Data, id: OperationId, ending: &Ending) -> Result<Option<Self>, CommandError> {
        let Some(state) = ending.state() else { return Ok(None) };
        let troubles = if state == OperationState::Done { Vec::new() } else { trouble::of(data, id).await? };
        Ok(Some(Self { id: id.to_string(), state: state.as_str(), troubles }))
    }
}

impl Applied {
    fn json(&self) -> AppliedJson<'_> {
        AppliedJson {
            stack: &self.stack,
            resumed: self.resumed.map(|id| id.to_string()),
            plan: self.planned.as_ref().map(plan::json),
            operation: self.operation.as_ref(),
            proof: self.proof.as_ref(),
            ok: self.ending.is_none(),
        }
    }
}

async fn one(
    data: &Data,
    subject: &Subject,
    name: &StackName,
    policy: &Policy,
    args: &ApplyArgs,
    out: &Out,
) -> Result<Applied, CommandError> {
    let mut applied =
        Applied { stack: name.clone(), resumed: None, planned: None, operation: None, proof: None, ending: None };
    let unfinished = data.unfinished(name).await?;
    if let Some(id) = unfinished.filter(|_| args.detach) {
        out.say(&format!("Stack {name} has the unfinished operation {id}; nothing else was started."));
        applied.resumed = Some(id);
        applied.operation = Some(OperationJson::begun(id));
        return Ok(applied);
    }
    if let Some(id) = unfinished {
        out.say(&format!("Stack {name} has the unfinished operation {id}: going on with it first."));
        applied.resumed = Some(id);
        let ending = operate::resume(data, &subject.manifest.sites, id, out).await?;
        if let Some(kind) = said(&ending, id, out) {
            applied.operation = OperationJson::of(data, id, &ending).await?;
            applied.ending = Some(kind);
            return Ok(applied);
        }
    }
    let planned = planning::plan(data, subject, name, policy, args.deep, out).await?;
    show(&planned, out);
    refuse_blocked(&planned, args.partial)?;
    if !planned.plan.is_empty() {
        if !args.yes && !out.ask("Apply this plan?") {
            return Err(CommandError::input("not applied: the answer was no; nothing was touched"));
        }
        let id = operate::start(data, &planned, "apply").await?;
        if args.detach {
            out.say(&format!("Operation {id} is accepted; `rapidlaunch serve` carries it out."));
            applied.operation = Some(OperationJson::begun(id));
            applied.planned = Some(planned);
            return Ok(applied);
        }
        let ending = operate::run(data, &planned.sites, id, out).await?;
        applied.operation = OperationJson::of(data, id, &ending).await?;
        applied.ending = said(&ending, id, out);
    }
    if applied.ending.is_none() {
        let proof = operate::prove_applied(data, &planned, out).await?;
        if !out.json() {
            out.print(&render::proof::proof(&proof, false, Style::new(out.colour)));
        }
        applied.ending = ending_of(&proof, &planned);
        applied.proof = Some(proof);
    }
    applied.planned = Some(planned);
    Ok(applied)
}

/// What a proof means for the exit code: guests that wait for a person cannot be proven yet, and that is no failure.
fn ending_of(proof: &Proof, planned: &Planned) -> Option<ErrorKind> {
    let blocked = |name: &rl_model::GuestName| {
        let mut notes = planned.report.notes.iter();
        notes.any(|note| note.level == rl_model::NoteLevel::Blocked && note.guest.as_ref() == Some(name))
    };
    if proof.items.iter().any(|item| !item.ok() && !blocked(&item.guest)) {
        return Some(ErrorKind::Failed);
    }
    planned.report.is_blocked().then_some(ErrorKind::Blocked)
}

/// Shows a plan on its way to being carried out.
pub(crate) fn show(planned: &Planned, out: &Out) {
    if !out.json() {
        out.print(&render::plan::plan(&planned.plan, &planned.report, Style::new(out.colour)));
    }
}

/// A plan that a person must help along is not begun, unless the rest of it was asked for.
pub(crate) fn refuse_blocked(planned: &Planned, partial: bool) -> Result<(), CommandError> {
    if !planned.report.is_blocked() {
        return Ok(());
    }
    let general =
        planned.report.notes.iter().any(|note| note.level == rl_model::NoteLevel::Blocked && note.guest.is_none());
    if partial && !general {
        return Ok(());
    }
    let error = CommandError::blocked("a part of the plan is blocked until a person acts, so nothing was begun")
        .detailed(serde_json::json!(plan::json(planned)));
    if general || planned.plan.is_empty() {
        return Err(error.hinted("the hints above say what to do"));
    }
    if planned.plan.destroy {
        return Err(error.hinted("do what the hints above say, then destroy again"));
    }
    Err(error.hinted("do what the hints above say, or carry out the rest with --partial"))
}

/// Says how an operation ended when that is not well; gives the kind that decides the exit code.
pub(crate) fn said(ending: &Ending, id: OperationId, out: &Out) -> Option<ErrorKind> {
    let (kind, text) = match ending {
        Ending::Done => return None,
        Ending::Failed => (
            ErrorKind::Failed,
            format!("Operation {id} failed. `rapidlaunch op show {id}` tells each step; apply again to go on."),
        ),
        Ending::Stuck => (
            ErrorKind::Failed,
            format!(
                "Operation {id} is stuck: something could not be undone. `rapidlaunch op show {id}` tells what; then `rapidlaunch op retry {id}`."
            ),
        ),
        Ending::Cancelled => {
            (ErrorKind::Failed, format!("Operation {id} was cancelled; what its running jobs had done is undone."))
        }
        Ending::Blocked => (
            ErrorKind::Blocked,
            format!(
                "Operation {id} is blocked until a person acts. Afterwards `rapidlaunch op retry {id}`, or `rapidlaunch op cancel {id}`."
            ),
        ),
        Ending::Detached => (
            ErrorKind::Interrupted,
            format!(
                "Detached. Operation {id} goes on with `rapidlaunch op watch {id}` or the same command; `rapidlaunch op cancel {id}` undoes what is half done."
            ),
        ),
    };
    out.say(&text);
    Some(kind)
}
