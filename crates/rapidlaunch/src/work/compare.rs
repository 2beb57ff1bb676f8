//! A stack compared with what there is: its proof, and its drift.

use std::collections::BTreeMap;

use rl_model::{Drift, Proof, ResolvedStack, Site, SiteName, StackName};
use rl_ops::{Scope, observe};

use crate::error::CommandError;
use crate::out::Out;
use crate::work::data::{Data, store_error};
use crate::work::{connect, desk, operate, planning, zones};

/// Reads a stack back as it was applied last and compares every item; sites that are given go before stored ones.
pub(crate) async fn prove(
    data: &Data,
    known: &BTreeMap<SiteName, Site>,
    name: &StackName,
    out: &Out,
) -> Result<Proof, CommandError> {
    let resolved = applied(data, name).await?;
    let sites = connect::connect(data, &sites_of(&resolved, known)?, connect::pace(), out).await?;
    let proof = rl_ops::prove(&sites, &resolved, operate::now_ms()).await;
    let proof = operate::with_records(data, known.values(), &resolved, proof, out).await?;
    desk::prove(data, proof, &resolved).await
}

/// Tells what no longer matches the last apply of a stack.
pub(crate) async fn drift(data: &Data, name: &StackName, out: &Out) -> Result<Vec<Drift>, CommandError> {
    let resolved = applied(data, name).await?;
    let known = data.sites().await?.into_iter().map(|site| (site.name.clone(), site)).collect();
    let sites = connect::connect(data, &sites_of(&resolved, &known)?, connect::pace(), out).await?;
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

/// A stack as it was last applied.
async fn applied(data: &Data, name: &StackName) -> Result<ResolvedStack, CommandError> {
    let record = data.store.stack(name).await.map_err(store_error)?;
    let resolved = record.and_then(|record| record.applied).ok_or_else(|| never_applied(name))?;
    operate::as_recorded(data, resolved).await
}

/// The error for a stack that there is nothing to compare with.
pub(crate) fn never_applied(name: &StackName) -> CommandError {
    CommandError::input(format!("stack `{name}` was never applied to its end"))
        .hinted("apply it first; there is nothing to compare with")
}

/// The sites a resolved stack lies on.
fn sites_of(resolved: &ResolvedStack, known: &BTreeMap<SiteName, Site>) -> Result<Vec<Site>, CommandError> {
    let names: std::collections::BTreeSet<&SiteName> = resolved.guests.values().map(|guest| &guest.site).collect();
    let find = |name: &SiteName| {
        let site = known.get(name).cloned();
        site.ok_or_else(|| {
            CommandError::input(format!("site `{name}` is not known")).hinted("give its file with -f FILE")
        })
    };
    names.into_iter().map(find).collect()
}
