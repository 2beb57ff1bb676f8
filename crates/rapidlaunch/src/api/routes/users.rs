//! Users: administrators add and remove them; everybody looks after their own password and second factor.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use rl_model::{Right, SecretValue, UserName};
use rl_store::{Changed, NewUser, StoreError, UserRecord};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::AccessError;
use crate::api::Api;
use crate::api::caller::{Caller, Stranger};
use crate::api::deeds::{Answer, Asked, Confidential, KeyedSecret, audit};
use crate::api::etag::{IfMatch, etag};
use crate::api::extract::{At, Given, Json, Page, PageQuery, Params, named, parsed};
use crate::api::problem::{Code, Problem};
use crate::shape::access::UserShape;
use crate::work::{accounts, runner};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(show, change, remove))
        .routes(routes!(begin_totp, remove_totp))
        .routes(routes!(confirm_totp))
}

/// Users, by name.
#[utoipa::path(get, path = "/v1/users", tag = "access", params(PageQuery),
    responses((status = 200, description = "A page of users", body = Page<UserShape>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(page): Params<PageQuery>,
) -> Result<Page<UserShape>, Problem> {
    caller.need_root(Right::Admin)?;
    let (limit, after) = (page.limit()?, page.after()?);
    let users = api.gate.store().users(after, limit as u32 + 1).await?;
    Ok(Page::of(users, limit, |user| user.name.to_string(), UserShape::of))
}

impl Confidential for AddUser {
    const SECRET: &'static [&'static str] = &["password"];
}

/// A user to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AddUser {
    /// The name.
    name: String,
    /// The password, of at least 12 characters; without one the user cannot sign in with a name.
    password: Option<String>,
}

/// Adds a user, who may do nothing before they have a grant.
#[utoipa::path(post, path = "/v1/users", tag = "access", request_body = AddUser,
    params(("Idempotency-Key" = Option<String>, Header, description = "Names the request; needed with an API token")),
    responses((status = 201, description = "The user", body = UserShape)))]
async fn add(State(api): State<Api>, keyed: KeyedSecret<AddUser>) -> Result<Response, Problem> {
    let KeyedSecret { body, asked } = keyed;
    asked.caller.need_root(Right::Admin)?;
    if let Some(response) = asked.before(&api).await? {
        return Ok(response);
    }
    let name: UserName = parsed("name", &body.name)?;
    let password = match body.password {
        Some(password) => Some(api.gate.hash(SecretValue::new(password)).await?),
        None => None,
    };
    let new = NewUser { name: name.clone(), password, actor: asked.caller.name.clone() };
    let shape = UserShape::of(&new.record(runner::now()));
    let answer = Answer::new(StatusCode::CREATED, Some(format!("/v1/users/{name}")), &shape)?;
    let deed = asked.deed("user.create", at(&name), None, &answer);
    let tried = api.gate.store().add_user(new, deed).await;
    if let Ok(false) = tried {
        return Err(Problem::conflict(accounts::taken(&name)));
    }
    Ok((etag(1), asked.answered(&api, tried, answer).await?).into_response())
}

/// A user.
#[utoipa::path(get, path = "/v1/users/{name}", tag = "access", params(("name" = String, Path)),
    responses((status = 200, description = "The user", body = UserShape)))]
async fn show(State(api): State<Api>, caller: Caller, At(name): At<String>) -> Result<Response, Problem> {
    let name = own_or_any(&caller, &name)?;
    let user = find(&api, &name).await?;
    Ok((etag(user.version), axum::Json(UserShape::of(&user))).into_response())
}

/// What is to be changed of a user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeUser {
    /// Shuts the user out, or lets them in again.
    disabled: Option<bool>,
    /// A new password, of at least 12 characters. Every other session of the user ends.
    password: Option<String>,
    /// The present password, where users change their own.
    current_password: Option<String>,
    /// A code of the second factor, where users change their own and have one.
    code: Option<String>,
}

/// Changes a user.
#[utoipa::path(patch, path = "/v1/users/{name}", tag = "access", params(("name" = String, Path), IfMatch), request_body = ChangeUser,
    responses((status = 200, description = "The user", body = UserShape)))]
