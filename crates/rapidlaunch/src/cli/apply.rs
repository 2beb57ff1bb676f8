//! `rapidlaunch apply`

use rl_engine::{OperationId, OperationState};
use rl_model::{Proof, StackName};
use serde::Serialize;

use crate::cli::args::{ApplyArgs, Global};
use crate::error::{CommandError, ErrorKind};
use crate::out::Out;
use crate::render;
use crate::render::style::Style;
use crate::shape::plan::PlanDocument;
use crate::side::{Offer, Side, Subject, Wish, blocked_guests};
use crate::work::operate::{self, Ending};
use crate::work::planning;
use crate::work::trouble::Trouble;

/// Makes stacks be as declared, one after the other, and proves each.
pub(crate) async fn run(global: &Global, args: &ApplyArgs, out: &Out) -> Result<(), CommandError> {
    operate::need_consent(args.yes, out)?;
    let side = Side::open(global, out).await?;
    let subject = side.subject(&args.stack, out).await?;
    let mut results = Vec::new();
    for name in subject.stacks() {
        results.push(one(&side, &subject, name, args, out).await?);
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
    offer: Option<Offer>,
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

    async fn of(side: &Side, id: OperationId, ending: &Ending) -> Result<Option<Self>, CommandError> {
        let Some(state) = ending.state() else { return Ok(None) };
        let troubles = if state == OperationState::Done { Vec::new() } else { side.troubles(id).await? };
        Ok(Some(Self { id: id.to_string(), state: state.as_str(), troubles }))
    }
}

impl Applied {
    fn json(&self) -> AppliedJson<'_> {
        AppliedJson {
            stack: &self.stack,
            resumed: self.resumed.map(|id| id.to_string()),
            plan: self.offer.as_ref().map(Offer::document),
            operation: self.operation.as_ref(),
            proof: self.proof.as_ref(),
            ok: self.ending.is_none(),
        }
    }
}

async fn one(
    side: &Side,
    subject: &Subject,
    name: &StackName,
    args: &ApplyArgs,
    out: &Out,
) -> Result<Applied, CommandError> {
    let mut applied =
        Applied { stack: name.clone(), resumed: None, offer: None, operation: None, proof: None, ending: None };
    if go_on_first(side, subject, args.detach, &mut applied, out).await? {
        return Ok(applied);
    }
    let wish = Wish { policy: planning::policy(&args.policy), deep: args.deep, destroy: false };
    let offer = side.plan(subject, name, &wish, out).await?;
    show(&offer, out);
    refuse_blocked(&offer.document(), args.partial)?;
    if !offer.document().empty {
        if !args.yes && !out.ask("Apply this plan?") {
            side.let_go(&offer).await;
            return Err(CommandError::input("not applied: the answer was no; nothing was touched"));
        }
        let id = side.start(&offer, args.partial, "apply").await?;
        if args.detach {
            out.say(&format!("Operation {id} is accepted; `rapidlaunch serve` carries it out."));
            applied.operation = Some(OperationJson::begun(id));
            applied.offer = Some(offer);
            return Ok(applied);
        }
        let ending = side.run(&offer, id, out).await?;
        applied.operation = OperationJson::of(side, id, &ending).await?;
        applied.ending = said(side, &ending, id, out);
    }
    if applied.ending.is_none() {
        let proof = side.prove(&offer, out).await?;
        if !out.json() {
            out.print(&render::proof::proof(&proof, false, Style::new(out.colour)));
        }
        applied.ending = ending_of(&proof, &offer.document());
        applied.proof = Some(proof);
    }
    if offer.document().empty {
        side.let_go(&offer).await;
    }
    applied.offer = Some(offer);
    Ok(applied)
}

/// Goes on with what an earlier command has left; `true` where nothing is to be done after that.
async fn go_on_first(
    side: &Side,
    subject: &Subject,
    detach: bool,
    applied: &mut Applied,
    out: &Out,
) -> Result<bool, CommandError> {
    let name = &applied.stack;
    let Some(id) = side.unfinished(name).await? else { return Ok(false) };
    applied.resumed = Some(id);
    if detach {
        out.say(&format!("Stack {name} has the unfinished operation {id}; nothing else was started."));
        applied.operation = Some(OperationJson::begun(id));
        return Ok(true);
    }
    out.say(&format!("Stack {name} has the unfinished operation {id}: going on with it first."));
    let ending = side.go_on(id, subject.sites(), out).await?;
    let Some(kind) = said(side, &ending, id, out) else { return Ok(false) };
    applied.operation = OperationJson::of(side, id, &ending).await?;
    applied.ending = Some(kind);
    Ok(true)
}

/// What a proof means for the exit code: guests that wait for a person cannot be proven yet, and that is no failure.
fn ending_of(proof: &Proof, document: &PlanDocument<'_>) -> Option<ErrorKind> {
    let blocked = blocked_guests(document);
    if proof.items.iter().any(|item| !item.ok() && !blocked.contains(&item.guest)) {
        return Some(ErrorKind::Failed);
    }
    document.blocked.then_some(ErrorKind::Blocked)
}

/// Shows a plan on its way to being carried out.
pub(crate) fn show(offer: &Offer, out: &Out) {
    if !out.json() {
        out.print(&render::plan::plan(&offer.document(), Style::new(out.colour)));
    }
}

/// A plan that a person must help along is not begun, unless the rest of it was asked for.
pub(crate) fn refuse_blocked(document: &PlanDocument<'_>, partial: bool) -> Result<(), CommandError> {
    if !document.blocked {
        return Ok(());
    }
    let general =
        document.report.notes.iter().any(|note| note.level == rl_model::NoteLevel::Blocked && note.guest.is_none());
    if partial && !general {
        return Ok(());
    }
    let error = CommandError::blocked("a part of the plan is blocked until a person acts, so nothing was begun")
        .detailed(serde_json::json!(document));
    if general || document.empty {
        return Err(error.hinted("the hints above say what to do"));
    }
    if document.destroy {
        return Err(error.hinted("do what the hints above say, then destroy again"));
    }
    Err(error.hinted("do what the hints above say, or carry out the rest with --partial"))
}

/// Says how an operation ended when that is not well; gives the kind that decides the exit code.
pub(crate) fn said(side: &Side, ending: &Ending, id: OperationId, out: &Out) -> Option<ErrorKind> {
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
        Ending::Detached if side.is_there() => (
            ErrorKind::Interrupted,
            format!(
                "Detached. The server goes on with operation {id}; `rapidlaunch op watch {id}` or the same command follows it, and `rapidlaunch op cancel {id}` undoes what is half done."
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
