//! What a person looks at first: the sites with what they have left, the stacks, what is being done, and what is wrong.

use std::collections::BTreeMap;

use axum::extract::State;
use rl_engine::{OperationQuery, OperationState};
use rl_model::{AccessPath, GuestStatus, NodeName, ObservedGuest, ObservedSite, Right, Site, SiteName, Vmid};
use rl_store::{GuestRecord, LooksAt};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{agents, operations};
use crate::api::Api;
use crate::api::caller::Caller;
use crate::api::looks::Look;
use crate::api::problem::Problem;
use crate::shape::agent::AgentShape;
use crate::shape::operation::OperationShape;
use crate::shape::stack::StackShape;
use crate::work::guests::{self, status};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(overview)).routes(routes!(topology))
}

/// Unfinished operations shown at most: who has more looks at their list.
const OPERATIONS_MAX: usize = 50;

/// Everything at a glance.
#[derive(Debug, Serialize, ToSchema)]
struct Overview {
    /// The sites.
    sites: Vec<SiteSummary>,
    /// The stacks, without those that were taken away.
    stacks: Vec<StackSummary>,
    /// What is being done, newest first.
    operations: Vec<OperationShape>,
    /// The agents that were not revoked.
    agents: Vec<AgentShape>,
    /// What is wrong now.
    problems: Vec<Trouble>,
    /// The installation's identity.
    controller: String,
    /// The server's release.
    release: &'static str,
}

/// A site.
#[derive(Debug, Serialize, ToSchema)]
struct SiteSummary {
    /// Its name.
    name: String,
    /// Where it stands.
    datacenter: Option<String>,
    /// Whether it answers.
    reachable: bool,
    /// Why it does not.
    why: Option<String>,
    /// Whether its cluster has a quorum.
    quorate: Option<bool>,
    /// Its release of Proxmox VE.
    version: Option<String>,
    /// Its nodes.
    nodes: Vec<NodeLoad>,
    /// Guests that run, ours or not.
    guests_running: usize,
    /// Guests that do not.
    guests_stopped: usize,
}

/// What a node has and what of it is in use.
#[derive(Debug, Serialize, ToSchema)]
struct NodeLoad {
    /// Its name.
    name: String,
    /// Whether it answers.
    online: bool,
    /// CPU threads.
    cpu_cores: u32,
    /// Memory.
    memory_bytes: u64,
    /// Memory in use.
    memory_used_bytes: u64,
    /// Its storages together.
    disk_bytes: u64,
    /// What of them is in use.
    disk_used_bytes: u64,
    /// Guests on it.
    guests: usize,
}

/// A stack with how it was found when it was looked at last.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StackSummary {
    #[serde(flatten)]
    pub(super) stack: StackShape,
    /// Its plans need the approval of another person than their author.
    protected: bool,
    /// Whose quota counts it.
    owner: Option<String>,
    /// The last look for drift.
    drift: Option<DriftLook>,
    /// The last proof.
    proof: Option<ProofLook>,
}

/// A look for drift.
#[derive(Debug, Serialize, ToSchema)]
struct DriftLook {
    /// When.
    checked_at_ms: u64,
    /// Differences.
    count: u64,
}

/// A proof.
#[derive(Debug, Serialize, ToSchema)]
struct ProofLook {
    /// When.
    at_ms: u64,
    /// Whether everything held.
    ok: bool,
}

/// Something that is wrong.
#[derive(Debug, Serialize, ToSchema)]
struct Trouble {
    /// `error`, `blocked` or `warning`.
    level: &'static str,
    /// What.
    what: String,
    /// Where to look, as a path of the API.
    #[serde(rename = "where")]
    place: Option<String>,
    /// What to do.
    hint: Option<String>,
}

async fn sites(api: &Api, caller: &Caller) -> Result<(Vec<Site>, BTreeMap<SiteName, Look>), Problem> {
    let mut sites = api.data.sites().await?;
    sites.retain(|site| caller.may(Right::Read, &[AccessPath::Site(site.name.clone())]));
    let looks = api.looks.all(&api.data, &sites).await;
    Ok((sites, looks))
}

fn summary(site: &Site, look: &Look) -> SiteSummary {
    let (seen, why) = match look.as_ref() {
        Ok(seen) => (Some(seen), None),
        Err(why) => (None, Some(why.clone())),
    };
    let running = |seen: &ObservedSite| seen.guests.values().filter(|g| g.status == GuestStatus::Running).count();
    SiteSummary {
        name: site.name.to_string(),
        datacenter: site.datacenter.as_ref().map(ToString::to_string),
        reachable: seen.is_some(),
        why,
        quorate: seen.map(|seen| seen.quorate),
        version: seen.map(|seen| seen.version.clone()),
        nodes: seen.map(nodes).unwrap_or_default(),
        guests_running: seen.map(running).unwrap_or_default(),
        guests_stopped: seen.map(|seen| seen.guests.len() - running(seen)).unwrap_or_default(),
    }
}