async fn change(
    State(api): State<Api>,
    caller: Caller,
    Stranger(remote): Stranger,
    At(name): At<String>,
    headers: HeaderMap,
    Json(body): Json<ChangeUser>,
) -> Result<Response, Problem> {
    let name = own_or_any(&caller, &name)?;
    let mut expected = IfMatch::of(&headers)?;
    if let Some(password) = body.password {
        if caller.is_in_person(&name) {
            prove(&api, &name, Proof { password: body.current_password, code: body.code }, &remote).await?;
        } else {
            caller.need_root(Right::Admin)?;
        }
        let hash = api.gate.hash(SecretValue::new(password)).await?;
        let keep = caller.session.clone().filter(|_| caller.is_in_person(&name));
        let deed = audit(&caller, "user.password", at(&name), None).into();
        let changing = api.gate.store().set_password(&name, expected, Some(hash), keep, deed);
        expected = Some(changed(&name, api.gate.changing(changing).await?)?);
    }
    if let Some(disabled) = body.disabled {
        caller.need_root(Right::Admin)?;
        let action = if disabled { "user.disable" } else { "user.enable" };
        let deed = audit(&caller, action, at(&name), None).into();
        changed(&name, api.gate.changing(api.gate.store().set_disabled(&name, expected, disabled, deed)).await?)?;
    }
    let user = find(&api, &name).await?;
    Ok((etag(user.version), axum::Json(UserShape::of(&user))).into_response())
}

/// Removes a user with all their tokens, grants and sessions.
#[utoipa::path(delete, path = "/v1/users/{name}", tag = "access", params(("name" = String, Path), IfMatch),
    responses((status = 204, description = "The user is removed")))]
async fn remove(
    State(api): State<Api>,
    caller: Caller,
    At(name): At<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    caller.need_root(Right::Admin)?;
    let name: UserName = named("user", &name)?;
    let expected = IfMatch::of(&headers)?;
    let deed = audit(&caller, "user.remove", at(&name), None).into();
    changed(&name, api.gate.changing(api.gate.store().remove_user(&name, expected, deed)).await?)?;
    Ok(StatusCode::NO_CONTENT)
}

/// What proves that it is still the same person.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Proof {
    /// The present password.
    password: Option<String>,
    /// A code of the second factor, or a recovery code, where there is one.
    code: Option<String>,
}

impl Confidential for Proof {
    const SECRET: &'static [&'static str] = &["password", "code"];
}

/// What a repeated request hears of what was shown before.
const SHOWN_ONCE: &str = "it was shown once, in the first answer to this request, and is not kept";

/// The key of a second factor, shown once.
#[derive(Serialize, ToSchema)]
struct Enrolment {
    /// The `otpauth:` URL for an app; null where the same request is answered again.
    url: Option<String>,
    /// The key in base 32, for typing; null where the same request is answered again.
    key: Option<String>,
    /// Why they are null.
    note: Option<&'static str>,
}

/// Makes a second factor for oneself. It is asked for after it was confirmed.
#[utoipa::path(post, path = "/v1/users/{name}/totp", tag = "access", request_body = Proof,
    params(("name" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "Names the request; needed with an API token")),
    responses((status = 200, description = "The key, shown once", body = Enrolment)))]
async fn begin_totp(
    State(api): State<Api>,
    Stranger(remote): Stranger,
    At(name): At<String>,
    keyed: KeyedSecret<Proof>,
) -> Result<Response, Problem> {
    let KeyedSecret { body, asked } = keyed;
    let name = in_person(&asked.caller, &name)?;
    if let Some(response) = asked.before(&api).await? {
        return Ok(response);
    }
    prove(&api, &name, body, &remote).await?;
    let kept = Answer::new(StatusCode::OK, None, &Enrolment { url: None, key: None, note: Some(SHOWN_ONCE) })?;
    let made = api.gate.begin_totp(&name, asked.deed("totp.begin", at(&name), None, &kept)).await;
    let (tried, shown) = split(made)?;
    let shown = shown.map(|made| {
        let text = |secret: &SecretValue| Some(secret.expose().to_owned());
        Enrolment { url: text(&made.url), key: text(&made.key), note: None }
    });
    once(&api, &asked, tried, kept, shown).await
}

/// Tells what the store has refused from what was made.
fn split<T>(made: Result<T, AccessError>) -> Result<(Result<(), StoreError>, Option<T>), Problem> {
    match made {
        Ok(made) => Ok((Ok(()), Some(made))),
        Err(AccessError::Store(error)) => Ok((Err(error), None)),
        Err(error) => Err(error.into()),
    }
}

/// The answer with what is shown once; what is kept where the request came before.
async fn once<T: Serialize>(
    api: &Api,
    asked: &Asked,
    tried: Result<(), StoreError>,
    kept: Answer,
    shown: Option<T>,
) -> Result<Response, Problem> {
    let answer = match &shown {
        Some(shown) => Answer::new(StatusCode::OK, None, shown)?,
        None => kept,
    };
    asked.answered(api, tried, answer).await
}

