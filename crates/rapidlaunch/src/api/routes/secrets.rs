//! Secrets: which there are, their versions, and where they were delivered. A value goes in, and never comes out.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use rl_model::manifest::Stack;
use rl_model::{AccessPath, Right, SecretRef, SecretSource, SecretValue, Site, StackName, TokenSource};
use rl_providers::secrets::generated;
use rl_store::{GENERATED_LEN_MAX, Generator, SecretRecord};
use serde::Deserialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::Api;
use crate::api::caller::Caller;
use crate::api::deeds::{Answer, Keyed, audit};
use crate::api::etag::{IfMatch, etag};
use crate::api::extract::named as named_in_path;
use crate::api::extract::{At, Json, Page, PageQuery, Params, Secret};
use crate::api::problem::{Code, Problem};
use crate::shape::secret::{DeliveredShape, SecretSet, SecretShape, SecretWhole};
use crate::work::secrets::{self, Put};
use crate::work::{named, planning, typed};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show, set, remove)).routes(routes!(rotate))
}

/// Where a secret lies, and the right that changing it or handing it to guests needs there.
struct Place {
    paths: [AccessPath; 1],
    right: Right,
}

/// What a site is reached with belongs to the site: whoever could exchange it would turn the installation to another one. All
/// else lies under the stack that its first part names, whether or not there is one yet.
fn place(name: &SecretRef, sites: &[Site]) -> Place {
    let source = TokenSource::Secret(name.clone());
    let mut users = sites.iter().filter(|site| named::credentials(site).contains(&source));
    let path = match (users.next(), users.next(), name.as_str().split_once('/')) {
        (Some(_), Some(_), _) => AccessPath::Root,
        (Some(site), None, _) => AccessPath::Site(site.name.clone()),
        (None, _, Some(("sites", site))) => site.parse().map_or(AccessPath::Root, AccessPath::Site),
        (None, _, Some((first, _))) => {
            let path = first.parse().map_or(AccessPath::Root, AccessPath::Stack);
            return Place { paths: [path], right: Right::Deploy };
        }
        (None, _, None) => return Place { paths: [AccessPath::Root], right: Right::Deploy },
    };
    Place { paths: [path], right: Right::Admin }
}

/// Refuses a stack that hands secrets to its guests which its author could not have set, unless it did so before.
pub(super) async fn may_grant(api: &Api, caller: &Caller, name: &StackName, stack: &Stack) -> Result<(), Problem> {
    let stored = |stack: &Stack| -> Vec<SecretRef> {
        let grants = stack.containers.values().flat_map(|container| &container.secrets);
        grants.filter_map(|grant| grant.stored().cloned()).collect()
    };
    let before = planning::stored(&api.data, name).await.map(|before| stored(&before.stack)).unwrap_or_default();
    let sites = api.data.sites().await?;
    for secret in stored(stack).into_iter().filter(|secret| !before.contains(secret)) {
        let Place { paths, right } = place(&secret, &sites);
        caller.need(right, &paths, "secret", secret.as_str())?;
    }
    Ok(())
}

/// The secret of a path, for whoever may deal with it so.
async fn open(api: &Api, caller: &Caller, name: &str, change: bool) -> Result<SecretRef, Problem> {
    let name: SecretRef = named_in_path("secret", name)?;
    let Place { paths, right } = place(&name, &api.data.sites().await?);
    caller.need(if change { right } else { Right::Read }, &paths, "secret", name.as_str())?;
    Ok(name)
}

async fn existing(api: &Api, name: &SecretRef) -> Result<SecretRecord, Problem> {
    secrets::existing(&api.data, name).await?.ok_or_else(|| Problem::not_found("secret", name))
}

/// Secrets by name, without their values.
#[utoipa::path(get, path = "/v1/secrets", tag = "secrets", params(PageQuery),
    responses((status = 200, description = "A page of secrets", body = Page<SecretShape>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(page): Params<PageQuery>,
) -> Result<Page<SecretShape>, Problem> {
    page.limit()?;
    let sites = api.data.sites().await?;
    let mut records = api.data.store.secrets().await?;
    records.retain(|record| caller.may(Right::Read, &place(&record.name, &sites).paths));
    records.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
    let Page { items: records, next } = page.cut(records, |record| record.name.to_string())?;
    let deliveries = api.data.store.all_deliveries().await?;
    let mut items = Vec::new();
    for record in records {
        let source = SecretSource::Store(record.name.clone());
        let files = deliveries.iter().filter(|delivery| delivery.source == source).count();
        let history = api.data.store.secret_history(&record.name).await?;
        items.push(SecretShape::of(&record, history.first(), files));
    }
    Ok(Page { items, next })
}

/// A secret with its versions and where it was delivered; also one that was removed.
#[utoipa::path(get, path = "/v1/secrets/{secret}", tag = "secrets",
    params(("secret" = String, Path, description = "Its name; a `/` in it is written %2F")),
    responses((status = 200, description = "The secret", body = SecretWhole, headers(("ETag" = String, description = "Its newest version")))))]
async fn show(State(api): State<Api>, caller: Caller, At(name): At<String>) -> Result<Response, Problem> {
    let name = open(&api, &caller, &name, false).await?;
    let whole = secrets::whole(&api.data, &name).await?.ok_or_else(|| Problem::not_found("secret", &name))?;
    Ok((etag(whole.version), axum::Json(whole)).into_response())
}

/// A value: given, or to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewValue {
    /// The value, 1 byte to 64 KiB.
    #[schema(write_only, value_type = Option<String>)]
    value: Option<Secret>,
    /// In its place: let a value of so many letters and digits be made, now and when it is rotated.
    #[schema(minimum = 1, maximum = 1024)]
    generate: Option<u32>,
}

