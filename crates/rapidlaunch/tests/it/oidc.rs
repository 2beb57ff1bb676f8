//! Goal: people sign in at a provider of identities, with what its groups give them at that moment, and nobody comes in by an answer
//! that is not the provider's to this browser. Method: oidc-provider, which others have certified, signs in whoever the test
//! says and tampers with its ID tokens as told; a small browser of our own keeps cookies and follows redirects.
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use reqwest::header::{LOCATION, SET_COOKIE};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Served, World};

const CALLBACK: &str = "https://rapidlaunch.test/v1/oidc/callback";
const SECRET: &str = "of the client: +/%";

/// A provider that runs until this is dropped.
struct Provider {
    child: Child,
    issuer: String,
    /// Kept open: a provider that can say nothing more would end.
    _said: BufReader<std::process::ChildStdout>,
}

impl Provider {
    fn start(claims_in: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/test-provider");
        let made = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
        assert!(made.status.success(), "scripts/test-provider installs the provider");
        let folder = String::from_utf8(made.stdout).unwrap();
        let mut child = Command::new("node")
            .args(["provider.mjs", CALLBACK, SECRET, claims_in])
            .current_dir(folder.trim())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node runs the provider: install nodejs");
        let mut issuer = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut issuer).unwrap();
        assert!(issuer.starts_with("http://127.0.0.1:"), "the provider says where it is: {issuer}");
        Self { child, issuer: issuer.trim().to_owned(), _said: said }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What an answer was.
struct Page {
    status: StatusCode,
    to: Option<String>,
    body: Value,
}

/// A browser: cookies by host, and redirects one at a time.
#[derive(Default, Clone)]
struct Browser {
    jar: BTreeMap<(bool, String), String>,
    /// Whether it says that it wants pages, as those of people do.
    wants_pages: bool,
}

struct Lab<'a> {
    world: &'a World,
    served: &'a Served,
    /// To the server, and to the provider.
    own: reqwest::Client,
    plain: reqwest::Client,
    provider: &'a Provider,
}

impl Lab<'_> {
    /// Says what the provider does next.
    fn wish(&self, wish: Value) {
        let request = self.plain.post(format!("{}/test/wish", self.provider.issuer)).body(wish.to_string());
        assert_eq!(self.world.runtime.block_on(request.send()).unwrap().status(), 200);
    }

    fn get(&self, browser: &mut Browser, url: &str) -> Page {
        let is_own = !url.starts_with(&self.provider.issuer);
        let url = url.replace("https://rapidlaunch.test", &self.served.url);
        let client = if is_own { &self.own } else { &self.plain };
        let cookies = browser.jar.iter().filter(|((own, _), _)| *own == is_own);
        let cookies: Vec<String> = cookies.map(|((_, name), value)| format!("{name}={value}")).collect();
        self.world.runtime.block_on(async {
            let accept = if browser.wants_pages { "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8" } else { "*/*" };
            let request =
                client.request(Method::GET, url).header("cookie", cookies.join("; ")).header("accept", accept);
            let response = request.send().await.unwrap();
            for cookie in response.headers().get_all(SET_COOKIE) {
                let (name, value) = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
                match value {
                    "" => drop(browser.jar.remove(&(is_own, name.to_owned()))),
                    value => drop(browser.jar.insert((is_own, name.to_owned()), value.to_owned())),
                }
            }
            let to = response.headers().get(LOCATION).map(|to| to.to_str().unwrap().to_owned());
            let status = response.status();
            let text = response.text().await.unwrap();
            Page { status, to, body: serde_json::from_str(&text).unwrap_or(Value::Null) }
        })
    }

    /// Goes from the page of the server through the provider up to the address that it sends the browser back to.
    fn up_to_callback(&self, browser: &mut Browser, next: &str) -> String {
        let page = self.get(browser, &format!("{}/v1/oidc/login?next={next}", self.served.url));
        assert_eq!(page.status, 303, "{}", page.body);
        let mut to = page.to.unwrap();
        for _ in 0..5 {
            if to.starts_with(CALLBACK) {
                return to;
            }
            let absolute = if to.starts_with('/') { format!("{}{to}", self.provider.issuer) } else { to.clone() };
            let page = self.get(browser, &absolute);
            to = page.to.unwrap_or_else(|| panic!("{absolute}: {} {}", page.status, page.body));
        }
        panic!("the provider never sends the browser back: {to}");
    }

    /// Signs in; answers the last page.
    fn sign_in(&self, browser: &mut Browser) -> Page {
        let back = self.up_to_callback(browser, "/%23/stacks");
        self.get(browser, &back)
    }

    /// What the one who is signed in may do.
    fn grants(&self, browser: &mut Browser) -> Value {
        let page = self.get(browser, &format!("{}/v1/session", self.served.url));
        if page.status == 200 { page.body["grants"].clone() } else { page.body["code"].clone() }
    }

    /// The same as whoever holds the data directory.
    fn admin(&self, method: Method, path: &str, body: &Value) -> Value {
        let request = self.served.request(method, path).json(body);
        self.world.runtime.block_on(async { request.send().await.unwrap().json().await.unwrap_or_default() })
    }

    fn actions(&self, path: &str) -> Vec<String> {
        let page = self.admin(Method::GET, &format!("/v1/audit?path={path}"), &Value::Null);
        let entries = page["items"].as_array().unwrap().iter().rev();
        entries.map(|entry| entry["action"].as_str().unwrap().to_owned()).collect()
    }
}

