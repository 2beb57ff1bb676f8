//! Signing in and out, and the first set-up.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rl_model::SecretValue;
use rl_store::SESSION_LIFE;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::{NewSecret, SignIn, SignedIn};
use crate::api::Api;
use crate::api::caller::{COOKIE, Caller, Stranger, cookie};
use crate::api::deeds::audit;
use crate::api::extract::{Json, parsed};
use crate::api::problem::Problem;
use crate::shape::access::{GrantShape, UserShape};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(ways))
        .routes(routes!(setup_state, set_up))
        .routes(routes!(show, sign_in, sign_out))
}

/// Which ways there are to sign in.
#[derive(Debug, Serialize, ToSchema)]
struct Ways {
    /// With a name and a password.
    password: bool,
    /// With a provider of identities.
    oidc: Option<OidcWay>,
    /// Nobody can sign in before the first set-up.
    setup_needed: bool,
}

/// A provider of identities.
#[derive(Debug, Serialize, ToSchema)]
struct OidcWay {
    /// What people call it.
    name: String,
}

/// Which ways there are to sign in.
#[utoipa::path(get, path = "/v1/sign-in", tag = "session", security(()),
    responses((status = 200, description = "The ways", body = Ways)))]
async fn ways(State(api): State<Api>) -> Result<axum::Json<Ways>, Problem> {
    let setup_needed = !api.gate.store().has_users().await?;
    let oidc = api.oidc.as_ref().map(|oidc| OidcWay { name: oidc.name().to_owned() });
    Ok(axum::Json(Ways { password: true, oidc, setup_needed }))
}

/// Whether the first set-up is still to be done.
#[derive(Debug, Serialize, ToSchema)]
struct SetupState {
    /// Whether it is.
    needed: bool,
}

/// Whether the first set-up is still to be done.
#[utoipa::path(get, path = "/v1/setup", tag = "session", security(()),
    responses((status = 200, description = "The state", body = SetupState)))]
async fn setup_state(State(api): State<Api>) -> Result<axum::Json<SetupState>, Problem> {
    Ok(axum::Json(SetupState { needed: !api.gate.store().has_users().await? }))
}

/// The first user, who may do everything.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetUp {
    /// The token of the link that the server printed.
    token: String,
    /// The user's name.
    name: String,
    /// The password, of at least 12 characters.
    password: String,
}

/// Makes the first user, and signs them in.
#[utoipa::path(post, path = "/v1/setup", tag = "session", security(()), request_body = SetUp,
    responses((status = 200, description = "The session that has begun", body = SessionShape)))]
async fn set_up(
    State(api): State<Api>,
    Stranger(remote): Stranger,
    Json(body): Json<SetUp>,
) -> Result<Response, Problem> {
    let name: rl_model::UserName = parsed("name", &body.name)?;
    let password = SecretValue::new(body.password);
    api.gate.set_up(&body.token, name.clone(), password, &remote).await?;
    let signed = api.gate.begin_session(&name, "password", &remote).await?;
    Ok(begun(&signed))
}

/// What somebody signs in with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Credentials {
    /// The user's name.
    name: String,
    /// The password.
    password: String,
    /// A code of the second factor, or a recovery code, where the user has one.
    code: Option<String>,
}

/// Who is signed in.
#[derive(Debug, Serialize, ToSchema)]
struct SessionShape {
    /// The user; null for whoever holds the data directory of the server.
    user: Option<UserShape>,
    /// The name that audits and operations tell.
    name: String,
    /// By what they came in: `session`, `token:ID` or `local`.
    via: String,
    /// What every request that changes something must send as `X-CSRF-Token`; null without a session.
    csrf: Option<String>,
    /// What they may do.
    grants: Vec<GrantShape>,
}

/// Signs in with a name and a password.
#[utoipa::path(post, path = "/v1/session", tag = "session", security(()), request_body = Credentials,
    responses((status = 200, description = "The session that has begun", body = SessionShape)))]
async fn sign_in(
    State(api): State<Api>,
    Stranger(remote): Stranger,
    Json(body): Json<Credentials>,
) -> Result<Response, Problem> {
    let given = SignIn { name: body.name, password: SecretValue::new(body.password), code: body.code, remote };
    Ok(begun(&api.gate.sign_in(given).await?))
}

/// Who is signed in, and what they may do.
#[utoipa::path(get, path = "/v1/session", tag = "session",
    responses((status = 200, description = "The session", body = SessionShape)))]
async fn show(State(api): State<Api>, caller: Caller, headers: HeaderMap) -> Result<axum::Json<SessionShape>, Problem> {
    let user = match &caller.user {
        Some(name) => api.gate.store().user(name).await?.as_ref().map(UserShape::of),
        None => None,
    };
    let csrf = caller.session.as_ref().and(cookie(&headers)).map(|cookie| cookie.csrf());
    let grants = caller.access.effective().iter().map(GrantShape::of).collect();
    Ok(axum::Json(SessionShape { user, name: caller.name, via: caller.via, csrf, grants }))
}

/// Signs out: the session ends.
#[utoipa::path(delete, path = "/v1/session", tag = "session",
    responses((status = 204, description = "The session has ended")))]
async fn sign_out(State(api): State<Api>, caller: Caller) -> Result<Response, Problem> {
    if let Some(session) = &caller.session {
        let deed = audit(&caller, "session.end", format!("/users/{}", caller.name), None).into();
        api.gate.changing(api.gate.store().end_session(session, deed)).await?;
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, set_cookie("", 0))]).into_response())
}

/// The answer to whoever has signed in.
pub(super) fn begun(signed: &SignedIn) -> Response {
    let shape = SessionShape {
        user: Some(UserShape::of(&signed.holder.user)),
        name: signed.holder.user.name.to_string(),
        via: "session".to_owned(),
        csrf: Some(signed.cookie.csrf()),
        grants: signed.holder.grants.iter().map(GrantShape::of).collect(),
    };
    ([(header::SET_COOKIE, session_cookie(&signed.cookie))], axum::Json(shape)).into_response()
}

/// The field that gives a browser the cookie of a session.
pub(super) fn session_cookie(cookie: &NewSecret) -> String {
    set_cookie(cookie.expose(), SESSION_LIFE.as_secs())
}

fn set_cookie(value: &str, seconds: u64) -> String {
    format!("{COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}")
}