fn generator(field: &str, length: u32) -> Result<Generator, Problem> {
    if (1..=GENERATED_LEN_MAX).contains(&length) {
        return Ok(Generator { length });
    }
    Err(Problem::new(Code::INPUT, format!("`{field}` must be from 1 to {GENERATED_LEN_MAX}")))
}

/// Sets the value of a secret, as its next version. It is never answered, and no answer is kept: sent again, it makes another version.
#[utoipa::path(put, path = "/v1/secrets/{secret}", tag = "secrets", request_body = NewValue,
    params(("secret" = String, Path, description = "Its name; a `/` in it is written %2F"),
        ("If-Match" = Option<String>, Header, description = "The version it must be at")),
    responses((status = 200, description = "The new version", body = SecretSet, headers(("ETag" = String, description = "The new version")))))]
async fn set(
    State(api): State<Api>,
    caller: Caller,
    At(name): At<String>,
    headers: HeaderMap,
    Json(body): Json<NewValue>,
) -> Result<Response, Problem> {
    let name = open(&api, &caller, &name, true).await?;
    let (value, generator): (SecretValue, _) = match (body.value, body.generate) {
        (Some(Secret(value)), None) => (typed::value(value.expose().as_bytes())?, None),
        (None, Some(length)) => (generated(length.min(GENERATED_LEN_MAX)), Some(generator("generate", length)?)),
        _ => return Err(Problem::new(Code::INPUT, "either `value` or `generate` must be given")),
    };
    let seen = IfMatch::if_named(&headers)?;
    let put = Put { name: &name, value: &value, generator, actor: &caller.name, seen };
    let path = format!("/secrets/{name}");
    let deed = |version| {
        let after = Some(secrets::told(version, generator));
        Ok::<_, Problem>(Some(audit(&caller, "secret.set", path.clone(), after).into()))
    };
    let version = secrets::put(&api.data, put, deed).await??;
    let held = DeliveredShape::all(secrets::held(&api.data, &name).await?);
    Ok((etag(version), axum::Json(SecretSet { name: name.to_string(), version, held })).into_response())
}

/// How a secret is rotated.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RotateBody {
    /// Characters of the new value, and of those after it; as before when left out.
    #[schema(minimum = 1, maximum = 1024)]
    length: Option<u32>,
}

/// Makes another value of letters and digits, as the next version.
#[utoipa::path(post, path = "/v1/secrets/{secret}/rotate", tag = "secrets", request_body = Option<RotateBody>,
    params(("secret" = String, Path, description = "Its name; a `/` in it is written %2F"),
        ("Idempotency-Key" = Option<String>, Header, description = "Names the request; needed with an API token")),
    responses((status = 200, description = "The new version", body = SecretSet)))]
async fn rotate(State(api): State<Api>, At(name): At<String>, keyed: Keyed<RotateBody>) -> Result<Response, Problem> {
    let Keyed { body, asked } = keyed;
    if let Some(response) = asked.before(&api).await? {
        return Ok(response);
    }
    let name = open(&api, &asked.caller, &name, true).await?;
    let length = body.length.map(|length| generator("length", length).map(|generator| generator.length)).transpose()?;
    let generator = secrets::rotation(&existing(&api, &name).await?, length)?;
    let held = DeliveredShape::all(secrets::held(&api.data, &name).await?);
    let answer = |version| {
        let set = SecretSet { name: name.to_string(), version, held: held.clone() };
        Answer::new(StatusCode::OK, None, &set)
    };
    let deed = |version| {
        let after = Some(secrets::told(version, Some(generator)));
        Ok::<_, Problem>(Some(asked.deed("secret.rotate", format!("/secrets/{name}"), after, &answer(version)?)))
    };
    let value = generated(generator.length);
    let put = Put { generator: Some(generator), ..Put::given(&name, &value, &asked.caller.name) };
    let tried = secrets::put(&api.data, put, deed).await?;
    let answer = answer(*tried.as_ref().unwrap_or(&0))?;
    asked.answered(&api, tried, answer).await
}

/// How a secret is removed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Removal {
    /// Remove it although guests hold it; their files stay where they are.
    #[serde(default)]
    #[param(required = false)]
    force: bool,
}

/// Removes a secret and wipes its values; the history of its versions stays.
#[utoipa::path(delete, path = "/v1/secrets/{secret}", tag = "secrets",
    params(("secret" = String, Path, description = "Its name; a `/` in it is written %2F"), Removal,
        ("If-Match" = Option<String>, Header, description = "The version it must be at")),
    responses((status = 204, description = "It is removed")))]
async fn remove(
    State(api): State<Api>,
    caller: Caller,
    At(name): At<String>,
    Params(query): Params<Removal>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let name = open(&api, &caller, &name, true).await?;
    let seen = IfMatch::if_named(&headers)?;
    existing(&api, &name).await?;
    if !query.force {
        secrets::refuse_held(&api.data, &name).await?;
    }
    let deed = audit(&caller, "secret.remove", format!("/secrets/{name}"), Some(json!({ "forced": query.force })));
    let removed = api.data.store.remove_secret(&name, seen, caller.name.clone(), Some(deed.into())).await?;
    if removed { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("secret", name)) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_secret_lies_under_its_stack_and_a_site_keeps_its_own() {
        let of = |name: &str| {
            let Place { paths, right } = place(&name.parse().unwrap(), &[]);
            format!("{right} on {}", paths[0])
        };
        assert_eq!(of("shop/db"), "deploy on /stacks/shop");
        assert_eq!(of("shop/db/main"), "deploy on /stacks/shop");
        assert_eq!(of("shop"), "deploy on /");
        assert_eq!(of("sites/fra1"), "admin on /sites/fra1");
        assert_eq!(of("sites/fra1/other"), "admin on /");
    }
}
