//! Signing in at a provider of identities: a browser is sent there, and comes back with a code.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::session::session_cookie;
use crate::access::{Attempt, Next, Oidc, OidcError, Remote};
use crate::api::Api;
use crate::api::caller::{Stranger, cookie_named};
use crate::api::extract::{Params, parsed};
use crate::api::problem::{Code, Problem};
use crate::remote::encoded;

/// The cookie that binds the provider's answer to the browser.
const COOKIE: &str = "__Host-rapidlaunch-oidc";
/// How long signing in at the provider may take: a person looks for a password and a device.
const ATTEMPT_SECONDS: u64 = 600;

/// The cookie in which the page finds why nobody was signed in.
const TOLD: &str = "__Host-rapidlaunch-refused";
/// How long it is kept for a page that does not come.
const TOLD_SECONDS: u64 = 60;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(login)).routes(routes!(callback))
}

/// Where to go then.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Whither {
    /// A path of this server; `/` when left out.
    next: Option<String>,
}

/// Sends a browser to the provider of identities.
#[utoipa::path(get, path = "/v1/oidc/login", tag = "session", security(()), params(Whither),
    responses((status = 303, description = "To the provider; where it cannot be reached a browser goes back to the page, which says so",
        headers(("Location" = String, description = "The provider")))))]
async fn login(
    State(api): State<Api>,
    headers: HeaderMap,
    Params(whither): Params<Whither>,
) -> Result<Response, Problem> {
    shown(&headers, leave(&api, &whither).await)
}

async fn leave(api: &Api, whither: &Whither) -> Result<Response, Problem> {
    let oidc = provider(api)?;
    let next = whither.next.as_deref().map(|next| parsed::<Next>("next", next)).transpose()?;
    let attempt = Attempt::new(next.unwrap_or_default());
    let url = oidc.begin(&attempt).await?;
    Ok(see_other(url.as_str(), [set_cookie(&attempt.cookie(), ATTEMPT_SECONDS)]))
}

/// What the provider answers (RFC 6749, 4.1.2).
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Answered {
    /// Stands for the user, once.
    code: Option<String>,
    /// As it was sent.
    state: Option<String>,
    /// Why there is no code.
    error: Option<String>,
    /// The same for people.
    error_description: Option<String>,
    /// Who answers (RFC 9207).
    iss: Option<String>,
}

/// Takes a browser back from the provider, and signs its user in.
#[utoipa::path(get, path = "/v1/oidc/callback", tag = "session", security(()), params(Answered),
    responses((status = 303, description = "Signed in; on to where the user wanted to go. Where nobody is signed in a browser goes back to the page, which says why",
        headers(("Location" = String, description = "A path of this server")))))]
async fn callback(
    State(api): State<Api>,
    Stranger(remote): Stranger,
    headers: HeaderMap,
    Params(answered): Params<Answered>,
) -> Result<Response, Problem> {
    shown(&headers, arrive(&api, &remote, &headers, answered).await)
}

async fn arrive(api: &Api, remote: &Remote, headers: &HeaderMap, answered: Answered) -> Result<Response, Problem> {
    let oidc = provider(api)?;
    let attempt = cookie_named(headers, COOKIE).and_then(Attempt::shown).ok_or(OidcError::NotBegun)?;
    let is_ours = answered.state.as_deref().is_some_and(|state| attempt.is_state(state));
    if !is_ours || !oidc.is_from(answered.iss.as_deref()) {
        return Err(OidcError::NotBegun.into());
    }
    let code = answered.code.ok_or_else(|| OidcError::refused(answered.error, answered.error_description))?;
    let subject = oidc.finish(&attempt, &code).await?;
    let signed = api.gate.sign_in_vouched(subject, remote).await?;
    Ok(see_other(attempt.next.as_str(), [session_cookie(&signed.cookie), set_cookie("", 0)]))
}

/// A browser on its way from page to page is told in the page; whoever else asks is answered as ever.
fn shown(headers: &HeaderMap, came: Result<Response, Problem>) -> Result<Response, Problem> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match came {
        Err(problem) if accept.contains("text/html") => {
            let brief = problem.brief();
            tracing::info!(problem = brief, "nobody was signed in");
            // The page reads it and takes it away. What a link says could be anybody's words; a cookie of this host is the server's.
            let told = format!("{TOLD}={}; Path=/; Secure; SameSite=Lax; Max-Age={TOLD_SECONDS}", encoded(&brief));
            Ok(see_other("/#/", [told, set_cookie("", 0)]))
        }
        came => came,
    }
}

fn provider(api: &Api) -> Result<&Oidc, Problem> {
    api.oidc.as_ref().ok_or_else(|| {
        Problem::new(Code::NOT_FOUND, "this server knows no provider of identities")
            .hint("sign in with a name and a password; `serve --oidc-issuer` names a provider")
    })
}

fn see_other<const N: usize>(to: &str, cookies: [String; N]) -> Response {
    let cookies = AppendHeaders(cookies.map(|cookie| (header::SET_COOKIE, cookie)));
    (StatusCode::SEE_OTHER, [(header::LOCATION, to)], cookies).into_response()
}

fn set_cookie(value: &str, seconds: u64) -> String {
    format!("{COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}")
}

impl From<OidcError> for Problem {
    fn from(error: OidcError) -> Self {
        let text = error.to_string();
        let again = "sign in again from this server's page";
        match error {
            OidcError::Provider { .. } => Self::new(Code::UPSTREAM, text)
                .hint("a user with a password signs in without the provider; look at its state and at the server's --oidc options"),
            OidcError::NotBegun | OidcError::Refused(_) => Self::new(Code::UNAUTHENTICATED, text).hint(again),
            OidcError::Token(fault) => Self::new(Code::UNAUTHENTICATED, format!("{text}: {fault}")).hint(again),
            OidcError::Disabled => Self::new(Code::UNAUTHENTICATED, text).hint("ask an administrator"),
            OidcError::Name { .. } => Self::new(Code::CONFLICT, text)
                .hint("name another claim with `serve --oidc-user-claim`, such as `email` or `sub`"),
            OidcError::NameTaken(_) => Self::new(Code::CONFLICT, text)
                .hint("an administrator removes the user here, or gives them another name at the provider"),
            OidcError::Full => Self::new(Code::CONFLICT, text).hint("an administrator removes users who left"),
            OidcError::Access(error) => error.into(),
        }
    }
}