fn nodes(seen: &ObservedSite) -> Vec<NodeLoad> {
    let load = |(name, node): (&NodeName, &rl_model::ObservedNode)| NodeLoad {
        name: name.to_string(),
        online: node.online,
        cpu_cores: node.cores,
        memory_bytes: node.memory_bytes,
        memory_used_bytes: node.memory_used_bytes,
        disk_bytes: node.storages.values().map(|storage| storage.total_bytes).sum(),
        disk_used_bytes: node.storages.values().map(|storage| storage.used_bytes).sum(),
        guests: seen.guests.values().filter(|guest| guest.node == *name).count(),
    };
    seen.nodes.iter().map(load).collect()
}

/// Everything at a glance, as far as the caller may see it.
#[utoipa::path(get, path = "/v1/overview", tag = "overview",
    responses((status = 200, description = "Everything at a glance", body = Overview)))]
async fn overview(State(api): State<Api>, caller: Caller) -> Result<axum::Json<Overview>, Problem> {
    let (sites, looks) = sites(&api, &caller).await?;
    let sites: Vec<SiteSummary> = sites.iter().map(|site| summary(site, &looks[&site.name])).collect();
    let mut stacks = summaries(&api, &caller).await?;
    stacks.retain(|summary| summary.stack.state != rl_store::StackState::Destroyed.as_str());
    let states = vec![OperationState::Running, OperationState::Blocked];
    let query = OperationQuery { subject: None, states, before: None, limit: OPERATIONS_MAX };
    let mut operations = api.data.journal().operations(query).await?;
    operations.retain(|record| caller.may(Right::Read, &operations::paths(&record.info.subject)));
    let operations: Vec<OperationShape> = operations.iter().map(OperationShape::of).collect();
    let mut agents = agents::seen(&api, &caller).await?;
    agents.retain(|agent| agent.state != "revoked");
    // Servers that share a database do not know which agents are connected to the others.
    let away = agents.iter().filter(|agent| api.data.dir.is_some() && !agent.connected);
    let problems = problems(&sites, &stacks, &operations, away);
    let controller = api.data.store.controller().to_string();
    let release = env!("CARGO_PKG_VERSION");
    Ok(axum::Json(Overview { sites, stacks, operations, agents, problems, controller, release }))
}

/// The stacks that the caller may see, with their rules and the last looks at them.
pub(super) async fn summaries(api: &Api, caller: &Caller) -> Result<Vec<StackSummary>, Problem> {
    let store = &api.data.store;
    let last: BTreeMap<_, LooksAt> =
        store.looks().await?.into_iter().map(|looks| (looks.stack.clone(), looks)).collect();
    let rules: BTreeMap<_, _> = store.stack_policies().await?.into_iter().collect();
    let mut stacks = store.stacks().await?;
    stacks.retain(|stack| caller.may(Right::Read, &[AccessPath::Stack(stack.name.clone())]));
    let shape = |stack: &rl_store::StackRecord| {
        let (looks, rules) = (last.get(&stack.name), rules.get(&stack.name));
        let drift = looks.and_then(|looks| looks.drift.as_ref());
        let proof = looks.and_then(|looks| looks.proof.as_ref());
        StackSummary {
            stack: StackShape::of(stack),
            protected: rules.is_some_and(|rules| rules.protected),
            owner: rules.and_then(|rules| rules.owner.as_ref()).map(ToString::to_string),
            drift: drift.map(|look| DriftLook { checked_at_ms: look.at.0, count: look.faults }),
            proof: proof.map(|look| ProofLook { at_ms: look.at.0, ok: look.ok }),
        }
    };
    Ok(stacks.iter().map(shape).collect())
}

