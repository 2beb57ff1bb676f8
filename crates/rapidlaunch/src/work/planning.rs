//! From files or a stored stack to a plan: look, resolve, look closer, resolve again, plan.

use std::collections::{BTreeMap, BTreeSet};

use crate::work::inputs::InputFile;
use rl_model::manifest::{Manifest, SectionKind, Stack};
use rl_model::{Leases, Observed, Plan, PlanReport, Policy, ResolvedStack, Site, SiteName, StackName, StorageId, Vmid};
use rl_ops::{ObserveError, Scope, look_closer, observe};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::cli::args::{PolicyArgs, SectionArg, StackRef};
use crate::error::CommandError;
use crate::out::Out;
use crate::work::connect::{self, Sites};
use crate::work::data::{Data, absolute, store_error};
use crate::work::meant::{declared_stacks, never_stored, nothing_named};
use crate::work::{assume, desk, inputs, operate, zones};

/// Operations of one stack that did not end well, one after the other, whose records are looked for; a person has long seen
/// that something is wrong by then.
const UNFINISHED_MAX: u64 = 32;

/// What the store keeps of a stack's declaration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredManifest {
    /// The file it was read from.
    pub(crate) file: String,
    /// The file's text.
    pub(crate) text: String,
    /// The stack, checked, with defaults filled in.
    pub(crate) stack: Stack,
}

/// The stacks a command is about, with the sites they lie on.
pub(crate) struct Subject {
    /// The files they were read from; none for a stored stack.
    pub(crate) files: Vec<InputFile>,
    /// Sites and stacks.
    pub(crate) manifest: Manifest,
    /// The stacks to act on, in order.
    pub(crate) stacks: Vec<StackName>,
}

/// A plan with all that carrying it out needs.
pub(crate) struct Planned {
    /// The plan.
    pub(crate) plan: Plan,
    /// What it tells beside its actions.
    pub(crate) report: PlanReport,
    /// The clients of its sites.
    pub(crate) sites: Sites,
    /// The sites' declarations.
    pub(crate) declared: BTreeMap<SiteName, Site>,
    /// Sites that declare the zones of its records; they need not be among its own.
    pub(crate) keepers: Vec<Site>,
    /// All that the stack may have been made into before.
    pub(crate) before: Vec<ResolvedStack>,
    /// What the store will keep of the declaration.
    pub(crate) manifest: String,
}

impl Planned {
    /// The declarations of its sites and of those that keep its records.
    pub(crate) fn sites_declared(&self) -> Vec<&Site> {
        self.declared.values().chain(&self.keepers).collect()
    }
}

/// Finds out which stacks a command is about.
pub(crate) async fn subject(data: &Data, stack: &StackRef, out: &Out) -> Result<Subject, CommandError> {
    if !stack.files.is_empty() {
        return from_files(data, stack, out).await;
    }
    let Some(name) = &stack.stack else {
        return Err(nothing_named());
    };
    of_stored(data, name).await
}

/// A stack that was applied before, as its files declared it.
pub(crate) async fn of_stored(data: &Data, name: &StackName) -> Result<Subject, CommandError> {
    let stored = stored(data, name).await?;
    let sites = data.sites().await?.into_iter().map(|site| (site.name.clone(), site)).collect();
    let mut manifest = Manifest { sites, ..Manifest::default() };
    manifest.stacks.insert(name.clone(), stored.stack);
    Ok(Subject { files: Vec::new(), manifest, stacks: vec![name.clone()] })
}

async fn from_files(data: &Data, stack: &StackRef, out: &Out) -> Result<Subject, CommandError> {
    let inputs = inputs::read(&stack.files, &data.known().await?, out)?;
    of_inputs(data, inputs, stack.stack.as_ref()).await
}

/// The stacks that files declare, or the one of them that is named.
pub(crate) async fn of_inputs(
    data: &Data,
    inputs: inputs::Inputs,
    only: Option<&StackName>,
) -> Result<Subject, CommandError> {
    let mut manifest = inputs.manifest;
    for site in data.sites().await? {
        manifest.sites.entry(site.name.clone()).or_insert(site);
    }
    manifest.sites = manifest.sites.into_iter().map(|(name, site)| (name, absolute(site))).collect();
    let stacks = declared_stacks(&manifest, only)?;
    Ok(Subject { files: inputs.files, manifest, stacks })
}

