//! From a request to an answer: authentication, faults, permission, proxying, parameter checks, the handler, the format.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use crate::api::call::{Arg, Args, Call, Identity, Reply, ReplyResult};
use crate::api::check;
use crate::api::endpoint::{Endpoint, Handler};
use crate::api::error::ApiError;
use crate::api::perm::Perm;
use crate::auth::{self, AuthError};
use crate::faults::{Action, Loss};
use crate::http::{Request, Response, Service, body};
use crate::site::{RecordedAnswer, Site};
use crate::{control, families};

/// pveproxy gives its own connections to daemons and other nodes this long (AnyEvent.pm).
const PROXY_TIMEOUT: Duration = Duration::from_secs(30);
/// However fast the operations run, a loaded test machine is given this much real time.
const PROXY_TIMEOUT_FLOOR: Duration = Duration::from_secs(5);

/// The API as one node's listener serves it.
pub(crate) struct NodeService {
    pub(crate) site: Arc<Site>,
    pub(crate) node: String,
}

/// Whether a call gets to the node it is about.
enum Reach {
    Here,
    Refused(ApiError),
    /// The node is off the network.
    Gone,
}

/// Where a path leads.
enum Target {
    Api {
        format: String,
        path: String,
    },
    /// `/api2` without a format.
    Nowhere,
    File,
}

fn target_of(path: &str) -> Target {
    let Some(rest) = path.strip_prefix("/api2") else { return Target::File };
    let Some(rest) = rest.strip_prefix('/') else {
        return if rest.is_empty() { Target::Nowhere } else { Target::File };
    };
    let (format, tail) = rest.split_once('/').unwrap_or((rest, ""));
    if format.is_empty() {
        return Target::Nowhere;
    }
    Target::Api { format: format.to_owned(), path: format!("/{tail}") }
}

impl Service for NodeService {
    fn admit<'a>(&'a self, head: &'a Request) -> BoxFuture<'a, Option<Response>> {
        async move {
            *self.site.last_call.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = self.site.clock.uptime();
            if !self.site.world().nodes.get(&self.node).is_some_and(|n| n.up) {
                return Some(Response::hang_up());
            }
            match target_of(&head.path) {
                Target::Nowhere => Some(Response::plain(501, "no such uri")),
                Target::File => None,
                Target::Api { path, .. } => match self.identify(head, &path) {
                    Ok(_) => None,
                    Err(why) => {
                        tokio::time::sleep(self.site.limits.auth_delay).await;
                        Some(Response::bare(401, why.reason()))
                    }
                },
            }
        }
        .boxed()
    }

    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        async move {
            match target_of(&request.path) {
                Target::Api { format, path } => self.api(request, &format, &path).await,
                _ => {
                    let path = percent_decode_str(&request.path).decode_utf8_lossy().into_owned();
                    Response {
                        reason: format!("no such file '{path}'"),
                        ..Response::plain(500, &format!("no such file '{path}'\n"))
                    }
                }
            }
        }
        .boxed()
    }
}

impl NodeService {
    /// Who is calling; nobody has to be known for the login calls.
    fn identify(&self, request: &Request, path: &str) -> Result<Option<Identity>, AuthError> {
        let open = matches!(
            (request.method.as_str(), path.trim_end_matches('/')),
            ("GET" | "POST", "/access/ticket") | ("GET", "/access/domains")
        );
        if open && auth::token_of(request).is_none() {
            return Ok(None);
        }
        auth::authenticate(&self.site, request).map(Some)
    }