/// What is wrong now, worst first.
fn problems<'a>(
    sites: &[SiteSummary],
    stacks: &[StackSummary],
    operations: &[OperationShape],
    away: impl Iterator<Item = &'a AgentShape>,
) -> Vec<Trouble> {
    let trouble = |level, what, place: String, hint: &str| Trouble {
        level,
        what,
        place: Some(place),
        hint: (!hint.is_empty()).then(|| hint.to_owned()),
    };
    let mut found = Vec::new();
    for site in sites {
        let place = format!("/v1/sites/{}", site.name);
        if let Some(why) = &site.why {
            let hint = "the check of the site tells what is wrong with the connection";
            found.push(trouble("error", format!("site {} cannot be read: {why}", site.name), place.clone(), hint));
        }
        if site.quorate == Some(false) {
            found.push(trouble(
                "error",
                format!("site {} has no quorum: nothing can be changed there", site.name),
                place.clone(),
                "",
            ));
        }
        for node in site.nodes.iter().filter(|node| !node.online) {
            found.push(trouble(
                "error",
                format!("node {} of site {} does not answer", node.name, site.name),
                place.clone(),
                "",
            ));
        }
    }
    for operation in operations.iter().filter(|operation| operation.state == "blocked") {
        let place = format!("/v1/operations/{}", operation.id);
        found.push(trouble(
            "blocked",
            format!("{}: a person must act", operation.summary),
            place,
            "its jobs tell what to do; then try again",
        ));
    }
    for stack in stacks {
        let (name, place) = (&stack.stack.name, format!("/v1/stacks/{}", stack.stack.name));
        if stack.proof.as_ref().is_some_and(|proof| !proof.ok) {
            found.push(trouble(
                "error",
                format!("stack {name} was not proven"),
                place.clone(),
                "its proof tells what is otherwise",
            ));
        }
        if let Some(drift) = stack.drift.as_ref().filter(|drift| drift.count > 0) {
            let text = format!("stack {name} is no longer as it was applied: {} differences", drift.count);
            found.push(trouble("warning", text, place, "plan it again to mend it"));
        }
    }
    for agent in away {
        let text = format!("the agent on node {} of site {} is not connected", agent.node, agent.site);
        let hint = "no secrets are delivered to guests of that node, and no commands run in them, until it comes back";
        found.push(trouble("warning", text, format!("/v1/sites/{}", agent.site), hint));
    }
    found
}

/// Where everything lies.
#[derive(Debug, Serialize, ToSchema)]
struct Topology {
    /// The sites.
    sites: Vec<SitePlace>,
}

/// A site with its nodes.
#[derive(Debug, Serialize, ToSchema)]
struct SitePlace {
    /// Its name.
    name: String,
    /// Where it stands.
    datacenter: Option<String>,
    /// Why it cannot be read, when it cannot.
    why: Option<String>,
    /// Its nodes.
    nodes: Vec<NodePlace>,
}

/// A node with its guests.
#[derive(Debug, Serialize, ToSchema)]
struct NodePlace {
    /// Its name.
    name: String,
    /// Whether it answers.
    online: bool,
    /// The guests on it.
    guests: Vec<GuestPlace>,
}

/// A guest where it lies.
#[derive(Debug, Serialize, ToSchema)]
struct GuestPlace {
    /// Its identity; none for one that is not ours.
    id: Option<String>,
    /// Its VMID.
    vmid: u32,
    /// Its name.
    name: String,
    /// Its stack.
    stack: Option<String>,
    /// `running`, `stopped` or `unknown`.
    state: String,
    /// Whether the last look found it otherwise than it was applied.
    drifted: bool,
    /// `container` or `vm`.
    kind: String,
}

/// Sites, nodes and the guests on them, ours and others.
#[utoipa::path(get, path = "/v1/topology", tag = "overview",
    responses((status = 200, description = "Where everything lies", body = Topology)))]
async fn topology(State(api): State<Api>, caller: Caller) -> Result<axum::Json<Topology>, Problem> {
    let (sites, looks) = sites(&api, &caller).await?;
    let records = api.data.store.all_guests().await?;
    let ours: BTreeMap<(SiteName, Vmid), &GuestRecord> =
        records.iter().map(|record| ((record.site.clone(), record.vmid), record)).collect();
    let drifted = guests::drifted(&api.data.store).await?;
    let guest = |site: &SiteName, guest: &ObservedGuest| {
        let place = (site.clone(), guest.vmid);
        let record = ours.get(&place).filter(|r| guest.has_stamp_tag(&rl_model::Stamp::tag_of(&r.id)));
        GuestPlace {
            id: record.map(|record| record.id.to_string()),
            vmid: guest.vmid.into(),
            name: guest.name.clone(),
            stack: record.map(|record| record.stack.to_string()),
            state: status(guest.status).to_owned(),
            drifted: drifted.contains(&place),
            kind: if guest.kind == rl_model::GuestKind::Vm { "vm" } else { "container" }.to_owned(),
        }
    };
    let place = |site: &Site| {
        let look = looks[&site.name].as_ref();
        let nodes = look.as_ref().ok().into_iter().flat_map(|seen| {
            seen.nodes.iter().map(|(name, node)| NodePlace {
                name: name.to_string(),
                online: node.online,
                guests: seen.guests.values().filter(|g| g.node == *name).map(|g| guest(&site.name, g)).collect(),
            })
        });
        SitePlace {
            name: site.name.to_string(),
            datacenter: site.datacenter.as_ref().map(ToString::to_string),
            why: look.as_ref().err().cloned(),
            nodes: nodes.collect(),
        }
    };
    Ok(axum::Json(Topology { sites: sites.iter().map(place).collect() }))
}
