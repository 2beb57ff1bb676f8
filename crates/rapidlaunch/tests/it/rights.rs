//! Goal: every route lets in whom it should and nobody else. Method: the routes are read from the server's own document and asked
//! by each role with a token and in a session, and by nobody; a table says what each needs, and a route that it does not name fails.
use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Served, World};

pub(crate) const PASSWORD: &str = "correct horse battery";
const ROLES: [&str; 6] = ["none", "viewer", "operator", "deployer", "approver", "admin"];

/// Each request that makes something has a key of its own.
static KEYS: AtomicU32 = AtomicU32::new(0);

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// Nothing.
    Open,
    /// To be signed in.
    Anybody,
    /// A right on everything, or what is asked for is not found or not there.
    Right(&'static str),
    /// The right to administer everything.
    Admin,
}

/// Every route: method, path, what it needs.
const TABLE: &[(&str, &str, Needs)] = &[
    ("get", "/openapi.json", Needs::Open),
    ("get", "/v1/schema", Needs::Open),
    ("get", "/errors/{code}", Needs::Open),
    ("get", "/healthz", Needs::Open),
    ("get", "/readyz", Needs::Open),
    ("get", "/metrics", Needs::Open),
    ("get", "/v1/sign-in", Needs::Open),
    ("get", "/v1/setup", Needs::Open),
    ("post", "/v1/setup", Needs::Open),
    ("post", "/v1/session", Needs::Open),
    ("get", "/v1/oidc/login", Needs::Open),
    ("get", "/v1/oidc/callback", Needs::Open),
    ("get", "/v1/session", Needs::Anybody),
    ("delete", "/v1/session", Needs::Anybody),
    ("get", "/v1/sessions", Needs::Anybody),
    ("delete", "/v1/sessions/{id}", Needs::Anybody),
    ("get", "/v1/operations", Needs::Anybody),
    ("get", "/v1/operations/{operation}", Needs::Right("read")),
    ("get", "/v1/operations/{operation}/events", Needs::Right("read")),
    ("post", "/v1/operations/{operation}/cancel", Needs::Right("operate")),
    ("post", "/v1/operations/{operation}/retry", Needs::Right("operate")),
    ("get", "/v1/events", Needs::Right("read")),
    ("post", "/v1/validate", Needs::Right("read")),
    ("get", "/v1/overview", Needs::Anybody),
    ("get", "/v1/topology", Needs::Anybody),
    ("get", "/v1/search", Needs::Anybody),
    ("get", "/v1/audit", Needs::Admin),
    ("get", "/v1/audit/export", Needs::Admin),
    ("post", "/v1/audit/verify", Needs::Admin),
    ("get", "/v1/plans", Needs::Anybody),
    ("post", "/v1/plans", Needs::Right("deploy")),
    ("post", "/v1/plans/preview", Needs::Right("deploy")),
    ("get", "/v1/plans/{plan}", Needs::Right("read")),
    ("delete", "/v1/plans/{plan}", Needs::Right("deploy")),
    ("post", "/v1/plans/{plan}/approve", Needs::Right("approve")),
    ("post", "/v1/plans/{plan}/apply", Needs::Right("deploy")),
    ("post", "/v1/plans/{plan}/verify", Needs::Right("read")),
    ("get", "/v1/stacks", Needs::Anybody),
    ("get", "/v1/stacks/{stack}", Needs::Right("read")),
    ("patch", "/v1/stacks/{stack}", Needs::Right("admin")),
    ("get", "/v1/stacks/{stack}/diff", Needs::Right("read")),
    ("get", "/v1/stacks/{stack}/drift", Needs::Right("read")),
    ("get", "/v1/stacks/{stack}/revisions", Needs::Right("read")),
    ("get", "/v1/stacks/{stack}/revisions/{revision}", Needs::Right("read")),
    ("post", "/v1/stacks/{stack}/verify", Needs::Right("read")),
    ("get", "/v1/stacks/{stack}/proof", Needs::Right("read")),
    ("get", "/v1/guests", Needs::Anybody),
    ("get", "/v1/guests/{guest}", Needs::Right("read")),
    ("get", "/v1/guests/{guest}/snapshots", Needs::Right("read")),
    ("post", "/v1/guests/{guest}/actions", Needs::Right("operate")),
    ("get", "/v1/leases", Needs::Anybody),
    ("get", "/v1/zones", Needs::Anybody),
    ("get", "/v1/zones/{zone}/records", Needs::Right("read")),
    ("post", "/v1/firewall/explain", Needs::Right("read")),
    ("get", "/v1/agents", Needs::Anybody),
    ("post", "/v1/agents/tokens", Needs::Admin),
    ("delete", "/v1/agents/{site}/{node}", Needs::Admin),
    ("get", "/v1/schedules", Needs::Anybody),
    ("get", "/v1/schedules/{name}", Needs::Right("read")),
    ("put", "/v1/schedules/{name}", Needs::Right("operate")),
    ("delete", "/v1/schedules/{name}", Needs::Right("operate")),
    ("post", "/v1/schedules/{name}/pause", Needs::Right("operate")),
    ("post", "/v1/schedules/{name}/resume", Needs::Right("operate")),
    ("get", "/v1/quotas", Needs::Admin),
    ("get", "/v1/quotas/{owner}", Needs::Admin),
    ("put", "/v1/quotas/{owner}", Needs::Admin),
    ("delete", "/v1/quotas/{owner}", Needs::Admin),
    ("get", "/v1/secrets", Needs::Anybody),
    ("get", "/v1/secrets/{secret}", Needs::Right("read")),
    ("put", "/v1/secrets/{secret}", Needs::Right("deploy")),
    ("delete", "/v1/secrets/{secret}", Needs::Right("deploy")),
    ("post", "/v1/secrets/{secret}/rotate", Needs::Right("deploy")),
    ("get", "/v1/sites", Needs::Anybody),
    ("post", "/v1/sites", Needs::Admin),
    ("get", "/v1/sites/{site}", Needs::Right("read")),
    ("put", "/v1/sites/{site}", Needs::Right("admin")),
    ("delete", "/v1/sites/{site}", Needs::Right("admin")),
    ("post", "/v1/sites/{site}/check", Needs::Right("read")),
    ("get", "/v1/users", Needs::Admin),
    ("post", "/v1/users", Needs::Admin),
    ("get", "/v1/users/{name}", Needs::Admin),
    ("patch", "/v1/users/{name}", Needs::Admin),
    ("delete", "/v1/users/{name}", Needs::Admin),
    ("post", "/v1/users/{name}/totp", Needs::Admin),
    ("post", "/v1/users/{name}/totp/confirm", Needs::Admin),
    ("delete", "/v1/users/{name}/totp", Needs::Admin),
    ("get", "/v1/tokens", Needs::Anybody),
    ("post", "/v1/tokens", Needs::Anybody),
    ("delete", "/v1/tokens/{id}", Needs::Admin),
    ("get", "/v1/grants", Needs::Admin),
    ("post", "/v1/grants", Needs::Admin),
    ("delete", "/v1/grants/{id}", Needs::Admin),
    ("get", "/v1/webhooks", Needs::Admin),
    ("post", "/v1/webhooks", Needs::Admin),
    ("get", "/v1/webhooks/{id}", Needs::Admin),
    ("patch", "/v1/webhooks/{id}", Needs::Admin),
    ("delete", "/v1/webhooks/{id}", Needs::Admin),
    ("get", "/v1/webhooks/{id}/deliveries", Needs::Admin),
    ("post", "/v1/webhooks/{id}/deliveries/{n}/replay", Needs::Admin),
];

