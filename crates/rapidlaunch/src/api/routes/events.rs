//! What happens, as it happens: server-sent events from the durable logs.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, Method, header};
use axum::response::IntoResponse;
use axum::response::sse::{KeepAlive, Sse};
use rl_model::Right;
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::Api;
use crate::api::caller::Caller;
use crate::api::extract::Params;
use crate::api::hub::{Follower, Following, REPLAY_MAX, Renew, SEATS_OF_CALLER, Seat, stream};
use crate::api::limits;
use crate::api::problem::{Code, Problem};
use crate::shape::change::ChangeShape;
use crate::shape::operation::EventShape;
use crate::work::happenings::{Position, Wanted};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Shapes::openapi()).routes(routes!(follow))
}

/// What the events of the stream carry.
#[derive(OpenApi)]
#[openapi(components(schemas(EventShape, ChangeShape)))]
struct Shapes;

/// Most followers at once: each keeps a connection with its buffers.
const FOLLOWERS_MAX: usize = 12_000;
/// Time between comments that keep the connection open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Seconds after which a place may be free again.
const COME_AGAIN: u64 = 30;

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only what has a kind that begins with one of these, separated by commas: `operation.,job.`. A change has the kind
    /// `change.ACTION`.
    kinds: Option<String>,
    /// Only what is about this stack.
    stack: Option<String>,
    /// Only what is about this operation.
    operation: Option<String>,
    /// Only after this id; `Last-Event-ID` goes before it.
    #[param(example = "1041-17")]
    after: Option<String>,
}

impl Filter {
    fn wanted(&self) -> Wanted {
        let kinds = self.kinds.as_deref().unwrap_or_default().split(',').map(str::trim);
        Wanted {
            kinds: kinds.filter(|kind| !kind.is_empty()).map(str::to_owned).collect(),
            stacks: self.stack.iter().cloned().collect(),
            operation: self.operation.clone(),
        }
    }
}

/// Follows what happens, as server-sent events.
///
/// Each has an `id` of two numbers, `E-A`: that of the last engine event and that of the last change. With `Last-Event-ID` a follower
/// goes on where it stopped, also after a restart of the server.
///
/// - `event: ready` comes first; its id is where the stream begins.
/// - An engine event has its kind as its name, such as `operation.state` or `job.state`; its data is an `EventShape`.
/// - `event: change` tells of what a person did; its data is a `ChangeShape`. Changes of users, tokens, grants and webhooks are told
///   to whoever administers everything, others to whoever may read what they are about.
/// - `event: resync` says that something is not kept any more, that it would be too much, or that the caller's rights have changed:
///   fetch everything anew. The stream goes on after it.
/// - A comment comes every 15 s.
///
/// A stream ends after 15 minutes, and when its caller may follow no longer: come again. A caller may have 100 streams at once.
#[utoipa::path(get, path = "/v1/events", tag = "events", params(Filter, ("Last-Event-ID" = Option<String>, Header, description = "The last id that was seen", example = "1041-17")),
    responses((status = 200, description = "Events until the caller goes", body = String, content_type = "text/event-stream",
        example = "event: job.state\nid: 1042-17\ndata: {\"seq\":1042,\"at_ms\":1767225600000,\"operation\":\"01J9Z3M6Q8T4X2V7B5N1K0HCDE\",\"stack\":\"shop\",\"job\":\"01J9Z3M6Q8T4X2V7B5N1K0HCDF\",\"kind\":\"job.state\",\"body\":{}}\n\nevent: change\nid: 1042-18\ndata: {\"seq\":18,\"at_ms\":1767225600000,\"actor\":\"maria\",\"action\":\"plan.create\",\"path\":\"/stacks/shop\"}\n\n"),
        (status = 429, description = "The caller follows 100 times already, or sends too many requests", body = crate::api::problem::ProblemBody, content_type = "application/problem+json")))]
async fn follow(
    State(api): State<Api>,
    caller: Caller,
    Params(filter): Params<Filter>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    caller.need_somewhere(Right::Read)?;
    if api.hub.followers() >= FOLLOWERS_MAX {
        limits::refused("followers");
        return Err(Problem::new(Code::UNAVAILABLE, "too many follow already").retry_after(COME_AGAIN));
    }
    let last = match headers.get("last-event-id") {
        Some(id) => Some(id.to_str().map_err(|_| no_id("it is no text"))?.to_owned()),
        None => filter.after.clone(),
    };
    let after = last.filter(|id| !id.is_empty()).map(|id| id.parse::<Position>()).transpose().map_err(no_id)?;
    let rounds = Arc::clone(&api);
    let following = Following {
        renew: renew(&api, &caller, &headers),
        rights: Box::new(move || rounds.gate.round()),
        wanted: filter.wanted(),
        after,
        reach: REPLAY_MAX,
        _seat: seat(&api, &caller)?,
        caller,
    };
    let follower = Follower::new(Arc::clone(&api.hub), following);
    Ok(Sse::new(stream(follower)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// A place among those of the caller. Programs on the same machine that hold the data directory are not counted.
fn seat(api: &Api, caller: &Caller) -> Result<Option<Seat>, Problem> {
    let Some(user) = &caller.user else { return Ok(None) };
    let seat = api.seats.take(user.as_str()).ok_or_else(|| {
        limits::refused("followers");
        Problem::new(Code::TOO_MANY, format!("{} follows {SEATS_OF_CALLER} times already", caller.name))
            .hint("end a stream first; one stream without a filter tells everything")
            .retry_after(COME_AGAIN)
    })?;
    Ok(Some(seat))
}

/// Looks the caller up anew by what they came with.
fn renew(api: &Api, caller: &Caller, headers: &HeaderMap) -> Renew {
    let (api, remote) = (Arc::clone(api), caller.remote);
    let shown = [header::AUTHORIZATION, header::COOKIE];
    let shown: HeaderMap =
        shown.into_iter().filter_map(|name| headers.get(&name).cloned().map(|value| (name, value))).collect();
    Box::new(move || {
        let (api, shown) = (Arc::clone(&api), shown.clone());
        Box::pin(async move {
            let caller = Caller::of_headers(&api, &Method::GET, &shown, remote).await.ok()?;
            caller.need_somewhere(Right::Read).ok().map(|()| caller)
        })
    })
}

fn no_id(why: impl std::fmt::Display) -> Problem {
    Problem::new(Code::MALFORMED, format!("the id to go on from is none that was given out: {why}"))
}
