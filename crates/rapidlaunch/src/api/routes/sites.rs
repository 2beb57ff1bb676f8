//! Sites: how they are declared, whether they answer, and what files say of them.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rl_model::{AccessPath, Right, Site, SiteName};
use rl_planner::diagnostic::Diagnostic;
use rl_store::SiteRecord;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::Api;
use crate::api::caller::Caller;
use crate::api::deeds::audit;
use crate::api::etag::{IfMatch, etag};
use crate::api::extract::{At, Json, Page, PageQuery, Params, Secret, named};
use crate::api::files::{self, FileText};
use crate::api::problem::{Code, Problem};
use crate::out::Out;
use crate::shape::site::{CheckShape, SiteRemoved};
use crate::work::sites::Declaration;
use crate::work::{site_check, sites};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, declare))
        .routes(routes!(show, set, remove))
        .routes(routes!(check))
        .routes(routes!(validate))
}

/// A site.
#[derive(Debug, Serialize, ToSchema)]
struct SiteShape {
    /// Its name.
    name: String,
    /// Where it stands.
    datacenter: Option<String>,
    /// Its API addresses.
    endpoints: Vec<String>,
    /// The whole declaration, with defaults filled in. Holds no secret: tokens are references.
    #[schema(value_type = Object)]
    declared: Site,
}

impl SiteShape {
    fn of(site: Site) -> Self {
        Self {
            name: site.name.to_string(),
            datacenter: site.datacenter.as_ref().map(ToString::to_string),
            endpoints: site.endpoints.iter().map(ToString::to_string).collect(),
            declared: site,
        }
    }
}

fn path(name: &SiteName) -> [AccessPath; 1] {
    [AccessPath::Site(name.clone())]
}

/// Sites by name.
#[utoipa::path(get, path = "/v1/sites", tag = "sites", params(PageQuery),
    responses((status = 200, description = "A page of sites", body = Page<SiteShape>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(page): Params<PageQuery>,
) -> Result<Page<SiteShape>, Problem> {
    page.limit()?;
    let mut sites = api.data.sites().await?;
    sites.retain(|site| caller.may(Right::Read, &path(&site.name)));
    page.cut(sites.into_iter().map(SiteShape::of).collect(), |site| site.name.clone())
}

async fn find(api: &Api, caller: &Caller, name: &str) -> Result<SiteRecord, Problem> {
    let name: SiteName = named("site", name)?;
    caller.need(Right::Read, &path(&name), "site", name.as_str())?;
    api.data.store.site(&name).await?.ok_or_else(|| Problem::not_found("site", &name))
}

/// A site.
#[utoipa::path(get, path = "/v1/sites/{site}", tag = "sites", params(("site" = String, Path)),
    responses((status = 200, description = "The site", body = SiteShape)))]
async fn show(State(api): State<Api>, caller: Caller, At(name): At<String>) -> Result<Response, Problem> {
    let record = find(&api, &caller, &name).await?;
    Ok((etag(record.updated_at.0), axum::Json(SiteShape::of(record.site))).into_response())
}

/// Forgets a site that nothing lies on any more, and its token that was kept as the secret `sites/NAME`, unless that is used
/// elsewhere. Nothing is done to its nodes.
#[utoipa::path(delete, path = "/v1/sites/{site}", tag = "sites", params(("site" = String, Path), IfMatch),
    responses((status = 200, description = "It is removed", body = SiteRemoved)))]
async fn remove(
    State(api): State<Api>,
    caller: Caller,
    At(name): At<String>,
    headers: HeaderMap,
) -> Result<axum::Json<SiteRemoved>, Problem> {
    let name: SiteName = named("site", &name)?;
    caller.need(Right::Admin, &path(&name), "site", name.as_str())?;
    let seen = IfMatch::of(&headers)?;
    let by = audit(&caller, "site.remove", String::new(), None);
    let sees = |path: &AccessPath| caller.may(Right::Read, std::slice::from_ref(path));
    let removed = sites::remove(&api.data, &name, seen, &by, sees).await??;
    removed.map(axum::Json).ok_or_else(|| Problem::not_found("site", name))
}

/// A site to be declared.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SiteBody {
    /// The file: documents of `kind: site`, just one for POST.
    text: String,
    /// Its API token, `user@realm!id=secret`; stored as the secret `sites/NAME`, which the file names with
    /// `token: { secret: sites/NAME }`.
    #[schema(write_only, value_type = Option<String>)]
    token: Option<Secret>,
}

async fn parse(api: &Api, caller: &Caller, text: String) -> Result<Vec<Site>, Problem> {
    let inputs = files::parse(api, caller, vec![FileText { name: "site.yaml".to_owned(), text }]).await?;
    if !inputs.manifest.stacks.is_empty() {
        return Err(Problem::new(Code::INPUT, "`text` must hold documents of `kind: site`, and no others"));
    }
    Ok(inputs.manifest.sites.into_values().collect())
}

