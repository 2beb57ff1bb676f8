//! `rapidlaunch destroy`

use rl_engine::OperationId;
use rl_model::StackName;
use serde_json::{Value, json};

use crate::cli::apply::{refuse_blocked, said, show};
use crate::cli::args::{DestroyArgs, Global};
use crate::error::{CommandError, ErrorKind};
use crate::out::Out;
use crate::render;
use crate::render::style::Style;
use crate::side::{Side, Subject, Wish};
use crate::work::operate;

/// Removes every record and guest of the stacks, and reads back that they are gone.
pub(crate) async fn run(global: &Global, args: &DestroyArgs, out: &Out) -> Result<(), CommandError> {
    operate::need_consent(args.yes, out)?;
    let side = Side::open(global, out).await?;
    let subject = side.subject(&args.stack, out).await?;
    let (mut results, mut worst) = (Vec::new(), None);
    for name in subject.stacks() {
        results.push(one(&side, &subject, name, args, &mut worst, out).await?);
        if worst.is_some() {
            break;
        }
    }
    if out.json() {
        out.print_json(&serde_json::json!({ "stacks": results }));
    }
    worst.map_or(Ok(()), |kind| Err(CommandError::said(kind)))
}

/// Destroys one stack; `worst` becomes the kind of ending where it is not well.
async fn one(
    side: &Side,
    subject: &Subject,
    name: &StackName,
    args: &DestroyArgs,
    worst: &mut Option<ErrorKind>,
    out: &Out,
) -> Result<Value, CommandError> {
    if let Some(id) = side.unfinished(name).await? {
        if args.detach {
            out.say(&format!("Stack {name} has the unfinished operation {id}; nothing else was started."));
            return Ok(json!({ "stack": name, "operation": begun(id) }));
        }
        out.say(&format!("Stack {name} has the unfinished operation {id}: cancelling it first."));
        side.cancel(id, subject.sites(), out).await?;
    }
    let policy = rl_model::Policy {
        allow_data_loss: args.allow_data_loss.iter().cloned().collect(),
        allow_dns_mass_change: args.allow_dns_mass_change,
        ..Default::default()
    };
    let wish = Wish { policy, deep: false, destroy: true };
    let offer = side.plan(subject, name, &wish, out).await?;
    show(&offer, out);
    refuse_blocked(&offer.document(), false)?;
    let mut result = json!({ "stack": name, "plan": offer.document() });
    if !offer.document().empty {
        if !args.yes && !out.ask("Destroy these guests?") {
            side.let_go(&offer).await;
            return Err(CommandError::input("not destroyed: the answer was no; nothing was touched"));
        }
        let id = side.start(&offer, false, "destroy").await?;
        if args.detach {
            out.say(&format!("Operation {id} is accepted; `rapidlaunch serve` carries it out."));
            result["operation"] = begun(id);
            return Ok(result);
        }
        let ending = side.run(&offer, id, out).await?;
        *worst = said(side, &ending, id, out);
        result["operation"] = json!({ "id": id.to_string(), "state": ending.state().map(|state| state.as_str()) });
    }
    if worst.is_none() {
        let proof = side.prove(&offer, out).await?;
        if !out.json() {
            out.print(&render::proof::proof(&proof, false, Style::new(out.colour)));
        }
        *worst = (!proof.ok).then_some(ErrorKind::Failed);
        result["proof"] = json!(proof);
    }
    if offer.document().empty {
        side.let_go(&offer).await;
    }
    result["ok"] = json!(worst.is_none());
    Ok(result)
}

fn begun(id: OperationId) -> Value {
    json!({ "id": id.to_string(), "state": "running" })
}