/// Somebody who asks.
pub(crate) enum Who {
    Nobody,
    Token(String),
    Session { cookie: String, csrf: String },
}

pub(crate) struct Api<'a> {
    pub(crate) world: &'a World,
    pub(crate) served: &'a Served,
    client: reqwest::Client,
}

impl Api<'_> {
    pub(crate) fn ask(
        &self,
        who: &Who,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> (StatusCode, Value, Option<String>) {
        self.ask_under(&format!("key-{}", KEYS.fetch_add(1, Ordering::Relaxed)), who, method, path, body)
    }

    /// The same under a key, for whatever makes something.
    pub(crate) fn ask_under(
        &self,
        key: &str,
        who: &Who,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> (StatusCode, Value, Option<String>) {
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.served.url));
        request = match who {
            Who::Nobody => request,
            Who::Token(token) => request.bearer_auth(token),
            Who::Session { cookie, csrf } => request.header("cookie", cookie).header("x-csrf-token", csrf),
        };
        if method == Method::POST {
            request = request.header("idempotency-key", key);
        }
        if method != Method::GET {
            request = request.header("if-match", "*");
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        self.world.runtime.block_on(async {
            let response = request.send().await.unwrap();
            let cookie = response.headers().get("set-cookie").map(|value| value.to_str().unwrap().to_owned());
            let status = response.status();
            let kind = response.headers().get("content-type").map(|value| value.as_bytes().to_vec());
            // A stream of events has no end.
            let endless = kind.is_some_and(|kind| kind.starts_with(b"text/event-stream"));
            let text = if endless { String::new() } else { response.text().await.unwrap() };
            (status, serde_json::from_str(&text).unwrap_or(Value::Null), cookie)
        })
    }

    /// The same as whoever holds the data directory; it must be done.
    #[track_caller]
    pub(crate) fn must(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer, _) = self.ask(&Who::Token(self.served.token.clone()), method, path, Some(&body));
        assert!(status.is_success(), "{method} {path}: {status} {answer}");
        answer
    }

    /// A user with a role on everything: with a token of all scopes, and in a session.
    pub(crate) fn person(&self, role: &str) -> [Who; 2] {
        self.must("post", "/v1/users", json!({ "name": role, "password": PASSWORD }));
        if role != "none" {
            self.must("post", "/v1/grants", json!({ "to": format!("user:{role}"), "role": role, "path": "/" }));
        }
        let scopes = json!([{ "role": "admin", "path": "/" }]);
        let made = self.must("post", "/v1/tokens", json!({ "label": "test", "owner": role, "scopes": scopes }));
        [Who::Token(made["token"].as_str().unwrap().to_owned()), self.session(role)]
    }

    pub(crate) fn session(&self, name: &str) -> Who {
        let body = json!({ "name": name, "password": PASSWORD });
        let (status, answer, cookie) = self.ask(&Who::Nobody, "post", "/v1/session", Some(&body));
        assert_eq!(status, 200, "{answer}");
        let cookie = cookie.unwrap();
        assert!(cookie.starts_with("__Host-rapidlaunch="), "{cookie}");
        assert!(cookie.contains("; Path=/; Secure; HttpOnly; SameSite=Lax"), "{cookie}");
        let cookie = cookie.split(';').next().unwrap().to_owned();
        Who::Session { cookie, csrf: answer["csrf"].as_str().unwrap().to_owned() }
    }
}