    async fn api(&self, request: Request, format: &str, path: &str) -> Response {
        let path = percent_decode_str(path).decode_utf8_lossy().into_owned();
        if !matches!(format, "json" | "extjs") {
            return Response::plain(501, &format!("no formatter for uri {path}, {format}"));
        }
        let who = match self.identify(&request, &path) {
            Ok(who) => who.unwrap_or(Identity { user: String::new(), token: None }),
            Err(why) => return Response::bare(401, why.reason()),
        };
        let args = match body::params(&request) {
            Ok(args) => args,
            Err(response) => return response,
        };
        let clean = clean_path(&path);
        let node = clean.strip_prefix("/nodes/").and_then(|r| r.split('/').next());
        let struck = self.site.faults.strike(&request.method, &clean, node);
        if let Some(response) = self.before(&struck).await {
            return response;
        }
        let task_fault = struck.iter().find(|action| action.is_of_task());
        let outcome = self.call(&request.method, &path, who, args, task_fault.cloned()).await;
        match (after(&struck), outcome) {
            (Some(response), _) | (None, Err(response)) => response,
            (None, Ok(result)) => write(result, format),
        }
    }

    /// Faults that strike before anything is done.
    async fn before(&self, struck: &[Action]) -> Option<Response> {
        for action in struck {
            match action {
                Action::Delay { seconds } => tokio::time::sleep(Duration::from_secs_f64(seconds.max(0.0))).await,
                Action::Refuse { status, message } => {
                    return Some(write(Err(ApiError::status(*status, message.clone())), "json"));
                }
                Action::LoseRequest { how } => return Some(lost(*how)),
                Action::RestartProxy {} => {
                    control::apply(&self.site, action);
                    return Some(Response::hang_up());
                }
                other => control::apply(&self.site, other),
            }
        }
        None
    }

    /// Finds the endpoint and runs it. `Err` is an answer of the HTTP layer.
    async fn call(
        &self,
        method: &str,
        path: &str,
        who: Identity,
        mut args: Args,
        task_fault: Option<Action>,
    ) -> Result<ReplyResult, Response> {
        let Some((endpoint, found)) = self.site.router.find(method, path) else {
            self.site.ledger.call(method, "(not implemented)");
            return Ok(Err(ApiError::status(501, format!("Method '{method} {path}' not implemented"))));
        };
        self.site.ledger.call(method, endpoint.path);
        if let Some((name, _)) =
            found.iter().find(|(name, value)| args.0.get(name).is_some_and(|a| a.text() != Some(value)))
        {
            let text = "duplicate parameter (already defined in URI) with conflicting values!";
            return Ok(Err(ApiError::param(name, text)));
        }
        args.0.extend(found.into_iter().map(|(name, value)| (name, Arg::Text(value))));
        if who.token.is_some() && !endpoint.tokens {
            let text = format!("URI '{path}' not available with API token, need proper ticket.\n");
            return Ok(Err(ApiError::perm(text)));
        }
        if let Err(denied) = self.permitted(&endpoint, &who, &args) {
            return Ok(Err(denied));
        }
        match self.reachable(&endpoint, &args) {
            Reach::Here => {}
            Reach::Refused(error) => return Ok(Err(error)),
            Reach::Gone => return Err(Response::plain(595, "No route to host")),
        }
        if let Err(errors) = check::check_args(&endpoint.schema, &mut args) {
            return Ok(Err(ApiError::params(errors)));
        }
        let call = Call { site: self.site.clone(), who, args, local: self.node.clone(), task_fault };
        let result = self.run(&endpoint, call).await?;
        self.record(&endpoint, &result);
        Ok(result)
    }

    fn permitted(&self, endpoint: &Endpoint, who: &Identity, args: &Args) -> Result<(), ApiError> {
        if endpoint.perm == Perm::World {
            return Ok(());
        }
        endpoint.perm.check(&self.site.world().access, who, args)
    }

    /// Can the node in the path be asked?
    fn reachable(&self, endpoint: &Endpoint, args: &Args) -> Reach {
        let world = self.site.world();
        if world.quorum_lost && endpoint.protected && endpoint.method != "GET" {
            return Reach::Refused(ApiError::die("cluster not ready - no quorum?"));
        }
        let Some(node) = args.text("node").filter(|n| endpoint.proxied && *n != "localhost") else {
            return Reach::Here;
        };
        match world.nodes.get(node) {
            None => Reach::Refused(ApiError::die(format!(
                "hostname lookup '{node}' failed - failed to get address info for: {node}: Name or service not known"
            ))),
            Some(found) if !found.up => Reach::Gone,
            Some(_) => Reach::Here,
        }
    }