/// The stored declaration of a stack.
pub(crate) async fn stored(data: &Data, name: &StackName) -> Result<StoredManifest, CommandError> {
    let record = data.store.stack(name).await.map_err(store_error)?;
    let record = record.ok_or_else(|| never_stored(name))?;
    serde_json::from_str(&record.manifest).map_err(|error| {
        CommandError::failed(format!("the stored declaration of stack `{name}` cannot be read")).because(error)
    })
}

/// What a person allows, from the command line.
pub(crate) fn policy(args: &PolicyArgs) -> Policy {
    let kind = |section: &SectionArg| match section {
        SectionArg::Firewall => SectionKind::Firewall,
        SectionArg::Dns => SectionKind::Dns,
        SectionArg::Secrets => SectionKind::Secrets,
    };
    Policy {
        allow_replace: args.allow_replace.iter().cloned().collect(),
        allow_data_loss: args.allow_data_loss.iter().cloned().collect(),
        no_restart: args.no_restart,
        without: args.without.iter().map(kind).collect(),
        allow_dns_mass_change: args.allow_dns_mass_change,
    }
}

/// Looks at the sites and plans one stack of the subject.
pub(crate) async fn plan(
    data: &Data,
    subject: &Subject,
    name: &StackName,
    policy: &Policy,
    deep: bool,
    out: &Out,
) -> Result<Planned, CommandError> {
    plan_seeing(data, subject, name, policy, deep, out, |_| {}).await
}

/// A plan for the site as a token with every privilege would see it: tells what is needed, and is never carried out.
pub(crate) async fn plan_assuming(
    data: &Data,
    subject: &Subject,
    name: &StackName,
    site: &Site,
    out: &Out,
) -> Result<Planned, CommandError> {
    let stack = &subject.manifest.stacks[name];
    let assume = |observed: &mut Observed| assume::everything_is_there(stack, site, observed);
    plan_seeing(data, subject, name, &Policy::default(), false, out, assume).await
}

async fn plan_seeing(
    data: &Data,
    subject: &Subject,
    name: &StackName,
    policy: &Policy,
    deep: bool,
    out: &Out,
    adjust: impl Fn(&mut Observed),
) -> Result<Planned, CommandError> {
    let stack = &subject.manifest.stacks[name];
    let mut names = stack.sites();
    let base_revision = revision(data, name).await?;
    let mut leases = leases(data, name, base_revision, &mut names).await?;
    leases.secrets = desk::known(data, subject.manifest.sites.values(), stack, &leases).await?;
    let declared = declared(&subject.manifest.sites, &names)?;
    let sites = connect::connect(data, declared.values(), connect::pace(), out).await?;
    let mut observed = look(&sites).await?;
    let catalog = catalog(stack, &leases, &observed);
    if !catalog.is_empty() {
        let scope = Scope { catalog, ..Scope::default() };
        look_closer(&sites, &scope, &mut observed).await;
    }
    adjust(&mut observed);
    let resolve = |observed: &Observed| {
        rl_planner::resolve(&subject.manifest, name, observed, &leases)
            .map_err(|errors| inputs::unresolved(&errors, &subject.files, out))
    };
    let (resolved, _) = resolve(&observed)?;
    let limit = if deep { usize::MAX } else { rl_planner::plan::CONFIGS_READ_MAX };
    read_configs(&sites, &rl_planner::plan::configs_needed(&resolved, &observed, &leases, limit), &mut observed).await;
    let (mut resolved, placements) = resolve(&observed)?;
    read_firewalls(&sites, &resolved, &leases, deep, &mut observed).await;
    read_entrances(&sites, &resolved, &mut observed).await;
    let before = before(data, name).await?;
    let mut keepers = Vec::new();
    if policy.without.contains(&SectionKind::Dns) {
        resolved.records = before.first().map(|applied| applied.records.clone()).unwrap_or_default();
    } else {
        keepers = look_at_zones(data, subject, &resolved, &before, &mut observed).await?;
    }
    let (plan, mut report) = rl_planner::plan(&resolved, &observed, &leases, policy, base_revision);
    report.placements = placements;
    let manifest = stored_text(subject, stack)?;
    Ok(Planned { plan, report, sites, declared, keepers, before, manifest })
}