pub(crate) fn with_api(test: impl FnOnce(&Api<'_>)) {
    let world = World::new();
    let served = world.api_server(&[]);
    let root = reqwest::Certificate::from_pem(served.authority.as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([root]).no_proxy().build().unwrap();
    test(&Api { world: &world, served: &served, client });
    world.end(served).expect(0);
    world.finish();
}

fn rights_of(role: &str) -> &'static [&'static str] {
    match role {
        "viewer" => &["read"],
        "operator" => &["read", "operate"],
        "deployer" => &["read", "operate", "deploy"],
        "approver" => &["read", "approve"],
        "admin" => &["read", "operate", "deploy", "approve", "admin"],
        _ => &[],
    }
}

/// Whether an answer says that the caller may not, that nothing is there for them, or that nobody may ask like that.
fn is_refused(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 401 | 403 | 404)
}

#[test]
fn every_route_lets_in_whom_it_should_and_nobody_else() {
    with_api(|api| {
        let (_, document, _) = api.ask(&Who::Nobody, "get", "/openapi.json", None);
        let mut routes = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            let methods = ["get", "put", "post", "patch", "delete"];
            routes.extend(methods.into_iter().filter(|m| item.get(m).is_some()).map(|method| (method, path.clone())));
        }
        let known = |method: &str, path: &str| TABLE.iter().find(|(m, p, _)| *m == method && *p == path).map(|r| r.2);
        let missing: Vec<_> = routes.iter().filter(|(method, path)| known(method, path).is_none()).collect();
        assert!(missing.is_empty(), "say in TABLE what these need: {missing:?}");
        assert!(routes.len() >= TABLE.len(), "the table names routes that are not there");

        for role in ROLES {
            for who in api.person(role) {
                for (method, path) in &routes {
                    // Ending the session would end the test.
                    if *method == "delete" && path == "/v1/session" {
                        continue;
                    }
                    let needs = known(method, path).unwrap();
                    let at = path
                        .replace("{name}", "victim")
                        .replace("{code}", "RL0501")
                        .replace("{id}", "000000000000")
                        .replace("{stack}", "shop")
                        .replace("{site}", "fra9")
                        .replace("{revision}", "1")
                        .replace("{secret}", "shop%2Fdb")
                        .replace("{zone}", "none.example")
                        .replace("{node}", "pve9")
                        .replace("{owner}", "team")
                        .replace("{guest}", "00000000000000000000");
                    let at = at.replace("{operation}", "01ARZ3NDEKTSV4RRFFQ69G5FAV");
                    // A body that nothing takes: whoever may, hears of that.
                    let body = (*method != "get").then(|| json!({ "nothing": 1 }));
                    let (status, answer, _) = api.ask(&who, method, &at, body.as_ref());
                    let said = format!("{role}: {method} {at}: {status} {answer}");
                    assert_ne!(status, 500, "{said}");
                    match needs {
                        Needs::Admin if role != "admin" && body.is_none() => assert!(is_refused(status), "{said}"),
                        Needs::Admin if role != "admin" => assert!(status.is_client_error(), "{said}"),
                        Needs::Right(right) if !rights_of(role).contains(&right) => {
                            assert!(is_refused(status), "{said}")
                        }
                        Needs::Open | Needs::Anybody => assert_ne!(status, 403, "{said}"),
                        Needs::Admin | Needs::Right(_) => assert!(!matches!(status.as_u16(), 401 | 403), "{said}"),
                    }
                    let (status, answer, _) = api.ask(&Who::Nobody, method, &at, body.as_ref());
                    let refused = needs == Needs::Open || status == 401;
                    assert!(refused, "nobody: {method} {at}: {status} {answer}");
                }
            }
        }
    });
}

