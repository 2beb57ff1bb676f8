//! Stacks: what was declared, what it has become, and how the two compare.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use rl_model::{AccessPath, Right, StackName};
use rl_store::{StackPolicy, StackRecord};
use serde::{Deserialize, Serialize};
use similar::TextDiff;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::overview::{StackSummary, summaries};
use crate::api::Api;
use crate::api::caller::Caller;
use crate::api::deeds::audit;
use crate::api::etag::{IfMatch, etag};
use crate::api::extract::{At, Json, Page, PageQuery, Params, named, parsed};
use crate::api::problem::{Code, Problem, ProblemBody};
use crate::out::Out;
use crate::shape::stack::{DriftShape, StackDeclaration, StackRules, StackShape};
use crate::work::compare;
use crate::work::data::Data;
use crate::work::planning::StoredManifest;
use crate::work::rules::{self, RulesChange};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, govern))
        .routes(routes!(revisions))
        .routes(routes!(revision))
        .routes(routes!(diff))
        .routes(routes!(verify))
        .routes(routes!(proof))
        .routes(routes!(drift))
}

/// Stacks by name, with their rules and the last looks at them.
#[utoipa::path(get, path = "/v1/stacks", tag = "stacks", params(PageQuery),
    responses((status = 200, description = "A page of stacks", body = Page<StackSummary>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(page): Params<PageQuery>,
) -> Result<Page<StackSummary>, Problem> {
    page.limit()?;
    page.cut(summaries(&api, &caller).await?, |summary| summary.stack.name.clone())
}

/// A stack with what was declared and what it has become.
#[derive(Debug, Serialize, ToSchema)]
struct StackWhole {
    #[serde(flatten)]
    stack: StackShape,
    /// Who may do what to it.
    #[serde(flatten)]
    rules: StackRules,
    /// What was declared last.
    manifest: StackDeclaration,
    /// The stack as it was applied last, with every value filled in.
    #[schema(value_type = Option<Object>)]
    resolved: Option<rl_model::ResolvedStack>,
}

/// A file as it was sent.
#[derive(Debug, Serialize, ToSchema)]
struct ManifestText {
    /// Its name.
    file: String,
    /// Its text.
    text: String,
}

fn stored(text: &str) -> Result<StoredManifest, Problem> {
    serde_json::from_str(text)
        .map_err(|error| Problem::new(Code::FAILED, format!("a stored declaration cannot be read: {error}")))
}

async fn find(api: &Api, caller: &Caller, name: &str, right: Right) -> Result<StackRecord, Problem> {
    let name: StackName = named("stack", name)?;
    caller.need(right, &[AccessPath::Stack(name.clone())], "stack", name.as_str())?;
    api.data.store.stack(&name).await?.ok_or_else(|| Problem::not_found("stack", &name))
}

/// A stack.
#[utoipa::path(get, path = "/v1/stacks/{stack}", tag = "stacks", params(("stack" = String, Path)),
    responses((status = 200, description = "The stack", body = StackWhole)))]
async fn show(State(api): State<Api>, caller: Caller, At(name): At<String>) -> Result<Response, Problem> {
    let record = find(&api, &caller, &name, Right::Read).await?;
    let policy = api.data.store.stack_policy(&record.name).await?;
    whole(record, &policy)
}

fn whole(record: StackRecord, policy: &StackPolicy) -> Result<Response, Problem> {
    let manifest = StackDeclaration::of(stored(&record.manifest)?);
    let (stack, rules) = (StackShape::of(&record), StackRules::of(policy));
    let whole = StackWhole { stack, rules, manifest, resolved: record.applied };
    Ok((etag(policy.version), axum::Json(whole)).into_response())
}

/// Rules to be changed; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RulesBody {
    /// Whether its plans need the approval of another person than their author.
    protected: Option<bool>,
    /// Whose quota counts it; null for nobody's.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    owner: Option<Option<String>>,
}

