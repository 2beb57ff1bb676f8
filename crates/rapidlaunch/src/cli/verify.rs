//! `rapidlaunch verify STACK`

use rl_model::{ResolvedStack, Site, SiteName, StackName};

use crate::cli::args::{Global, StackRef};
use crate::error::{CommandError, ErrorKind};
use crate::out::Out;
use crate::render;
use crate::render::style::Style;
use crate::work::connect;
use crate::work::data::{Data, store_error};
use crate::work::desk;
use crate::work::operate;
use crate::work::planning;

/// Reads stacks back and compares every item. Exit code 1 when one differs.
pub(crate) async fn run(global: &Global, args: &StackRef, out: &Out) -> Result<(), CommandError> {
    let data = Data::look(global).await?;
    let subject = planning::subject(&data, args, out).await?;
    let mut proofs = Vec::new();
    for name in &subject.stacks {
        let resolved = applied(&data, name).await?;
        let sites = sites_of(&resolved, &subject.manifest.sites)?;
        let sites = connect::connect(&data, &sites, connect::pace(), out).await?;
        let proof = rl_ops::prove(&sites, &resolved, operate::now_ms()).await;
        let proof = operate::with_records(&data, subject.manifest.sites.values(), &resolved, proof, out).await?;
        proofs.push(desk::prove(&data, proof, &resolved).await?);
    }
    let ok = proofs.iter().all(|proof| proof.ok);
    if out.json() {
        out.print_json(&serde_json::json!({ "ok": ok, "proofs": proofs }));
    } else {
        let style = Style::new(out.colour);
        proofs.iter().for_each(|proof| out.print(&render::proof::proof(proof, global.verbose > 0, style)));
    }
    if ok { Ok(()) } else { Err(CommandError::said(ErrorKind::Failed)) }
}

/// A stack as it was last applied.
pub(crate) async fn applied(data: &Data, name: &StackName) -> Result<ResolvedStack, CommandError> {
    let record = data.store.stack(name).await.map_err(store_error)?;
    let resolved = record.and_then(|record| record.applied).ok_or_else(|| {
        CommandError::input(format!("stack `{name}` was never applied to its end"))
            .hinted("apply it first; there is nothing to compare with")
    })?;
    operate::as_recorded(data, resolved).await
}

/// The sites a resolved stack lies on.
pub(crate) fn sites_of(
    resolved: &ResolvedStack,
    known: &std::collections::BTreeMap<SiteName, Site>,
) -> Result<Vec<Site>, CommandError> {
    let names: std::collections::BTreeSet<&SiteName> = resolved.guests.values().map(|guest| &guest.site).collect();
    let find = |name: &SiteName| {
        let site = known.get(name).cloned();
        site.ok_or_else(|| {
            CommandError::input(format!("site `{name}` is not known")).hinted("give its file with -f FILE")
        })
    };
    names.into_iter().map(find).collect()
}
