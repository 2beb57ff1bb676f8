//! Schedules: what is done to guests at set times.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use rl_engine::schedule::CATCH_UP_DEFAULT;
use rl_engine::{MissedPolicy, ScheduleName, ScheduleRecord};
use rl_model::{AccessPath, Right};
use rl_ops::GuestVerb;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::guests::{paths, readable};
use crate::api::Api;
use crate::api::caller::Caller;
use crate::api::deeds::audit;
use crate::api::etag::{IfMatch, etag};
use crate::api::extract::{At, Json, Page, PageQuery, Params, named};
use crate::api::problem::{Code, Problem};
use crate::shape::schedule::ScheduleShape;
use crate::work::guests;
use crate::work::runner;
use crate::work::schedules::{self, NewSchedule, refused};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, set, remove))
        .routes(routes!(pause))
        .routes(routes!(resume))
}

/// Tells states of a schedule apart by what people set: its times, what it starts, and whether it is paused.
fn version(record: &ScheduleRecord) -> u64 {
    let shape = ScheduleShape::of(record);
    let set = json!([
        shape.at,
        shape.zone,
        shape.missed,
        shape.catch_up_max,
        shape.starts,
        shape.stack,
        shape.guest,
        shape.paused
    ]);
    let hash = Sha256::digest(set.to_string());
    hash.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

fn path(record: &ScheduleRecord) -> [AccessPath; 1] {
    [record.spec.operation.subject.parse().map_or(AccessPath::Root, AccessPath::Stack)]
}

async fn all(api: &Api) -> Result<Vec<ScheduleRecord>, Problem> {
    Ok(api.data.journal().schedules().await?)
}

async fn look(api: &Api, name: &ScheduleName) -> Result<Option<ScheduleRecord>, Problem> {
    Ok(all(api).await?.into_iter().find(|record| record.spec.name == *name))
}

async fn find(api: &Api, caller: &Caller, name: &str, right: Right) -> Result<ScheduleRecord, Problem> {
    let name: ScheduleName = named("schedule", name)?;
    let record = look(api, &name).await?.ok_or_else(|| Problem::not_found("schedule", &name))?;
    caller.need(right, &path(&record), "schedule", name.as_str())?;
    Ok(record)
}

fn answer(record: &ScheduleRecord) -> Response {
    (etag(version(record)), axum::Json(ScheduleShape::of(record))).into_response()
}

/// Refuses a change of another state than the one that was seen.
fn expect(record: &ScheduleRecord, seen: Option<u64>) -> Result<(), Problem> {
    match seen {
        Some(seen) if seen != version(record) => {
            let text = format!("schedule {} was changed meanwhile", record.spec.name);
            Err(Problem::new(Code::ETAG, text).hint("read the schedule again, and send its ETag"))
        }
        _ => Ok(()),
    }
}

/// Schedules by name.
#[utoipa::path(get, path = "/v1/schedules", tag = "schedules", params(PageQuery),
    responses((status = 200, description = "A page of schedules", body = Page<ScheduleShape>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(page): Params<PageQuery>,
) -> Result<Page<ScheduleShape>, Problem> {
    page.limit()?;
    let all = all(&api).await?;
    let seen = all.iter().filter(|record| caller.may(Right::Read, &path(record)));
    page.cut(seen.map(ScheduleShape::of).collect(), |schedule| schedule.name.clone())
}

/// A schedule.
#[utoipa::path(get, path = "/v1/schedules/{name}", tag = "schedules", params(("name" = String, Path)),
    responses((status = 200, description = "The schedule", body = ScheduleShape, headers(("ETag" = String, description = "Its state")))))]
async fn show(State(api): State<Api>, caller: Caller, At(name): At<String>) -> Result<Response, Problem> {
    Ok(answer(&find(&api, &caller, &name, Right::Read).await?))
}

/// What a schedule shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ScheduleBody {
    /// When: a cron pattern of five fields: minute, hour, day of month, month, day of week.
    at: String,
    /// Time zone of the pattern; `UTC` when left out.
    zone: Option<String>,
    /// What becomes of times at which nothing could be started; `skip` when left out.
    #[serde(default)]
    missed: MissedWord,
    /// Most missed times that `catch_up` makes up for; 10 when left out.
    #[schema(maximum = 1000)]
    catch_up_max: Option<u32>,
    /// What is done to the guest.
    action: ActionWord,
    /// The guest: its id, NAME or STACK/NAME.
    guest: String,
}

/// What becomes of missed times.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum MissedWord {
    /// They are left out.
    #[default]
    Skip,
    /// All together are made up for once.
    Coalesce,
    /// Each is made up for, oldest first.
    CatchUp,
}

/// What a schedule can do to a guest.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ActionWord {
    /// Start it.
    Start,
    /// Shut it down.
    Stop,
    /// Shut it down and start it again.
    Restart,
}

