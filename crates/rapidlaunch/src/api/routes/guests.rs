//! Guests: what there is, and what is done to one.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use rl_engine::{Ids, SystemClock};
use rl_model::{AccessPath, GuestId, Right};
use rl_ops::{GuestVerb, compile_guest};
use rl_store::GuestRecord;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::Api;
use crate::api::caller::Caller;
use crate::api::deeds::{Answer, Asked, Keyed};
use crate::api::extract::{Accepted, At, Page, PageQuery, Params, named};
use crate::api::problem::{Code, Problem};
use crate::error::CommandError;
use crate::out::Out;
use crate::shape::guest::{GuestDetails, GuestShape, Snapshots};
use crate::work::{guests, operate};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(act)).routes(routes!(snapshots))
}

/// Which guests.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only those whose name, stack, site, node, VMID or address holds this.
    q: Option<String>,
    /// Only of this stack.
    stack: Option<String>,
    /// Only on this site.
    site: Option<String>,
    /// Only in this state: `running`, `stopped`, `reserved`, `gone` or `unknown`.
    state: Option<String>,
}

impl Filter {
    fn fits(&self, guest: &GuestShape) -> bool {
        let is = |wanted: &Option<String>, have: &str| wanted.as_deref().is_none_or(|wanted| wanted == have);
        let holds = |q: &String| {
            let q = q.to_lowercase();
            let vmid = guest.vmid.to_string();
            let texts = [&guest.name, &guest.stack, &guest.site, &guest.node, &vmid];
            texts.into_iter().chain(&guest.addresses).any(|text| text.contains(&q))
        };
        is(&self.stack, &guest.stack)
            && is(&self.site, &guest.site)
            && is(&self.state, &guest.state)
            && self.q.as_ref().is_none_or(holds)
    }
}

/// The paths a guest lies under.
pub(super) fn paths(guest: &GuestRecord) -> [AccessPath; 2] {
    [AccessPath::Stack(guest.stack.clone()), AccessPath::Site(guest.site.clone())]
}

/// The guests that the caller may see: to anybody else there are no others.
pub(super) async fn readable(api: &Api, caller: &Caller) -> Result<Vec<GuestRecord>, Problem> {
    let mut all = api.data.store.all_guests().await?;
    all.retain(|record| caller.may(Right::Read, &paths(record)));
    Ok(all)
}

/// Every guest that the caller may see, as the sites show it now.
pub(super) async fn seen(api: &Api, caller: &Caller) -> Result<Vec<GuestShape>, Problem> {
    let records = readable(api, caller).await?;
    let mut sites = api.data.sites().await?;
    sites.retain(|site| records.iter().any(|record| record.site == site.name));
    let looks = api.looks.all(&api.data, &sites).await;
    let drifted = guests::drifted(&api.data.store).await?;
    let shape = |record: &GuestRecord| {
        let site = looks.get(&record.site).and_then(|look| look.as_ref().as_ref().ok());
        guests::as_seen(record, site, &drifted)
    };
    Ok(records.iter().map(shape).collect())
}

/// Guests by stack and name, as the sites show them now.
#[utoipa::path(get, path = "/v1/guests", tag = "guests", params(Filter, PageQuery),
    responses((status = 200, description = "A page of guests", body = Page<GuestShape>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(filter): Params<Filter>,
    Params(page): Params<PageQuery>,
) -> Result<Page<GuestShape>, Problem> {
    page.limit()?;
    let all = seen(&api, &caller).await?.into_iter().filter(|guest| filter.fits(guest)).collect();
    page.cut(all, |guest| format!("{}/{}", guest.stack, guest.name))
}

async fn find(api: &Api, caller: &Caller, id: &str, right: Right) -> Result<GuestRecord, Problem> {
    let id: GuestId = named("guest", id)?;
    let record = api.data.store.guest(&id).await?.filter(|record| record.removed_at.is_none());
    let record = record.ok_or_else(|| Problem::not_found("guest", &id))?;
    caller.need(right, &paths(&record), "guest", id.as_str())?;
    Ok(record)
}

/// A guest with its configuration, as it was applied and as it is, its firewall and what its node did with it.
#[utoipa::path(get, path = "/v1/guests/{guest}", tag = "guests", params(("guest" = String, Path, description = "Its id")),
    responses((status = 200, description = "The guest", body = GuestDetails),
        (status = 502, description = "Its site cannot be read", body = crate::api::problem::ProblemBody, content_type = "application/problem+json")))]
async fn show(State(api): State<Api>, caller: Caller, At(id): At<String>) -> Result<axum::Json<GuestDetails>, Problem> {
    let record = find(&api, &caller, &id, Right::Read).await?;
    Ok(axum::Json(guests::details(&api.data, &record, &Out::silent()).await?))
}

/// What is done to a guest.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ActionBody {
    /// Which.
    action: ActionWord,
    /// Name of the snapshot, for what is done with one.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,39}$")]
    snapshot: Option<String>,
}

