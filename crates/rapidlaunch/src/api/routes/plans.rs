//! Plans: made, shown, approved by another person, applied once, or let go.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use rl_engine::{Ids, SystemClock};
use rl_model::{AccessPath, NoteLevel, Right, SiteName, StackName};
use rl_store::{NewPlan, PlanQuery, PlanRecord, PlanState, StoredPlanId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::policy::PolicyBody;
use crate::api::Api;
use crate::api::caller::Caller;
use crate::api::deeds::{Answer, Asked, Keyed};
use crate::api::extract::{Accepted, At, Page, PageQuery, Params, named, parsed};
use crate::api::files::{self, FileText};
use crate::api::problem::{Code, Problem, ProblemBody};
use crate::out::Out;
use crate::work::kept_plan::KeptPlan;
use crate::work::operate::Startable;
use crate::work::planning::{self, Planned, Subject};

/// How long a plan waits for somebody to apply it: the world moves on, and a plan that is made again costs a few seconds.
const PLAN_LASTS: Duration = Duration::from_secs(24 * 3600);

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(preview))
        .routes(routes!(show, discard))
        .routes(routes!(approve))
        .routes(routes!(apply))
}

/// What to plan: files, or a stack that was applied before.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PlanBody {
    /// Stack files, and site files for whoever may declare sites.
    #[serde(default)]
    files: Vec<FileText>,
    /// The stack: one that was applied before, or the one of the files to take.
    #[serde(default)]
    stack: Option<String>,
    /// Plan that the whole stack is taken away.
    #[serde(default)]
    destroy: bool,
    /// Read the configuration of every guest, however many there are.
    #[serde(default)]
    deep: bool,
    /// What a person allows.
    #[serde(default)]
    policy: PolicyBody,
}

/// A plan.
#[derive(Debug, Serialize, ToSchema)]
struct PlanShape {
    /// Its id.
    id: String,
    /// The stack.
    stack: String,
    /// `open`, `approved`, `applied`, `discarded` or `expired`.
    state: String,
    /// Who planned.
    author: String,
    /// When it was made.
    created_at_ms: u64,
    /// Until when it may be applied.
    expires_at_ms: u64,
    /// The revision it was made from.
    base_revision: u64,
    /// It changes nothing.
    empty: bool,
    /// Something stands in its way.
    blocked: bool,
    /// It takes the stack away.
    destroy: bool,
    /// Another person must approve it.
    needs_approval: bool,
    /// Who approved it.
    approved_by: Option<String>,
    /// What carries it out.
    operation: Option<String>,
    /// The plan, as `rapidlaunch plan --output json` prints it; null in lists.
    #[schema(value_type = Option<Object>)]
    document: Option<serde_json::Value>,
}

impl PlanShape {
    fn of(record: &PlanRecord, kept: Option<&KeptPlan>) -> Self {
        Self {
            id: record.id.to_string(),
            stack: record.stack.to_string(),
            state: record.state.as_str().to_owned(),
            author: record.author.clone(),
            created_at_ms: record.created_at.0,
            expires_at_ms: record.expires_at.0,
            base_revision: record.base_revision,
            empty: record.empty,
            blocked: record.blocked,
            destroy: record.destroy,
            needs_approval: record.needs_approval,
            approved_by: record.approved_by.clone(),
            operation: record.operation.map(|id| id.to_string()),
            document: kept.map(|kept| crate::shape::plan::document(&kept.plan, &kept.report)),
        }
    }
}