/// A field that is there, be it null.
fn given<'de, D: serde::Deserializer<'de>>(field: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(field).map(Some)
}

/// Changes the rules of a stack.
#[utoipa::path(patch, path = "/v1/stacks/{stack}", tag = "stacks", params(("stack" = String, Path), IfMatch),
    request_body = RulesBody,
    responses((status = 200, description = "The stack", body = StackWhole)))]
async fn govern(
    State(api): State<Api>,
    caller: Caller,
    At(name): At<String>,
    headers: HeaderMap,
    Json(body): Json<RulesBody>,
) -> Result<Response, Problem> {
    let record = find(&api, &caller, &name, Right::Admin).await?;
    let seen = IfMatch::of(&headers)?;
    let owner = body.owner.map(|owner| owner.as_deref().map(|owner| parsed("owner", owner)).transpose()).transpose()?;
    let change = RulesChange { protected: body.protected, owner };
    let by = audit(&caller, "stack.govern", format!("/stacks/{}", record.name), None);
    let policy = rules::change(&api.data, &record.name, &change, seen, &by).await?;
    whole(record, &policy)
}

/// A revision: what one operation set out to do.
#[derive(Debug, Serialize, ToSchema)]
struct RevisionShape {
    /// Its number, from 1.
    revision: u64,
    /// The operation.
    operation: String,
    /// Who started it.
    actor: String,
    /// When.
    created_at_ms: u64,
    /// What was declared.
    manifest: ManifestText,
}

async fn read_revision(data: &Data, stack: &StackName, number: u64) -> Result<Option<RevisionShape>, Problem> {
    let Some(record) = data.store.revision(stack, number).await? else { return Ok(None) };
    let StoredManifest { file, text, .. } = stored(&record.manifest)?;
    Ok(Some(RevisionShape {
        revision: record.revision,
        operation: record.operation.to_string(),
        actor: record.actor,
        created_at_ms: record.created_at.0,
        manifest: ManifestText { file, text },
    }))
}

/// The revisions of a stack, newest first.
#[utoipa::path(get, path = "/v1/stacks/{stack}/revisions", tag = "stacks", params(("stack" = String, Path), PageQuery),
    responses((status = 200, description = "A page of revisions", body = Page<RevisionShape>)))]
async fn revisions(
    State(api): State<Api>,
    caller: Caller,
    At(name): At<String>,
    Params(page): Params<PageQuery>,
) -> Result<Page<RevisionShape>, Problem> {
    let limit = page.limit()?;
    let record = find(&api, &caller, &name, Right::Read).await?;
    let mut number = match page.cursor.as_deref() {
        None => record.revision,
        Some(text) => {
            let last: u64 = text.parse().map_err(|_| Problem::new(Code::MALFORMED, "`cursor` is none"))?;
            last.saturating_sub(1).min(record.revision)
        }
    };
    let mut items = Vec::new();
    while number > 0 && items.len() < limit {
        items.extend(read_revision(&api.data, &record.name, number).await?);
        number -= 1;
    }
    let next = items.last().filter(|_| number > 0).map(|last| last.revision.to_string());
    Ok(Page { items, next })
}

/// One revision of a stack.
#[utoipa::path(get, path = "/v1/stacks/{stack}/revisions/{revision}", tag = "stacks",
    params(("stack" = String, Path), ("revision" = u64, Path)),
    responses((status = 200, description = "The revision", body = RevisionShape)))]
async fn revision(
    State(api): State<Api>,
    caller: Caller,
    At((name, number)): At<(String, u64)>,
) -> Result<axum::Json<RevisionShape>, Problem> {
    let record = find(&api, &caller, &name, Right::Read).await?;
    existing(&api.data, &record.name, number).await.map(axum::Json)
}

/// Numbers of revisions are stored as signed ones.
const REVISION_MAX: u64 = i64::MAX as u64;