/// What can be done to a guest.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ActionWord {
    /// Start it.
    Start,
    /// Shut it down.
    Stop,
    /// Shut it down and start it again.
    Restart,
    /// Make a snapshot.
    SnapshotCreate,
    /// Remove a snapshot.
    SnapshotRemove,
    /// Return to a snapshot; what was written since is lost.
    SnapshotRollback,
}

impl ActionWord {
    /// What the audit calls it.
    fn action(self) -> &'static str {
        match self {
            ActionWord::Start => "guest.start",
            ActionWord::Stop => "guest.stop",
            ActionWord::Restart => "guest.restart",
            ActionWord::SnapshotCreate => "guest.snapshot_create",
            ActionWord::SnapshotRemove => "guest.snapshot_remove",
            ActionWord::SnapshotRollback => "guest.snapshot_rollback",
        }
    }
}

impl ActionBody {
    fn verb(self) -> Result<GuestVerb, Problem> {
        let plain = match self.action {
            ActionWord::Start => Some(GuestVerb::Start),
            ActionWord::Stop => Some(GuestVerb::Stop),
            ActionWord::Restart => Some(GuestVerb::Restart),
            _ => None,
        };
        match (plain, self.snapshot) {
            (Some(verb), None) => Ok(verb),
            (Some(_), Some(_)) => Err(Problem::new(Code::INPUT, "`snapshot` belongs to what is done with one")),
            (None, None) => Err(Problem::new(Code::INPUT, "`snapshot` is missing: name the snapshot")),
            (None, Some(name)) => {
                let name = snapshot_name(name)?;
                Ok(match self.action {
                    ActionWord::SnapshotRemove => GuestVerb::SnapshotRemove { name },
                    ActionWord::SnapshotRollback => GuestVerb::SnapshotRollback { name },
                    _ => GuestVerb::SnapshotCreate { name },
                })
            }
        }
    }
}

/// Longest name of a snapshot (Proxmox: `pve-configid`, 40 characters).
const SNAPSHOT_LEN_MAX: usize = 40;

fn snapshot_name(name: String) -> Result<String, Problem> {
    let fits = name.len() <= SNAPSHOT_LEN_MAX
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if fits {
        return Ok(name);
    }
    let rule = "it begins with a letter, and has at most 40 letters, digits, `-` and `_`";
    Err(Problem::new(Code::INPUT, format!("`{name}` is no name of a snapshot: {rule}")))
}

/// Starts an operation on a guest.
#[utoipa::path(post, path = "/v1/guests/{guest}/actions", tag = "guests", params(("guest" = String, Path, description = "Its id"), ("Idempotency-Key" = Option<String>, Header, description = "Names the request; needed with an API token")),
    request_body = ActionBody,
    responses((status = 202, description = "Accepted: the operation", body = Accepted, headers(("Location" = String, description = "The operation")))))]
async fn act(State(api): State<Api>, At(id): At<String>, keyed: Keyed<ActionBody>) -> Result<Response, Problem> {
    let Keyed { body, asked } = keyed;
    let acted = start(&api, &asked, &id, body).await;
    asked.unless_answered(&api, acted).await
}

async fn start(api: &Api, asked: &Asked, id: &str, body: ActionBody) -> Result<Response, Problem> {
    let record = find(api, &asked.caller, id, Right::Operate).await?;
    let (action, verb) = (body.action.action(), body.verb()?);
    let target = guests::target(&api.data, &record)?;
    let ids = Ids::from_os(Arc::new(SystemClock::new()));
    let job = compile_guest(target, verb, &ids)
        .map_err(|error| CommandError::failed("the job cannot be written down").because(error))?;
    let summary = job.key.clone();
    let mut spec = operate::on_guest(&ids, &record.site, &record.stack, summary.clone(), job)?;
    spec.actor.clone_from(&asked.caller.name);
    let accepted = Accepted { operation: spec.id.to_string() };
    let location = format!("/v1/operations/{}", accepted.operation);
    let answer = Answer::new(StatusCode::ACCEPTED, Some(location), &accepted)?;
    let after = serde_json::json!({ "what": summary, "operation": accepted.operation });
    let deed = asked.deed(action, format!("/stacks/{}", record.stack), Some(after), &answer);
    let tried = api.data.store.start_operation(spec, None, Some(deed)).await;
    asked.answered(api, tried, answer).await
}

/// The snapshots of a guest, as its site lists them.
#[utoipa::path(get, path = "/v1/guests/{guest}/snapshots", tag = "guests", params(("guest" = String, Path, description = "Its id")),
    responses((status = 200, description = "Names of snapshots", body = Snapshots),
        (status = 502, description = "Its site cannot be read", body = crate::api::problem::ProblemBody, content_type = "application/problem+json")))]
async fn snapshots(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<String>,
) -> Result<axum::Json<Snapshots>, Problem> {
    let record = find(&api, &caller, &id, Right::Read).await?;
    let items = guests::snapshots(&api.data, &record, &Out::silent()).await?;
    Ok(axum::Json(Snapshots { items }))
}
