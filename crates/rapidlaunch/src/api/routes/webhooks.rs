//! Webhooks: where what happens is sent to; for whoever administers everything.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use rand::Rng;
use rl_model::{Right, StackName, WebhookId};
use rl_store::{Deed, NewWebhook, WebhookChange, WebhookDelivery, WebhookRecord};
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::Api;
use crate::api::caller::Caller;
use crate::api::deeds::{Answer, Keyed, audit};
use crate::api::etag::{IfMatch, etag};
use crate::api::extract::{At, Json, Page, PageQuery, Params, named, parsed};
use crate::api::problem::{Code, Problem};
use crate::work::hooks::{self, Keys};
use crate::work::runner;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(show, change, remove))
        .routes(routes!(deliveries))
        .routes(routes!(replay))
}

/// Longest URL: as long as the paths that this server takes itself.
const URL_BYTES_MAX: usize = 8 << 10;
/// Most beginnings of kinds: there are fewer kinds.
const KINDS_MAX: usize = 50;
/// Longest beginning of a kind.
const KIND_BYTES_MAX: usize = 64;
/// Most stacks of one webhook: beyond these, all of them are meant.
const STACKS_MAX: usize = 100;

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
struct WebhookShape {
    /// Its id.
    id: String,
    /// Where deliveries are sent.
    url: String,
    /// Beginnings of the kinds that are sent; everything when empty.
    kinds: Vec<String>,
    /// Stacks it is told of; everything when empty.
    stacks: Vec<String>,
    /// Whether nothing is sent at the moment.
    paused: bool,
    /// Why, where the server paused it.
    why_paused: Option<String>,
    /// Since when nothing could be delivered.
    failing_since_ms: Option<u64>,
    /// Deliveries that wait; with 1,000 its place in the logs stands still.
    pending: u64,
    /// Its place in the logs, as ids in the stream of events have it.
    place: String,
    /// When it was made.
    created_at_ms: u64,
    /// When it was last changed.
    updated_at_ms: u64,
}

impl WebhookShape {
    fn of(record: &WebhookRecord) -> Self {
        let failed = record.failing_since.filter(|_| !record.enabled);
        Self {
            id: record.id.to_string(),
            url: record.url.clone(),
            kinds: record.kinds.clone(),
            stacks: record.stacks.clone(),
            paused: !record.enabled,
            why_paused: failed.map(|_| "nothing could be delivered for three days".to_owned()),
            failing_since_ms: record.failing_since.map(|at| at.0),
            pending: record.pending,
            place: format!("{}-{}", record.events_seen, record.audit_seen),
            created_at_ms: record.created_at.0,
            updated_at_ms: record.updated_at.0,
        }
    }
}

/// A webhook with a key that was just made.
#[derive(Debug, Serialize, ToSchema)]
struct WebhookMade {
    /// The webhook.
    #[serde(flatten)]
    webhook: WebhookShape,
    /// What deliveries are signed with, where it was just made. It is not shown again.
    secret: Option<String>,
}

/// A delivery.
#[derive(Debug, Serialize, ToSchema)]
struct DeliveryShape {
    /// Its number within the webhook.
    n: u64,
    /// What the receiver knows it by: the same at each try.
    id: String,
    /// What it tells of: `event/NUMBER`, `change/NUMBER` or `resync`.
    event: String,
    /// The kind of that.
    kind: String,
    /// `pending`, `delivered` or `failed`.
    state: String,
    /// How often it was tried.
    attempts: u32,
    /// When it is tried next.
    next_at_ms: Option<u64>,
    /// The status of the last answer.
    status: Option<u16>,
    /// Why the last try failed.
    error: Option<String>,
    /// When it was made.
    at_ms: u64,
    /// When it last changed.
    updated_at_ms: u64,
    /// What is sent.
    body: String,
}

impl DeliveryShape {
    fn of(webhook: &WebhookId, delivery: &WebhookDelivery) -> Self {
        Self {
            n: delivery.n,
            id: hooks::delivery_id(webhook, delivery.n),
            event: delivery.event.clone(),
            kind: delivery.kind.clone(),
            state: delivery.state.to_string(),
            attempts: delivery.attempts,
            next_at_ms: delivery.next_at.map(|at| at.0),
            status: delivery.status,
            error: delivery.error.clone(),
            at_ms: delivery.created_at.0,
            updated_at_ms: delivery.updated_at.0,
            body: delivery.body.clone(),
        }
    }
}

/// A webhook to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AddWebhook {
    /// Where deliveries are sent, over HTTPS.
    url: String,
    /// Beginnings of the kinds to be sent, such as `job.` or `change.plan.`; everything when left out.
    #[serde(default)]
    kinds: Vec<String>,
    /// Only what is about these stacks.
    #[serde(default)]
    stacks: Vec<String>,
}

/// A webhook to be changed; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeWebhook {
    /// Where deliveries are sent, over HTTPS.
    url: Option<String>,
    /// Beginnings of the kinds to be sent.
    kinds: Option<Vec<String>>,
    /// Only what is about these stacks.
    stacks: Option<Vec<String>>,
    /// Whether nothing is sent. One that goes on does so where it stopped.
    paused: Option<bool>,
    /// Makes a new key; for a day deliveries are signed with both.
    #[serde(default)]
    rotate: bool,
}