/// Looks at the sites and plans the removal of a whole stack.
pub(crate) async fn plan_destroy(
    data: &Data,
    subject: &Subject,
    name: &StackName,
    policy: &Policy,
    out: &Out,
) -> Result<Planned, CommandError> {
    let stack = &subject.manifest.stacks[name];
    let mut names = BTreeSet::new();
    let base_revision = revision(data, name).await?;
    let leases = leases(data, name, base_revision, &mut names).await?;
    let declared = declared(&subject.manifest.sites, &names)?;
    let sites = connect::connect(data, declared.values(), connect::pace(), out).await?;
    let mut observed = look(&sites).await?;
    let empty = ResolvedStack {
        name: name.clone(),
        controller: leases.controller.clone(),
        guests: BTreeMap::new(),
        sections: Vec::new(),
        firewall: BTreeMap::new(),
        records: Vec::new(),
    };
    read_configs(&sites, &rl_planner::plan::configs_needed(&empty, &observed, &leases, usize::MAX), &mut observed)
        .await;
    read_firewalls(&sites, &empty, &leases, false, &mut observed).await;
    let before = before(data, name).await?;
    let keepers = look_at_zones(data, subject, &empty, &before, &mut observed).await?;
    let (plan, report) = rl_planner::plan::plan_destroy(name, &leases, &observed, policy, base_revision);
    let manifest = stored_text(subject, stack)?;
    Ok(Planned { plan, report, sites, declared, keepers, before, manifest })
}

/// What a stack may have been made into before: first as it was applied last, then as the operations after that set out to make it.
async fn before(data: &Data, name: &StackName) -> Result<Vec<ResolvedStack>, CommandError> {
    let Some(stack) = data.store.stack(name).await.map_err(store_error)? else { return Ok(Vec::new()) };
    let oldest = stack.applied_revision.unwrap_or(0).max(stack.revision.saturating_sub(UNFINISHED_MAX)) + 1;
    let mut out: Vec<ResolvedStack> = stack.applied.into_iter().collect();
    for revision in oldest..=stack.revision {
        let record = data.store.revision(name, revision).await.map_err(store_error)?;
        out.extend(record.map(|record| record.resolved));
    }
    Ok(out)
}

/// Reads the zones of the records that shall be and of those that may be there from before; tells the sites that declare them.
async fn look_at_zones(
    data: &Data,
    subject: &Subject,
    resolved: &ResolvedStack,
    before: &[ResolvedStack],
    observed: &mut Observed,
) -> Result<Vec<Site>, CommandError> {
    let names = rl_ops::zones_of(before.iter().chain([resolved]));
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let declared = zones::declared(subject.manifest.sites.values())?;
    let providers = zones::connect(data, &declared, &names).await?;
    observed.zones = rl_ops::observe_zones(&providers, resolved).await;
    let keeps = |site: &&Site| site.zones.keys().any(|zone| names.contains(zone));
    Ok(subject.manifest.sites.values().filter(keeps).cloned().collect())
}

async fn look(sites: &Sites) -> Result<Observed, CommandError> {
    observe(sites, &Scope::default(), operate::now_ms()).await.map_err(|error| {
        let site = match &error {
            ObserveError::NotConnected(site) | ObserveError::Unreadable { site, .. } => site.clone(),
        };
        CommandError::failed(error.to_string())
            .because(
                std::error::Error::source(&error)
                    .map(ToString::to_string)
                    .map_or_else(Unexplained::default, Unexplained),
            )
            .hinted(format!("`rapidlaunch site check {site} -f FILE` tells what is wrong with the connection"))
    })
}

/// A cause that is only known as text.
#[derive(Debug, thiserror::Error, Default)]
#[error("{0}")]
struct Unexplained(String);

/// Leases of a stack on its sites, and on those where guests of it still are.
async fn leases(
    data: &Data,
    stack: &StackName,
    revision: u64,
    sites: &mut BTreeSet<SiteName>,
) -> Result<Leases, CommandError> {
    sites.extend(data.store.guests(stack).await.map_err(store_error)?.into_iter().map(|guest| guest.site));
    let names: Vec<SiteName> = sites.iter().cloned().collect();
    let entropy = entropy(&data.store.controller(), stack, revision);
    data.store.leases(stack, &names, entropy).await.map_err(store_error)
}

