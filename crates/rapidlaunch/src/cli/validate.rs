//! `rapidlaunch validate -f FILE...`

use rl_planner::parse::Known;

use crate::cli::args::Files;
use crate::error::CommandError;
use crate::out::Out;
use crate::render::style::count;
use crate::work::inputs;

/// Checks files without contacting anything. Sites of earlier applies are not known here, so that the answer depends on the files alone.
pub(crate) fn run(args: &Files, out: &Out) -> Result<(), CommandError> {
    let inputs = inputs::read_quietly(&args.files, &Known::default(), out)?;
    let manifest = &inputs.manifest;
    let guests: usize = manifest
        .stacks
        .values()
        .flat_map(|stack| stack.containers.values().map(|container| stack.guest_names(container).len()))
        .sum();
    if out.json() {
        let names = |keys: Vec<String>| keys;
        out.print_json(&serde_json::json!({
            "ok": true,
            "sites": names(manifest.sites.keys().map(ToString::to_string).collect()),
            "stacks": names(manifest.stacks.keys().map(ToString::to_string).collect()),
            "guests": guests,
            "diagnostics": inputs.warnings,
        }));
        return Ok(());
    }
    if !inputs.warnings.is_empty() {
        out.say(&inputs::render_warnings(&inputs, out.colour_err));
    }
    let sites = count(manifest.sites.len(), "site", "sites");
    let stacks = count(manifest.stacks.len(), "stack", "stacks");
    out.print(&format!("No mistakes: {sites}, {stacks}, {}.\n", count(guests, "guest", "guests")));
    Ok(())
}
