//! The resources of the API as a client meets them.

mod agents;
mod quotas;
mod schedules;
mod secrets;
mod sites;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Served, World};

/// Asks with a token; a POST gets a key that no other request of the test has, unless one is named.
struct Client<'a> {
    world: &'a World,
    served: &'a Served,
    token: String,
}

impl<'a> Client<'a> {
    /// Whoever holds the data directory.
    fn root(world: &'a World, served: &'a Served) -> Self {
        Self { world, served, token: served.token.clone() }
    }

    /// A user with a role on a path, with a token of all scopes.
    fn person(&self, name: &str, role: &str, path: &str) -> Client<'a> {
        self.must(Method::POST, "/v1/users", &json!({ "name": name, "password": "correct horse battery" }));
        self.must(Method::POST, "/v1/grants", &json!({ "to": format!("user:{name}"), "role": role, "path": path }));
        let scopes = json!([{ "role": "admin", "path": "/" }]);
        let made = self.must(Method::POST, "/v1/tokens", &json!({ "label": "t", "owner": name, "scopes": scopes }));
        Client { token: made["token"].as_str().unwrap().to_owned(), ..*self }
    }

    fn keyed(&self, method: Method, path: &str, key: &str, body: &Value) -> (StatusCode, Value) {
        let request = self.served.client.request(method, format!("{}{path}", self.served.url)).bearer_auth(&self.token);
        self.world.runtime.block_on(async {
            let response =
                request.header("idempotency-key", key).header("if-match", "*").json(body).send().await.unwrap();
            let status = response.status();
            let text = response.text().await.unwrap();
            (status, serde_json::from_str(&text).unwrap_or(Value::Null))
        })
    }

    fn ask(&self, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let key = format!("k{}", NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        self.keyed(method, path, &key, body)
    }

    /// The same; it must be done.
    #[track_caller]
    fn must(&self, method: Method, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(method.clone(), path, body);
        assert!(status.is_success(), "{method} {path}: {status} {answer}");
        answer
    }

    /// The same; it must be refused with this code.
    #[track_caller]
    fn refused(&self, method: Method, path: &str, body: &Value, code: &str) -> Value {
        let (status, answer) = self.ask(method.clone(), path, body);
        assert_eq!(answer["code"], code, "{method} {path}: {status} {answer}");
        answer
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        self.must(Method::GET, path, &Value::Null)
    }

    /// What the audit says was done, oldest first.
    fn deeds(&self) -> Vec<String> {
        let audit = self.get("/v1/audit?limit=200");
        let entries = audit["items"].as_array().unwrap().iter().rev();
        entries.map(|e| format!("{} {}", e["action"].as_str().unwrap(), e["path"].as_str().unwrap())).collect()
    }
}
