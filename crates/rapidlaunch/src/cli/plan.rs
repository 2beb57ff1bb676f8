//! `rapidlaunch plan`

use rl_model::{Policy, StackName};

use crate::cli::args::{Global, PlanArgs};
use crate::error::CommandError;
use crate::out::Out;
use crate::render;
use crate::render::style::Style;
use crate::shape::plan::PlanDocument;
use crate::work::data::Data;
use crate::work::planning::{self, Planned, Subject};

/// Shows what apply would do. Reserves and changes nothing.
pub(crate) async fn run(global: &Global, args: &PlanArgs, out: &Out) -> Result<(), CommandError> {
    let data = Data::look(global).await?;
    let subject = planning::subject(&data, &args.stack, out).await?;
    let policy = planning::policy(&args.policy);
    let mut all = Vec::new();
    for name in &subject.stacks {
        all.push(one(&data, &subject, name, &policy, args, out).await?);
    }
    if out.json() {
        let plans: Vec<PlanDocument<'_>> = all.iter().map(json).collect();
        out.print_json(&std::collections::BTreeMap::from([("plans", plans)]));
    } else {
        for planned in &all {
            out.print(&render::plan::plan(&planned.plan, &planned.report, Style::new(out.colour)));
        }
    }
    if args.exit_code && all.iter().any(|planned| !planned.plan.is_empty()) {
        return Err(CommandError::differences());
    }
    Ok(())
}

async fn one(
    data: &Data,
    subject: &Subject,
    name: &StackName,
    policy: &Policy,
    args: &PlanArgs,
    out: &Out,
) -> Result<Planned, CommandError> {
    if args.destroy {
        planning::plan_destroy(data, subject, name, policy, out).await
    } else {
        planning::plan(data, subject, name, policy, args.deep, out).await
    }
}

/// A plan for machines.
pub(crate) fn json(planned: &Planned) -> PlanDocument<'_> {
    PlanDocument::of(&planned.plan, &planned.report)
}