/// Webhooks by id.
#[utoipa::path(get, path = "/v1/webhooks", tag = "webhooks", params(PageQuery),
    responses((status = 200, description = "A page of webhooks", body = Page<WebhookShape>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(page): Params<PageQuery>,
) -> Result<Page<WebhookShape>, Problem> {
    caller.need_root(Right::Admin)?;
    let all = api.data.store.webhooks().await?;
    page.cut(all.iter().map(WebhookShape::of).collect(), |webhook| webhook.id.clone())
}

/// Makes a webhook: it is told of what happens from now on.
#[utoipa::path(post, path = "/v1/webhooks", tag = "webhooks", request_body = AddWebhook,
    responses((status = 201, description = "The webhook with its key, which is not shown again", body = WebhookMade)))]
async fn add(State(api): State<Api>, Keyed { body, asked }: Keyed<AddWebhook>) -> Result<Response, Problem> {
    asked.caller.need_root(Right::Admin)?;
    if let Some(before) = asked.before(&api).await? {
        return Ok(before);
    }
    let url = url(&api, &body.url)?;
    let (kinds, stacks) = (kinds(body.kinds)?, stacks(&body.stacks)?);
    let (id, keys) = (WebhookId::from_bits(rl_agent::random().random()), Keys::new());
    let secret = hooks::seal(&api.data, &id, &keys, &asked.caller.name).await?;
    let now = runner::now();
    let shown = WebhookRecord {
        id: id.clone(),
        url: body.url.clone(),
        secret: secret.clone(),
        kinds: kinds.clone(),
        stacks: stacks.clone(),
        enabled: true,
        version: 1,
        events_seen: 0,
        audit_seen: 0,
        failing_since: None,
        created_at: now,
        updated_at: now,
        pending: 0,
    };
    let newest = api.hub.newest();
    let shown = WebhookRecord { events_seen: newest.events, audit_seen: newest.changes, ..shown };
    let made = |secret| WebhookMade { webhook: WebhookShape::of(&shown), secret };
    let location = Some(format!("/v1/webhooks/{id}"));
    let answer = Answer::new(StatusCode::CREATED, location, &made(Some(keys.current().expose().to_owned())))?;
    let answer = answer.keeping(&made(None))?;
    let after = json!({ "host": url.host_str(), "kinds": kinds, "stacks": stacks });
    let deed = asked.deed("webhook.create", format!("/webhooks/{id}"), Some(after), &answer);
    let new = NewWebhook { id, url: body.url, secret, kinds, stacks };
    asked.answered(&api, api.data.store.add_webhook(new, deed).await, answer).await
}

/// A webhook.
#[utoipa::path(get, path = "/v1/webhooks/{id}", tag = "webhooks", params(("id" = String, Path)),
    responses((status = 200, description = "The webhook", body = WebhookShape)))]
async fn show(State(api): State<Api>, caller: Caller, At(id): At<String>) -> Result<impl IntoResponse, Problem> {
    let record = find(&api, &caller, &id).await?;
    Ok((etag(record.version), axum::Json(WebhookShape::of(&record))))
}

/// Changes a webhook, pauses it or lets it go on, or makes a new key for it.
#[utoipa::path(patch, path = "/v1/webhooks/{id}", tag = "webhooks", params(("id" = String, Path), IfMatch),
    request_body = ChangeWebhook,
    responses((status = 200, description = "The webhook; with its key where that was just made", body = WebhookMade)))]
async fn change(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<String>,
    headers: HeaderMap,
    Json(body): Json<ChangeWebhook>,
) -> Result<([(HeaderName, String); 1], axum::Json<WebhookMade>), Problem> {
    let record = find(&api, &caller, &id).await?;
    let seen = IfMatch::of(&headers)?;
    let host = body.url.as_deref().map(|text| url(&api, text)).transpose()?;
    let host = host.as_ref().and_then(Url::host_str);
    let keys = match body.rotate {
        true => Some(hooks::open(&api.data, &record).await?.rotated(runner::now())),
        false => None,
    };
    let secret = match &keys {
        Some(keys) => Some(hooks::seal(&api.data, &record.id, keys, &caller.name).await?),
        None => None,
    };
    let to = WebhookChange {
        kinds: body.kinds.map(kinds).transpose()?,
        stacks: body.stacks.as_deref().map(stacks).transpose()?,
        enabled: body.paused.map(|paused| !paused),
        url: body.url.clone(),
        secret,
    };
    let after =
        json!({ "host": host, "kinds": to.kinds, "stacks": to.stacks, "paused": body.paused, "rotated": body.rotate });
    // What the key before belongs to must not change under the hands.
    let seen = if body.rotate { Some(seen.unwrap_or(record.version)) } else { seen };
    let deed = Deed::from(audit(&caller, "webhook.change", format!("/webhooks/{}", record.id), Some(after)));
    let changed = api.data.store.change_webhook(&record.id, seen, to, deed).await?;
    let changed = changed.ok_or_else(|| Problem::not_found("webhook", &record.id))?;
    let secret = keys.map(|keys| keys.current().expose().to_owned());
    Ok((etag(changed.version), axum::Json(WebhookMade { webhook: WebhookShape::of(&changed), secret })))
}