async fn keep(
    api: &Api,
    caller: &Caller,
    site: Site,
    token: Option<Secret>,
    seen: Option<u64>,
) -> Result<SiteRecord, Problem> {
    files::may_declare(api, caller, &site).await?;
    let new = Declaration { site, token: token.map(|Secret(token)| token), seen };
    Ok(sites::declare(&api.data, new, &audit(caller, "site.declare", String::new(), None)).await??)
}

/// Declares a site, in place of an earlier one of its name.
#[utoipa::path(post, path = "/v1/sites", tag = "sites", request_body = SiteBody,
    responses((status = 201, description = "Declared", body = SiteShape, headers(("ETag" = String, description = "Its state")))))]
async fn declare(State(api): State<Api>, caller: Caller, Json(body): Json<SiteBody>) -> Result<Response, Problem> {
    let mut sites = parse(&api, &caller, body.text).await?.into_iter();
    let (Some(site), None) = (sites.next(), sites.next()) else {
        return Err(Problem::new(Code::INPUT, "`text` must hold one document of `kind: site`, and no other"));
    };
    let record = keep(&api, &caller, site, body.token, None).await?;
    let place = [(header::LOCATION, format!("/v1/sites/{}", record.site.name))];
    let tag = etag(record.updated_at.0);
    Ok((StatusCode::CREATED, place, tag, axum::Json(SiteShape::of(record.site))).into_response())
}

/// Declares the site of this name, anew or for the first time; its file may have others.
#[utoipa::path(put, path = "/v1/sites/{site}", tag = "sites", request_body = SiteBody,
    params(("site" = String, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read, or `*` for any; needed where there is a site")),
    responses((status = 200, description = "Declared", body = SiteShape, headers(("ETag" = String, description = "Its state")))))]
async fn set(
    State(api): State<Api>,
    caller: Caller,
    At(name): At<String>,
    headers: HeaderMap,
    Json(body): Json<SiteBody>,
) -> Result<Response, Problem> {
    let name: SiteName = named("site", &name)?;
    caller.need(Right::Admin, &path(&name), "site", name.as_str())?;
    let seen = match api.data.store.site(&name).await? {
        Some(_) => IfMatch::of(&headers)?,
        None if IfMatch::if_named(&headers)?.is_some() => {
            return Err(Problem::new(Code::ETAG, format!("there is no site `{name}` any more")));
        }
        None => None,
    };
    let sites = parse(&api, &caller, body.text).await?;
    let site = sites.into_iter().find(|site| site.name == name);
    let site = site.ok_or_else(|| Problem::new(Code::INPUT, format!("`text` declares no site `{name}`")))?;
    let record = keep(&api, &caller, site, body.token, seen).await?;
    Ok((etag(record.updated_at.0), axum::Json(SiteShape::of(record.site))).into_response())
}

/// Checks reachability, TLS, versions and privileges.
#[utoipa::path(post, path = "/v1/sites/{site}/check", tag = "sites", params(("site" = String, Path)),
    responses((status = 200, description = "What was found", body = CheckShape)))]
async fn check(
    State(api): State<Api>,
    caller: Caller,
    At(name): At<String>,
) -> Result<axum::Json<CheckShape>, Problem> {
    let site = find(&api, &caller, &name).await?.site;
    let check = site_check::check(&api.data, &site, &[], &Out::silent()).await?;
    Ok(axum::Json(CheckShape::of(check)))
}

/// Files to be checked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Files {
    /// The files.
    files: Vec<FileText>,
}

/// What files were found to be.
#[derive(Debug, Serialize, ToSchema)]
struct Validated {
    /// Whether they have no mistake.
    ok: bool,
    /// Mistakes and warnings, with file, line and column.
    #[schema(value_type = Vec<Object>)]
    diagnostics: serde_json::Value,
}

/// Checks stack and site files without contacting anything.
#[utoipa::path(post, path = "/v1/validate", tag = "stacks", request_body = Files,
    responses((status = 200, description = "What was found", body = Validated)))]
async fn validate(
    State(api): State<Api>,
    caller: Caller,
    Json(body): Json<Files>,
) -> Result<axum::Json<Validated>, Problem> {
    caller.need_somewhere(Right::Read)?;
    match files::parse(&api, &caller, body.files).await {
        Ok(inputs) => {
            let warnings: Vec<Diagnostic> = inputs.warnings;
            let diagnostics = serde_json::to_value(warnings).unwrap_or_default();
            Ok(axum::Json(Validated { ok: true, diagnostics }))
        }
        Err(problem) => match problem.diagnostics() {
            Some(diagnostics) => Ok(axum::Json(Validated { ok: false, diagnostics })),
            None => Err(problem),
        },
    }
}