#[test]
fn administrators_alone_change_who_may_do_what() {
    with_api(|api| {
        let grant = json!({ "to": "user:viewer", "role": "admin", "path": "/" });
        for role in ROLES {
            for who in api.person(role) {
                let user = format!("new-{role}-{}", matches!(who, Who::Token(_)));
                let created = api.ask(&who, "post", "/v1/users", Some(&json!({ "name": user }))).0;
                assert_eq!(created, if role == "admin" { 201 } else { 403 }, "{role}");
                let removed = api.ask(&who, "delete", &format!("/v1/users/{user}"), None).0;
                assert_eq!(removed, if role == "admin" { 204 } else { 403 }, "{role}");
                if role != "admin" {
                    assert_eq!(api.ask(&who, "post", "/v1/grants", Some(&grant)).0, 403, "{role}");
                }
            }
        }
    });
}

#[test]
fn a_cookie_alone_changes_nothing_and_a_person_looks_after_their_own() {
    with_api(|api| {
        let [token, session] = api.person("viewer");
        let Who::Session { cookie, csrf } = &session else { unreachable!() };
        let bare = Who::Session { cookie: cookie.clone(), csrf: "other".to_owned() };
        let wanted = json!({ "label": "mine", "scopes": [{ "role": "viewer", "path": "/" }] });
        let (status, answer, _) = api.ask(&bare, "post", "/v1/tokens", Some(&wanted));
        assert_eq!((status.as_u16(), answer["code"].as_str()), (403, Some("RL0520")), "{answer}");
        assert_eq!(api.ask(&bare, "get", "/v1/session", None).1["csrf"].as_str(), Some(csrf.as_str()));
        let (status, made, _) = api.ask(&session, "post", "/v1/tokens", Some(&wanted));
        assert_eq!(status, 201, "{made}");
        assert_eq!(api.ask(&token, "post", "/v1/tokens", Some(&wanted)).0, 403, "a token makes no tokens");
        let own = Who::Token(made["token"].as_str().unwrap().to_owned());
        assert_eq!(api.ask(&own, "get", "/v1/session", None).1["name"], "viewer");
        let id = made["id"].as_str().unwrap();
        assert_eq!(api.ask(&session, "delete", &format!("/v1/tokens/{id}"), None).0, 204);
        assert_eq!(api.ask(&own, "get", "/v1/session", None).0, 401, "it is revoked at once");
        let change = json!({ "password": "another long password", "current_password": "wrong" });
        assert_eq!(api.ask(&session, "patch", "/v1/users/viewer", Some(&change)).0, 401);
        let change = json!({ "password": "another long password", "current_password": PASSWORD });
        assert_eq!(api.ask(&session, "patch", "/v1/users/viewer", Some(&change)).0, 200);
        assert_eq!(api.ask(&session, "delete", "/v1/session", None).0, 204);
        assert_eq!(api.ask(&session, "get", "/v1/session", None).0, 401);
    });
}