/// Plans what was asked for.
async fn planned(api: &Api, caller: &Caller, body: PlanBody) -> Result<Planned, Problem> {
    caller.need_somewhere(Right::Deploy)?;
    let name: Option<StackName> = body.stack.as_deref().map(|name| parsed("stack", name)).transpose()?;
    let subject = subject(api, caller, body.files, name.as_ref()).await?;
    let [name] = subject.stacks.as_slice() else {
        return Err(
            Problem::new(Code::INPUT, "the files declare several stacks: a plan is for one").hint("name it in `stack`")
        );
    };
    caller.need(Right::Deploy, &[AccessPath::Stack(name.clone())], "stack", name.as_str())?;
    for site in subject.manifest.stacks[name].sites() {
        let site: SiteName = site;
        caller.need(Right::Read, &[AccessPath::Site(site.clone())], "site", site.as_str())?;
    }
    super::secrets::may_grant(api, caller, name, &subject.manifest.stacks[name]).await?;
    let (policy, out) = (body.policy.policy()?, Out::silent());
    Ok(if body.destroy {
        planning::plan_destroy(&api.data, &subject, name, &policy, &out).await?
    } else {
        planning::plan(&api.data, &subject, name, &policy, body.deep, &out).await?
    })
}

async fn subject(
    api: &Api,
    caller: &Caller,
    files: Vec<FileText>,
    name: Option<&StackName>,
) -> Result<Subject, Problem> {
    match (files.is_empty(), name) {
        (true, None) => Err(Problem::new(Code::INPUT, "nothing to plan: give `files`, or the name of a `stack`")),
        (true, Some(name)) => {
            caller.need(Right::Deploy, &[AccessPath::Stack(name.clone())], "stack", name.as_str())?;
            Ok(planning::of_stored(&api.data, name).await?)
        }
        (false, name) => {
            let inputs = files::parse(api, caller, files).await?;
            Ok(planning::of_inputs(&api.data, inputs, name).await?)
        }
    }
}

/// Plans without keeping the plan, for planning while somebody types.
#[utoipa::path(post, path = "/v1/plans/preview", tag = "plans", request_body = PlanBody,
    responses((status = 200, description = "The plan, as `rapidlaunch plan --output json` prints it", body = Object),
        (status = 502, description = "A site cannot be read", body = ProblemBody, content_type = "application/problem+json")))]
async fn preview(
    State(api): State<Api>,
    caller: Caller,
    crate::api::extract::Json(body): crate::api::extract::Json<PlanBody>,
) -> Result<axum::Json<serde_json::Value>, Problem> {
    let planned = planned(&api, &caller, body).await?;
    Ok(axum::Json(crate::shape::plan::document(&planned.plan, &planned.report)))
}

/// Makes a plan, which then waits to be applied. Nothing is reserved or changed.
#[utoipa::path(post, path = "/v1/plans", tag = "plans", request_body = PlanBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Names the request; needed with an API token")),
    responses((status = 201, description = "The plan", body = PlanShape, headers(("Location" = String, description = "The plan"))),
        (status = 502, description = "A site cannot be read", body = ProblemBody, content_type = "application/problem+json")))]
async fn create(State(api): State<Api>, keyed: Keyed<PlanBody>) -> Result<Response, Problem> {
    let Keyed { body, asked } = keyed;
    if let Some(response) = asked.before(&api).await? {
        return Ok(response);
    }
    let planned = planned(&api, &asked.caller, body).await?;
    let blocked = planned.report.is_blocked();
    let protected = api.data.store.stack_policy(&planned.plan.stack).await?.protected;
    let kept = KeptPlan::of(planned);
    let id = StoredPlanId::made(&Ids::from_os(Arc::new(SystemClock::new())));
    let new = NewPlan {
        id,
        stack: kept.plan.stack.clone(),
        author: asked.caller.name.clone(),
        base_revision: kept.plan.base_revision,
        destroy: kept.plan.destroy,
        empty: kept.plan.is_empty(),
        blocked,
        needs_approval: protected,
        lasts: PLAN_LASTS,
        document: kept.envelope()?,
    };
    let now = crate::work::runner::now();
    let shape = PlanShape {
        id: id.to_string(),
        stack: new.stack.to_string(),
        state: PlanState::Open.as_str().to_owned(),
        author: new.author.clone(),
        created_at_ms: now.0,
        expires_at_ms: now.0 + u64::try_from(PLAN_LASTS.as_millis()).unwrap_or_default(),
        base_revision: new.base_revision,
        empty: new.empty,
        blocked,
        destroy: new.destroy,
        needs_approval: protected,
        approved_by: None,
        operation: None,
        document: Some(crate::shape::plan::document(&kept.plan, &kept.report)),
    };
    let answer = Answer::new(StatusCode::CREATED, Some(format!("/v1/plans/{id}")), &shape)?;
    let after = json!({ "plan": kept.plan.id, "actions": kept.plan.actions.len(), "destroy": new.destroy });
    let deed = asked.deed("plan.create", format!("/stacks/{}", new.stack), Some(after), &answer);
    let tried = api.data.store.put_plan(new, deed).await;
    asked.answered(&api, tried, answer).await
}