fn with_lab(claims_in: &str, test: impl FnOnce(&Lab<'_>)) {
    let (world, provider) = (World::new(), Provider::start(claims_in));
    let secret = world.write("client.secret", &format!("{SECRET}\n"));
    let args = ["--oidc-issuer", &provider.issuer, "--oidc-client-id", "rapidlaunch", "--oidc-callback", CALLBACK];
    let file = ["--oidc-client-secret-file", secret.to_str().unwrap(), "--oidc-name", "The office"];
    let served = world.api_server(&[&args[..], &file[..]].concat());
    let client = || reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    let root = reqwest::Certificate::from_pem(served.authority.as_bytes()).unwrap();
    let (own, plain) = (client().tls_certs_only([root]).build().unwrap(), client().build().unwrap());
    test(&Lab { world: &world, served: &served, own, plain, provider: &provider });
    world.end(served).expect(0);
    world.finish();
}

#[test]
fn groups_of_a_provider_give_roles_until_the_next_sign_in_without_them() {
    with_lab("userinfo", |lab| {
        assert_eq!(lab.served.json(lab.world, "/v1/sign-in")["oidc"], json!({ "name": "The office" }));
        lab.admin(Method::POST, "/v1/grants", &json!({ "to": "group:ops", "role": "operator", "path": "/stacks" }));
        let mut browser = Browser::default();
        lab.wish(json!({ "account": "maria", "groups": ["ops", "others"] }));
        let page = lab.sign_in(&mut browser);
        assert_eq!((page.status.as_u16(), page.to.as_deref()), (303, Some("/#/stacks")), "{}", page.body);
        assert_eq!(lab.grants(&mut browser), json!([{ "role": "operator", "path": "/stacks" }]));
        let user = lab.admin(Method::GET, "/v1/users/maria", &Value::Null);
        assert_eq!(
            (&user["oidc"], &user["password"], &user["groups"]),
            (&json!(true), &json!(false), &json!(["ops", "others"]))
        );

        // In another browser, a week later: the group is gone, here and there.
        lab.wish(json!({ "account": "maria", "groups": ["others"] }));
        let mut other = Browser::default();
        assert_eq!(lab.sign_in(&mut other).status, 303);
        assert_eq!((lab.grants(&mut other), lab.grants(&mut browser)), (json!([]), json!([])));
        assert_eq!(lab.actions("/users/maria"), ["user.meet", "session.begin", "user.meet", "session.begin"]);

        // The provider changes its keys.
        lab.wish(json!({ "account": "maria", "groups": [], "rotate": true }));
        assert_eq!(lab.sign_in(&mut Browser::default()).status, 303);
        // Whoever is shut out here stays out.
        let request = lab.served.request(Method::PATCH, "/v1/users/maria").header("if-match", "*");
        let request = request.json(&json!({ "disabled": true }));
        assert_eq!(lab.world.runtime.block_on(request.send()).unwrap().status(), 200);
        let page = lab.sign_in(&mut Browser::default());
        assert_eq!((page.status.as_u16(), page.body["code"].as_str()), (401, Some("RL0501")), "{}", page.body);
    });
}

#[test]
fn an_answer_that_is_not_the_providers_to_this_browser_lets_nobody_in() {
    with_lab("id-token", |lab| {
        let refused = |page: &Page, said: &str| {
            assert_eq!((page.status.as_u16(), page.body["code"].as_str()), (401, Some("RL0501")), "{}", page.body);
            let detail = page.body["detail"].as_str().unwrap();
            assert!(detail.contains(said), "{said}: {detail}");
        };
        let faults = [
            ("nonce", "answers another request"),
            ("expired", "has expired"),
            ("audience", "for another client"),
            ("key", "signature of the ID token is wrong"),
            ("none", "is not signed"),
        ];
        for (tamper, said) in faults {
            lab.wish(json!({ "tamper": tamper }));
            let mut browser = Browser::default();
            refused(&lab.sign_in(&mut browser), said);
            assert_eq!(lab.grants(&mut browser), json!("RL0501"), "{tamper}");
        }
        assert_eq!(lab.admin(Method::GET, "/v1/users", &Value::Null)["items"], json!([]), "nobody was added");
        lab.wish(json!({ "deny": true }));
        refused(&lab.sign_in(&mut Browser::default()), "access_denied: not today");
        // A person's browser goes back to the page, which finds why in a cookie.
        lab.wish(json!({ "deny": true }));
        let mut person = Browser { wants_pages: true, ..Browser::default() };
        let page = lab.sign_in(&mut person);
        assert_eq!((page.status.as_u16(), page.to.as_deref()), (303, Some("/#/")));
        let told = &person.jar[&(true, "__Host-rapidlaunch-refused".to_owned())];
        assert!(told.contains("RL0501") && told.contains("not%20today"), "{told}");
        assert_eq!(lab.grants(&mut person), json!("RL0501"), "and nobody is signed in");

        lab.wish(json!({ "account": "maria", "groups": ["ops"] }));
        let mut browser = Browser::default();
        let back = lab.up_to_callback(&mut browser, "/");
        let begun = browser.clone();
        // The answer in another browser, with another state, without one, and in the name of another issuer.
        refused(&lab.get(&mut Browser::default(), &back), "no sign-in that this browser has begun");
        let mut victim = Browser::default();
        lab.up_to_callback(&mut victim, "/");
        refused(&lab.get(&mut victim, &back), "no sign-in that this browser has begun");
        refused(&lab.get(&mut begun.clone(), &back.replace("state=", "state=0")), "no sign-in");
        refused(&lab.get(&mut begun.clone(), &back.replace("state=", "x=")), "no sign-in");
        refused(&lab.get(&mut begun.clone(), &back.replace("iss=", "iss=x")), "no sign-in");
        assert_eq!(lab.get(&mut browser, &back).status, 303);
        refused(&lab.get(&mut browser, &back), "no sign-in");
        refused(&lab.get(&mut begun.clone(), &back), "was used before");
        // The answer of one sign-in with the proof of another: the code is bound to the first.
        let mut one = Browser::default();
        let first = lab.up_to_callback(&mut one, "/");
        let code = |url: &str| url.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
        let mut two = Browser::default();
        let second = lab.up_to_callback(&mut two, "/");
        refused(&lab.get(&mut two, &second.replace(&code(&second), &code(&first))), "the code is not valid");

        for next in ["//evil.example", "https://evil.example", "/%5Cevil.example", "evil"] {
            let page = lab.get(&mut Browser::default(), &format!("{}/v1/oidc/login?next={next}", lab.served.url));
            assert_eq!(
                (page.status.as_u16(), page.body["code"].as_str()),
                (422, Some("RL0506")),
                "{next}: {}",
                page.body
            );
        }
        // A user of the same name who does not come from the provider.
        lab.admin(Method::POST, "/v1/users", &json!({ "name": "jo" }));
        lab.wish(json!({ "account": "jo" }));
        let page = lab.sign_in(&mut Browser::default());
        assert_eq!((page.status.as_u16(), page.body["code"].as_str()), (409, Some("RL0507")), "{}", page.body);
    });
}

#[test]
fn a_provider_that_is_down_is_said_to_be_and_nothing_else_suffers() {
    let world = World::new();
    // A port that was free a moment ago, and on which nobody listens.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let issuer = format!("http://{gone}");
    let served = world.api_server(&["--oidc-issuer", &issuer, "--oidc-client-id", "rapidlaunch"]);
    let problem = served.json(&world, "/v1/oidc/login");
    assert_eq!(problem["code"], json!("RL0519"), "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("the provider of identities cannot be used") && detail.contains(&issuer), "{detail}");
    assert_eq!(served.json(&world, "/v1/sign-in")["oidc"], json!({ "name": "127.0.0.1" }));
    world.until("the server is ready", || served.get(&world, "/readyz").status() == 200);
    world.end(served).expect(0);
    let refused =
        world.run(&["serve", "--listen", "127.0.0.1:0", "--oidc-issuer", "http://id.example", "--oidc-client-id", "x"]);
    refused.expect(2);
    world.finish();
}
