//! Goal: whatever changes who may come in is done once, is written down, and never shows a secret again. Method: a server is asked as
//! its clients ask, its audit is read, and the bytes of its store are searched.
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::rights::{Api, PASSWORD, Who, with_api};

fn admin(api: &Api<'_>) -> Who {
    let [_, session] = api.person("admin");
    session
}

/// Actions of the audit about some path and what lies below, oldest first.
fn audited(api: &Api<'_>, path: &str) -> Vec<Value> {
    let who = Who::Token(api.served.token.clone());
    let (_, page, _) = api.ask(&who, "get", &format!("/v1/audit?limit=200&path={path}"), None);
    page["items"].as_array().unwrap().iter().rev().cloned().collect()
}

fn actions(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect()
}

/// Everything that the store has on disk.
fn on_disk(api: &Api<'_>) -> Vec<u8> {
    let files = std::fs::read_dir(&api.world.data).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.to_string_lossy().contains("rapidlaunch.db"))
        .flat_map(|p| std::fs::read(p).unwrap())
        .collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_repeated_request_is_answered_again_without_what_was_shown_once() {
    with_api(|api| {
        let admin = admin(api);
        let wanted = json!({ "label": "pipeline", "scopes": [{ "role": "viewer", "path": "/" }] });
        let (status, made, _) = api.ask_under("one", &admin, "post", "/v1/tokens", Some(&wanted));
        assert_eq!((status.as_u16(), &made["note"]), (201, &Value::Null), "{made}");
        let (status, again, _) = api.ask_under("one", &admin, "post", "/v1/tokens", Some(&wanted));
        assert_eq!((status.as_u16(), &again["token"]), (201, &Value::Null), "{again}");
        assert!(again["note"].as_str().unwrap().contains("shown once"), "{again}");
        assert_eq!((&again["id"], &again["created_at_ms"]), (&made["id"], &made["created_at_ms"]));
        let other = json!({ "label": "other", "scopes": [{ "role": "viewer", "path": "/" }] });
        let (status, problem, _) = api.ask_under("one", &admin, "post", "/v1/tokens", Some(&other));
        assert_eq!((status.as_u16(), problem["code"].as_str()), (422, Some("RL0512")), "{problem}");
        assert_eq!(api.must("get", "/v1/tokens?owner=admin", Value::Null)["items"].as_array().unwrap().len(), 2);

        let jo = json!({ "name": "jo", "password": "a password of jo" });
        let (_, first, _) = api.ask_under("two", &admin, "post", "/v1/users", Some(&jo));
        let (status, second, _) = api.ask_under("two", &admin, "post", "/v1/users", Some(&jo));
        assert_eq!((status, first), (StatusCode::CREATED, second));
        assert_eq!(api.ask(&admin, "post", "/v1/users", Some(&jo)).0, 409, "under another key it is another request");
        let grant = json!({ "to": "user:jo", "role": "viewer", "path": "/" });
        let (_, first, _) = api.ask_under("three", &admin, "post", "/v1/grants", Some(&grant));
        let (_, second, _) = api.ask_under("three", &admin, "post", "/v1/grants", Some(&grant));
        assert_eq!(first, second);

        let begin = json!({ "password": PASSWORD });
        let at = "/v1/users/admin/totp";
        let (status, made_factor, _) = api.ask_under("four", &admin, "post", at, Some(&begin));
        let (_, again, _) = api.ask_under("four", &admin, "post", at, Some(&begin));
        assert_eq!((status.as_u16(), &again["key"], &again["url"]), (200, &Value::Null, &Value::Null), "{again}");
        let disk = on_disk(api);
        assert!(holds(&disk, made["id"].as_str().unwrap()), "the store was read");
        for secret in [&made["token"], &made_factor["key"], &json!("a password of jo"), &json!(PASSWORD)] {
            assert!(!holds(&disk, secret.as_str().unwrap()), "{secret} lies in the store");
        }
    });
}

