//! `rapidlaunch drift [STACK]`

use std::collections::BTreeMap;

use rl_model::{Drift, StackName};

use crate::cli::args::{DriftArgs, Global};
use crate::error::CommandError;
use crate::out::Out;
use crate::render;
use crate::render::style::{Style, count};
use crate::side::Side;

/// Tells what no longer matches the last apply. Exit code 3 when there is anything.
pub(crate) async fn run(global: &Global, args: &DriftArgs, out: &Out) -> Result<(), CommandError> {
    let side = Side::look(global, out).await?;
    let names = match &args.stack {
        Some(name) => vec![name.clone()],
        None => side.applied_stacks().await?,
    };
    let mut all: BTreeMap<StackName, Vec<Drift>> = BTreeMap::new();
    for name in names {
        let drift = side.drift(&name, out).await?;
        all.insert(name, drift);
    }
    let clean = all.values().all(Vec::is_empty);
    if out.json() {
        out.print_json(&serde_json::json!({ "drift": !clean, "stacks": all }));
    } else {
        let style = Style::new(out.colour);
        for (name, drift) in &all {
            let head =
                if drift.is_empty() { "no drift".to_owned() } else { count(drift.len(), "difference", "differences") };
            out.print(&format!("{} {head}\n{}", style.bold(name.as_str()), render::proof::drift(drift, style)));
        }
        if all.is_empty() {
            out.print("No stack was applied yet.\n");
        }
    }
    if clean { Ok(()) } else { Err(CommandError::differences()) }
}
