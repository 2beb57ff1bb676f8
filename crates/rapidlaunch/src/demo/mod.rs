//! The demo: two simulated sites with an agent on each node, the example stack, one kill in the middle, a proof.
//!
//! The sites run as processes of their own and outlive a demo that is killed, as real sites would: started again, the
//! demo finds them by what it wrote down and goes on with the operation that was cut off. Sites that nobody asks for a
//! while end by themselves.

mod folder;
mod launch;
mod nodes;
mod sites;

use std::time::{Duration, Instant};

use serde_json::json;

use crate::cli::args::{DemoArgs, Global};
use crate::error::CommandError;
use crate::out::Out;
use crate::render::style::Style;

use folder::{Folder, STACK};
use launch::{Launch, Run};
use nodes::{Addresses, Nodes};
use sites::SimulatedSite;

/// Containers made before the running apply is killed once.
const KILL_AFTER_CREATES: u64 = 3;
/// Most applies after the first: the one that is killed, and the one that finishes.
const APPLIES_MAX: u32 = 5;

/// Runs the demo.
pub(crate) async fn run(global: &Global, args: &DemoArgs, out: &Out) -> Result<(), CommandError> {
    if !(args.speed.is_finite() && args.speed > 0.0) {
        return Err(CommandError::input("--speed must be a number above 0, as in --speed 20"));
    }
    let began = Instant::now();
    let teller = Teller { out, style: Style::new(out.colour_err) };
    let folder = Folder::open(global, args.fresh)?;
    let mut sites = sites::start(&folder, args.speed, &teller).await?;
    folder.write_declarations(&sites)?;
    let result = async {
        let nodes = nodes::start(&folder, &sites, &teller).await?;
        let run = launch(&folder, &sites, &nodes, args, &teller).await?;
        finish(&run, &sites, &nodes, began, args, out).await?;
        if !args.once {
            stay(&folder, &nodes, &teller).await;
        }
        Ok(())
    };
    let result = result.await;
    sites.iter_mut().for_each(SimulatedSite::end);
    folder.remove();
    result
}

/// Says what happens next, on stderr, so that results on stdout stay clean.
pub(crate) struct Teller<'a> {
    out: &'a Out,
    style: Style,
}

impl Teller<'_> {
    fn step(&self, text: &str) {
        self.out.say(&format!("\n{} {text}", self.style.cyan("demo:")));
    }
}

/// Applies the example stack, killing the first run in the middle, until one run ends by itself.
async fn launch(
    folder: &Folder,
    sites: &[SimulatedSite],
    nodes: &Nodes,
    args: &DemoArgs,
    teller: &Teller<'_>,
) -> Result<Run, CommandError> {
    let launch = Launch { folder, speed: args.speed, nodes, json: teller.out.json() };
    if sites::creates(sites).await? == 0 {
        teller.step("applying the example stack; the process is killed (SIGKILL) in the middle");
        if let Some(run) = launch.apply_and_kill(sites, KILL_AFTER_CREATES).await? {
            return Ok(run);
        }
        teller.step("killed. The same command again: it goes on where the journal says");
    } else {
        teller.step("going on with what an earlier demo began");
    }
    for _ in 0..APPLIES_MAX {
        let run = launch.apply().await?;
        if run.ok() {
            return Ok(run);
        }
        if !run.is_held() {
            return Err(CommandError::failed(format!("the demo's apply failed: {}", run.why())));
        }
        // The apply of a demo that was killed a moment ago may still be on its way out.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Err(CommandError::failed("the demo's data directory is held by another process"))
}

async fn finish(
    run: &Run,
    sites: &[SimulatedSite],
    nodes: &Nodes,
    began: Instant,
    args: &DemoArgs,
    out: &Out,
) -> Result<(), CommandError> {
    let figures = sites::figures(sites).await?;
    let seconds = began.elapsed().as_secs_f64();
    let doubled = figures.made_twice;
    let ok = run.proof_ok() && doubled == 0;
    if out.json() {
        let ids = run.operations();
        out.print_json(&json!({
            "operations": ids.len(),
            "operation_ids": ids,
            "guests": run.guests(),
            "agents": nodes.agents(),
            "proof": { "ok": run.proof_ok(), "comparisons": run.comparisons() },
            "guests_made_twice": doubled,
            "api_calls": figures.calls,
            "seconds": (seconds * 1000.0).round() / 1000.0,
            "ok": ok,
        }));
    } else {
        let style = Style::new(out.colour);
        let text = format!(
            "{} containers on {} sites in {seconds:.1} s with {} API calls; made twice: {doubled}. The nodes ran {} times faster than real ones.",
            figures.creates,
            sites.len(),
            figures.calls,
            args.speed
        );
        out.print(&format!("\n{}\n", style.bold(&text)));
    }
    if ok { Ok(()) } else { Err(CommandError::failed("the demo did not end as it should: see the proof above")) }
}

/// Keeps the sites up and tells what one can try, until Ctrl-C.
async fn stay(folder: &Folder, nodes: &Nodes, teller: &Teller<'_>) {
    let style = teller.style;
    teller.step("the sites stay up until Ctrl-C. In another terminal:");
    let data = folder.data().display().to_string();
    let stack = folder.stack_file().display().to_string();
    let Addresses { agents, dns } = nodes.addresses;
    let hints = [
        format!("export RAPIDLAUNCH_DATA={data} RAPIDLAUNCH_PACE={}", folder.speed_text()),
        format!("export RAPIDLAUNCH_AGENTS={agents} RAPIDLAUNCH_DNS={dns}"),
        style.bold("rapidlaunch guest ls").to_string(),
        style.bold(&format!("rapidlaunch verify {STACK} -v")).to_string(),
        style.bold("rapidlaunch firewall explain --from web-1 --to db:5432").to_string(),
        style.bold("rapidlaunch guest exec db -- ls -l /run/secrets").to_string(),
        style.bold("rapidlaunch guest stop app-1 && rapidlaunch verify market").to_string(),
        format!(
            "{}   and meanwhile, in a third terminal: {}",
            style.bold("rapidlaunch serve"),
            style.bold(&format!("dig -p {} @{} www.market.example", dns.port(), dns.ip()))
        ),
        style.bold(&format!("$EDITOR {stack} && rapidlaunch plan -f {stack}")).to_string(),
    ];
    teller.out.say(&format!("\n  {}\n", hints.join("\n  ")));
    let _ = tokio::signal::ctrl_c().await;
}