#[test]
fn every_change_of_access_is_in_the_audit() {
    with_api(|api| {
        let admin = admin(api);
        let jo = json!({ "name": "jo", "password": "a password of jo" });
        assert_eq!(api.ask(&admin, "post", "/v1/users", Some(&jo)).0, 201);
        assert_eq!(api.ask(&admin, "post", "/v1/users", Some(&jo)).0, 409);
        let (_, given, _) =
            api.ask(&admin, "post", "/v1/grants", Some(&json!({ "to": "user:jo", "role": "viewer", "path": "/" })));
        let session = |password: &str| {
            let body = json!({ "name": "jo", "password": password });
            api.ask(&Who::Nobody, "post", "/v1/session", Some(&body))
        };
        let (_, begun, cookie) = session("a password of jo");
        let cookie = cookie.unwrap().split(';').next().unwrap().to_owned();
        let own = Who::Session { cookie, csrf: begun["csrf"].as_str().unwrap().to_owned() };
        let (_, made, _) = api.ask(
            &own,
            "post",
            "/v1/tokens",
            Some(&json!({ "label": "x", "scopes": [{ "role": "viewer", "path": "/" }] })),
        );
        let token = format!("/v1/tokens/{}", made["id"].as_str().unwrap());
        assert_eq!(api.ask(&own, "delete", &token, None).0, 204);
        assert_eq!(api.ask(&own, "delete", "/v1/session", None).0, 204);
        for change in
            [json!({ "password": "another one of jo" }), json!({ "disabled": true }), json!({ "disabled": false })]
        {
            assert_eq!(api.ask(&admin, "patch", "/v1/users/jo", Some(&change)).0, 200, "{change}");
        }
        for _ in 0..5 {
            assert_eq!(session("not the one").0, 401);
        }
        assert_eq!(session("another one of jo").0, 429);
        let grant = format!("/v1/grants/{}", given["id"].as_str().unwrap());
        assert_eq!(api.ask(&admin, "delete", &grant, None).0, 204);
        assert_eq!(api.ask(&admin, "delete", "/v1/users/jo", None).0, 204);

        let entries = audited(api, "/users/jo");
        let begun = ["user.create", "session.begin", "session.end", "user.password", "user.disable", "user.enable"];
        assert_eq!(actions(&entries), [&begun[..], &["session.lockout", "user.remove"]].concat());
        assert_eq!((&entries[0]["actor"], &entries[0]["via"]), (&json!("admin"), &json!("session")));
        assert_eq!((&entries[2]["actor"], &entries[6]["remote"]), (&json!("jo"), &json!("127.0.0.1")));
        assert_eq!((&entries[4]["before"]["disabled_at_ms"], &entries[7]["after"]), (&Value::Null, &Value::Null));
        assert!(entries[4]["after"]["disabled_at_ms"].is_u64() && entries[7]["before"].is_object(), "{entries:?}");
        assert_eq!(actions(&audited(api, "/grants")), ["grant.create", "grant.create", "grant.remove"]);
        let tokens = audited(api, "/tokens");
        assert_eq!(actions(&tokens), ["token.create", "token.create", "token.revoke"]);
        assert_eq!(tokens[2]["before"]["scopes"][0], json!({ "role": "viewer", "path": "/" }));
        let verdict = api.must("post", "/v1/audit/verify", json!({}));
        assert_eq!(verdict["ok"], json!(true), "{verdict}");
    });
}

#[test]
fn the_last_administrator_stays() {
    with_api(|api| {
        let admin = admin(api);
        let grants = api.must("get", "/v1/grants", Value::Null);
        let grant = format!("/v1/grants/{}", grants["items"][0]["id"].as_str().unwrap());
        let shut_out = json!({ "disabled": true });
        let tries = [
            ("delete", &*grant, None),
            ("delete", "/v1/users/admin", None),
            ("patch", "/v1/users/admin", Some(&shut_out)),
        ];
        for (method, path, body) in tries {
            let (status, problem, _) = api.ask(&admin, method, path, body);
            assert_eq!(
                (status.as_u16(), problem["code"].as_str()),
                (409, Some("RL0507")),
                "{method} {path}: {problem}"
            );
            assert!(problem["detail"].as_str().unwrap().contains("give another user"), "{problem}");
        }
        api.must("post", "/v1/users", json!({ "name": "jo", "password": PASSWORD }));
        api.must("post", "/v1/grants", json!({ "to": "user:jo", "role": "admin", "path": "/" }));
        assert_eq!(api.ask(&admin, "delete", "/v1/users/admin", None).0, 204, "another one is there");
    });
}

#[test]
fn people_see_their_sessions_and_end_them() {
    with_api(|api| {
        let [token, here] = api.person("viewer");
        let there = api.session("viewer");
        let [_, other] = api.person("operator");
        let list = |who: &Who| {
            let (status, page, _) = api.ask(who, "get", "/v1/sessions", None);
            assert_eq!(status, 200, "{page}");
            page["items"].as_array().unwrap().clone()
        };
        let (seen, foreign) = (list(&here), list(&other));
        assert_eq!((seen.len(), list(&there).len(), foreign.len(), list(&token).len()), (2, 2, 1, 0));
        let elsewhere = seen.iter().find(|session| session["current"] == json!(false)).unwrap();
        assert_eq!((&elsewhere["way"], &elsewhere["remote"]), (&json!("password"), &json!("127.0.0.1")));
        let at = |session: &Value| format!("/v1/sessions/{}", session["id"].as_str().unwrap());
        assert_eq!(api.ask(&here, "delete", &at(&foreign[0]), None).0, 404, "it is another person's");
        assert_eq!(api.ask(&token, "delete", &at(elsewhere), None).0, 404, "a token is no person");
        assert_eq!(api.ask(&here, "delete", &at(elsewhere), None).0, 204);
        assert_eq!(api.ask(&there, "get", "/v1/session", None).0, 401, "it has ended at once");
        assert_eq!((list(&here).len(), list(&other).len()), (1, 1));
        assert_eq!(api.ask(&here, "delete", &at(elsewhere), None).0, 404);
        assert_eq!(
            actions(&audited(api, "/users/viewer")).iter().filter(|action| **action == "session.end").count(),
            1
        );
    });
}