/// Removes a webhook with its deliveries.
#[utoipa::path(delete, path = "/v1/webhooks/{id}", tag = "webhooks", params(("id" = String, Path), IfMatch),
    responses((status = 204, description = "It is removed")))]
async fn remove(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let record = find(&api, &caller, &id).await?;
    let seen = IfMatch::of(&headers)?;
    let deed = Deed::from(audit(&caller, "webhook.remove", format!("/webhooks/{}", record.id), None));
    match api.data.store.remove_webhook(&record.id, seen, deed).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found("webhook", &record.id)),
    }
}

/// Deliveries of a webhook, newest first: those that wait, and of those that ended the last 5,000 of a week.
#[utoipa::path(get, path = "/v1/webhooks/{id}/deliveries", tag = "webhooks", params(("id" = String, Path), PageQuery),
    responses((status = 200, description = "A page of deliveries", body = Page<DeliveryShape>)))]
async fn deliveries(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<String>,
    Params(page): Params<PageQuery>,
) -> Result<Page<DeliveryShape>, Problem> {
    let record = find(&api, &caller, &id).await?;
    let limit = page.limit()?;
    let found = api.data.store.webhook_deliveries(&record.id, page.after()?, limit + 1).await?;
    Ok(Page::of(found, limit, |delivery| delivery.n.to_string(), |delivery| DeliveryShape::of(&record.id, delivery)))
}

/// What is sent again.
#[derive(Debug, Serialize, ToSchema)]
struct Replayed {
    /// The number of the delivery whose body is sent again.
    replayed: u64,
}

/// Sends a delivery again: a new one with the same body, behind those that wait.
#[utoipa::path(post, path = "/v1/webhooks/{id}/deliveries/{n}/replay", tag = "webhooks",
    params(("id" = String, Path), ("n" = u64, Path)),
    responses((status = 202, description = "A new delivery waits", body = Replayed)))]
async fn replay(
    State(api): State<Api>,
    At((id, n)): At<(String, String)>,
    Keyed { body: NoBody {}, asked }: Keyed<NoBody>,
) -> Result<Response, Problem> {
    let record = find(&api, &asked.caller, &id).await?;
    let n: u64 = named("delivery", &n)?;
    if let Some(before) = asked.before(&api).await? {
        return Ok(before);
    }
    let answer = Answer::new(StatusCode::ACCEPTED, None, &Replayed { replayed: n })?;
    let path = format!("/webhooks/{}", record.id);
    let deed = asked.deed("webhook.replay", path, Some(json!({ "delivery": n })), &answer);
    match api.data.store.replay_delivery(&record.id, n, deed).await {
        Ok(None) => Err(Problem::not_found("delivery", n)),
        tried => asked.answered(&api, tried, answer).await,
    }
}

/// A body without fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoBody {}

async fn find(api: &Api, caller: &Caller, id: &str) -> Result<WebhookRecord, Problem> {
    caller.need_root(Right::Admin)?;
    let id: WebhookId = named("webhook", id)?;
    api.data.store.webhook(&id).await?.ok_or_else(|| Problem::not_found("webhook", id))
}

/// A URL that deliveries may be sent to, as far as can be told without looking its name up.
fn url(api: &Api, text: &str) -> Result<Url, Problem> {
    let wrong = |why: &str| Problem::new(Code::INPUT, format!("`url`: {why}"));
    if text.len() > URL_BYTES_MAX {
        return Err(wrong(&format!("it must have at most {URL_BYTES_MAX} bytes")));
    }
    let url: Url = text.parse().map_err(|_| wrong("it is none"))?;
    if url.scheme() != "https" || url.host().is_none() {
        return Err(wrong("it must begin with `https://`"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(wrong("it must have neither a user, a password nor a fragment"));
    }
    hooks::within(api.reach, &url).map_err(|error| {
        wrong(&error.to_string()).hint("`serve --webhook-private` lets webhooks reach addresses that are not public")
    })?;
    Ok(url)
}

fn kinds(kinds: Vec<String>) -> Result<Vec<String>, Problem> {
    let good = |kind: &String| (1..=KIND_BYTES_MAX).contains(&kind.len()) && kind.bytes().all(|b| b.is_ascii_graphic());
    if kinds.len() <= KINDS_MAX && kinds.iter().all(good) {
        return Ok(kinds);
    }
    let rule =
        format!("`kinds`: at most {KINDS_MAX} texts of 1 to {KIND_BYTES_MAX} printable characters without spaces");
    Err(Problem::new(Code::INPUT, rule))
}

fn stacks(stacks: &[String]) -> Result<Vec<String>, Problem> {
    if stacks.len() > STACKS_MAX {
        return Err(Problem::new(Code::INPUT, format!("`stacks`: at most {STACKS_MAX}; leave it out for all")));
    }
    stacks.iter().map(|name| parsed::<StackName>("stacks", name).map(|name| name.to_string())).collect()
}