async fn existing(data: &Data, stack: &StackName, number: u64) -> Result<RevisionShape, Problem> {
    let found = if number <= REVISION_MAX { read_revision(data, stack, number).await? } else { None };
    found.ok_or_else(|| Problem::not_found("revision", number))
}

/// Two revisions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Between {
    /// The older one.
    from: u64,
    /// The newer one.
    to: u64,
}

/// How the declaration changed between two revisions.
#[derive(Debug, Serialize, ToSchema)]
struct DiffShape {
    /// The older one.
    from: u64,
    /// The newer one.
    to: u64,
    /// A unified diff; empty when the two are the same.
    text: String,
}

/// Lines shown around each change.
const CONTEXT_LINES: usize = 3;

/// How the declaration of a stack changed between two revisions.
#[utoipa::path(get, path = "/v1/stacks/{stack}/diff", tag = "stacks", params(("stack" = String, Path), Between),
    responses((status = 200, description = "The difference", body = DiffShape)))]
async fn diff(
    State(api): State<Api>,
    caller: Caller,
    At(name): At<String>,
    Params(Between { from, to }): Params<Between>,
) -> Result<axum::Json<DiffShape>, Problem> {
    let record = find(&api, &caller, &name, Right::Read).await?;
    let (old, new) = (existing(&api.data, &record.name, from).await?, existing(&api.data, &record.name, to).await?);
    let text = TextDiff::from_lines(&old.manifest.text, &new.manifest.text)
        .unified_diff()
        .context_radius(CONTEXT_LINES)
        .header(&format!("revision {from}"), &format!("revision {to}"))
        .to_string();
    Ok(axum::Json(DiffShape { from, to, text }))
}

/// Reads a stack back and compares every item with what was applied last.
#[utoipa::path(post, path = "/v1/stacks/{stack}/verify", tag = "stacks", params(("stack" = String, Path)),
    responses((status = 200, description = "The proof", body = Object),
        (status = 502, description = "A site cannot be read", body = ProblemBody, content_type = "application/problem+json")))]
async fn verify(
    State(api): State<Api>,
    caller: Caller,
    At(name): At<String>,
) -> Result<axum::Json<rl_model::Proof>, Problem> {
    let record = find(&api, &caller, &name, Right::Read).await?;
    let known = api.data.known().await?.sites;
    let proof = compare::prove(&api.data, &known, &record.name, &Out::silent()).await?;
    api.data.store.put_proof(&proof).await?;
    Ok(axum::Json(proof))
}

/// The last proof of a stack: the server makes one after each apply.
#[utoipa::path(get, path = "/v1/stacks/{stack}/proof", tag = "stacks", params(("stack" = String, Path)),
    responses((status = 200, description = "The proof", body = Object)))]
async fn proof(
    State(api): State<Api>,
    caller: Caller,
    At(name): At<String>,
) -> Result<axum::Json<rl_model::Proof>, Problem> {
    let record = find(&api, &caller, &name, Right::Read).await?;
    let proof = api.data.store.proof(&record.name).await?;
    proof.map(axum::Json).ok_or_else(|| Problem::not_found("proof of stack", &record.name))
}

/// Tells what no longer matches the last apply of a stack.
#[utoipa::path(get, path = "/v1/stacks/{stack}/drift", tag = "stacks", params(("stack" = String, Path)),
    responses((status = 200, description = "The differences", body = DriftShape),
        (status = 502, description = "A site cannot be read", body = ProblemBody, content_type = "application/problem+json")))]
async fn drift(
    State(api): State<Api>,
    caller: Caller,
    At(name): At<String>,
) -> Result<axum::Json<DriftShape>, Problem> {
    let record = find(&api, &caller, &name, Right::Read).await?;
    let items = compare::drift(&api.data, &record.name, &Out::silent()).await?;
    api.data.store.put_drift(&record.name, crate::work::runner::now(), &items).await?;
    Ok(axum::Json(DriftShape { items }))
}