/// Which plans.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only of this stack.
    stack: Option<String>,
    /// Only in this state: `open`, `approved`, `applied`, `discarded` or `expired`.
    state: Option<String>,
}

/// Plans, newest first.
#[utoipa::path(get, path = "/v1/plans", tag = "plans", params(Filter, PageQuery),
    responses((status = 200, description = "A page of plans", body = Page<PlanShape>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(filter): Params<Filter>,
    Params(page): Params<PageQuery>,
) -> Result<Page<PlanShape>, Problem> {
    let limit = page.limit()?;
    let stack: Option<StackName> = filter.stack.as_deref().map(|name| parsed("stack", name)).transpose()?;
    let state: Option<PlanState> = filter.state.as_deref().map(|state| parsed("state", state)).transpose()?;
    let mut before: Option<StoredPlanId> = match page.cursor.as_deref() {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| Problem::new(Code::MALFORMED, "`cursor` is none"))?),
    };
    let mut items = Vec::new();
    loop {
        let query = PlanQuery { stack: stack.clone(), state, before, limit: limit + 1 };
        let records = api.data.store.plans(query).await?;
        let last = records.len() <= limit;
        for record in &records {
            if items.len() == limit {
                return Ok(Page { items, next: before.map(|id| id.to_string()) });
            }
            before = Some(record.id);
            if caller.may(Right::Read, &[AccessPath::Stack(record.stack.clone())]) {
                items.push(PlanShape::of(record, None));
            }
        }
        if last {
            return Ok(Page { items, next: None });
        }
    }
}

pub(super) async fn find(
    api: &Api,
    caller: &Caller,
    id: &str,
    right: Right,
) -> Result<(PlanRecord, KeptPlan), Problem> {
    let id: StoredPlanId = named("plan", id)?;
    let (record, envelope) = api.data.store.plan(id).await?.ok_or_else(|| Problem::not_found("plan", id))?;
    caller.need(right, &[AccessPath::Stack(record.stack.clone())], "plan", &id.to_string())?;
    Ok((record, KeptPlan::read(&envelope)?))
}

/// A plan.
#[utoipa::path(get, path = "/v1/plans/{plan}", tag = "plans", params(("plan" = String, Path)),
    responses((status = 200, description = "The plan", body = PlanShape)))]
async fn show(State(api): State<Api>, caller: Caller, At(id): At<String>) -> Result<axum::Json<PlanShape>, Problem> {
    let (record, kept) = find(&api, &caller, &id, Right::Read).await?;
    Ok(axum::Json(PlanShape::of(&record, Some(&kept))))
}

/// Lets a plan go.
#[utoipa::path(delete, path = "/v1/plans/{plan}", tag = "plans", params(("plan" = String, Path)),
    responses((status = 200, description = "The plan", body = PlanShape)))]
