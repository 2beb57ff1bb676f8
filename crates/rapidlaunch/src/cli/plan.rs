//! `rapidlaunch plan`

use std::collections::BTreeMap;

use crate::cli::args::{Global, PlanArgs};
use crate::error::CommandError;
use crate::out::Out;
use crate::render;
use crate::render::style::Style;
use crate::shape::plan::PlanDocument;
use crate::side::{Offer, Side, Wish};
use crate::work::planning;

/// Shows what apply would do. Reserves and changes nothing.
pub(crate) async fn run(global: &Global, args: &PlanArgs, out: &Out) -> Result<(), CommandError> {
    let side = Side::look(global, out).await?;
    let subject = side.subject(&args.stack, out).await?;
    let wish = Wish { policy: planning::policy(&args.policy), deep: args.deep, destroy: args.destroy };
    let mut all = Vec::new();
    for name in subject.stacks() {
        all.push(side.look_ahead(&subject, name, &wish, out).await?);
    }
    let documents: Vec<PlanDocument<'_>> = all.iter().map(Offer::document).collect();
    if out.json() {
        out.print_json(&BTreeMap::from([("plans", &documents)]));
    } else {
        for document in &documents {
            out.print(&render::plan::plan(document, Style::new(out.colour)));
        }
    }
    if args.exit_code && documents.iter().any(|document| !document.empty) {
        return Err(CommandError::differences());
    }
    Ok(())
}