/// A code of the second factor.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Confirmation {
    /// Six digits.
    code: String,
}

/// Codes for whoever has lost the device, shown once.
#[derive(Serialize, ToSchema)]
struct RecoveryCodes {
    /// Each is good once. None where the same request is answered again.
    recovery_codes: Vec<String>,
    /// Why there are none.
    note: Option<&'static str>,
}

impl Confidential for Confirmation {
    const SECRET: &'static [&'static str] = &["code"];
}

/// Confirms one's own second factor with a code of it. From now on signing in asks for one.
#[utoipa::path(post, path = "/v1/users/{name}/totp/confirm", tag = "access", request_body = Confirmation,
    params(("name" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "Names the request; needed with an API token")),
    responses((status = 200, description = "The recovery codes, shown once", body = RecoveryCodes)))]
async fn confirm_totp(
    State(api): State<Api>,
    At(name): At<String>,
    keyed: KeyedSecret<Confirmation>,
) -> Result<Response, Problem> {
    let KeyedSecret { body, asked } = keyed;
    let name = in_person(&asked.caller, &name)?;
    if let Some(response) = asked.before(&api).await? {
        return Ok(response);
    }
    let kept = Answer::new(StatusCode::OK, None, &RecoveryCodes { recovery_codes: vec![], note: Some(SHOWN_ONCE) })?;
    let deed = asked.deed("totp.confirm", at(&name), None, &kept);
    let (tried, codes) = split(api.gate.confirm_totp(&name, &body.code, deed).await)?;
    let shown = codes.map(|codes| {
        let recovery_codes = codes.iter().map(|code| code.expose().to_owned()).collect();
        RecoveryCodes { recovery_codes, note: None }
    });
    once(&api, &asked, tried, kept, shown).await
}

/// Takes a second factor away: one's own with password and code, another's as an administrator.
#[utoipa::path(delete, path = "/v1/users/{name}/totp", tag = "access", params(("name" = String, Path)),
    request_body(content = Option<Proof>, description = "Where it is one's own"),
    responses((status = 204, description = "It is not asked for any more")))]
async fn remove_totp(
    State(api): State<Api>,
    caller: Caller,
    Stranger(remote): Stranger,
    At(name): At<String>,
    Given(proof): Given<Proof>,
) -> Result<StatusCode, Problem> {
    let name = own_or_any(&caller, &name)?;
    if caller.is_in_person(&name) {
        prove(&api, &name, proof, &remote).await?;
    } else {
        caller.need_root(Right::Admin)?;
    }
    let deed = audit(&caller, "totp.remove", at(&name), None).into();
    changed(&name, api.gate.store().remove_totp(&name, deed).await?)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where a user is in the audit.
fn at(name: &UserName) -> String {
    format!("/users/{name}")
}

async fn prove(api: &Api, name: &UserName, proof: Proof, remote: &crate::access::Remote) -> Result<(), Problem> {
    let password = proof.password.ok_or_else(|| {
        Problem::new(Code::INPUT, "the present password is missing")
            .hint("name it, so that nobody else does this for you")
    })?;
    Ok(api.gate.prove_again(name, SecretValue::new(password), proof.code.as_deref(), remote).await?)
}

/// The user of a path, for themselves or for an administrator. To anybody else there is no such user.
fn own_or_any(caller: &Caller, name: &str) -> Result<UserName, Problem> {
    let name: UserName = named("user", name)?;
    if caller.is_in_person(&name) || caller.may_root(Right::Admin) {
        return Ok(name);
    }
    Err(Problem::not_found("user", name))
}

/// The user of a path, for themselves alone.
fn in_person(caller: &Caller, name: &str) -> Result<UserName, Problem> {
    let name = own_or_any(caller, name)?;
    if caller.is_in_person(&name) {
        return Ok(name);
    }
    Err(Problem::new(Code::FORBIDDEN, "a second factor is made by its owner alone, in a session of theirs"))
}

async fn find(api: &Api, name: &UserName) -> Result<UserRecord, Problem> {
    api.gate.store().user(name).await?.ok_or_else(|| Problem::not_found("user", name))
}

/// The new version, or why there is none.
fn changed(name: &UserName, changed: Changed) -> Result<u64, Problem> {
    match changed {
        Changed::Done(version) => Ok(version),
        Changed::Gone => Err(Problem::not_found("user", name)),
        Changed::Moved(_) => Err(Problem::new(Code::ETAG, format!("user {name} was changed meanwhile"))
            .hint("read the user again, and send its ETag")),
        Changed::Refused => Err(Problem::new(Code::CONFLICT, format!("user {name} is not in the state for this"))),
    }
}
