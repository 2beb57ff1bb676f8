//! `rapidlaunch destroy`

use crate::cli::apply::{refuse_blocked, said, show};
use crate::cli::args::{DestroyArgs, Global};
use crate::cli::plan;
use crate::error::{CommandError, ErrorKind};
use crate::out::Out;
use crate::render;
use crate::render::style::Style;
use crate::work::data::Data;
use crate::work::operate;
use crate::work::planning;

/// Removes every record and guest of the stacks, and reads back that they are gone.
pub(crate) async fn run(global: &Global, args: &DestroyArgs, out: &Out) -> Result<(), CommandError> {
    operate::need_consent(args.yes, out)?;
    let data = Data::open(global).await?;
    let subject = planning::subject(&data, &args.stack, out).await?;
    let policy = rl_model::Policy {
        allow_data_loss: args.allow_data_loss.iter().cloned().collect(),
        allow_dns_mass_change: args.allow_dns_mass_change,
        ..Default::default()
    };
    let mut results = Vec::new();
    let mut worst = None;
    for name in &subject.stacks {
        let unfinished = data.unfinished(name).await?;
        if let Some(id) = unfinished.filter(|_| args.detach) {
            out.say(&format!("Stack {name} has the unfinished operation {id}; nothing else was started."));
            results
                .push(serde_json::json!({ "stack": name, "operation": { "id": id.to_string(), "state": "running" } }));
            continue;
        }
        if let Some(id) = unfinished {
            out.say(&format!("Stack {name} has the unfinished operation {id}: cancelling it first."));
            operate::cancel_and_wait(&data, &subject.manifest.sites, id, out).await?;
        }
        let planned = planning::plan_destroy(&data, &subject, name, &policy, out).await?;
        show(&planned, out);
        refuse_blocked(&planned, false)?;
        let mut result = serde_json::json!({ "stack": name, "plan": plan::json(&planned) });
        if !planned.plan.is_empty() {
            if !args.yes && !out.ask("Destroy these guests?") {
                return Err(CommandError::input("not destroyed: the answer was no; nothing was touched"));
            }
            let id = operate::start(&data, &planned, "destroy").await?;
            if args.detach {
                out.say(&format!("Operation {id} is accepted; `rapidlaunch serve` carries it out."));
                result["operation"] = serde_json::json!({ "id": id.to_string(), "state": "running" });
                results.push(result);
                continue;
            }
            let ending = operate::run(&data, &planned.sites, id, out).await?;
            worst = said(&ending, id, out);
            result["operation"] =
                serde_json::json!({ "id": id.to_string(), "state": ending.state().map(|state| state.as_str()) });
        }
        if worst.is_none() {
            let proof = operate::prove_destroyed(&data, &planned, out).await?;
            if !out.json() {
                out.print(&render::proof::proof(&proof, false, Style::new(out.colour)));
            }
            worst = (!proof.ok).then_some(ErrorKind::Failed);
            result["proof"] = serde_json::json!(proof);
        }
        result["ok"] = serde_json::json!(worst.is_none());
        results.push(result);
        if worst.is_some() {
            break;
        }
    }
    if out.json() {
        out.print_json(&serde_json::json!({ "stacks": results }));
    }
    worst.map_or(Ok(()), |kind| Err(CommandError::said(kind)))
}