    /// Runs the handler in its own task: when the proxy gives up, the work goes on.
    async fn run(&self, endpoint: &Arc<Endpoint>, call: Call) -> Result<ReplyResult, Response> {
        if !endpoint.protected
            && let Handler::Quick(handler) = endpoint.handler
        {
            return Ok(handler(&call));
        }
        let (endpoint, site) = (endpoint.clone(), self.site.clone());
        let workers = site.workers(call.node()).filter(|_| endpoint.protected);
        let work = tokio::spawn(async move {
            let _worker = match workers {
                Some(workers) => workers.acquire_owned().await.ok(),
                None => None,
            };
            match endpoint.handler {
                Handler::Quick(handler) => handler(&call),
                Handler::Slow(handler) => handler(call).await,
            }
        });
        let patience = self.site.clock.real(PROXY_TIMEOUT).max(PROXY_TIMEOUT_FLOOR);
        match tokio::time::timeout(patience, work).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) => Err(Response::plain(596, "Connection reset by peer")),
            Err(_) => Err(Response::plain(596, "Connection timed out")),
        }
    }

    fn record(&self, endpoint: &Endpoint, result: &ReplyResult) {
        if let (Some(recorded), Ok(reply)) = (&self.site.recorded, result)
            && reply.raw.is_none()
        {
            let answer = RecordedAnswer {
                method: endpoint.method.to_owned(),
                path: endpoint.path.to_owned(),
                data: reply.data.clone(),
            };
            recorded.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(answer);
        }
    }
}

/// A path without doubled and trailing slashes.
fn clean_path(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    format!("/{}", parts.join("/"))
}

/// Faults that strike once the work is done.
fn after(struck: &[Action]) -> Option<Response> {
    struck.iter().find_map(|action| match action {
        Action::LoseAnswer { how } => Some(lost(*how)),
        Action::Overtake { status, message } => Some(write(Err(ApiError::status(*status, message.clone())), "json")),
        _ => None,
    })
}

fn lost(how: Loss) -> Response {
    match how {
        Loss::Close => Response::hang_up(),
        Loss::Timeout => Response::plain(596, "Connection timed out"),
    }
}

/// Writes an answer in the format the path asked for.
fn write(result: ReplyResult, format: &str) -> Response {
    let extjs = format == "extjs";
    match result {
        Ok(Reply { raw: Some((content_type, bytes)), .. }) => Response {
            content_type: Some(content_type),
            ..Response { status: 200, reason: "OK".into(), body: bytes, ..Response::default() }
        },
        Ok(reply) => {
            let mut out = Map::new();
            out.insert("data".into(), reply.data);
            if let Some(total) = reply.total.filter(|t| *t > 0) {
                out.insert("total".into(), json!(total));
            }
            if let Some(changes) = reply.changes {
                out.insert("changes".into(), json!(changes));
            }
            if extjs {
                out.insert("success".into(), json!(1));
            }
            respond(200, "OK", &out)
        }
        Err(error) => write_error(&error, extjs),
    }
}

fn write_error(error: &ApiError, extjs: bool) -> Response {
    let mut out = Map::new();
    out.insert("data".into(), Value::Null);
    // What is not implemented is said without the newline that ends every other message.
    let newline = if error.status == 501 { "" } else { "\n" };
    out.insert("message".into(), json!(format!("{}{newline}", error.message)));
    if !error.errors.is_empty() {
        out.insert("errors".into(), json!(error.errors));
    }
    if extjs {
        // A plain die is a number there, an exception carries its code as text.
        let status = if error.status == 500 { json!(500) } else { json!(error.status.to_string()) };
        out.insert("status".into(), status);
        out.insert("success".into(), json!(0));
        return respond(200, "OK", &out);
    }
    let reason = families::first_line(&error.message);
    respond(error.status, reason, &out)
}

fn respond(status: u16, reason: &str, body: &Map<String, Value>) -> Response {
    Response::json(status, reason, serde_json::to_vec(body).unwrap_or_default())
}
