//! Operations: what is being done, and what was.

use axum::extract::State;
use rl_engine::{EventQuery, Journal, OperationId, OperationQuery, OperationRecord, OperationState};
use rl_model::{AccessPath, Right, StackName};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::Api;
use crate::api::caller::Caller;
use crate::api::deeds::audit;
use crate::api::extract::{At, Page, PageQuery, Params, named};
use crate::api::problem::{Code, Problem};
use crate::shape::operation::{EventShape, JobShape, OperationShape, OperationWhole};
use crate::work::runner;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(events))
        .routes(routes!(cancel))
        .routes(routes!(retry))
}

/// Operations looked through for one page by a caller who may see few of them: more would hold up whoever asks next.
const LOOKED_THROUGH_MAX: usize = 5_000;

/// Which operations.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only of this stack.
    stack: Option<String>,
    /// Only in this state: `running`, `blocked`, `done`, `failed`, `cancelled` or `stuck`.
    state: Option<String>,
}

/// The paths an operation lies under.
pub(super) fn paths(subject: &str) -> Vec<AccessPath> {
    subject.parse::<StackName>().map(AccessPath::Stack).into_iter().collect()
}

/// Operations, newest first.
#[utoipa::path(get, path = "/v1/operations", tag = "operations", params(Filter, PageQuery),
    responses((status = 200, description = "A page of operations", body = Page<OperationShape>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(filter): Params<Filter>,
    Params(page): Params<PageQuery>,
) -> Result<Page<OperationShape>, Problem> {
    let limit = page.limit()?;
    let states = match filter.state.as_deref() {
        None => Vec::new(),
        Some(text) => vec![state(text)?],
    };
    let mut before = match page.cursor.as_deref() {
        None => None,
        Some(text) => Some(text.parse::<OperationId>().map_err(|_| Problem::new(Code::MALFORMED, "`cursor` is none"))?),
    };
    let (mut items, mut looked) = (Vec::new(), 0);
    loop {
        let query = OperationQuery { subject: filter.stack.clone(), states: states.clone(), before, limit: limit + 1 };
        let records = api.data.journal().operations(query).await?;
        looked += records.len();
        let last = records.len() <= limit;
        for record in &records {
            if items.len() == limit {
                return Ok(Page { items, next: before.map(|id| id.to_string()) });
            }
            before = Some(record.info.id);
            if caller.may(Right::Read, &paths(&record.info.subject)) {
                items.push(OperationShape::of(record));
            }
        }
        if last || looked >= LOOKED_THROUGH_MAX {
            return Ok(Page { items, next: before.filter(|_| !last).map(|id| id.to_string()) });
        }
    }
}

fn state(text: &str) -> Result<OperationState, Problem> {
    let found = OperationState::ALL.into_iter().find(|state| state.as_str() == text);
    found.ok_or_else(|| Problem::new(Code::MALFORMED, format!("`state`: there is no state `{text}`")))
}

/// The operation of a path, for whoever has the right.
async fn find(api: &Api, caller: &Caller, id: &str, right: Right) -> Result<OperationRecord, Problem> {
    let id: OperationId = named("operation", id)?;
    let record = api.data.journal().operation(id).await?;
    let record = record.ok_or_else(|| Problem::not_found("operation", id))?;
    caller.need(right, &paths(&record.info.subject), "operation", &id.to_string())?;
    Ok(record)
}

async fn whole(journal: &dyn Journal, id: OperationId) -> Result<OperationWhole, Problem> {
    let record = journal.operation(id).await?.ok_or_else(|| Problem::not_found("operation", id))?;
    let jobs = runner::jobs_with_steps(journal, id).await?;
    let jobs = jobs.iter().map(|(job, steps)| JobShape::of(job, steps)).collect();
    Ok(OperationWhole { operation: OperationShape::of(&record), jobs })
}

/// An operation with its jobs and steps.
#[utoipa::path(get, path = "/v1/operations/{operation}", tag = "operations", params(("operation" = String, Path)),
    responses((status = 200, description = "The operation", body = OperationWhole)))]
async fn show(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<String>,
) -> Result<axum::Json<OperationWhole>, Problem> {
    let record = find(&api, &caller, &id, Right::Read).await?;
    whole(&*api.data.journal(), record.info.id).await.map(axum::Json)
}

/// What happened in an operation, oldest first.
#[utoipa::path(get, path = "/v1/operations/{operation}/events", tag = "operations",
    params(("operation" = String, Path), PageQuery),
    responses((status = 200, description = "A page of events", body = Page<EventShape>)))]
async fn events(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<String>,
    Params(page): Params<PageQuery>,
) -> Result<Page<EventShape>, Problem> {
    let record = find(&api, &caller, &id, Right::Read).await?;
    let limit = page.limit()?;
    let after = match page.cursor.as_deref() {
        None => 0,
        Some(text) => text.parse().map_err(|_| Problem::new(Code::MALFORMED, "`cursor` is none"))?,
    };
    let query = EventQuery { after, operation: Some(record.info.id), limit: limit + 1 };
    let mut events = api.data.journal().events(query).await?;
    let more = events.len() > limit;
    events.truncate(limit);
    let next = events.last().filter(|_| more).map(|event| event.seq.to_string());
    let stack = Some(record.info.subject);
    Ok(Page { items: events.into_iter().map(|event| EventShape::of(event, stack.clone())).collect(), next })
}

/// Cancels an operation: what its running jobs did is undone. Asking twice is as good as once.
#[utoipa::path(post, path = "/v1/operations/{operation}/cancel", tag = "operations", params(("operation" = String, Path)),
    responses((status = 200, description = "The operation", body = OperationWhole)))]
async fn cancel(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<String>,
) -> Result<axum::Json<OperationWhole>, Problem> {
    let id = find(&api, &caller, &id, Right::Operate).await?.info.id;
    let journal = api.data.journal();
    // Before the change: nothing happens that is not in the audit.
    api.data.store.audit(audit(&caller, "operation.cancel", format!("/operations/{id}"), None)).await?;
    journal.request_cancel(id, caller.name.clone(), runner::now()).await?;
    whole(&*journal, id).await.map(axum::Json)
}

/// Tries the blocked, stuck or waiting jobs of an operation again.
#[utoipa::path(post, path = "/v1/operations/{operation}/retry", tag = "operations", params(("operation" = String, Path)),
    responses((status = 200, description = "The operation", body = OperationWhole)))]
async fn retry(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<String>,
) -> Result<axum::Json<OperationWhole>, Problem> {
    let record = find(&api, &caller, &id, Right::Operate).await?;
    let (id, journal) = (record.info.id, api.data.journal());
    api.data.store.audit(audit(&caller, "operation.retry", format!("/operations/{id}"), None)).await?;
    if journal.retry(id, caller.name.clone(), runner::now()).await? == 0 {
        let state = record.status.state.as_str();
        return Err(Problem::new(Code::CONFLICT, format!("operation {id} has no job to try again: it is {state}"))
            .hint("what failed and was undone is planned again by a new plan"));
    }
    whole(&*journal, id).await.map(axum::Json)
}