/// Seed of the ids that a plan makes. The same for every plan from one revision, so that `apply` does just what `plan` has
/// shown; unlike that of every other installation, stack and revision.
fn entropy(controller: &rl_model::ControllerId, stack: &StackName, revision: u64) -> u64 {
    let digest = Sha256::digest(format!("{controller}/{stack}/{revision}"));
    digest.iter().take(8).fold(0, |bits, byte| (bits << 8) | u64::from(*byte))
}

fn declared(
    all: &BTreeMap<SiteName, Site>,
    names: &BTreeSet<SiteName>,
) -> Result<BTreeMap<SiteName, Site>, CommandError> {
    let find = |name: &SiteName| {
        let site = all.get(name).ok_or_else(|| {
            CommandError::input(format!("site `{name}` is not known")).hinted("give its file with -f FILE")
        })?;
        Ok((name.clone(), site.clone()))
    };
    names.iter().map(find).collect()
}

/// Sites that get new guests, with the storages their templates lie on: only there nodes are looked at more closely.
fn catalog(stack: &Stack, leases: &Leases, observed: &Observed) -> BTreeMap<SiteName, BTreeSet<StorageId>> {
    let mut out: BTreeMap<SiteName, BTreeSet<StorageId>> = BTreeMap::new();
    for container in stack.containers.values() {
        let there =
            |vmid: Vmid| observed.sites.get(&container.site).is_some_and(|site| site.guests.contains_key(&vmid));
        let known =
            |name| leases.guests.get(name).is_some_and(|known| known.site == container.site && there(known.vmid));
        let moves = |name| {
            container.node.as_ref().is_some_and(|node| leases.guests.get(name).is_some_and(|known| known.node != *node))
        };
        if stack.guest_names(container).iter().any(|name| !known(name) || moves(name)) {
            out.entry(container.site.clone()).or_default().insert(container.image.storage());
        }
    }
    out
}

async fn read_configs(sites: &Sites, needed: &[(SiteName, Vmid)], observed: &mut Observed) {
    let mut scope = Scope::default();
    for (site, vmid) in needed {
        scope.configs.entry(site.clone()).or_default().insert(*vmid);
    }
    look_closer(sites, &scope, observed).await;
}

/// Reads the firewalls that a plan compares.
pub(crate) async fn read_firewalls(
    sites: &Sites,
    resolved: &ResolvedStack,
    leases: &Leases,
    deep: bool,
    observed: &mut Observed,
) {
    let needed = rl_planner::firewall::firewalls_needed(resolved, observed, leases, deep);
    let scope = |needed: rl_planner::firewall::FirewallsNeeded| rl_ops::FirewallScope {
        guests: needed.guests,
        sets_of: Some(needed.owner),
        objects_of: needed.objects,
        entrance: false,
    };
    let firewalls = needed.into_iter().map(|(site, needed)| (site, scope(needed))).collect();
    look_closer(sites, &Scope { firewalls, ..Scope::default() }, observed).await;
}

/// Reads what lets packets in to the nodes of the sites where the plan may change that.
async fn read_entrances(sites: &Sites, resolved: &ResolvedStack, observed: &mut Observed) {
    let entrance = || rl_ops::FirewallScope { entrance: true, ..rl_ops::FirewallScope::default() };
    let needed = rl_planner::firewall::entrances_needed(resolved, observed);
    let firewalls = needed.into_iter().map(|site| (site, entrance())).collect();
    look_closer(sites, &Scope { firewalls, ..Scope::default() }, observed).await;
}

async fn revision(data: &Data, name: &StackName) -> Result<u64, CommandError> {
    data.store.newest_revision(name).await.map_err(store_error)
}

fn stored_text(subject: &Subject, stack: &Stack) -> Result<String, CommandError> {
    let file = subject.files.iter().find(|file| file.text.contains(stack.name.as_str()));
    let stored = StoredManifest {
        file: file.map(|file| file.name.clone()).unwrap_or_default(),
        text: file.map(|file| file.text.clone()).unwrap_or_default(),
        stack: stack.clone(),
    };
    serde_json::to_string(&stored)
        .map_err(|error| CommandError::failed("the stack cannot be written down").because(error))
}
