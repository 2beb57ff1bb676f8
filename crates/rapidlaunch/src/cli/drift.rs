//! `rapidlaunch drift [STACK]`

use std::collections::BTreeMap;

use rl_model::{Drift, SiteName, StackName};
use rl_ops::{Scope, observe};
use rl_store::StackState;

use crate::cli::args::{DriftArgs, Global};
use crate::cli::verify;
use crate::error::CommandError;
use crate::out::Out;
use crate::render;
use crate::render::style::{Style, count};
use crate::work::connect;
use crate::work::data::{Data, store_error};
use crate::work::{operate, planning, zones};

/// Tells what no longer matches the last apply. Exit code 3 when there is anything.
pub(crate) async fn run(global: &Global, args: &DriftArgs, out: &Out) -> Result<(), CommandError> {
    let data = Data::look(global).await?;
    let names = match &args.stack {
        Some(name) => vec![name.clone()],
        None => applied_stacks(&data).await?,
    };
    let mut all: BTreeMap<StackName, Vec<Drift>> = BTreeMap::new();
    for name in names {
        let drift = of_stack(&data, &name, out).await?;
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

async fn applied_stacks(data: &Data) -> Result<Vec<StackName>, CommandError> {
    let stacks = data.store.stacks().await.map_err(store_error)?;
    Ok(stacks
        .into_iter()
        .filter(|stack| stack.applied.is_some() && stack.state != StackState::Destroyed)
        .map(|stack| stack.name)
        .collect())
}

async fn of_stack(data: &Data, name: &StackName, out: &Out) -> Result<Vec<Drift>, CommandError> {
    let resolved = verify::applied(data, name).await?;
    let known = data.sites().await?.into_iter().map(|site| (site.name.clone(), site)).collect();
    let sites = connect::connect(data, &verify::sites_of(&resolved, &known)?, connect::pace(), out).await?;
    let unseen = |error: rl_ops::ObserveError| CommandError::failed("the sites cannot be read").because(error);
    let mut observed = observe(&sites, &Scope::default(), operate::now_ms()).await.map_err(unseen)?;
    let mut scope = Scope::default();
    let names: Vec<SiteName> = sites.keys().cloned().collect();
    let leases = data.store.leases(name, &names, 0).await.map_err(store_error)?;
    for (site, vmid) in rl_planner::plan::configs_needed(&resolved, &observed, &leases, usize::MAX) {
        scope.configs.entry(site).or_default().insert(vmid);
    }
    rl_ops::look_closer(&sites, &scope, &mut observed).await;
    planning::read_firewalls(&sites, &resolved, &leases, true, &mut observed).await;
    let zones = zones::of_stacks(data, [], [&resolved], out).await?;
    observed.zones = rl_ops::observe_zones(&zones, &resolved).await;
    Ok(rl_planner::drift(&resolved, &observed))
}