async fn discard(State(api): State<Api>, caller: Caller, At(id): At<String>) -> Result<axum::Json<PlanShape>, Problem> {
    let (record, _) = find(&api, &caller, &id, Right::Deploy).await?;
    let audit = crate::api::deeds::audit(&caller, "plan.discard", format!("/stacks/{}", record.stack), None);
    let record = api.data.store.discard_plan(record.id, audit.into()).await?;
    Ok(axum::Json(PlanShape::of(&record, None)))
}

/// Approves a plan of somebody else.
#[utoipa::path(post, path = "/v1/plans/{plan}/approve", tag = "plans", params(("plan" = String, Path)),
    responses((status = 200, description = "The plan", body = PlanShape)))]
async fn approve(State(api): State<Api>, caller: Caller, At(id): At<String>) -> Result<axum::Json<PlanShape>, Problem> {
    let (record, _) = find(&api, &caller, &id, Right::Approve).await?;
    let after = json!({ "plan": record.id.to_string(), "author": record.author });
    let audit = crate::api::deeds::audit(&caller, "plan.approve", format!("/stacks/{}", record.stack), Some(after));
    let record = api.data.store.approve_plan(record.id, &caller.name, audit.into()).await?;
    Ok(axum::Json(PlanShape::of(&record, None)))
}

/// How a plan is applied.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ApplyBody {
    /// Carry out what can be done, and leave out what is blocked.
    #[serde(default)]
    partial: bool,
}

/// Applies a plan: starts the operation that carries it out. A plan is applied once.
#[utoipa::path(post, path = "/v1/plans/{plan}/apply", tag = "plans", request_body = Option<ApplyBody>,
    params(("plan" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "Names the request; needed with an API token")),
    responses((status = 202, description = "Accepted: the operation", body = Accepted, headers(("Location" = String, description = "The operation")))))]
async fn apply(State(api): State<Api>, At(id): At<String>, keyed: Keyed<ApplyBody>) -> Result<Response, Problem> {
    let Keyed { body, asked } = keyed;
    if let Some(response) = asked.before(&api).await? {
        return Ok(response);
    }
    let (record, kept) = find(&api, &asked.caller, &id, Right::Deploy).await?;
    refuse_blocked(&kept, body.partial)?;
    start(&api, &asked, &record, &kept).await
}

/// A plan that a person must help along is not begun, unless the rest of it was asked for.
fn refuse_blocked(kept: &KeptPlan, partial: bool) -> Result<(), Problem> {
    if !kept.report.is_blocked() {
        return Ok(());
    }
    let general = kept.report.notes.iter().any(|note| note.level == NoteLevel::Blocked && note.guest.is_none());
    if partial && !general {
        return Ok(());
    }
    let problem = Problem::new(Code::BLOCKED, "a part of the plan is blocked until a person acts; nothing was begun")
        .details(crate::shape::plan::document(&kept.plan, &kept.report));
    Err(if general { problem } else { problem.hint("carry out the rest with `partial`") })
}

async fn start(api: &Api, asked: &Asked, record: &PlanRecord, kept: &KeptPlan) -> Result<Response, Problem> {
    let startable =
        Startable { plan: &kept.plan, declared: &kept.declared, keepers: &kept.keepers, manifest: &kept.manifest };
    let kind = if kept.plan.destroy { "destroy" } else { "apply" };
    let (spec, mut start) = startable.prepare(kind, asked.caller.name.clone())?;
    start.plan = Some(record.id);
    let accepted = Accepted { operation: spec.id.to_string() };
    let location = format!("/v1/operations/{}", accepted.operation);
    let answer = Answer::new(StatusCode::ACCEPTED, Some(location), &accepted)?;
    let after = json!({ "plan": record.id.to_string(), "operation": accepted.operation });
    let deed = asked.deed(&format!("stack.{kind}"), format!("/stacks/{}", record.stack), Some(after), &answer);
    startable.keep_sites(&api.data).await?;
    let tried = api.data.store.start_operation(spec, Some(start), Some(deed)).await;
    asked.answered(api, tried, answer).await
}