impl ScheduleBody {
    fn schedule(&self, name: ScheduleName) -> Result<NewSchedule, Problem> {
        let missed = match self.missed {
            MissedWord::Skip => MissedPolicy::Skip,
            MissedWord::Coalesce => MissedPolicy::Coalesce,
            MissedWord::CatchUp => MissedPolicy::CatchUp,
        };
        let verb = match self.action {
            ActionWord::Start => GuestVerb::Start,
            ActionWord::Stop => GuestVerb::Stop,
            ActionWord::Restart => GuestVerb::Restart,
        };
        let at = schedules::timetable(&self.at, self.zone.as_deref().unwrap_or("UTC"))?;
        Ok(NewSchedule { name, at, missed, catch_up_max: self.catch_up_max.unwrap_or(CATCH_UP_DEFAULT), verb })
    }
}

/// Adds a schedule, or replaces the one of its name.
#[utoipa::path(put, path = "/v1/schedules/{name}", tag = "schedules", request_body = ScheduleBody,
    params(("name" = String, Path, description = "1 to 63 lower-case letters, digits and dashes"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read, or `*` for any; needed where there is a schedule")),
    responses((status = 200, description = "The schedule", body = ScheduleShape, headers(("ETag" = String, description = "Its state")))))]
async fn set(
    State(api): State<Api>,
    caller: Caller,
    At(name): At<String>,
    headers: HeaderMap,
    Json(body): Json<ScheduleBody>,
) -> Result<Response, Problem> {
    caller.need_somewhere(Right::Operate)?;
    let name: ScheduleName = named("schedule", &name)?;
    let before = look(&api, &name).await?;
    match &before {
        Some(before) => {
            caller.need(Right::Operate, &path(before), "schedule", name.as_str())?;
            expect(before, IfMatch::of(&headers)?)?;
        }
        None if IfMatch::if_named(&headers)?.is_some() => {
            return Err(Problem::new(Code::ETAG, format!("there is no schedule `{name}` any more")));
        }
        None => {}
    }
    let guest = guests::find_in(&readable(&api, &caller).await?, &body.guest)?;
    caller.need(Right::Operate, &paths(&guest), "guest", guest.name.as_str())?;
    let new = body.schedule(name.clone())?;
    // Before the change: nothing happens that is not in the audit.
    let entry = schedules::entry(audit(&caller, "schedule.set", String::new(), None), &new, &guest, before.as_ref());
    api.data.store.audit(entry).await?;
    schedules::set(&api.data, new, &guest, caller.name.clone()).await?;
    let record = look(&api, &name).await?.ok_or_else(|| Problem::not_found("schedule", &name))?;
    Ok(answer(&record))
}

/// Removes a schedule; what it has started goes on.
#[utoipa::path(delete, path = "/v1/schedules/{name}", tag = "schedules", params(("name" = String, Path), IfMatch),
    responses((status = 204, description = "It is removed")))]
async fn remove(
    State(api): State<Api>,
    caller: Caller,
    At(name): At<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let record = find(&api, &caller, &name, Right::Operate).await?;
    expect(&record, IfMatch::of(&headers)?)?;
    tell(&api, &caller, "schedule.remove", &record).await?;
    api.data.journal().remove_schedule(record.spec.name).await.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn tell(api: &Api, caller: &Caller, action: &str, record: &ScheduleRecord) -> Result<(), Problem> {
    let after = json!({ "schedule": record.spec.name });
    let entry = audit(caller, action, format!("/stacks/{}", record.spec.operation.subject), Some(after));
    api.data.store.audit(entry).await?;
    Ok(())
}

async fn turn(api: &Api, caller: &Caller, name: &str, paused: bool) -> Result<Response, Problem> {
    let record = find(api, caller, name, Right::Operate).await?;
    let name = record.spec.name.clone();
    if record.paused != paused {
        tell(api, caller, if paused { "schedule.pause" } else { "schedule.resume" }, &record).await?;
        api.data.journal().pause_schedule(name.clone(), paused, runner::now()).await.map_err(refused)?;
    }
    let record = look(api, &name).await?.ok_or_else(|| Problem::not_found("schedule", &name))?;
    Ok(answer(&record))
}

/// Stops a schedule; times that pass are not made up for.
#[utoipa::path(post, path = "/v1/schedules/{name}/pause", tag = "schedules", params(("name" = String, Path)),
    responses((status = 200, description = "The schedule", body = ScheduleShape, headers(("ETag" = String, description = "Its state")))))]
async fn pause(State(api): State<Api>, caller: Caller, At(name): At<String>) -> Result<Response, Problem> {
    turn(&api, &caller, &name, true).await
}

/// Lets a stopped schedule go on.
#[utoipa::path(post, path = "/v1/schedules/{name}/resume", tag = "schedules", params(("name" = String, Path)),
    responses((status = 200, description = "The schedule", body = ScheduleShape, headers(("ETag" = String, description = "Its state")))))]
async fn resume(State(api): State<Api>, caller: Caller, At(name): At<String>) -> Result<Response, Problem> {
    turn(&api, &caller, &name, false).await
}
