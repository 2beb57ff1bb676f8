//! schemathesis asks the server whatever its OpenAPI document allows and forbids, with a token that may do everything: no answer
//! is a failure of the server, none is undocumented, and every one has the shape that the document promises.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{Allow, World, farm};

/// Requests that are made up for each operation of the document.
const EXAMPLES: &str = "10";
/// What is held of every answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,unsupported_method";

#[test]
fn the_server_is_as_its_document_says() {
    let world = World::new();
    let farm = world.write_farm(&farm(2));
    world.apply(&farm).expect(0);
    let served = world.api_server(&[]);
    world.until("the server is ready", || served.get(&world, "/readyz").status() == 200);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let venv = Command::new(root.join("scripts/test-venv")).arg("fuzzer").stderr(Stdio::inherit()).output().unwrap();
    assert!(venv.status.success(), "scripts/test-venv fuzzer installs schemathesis");
    let venv = String::from_utf8(venv.stdout).unwrap();
    let authority = world.write("authority.pem", &served.authority);
    let fuzzer = Command::new(Path::new(venv.trim()).join("bin/schemathesis"))
        .args(["run", &format!("{}/openapi.json", served.url), "--no-color", "--checks", CHECKS])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES, "--seed", "1"])
        .args(["--generation-deterministic", "--no-shrink", "--warnings", "off"])
        .args(["--workers", "1", "--request-timeout", "60", "--continue-on-failure"])
        // A stream without an end: each answer would be waited for. It has tests of its own.
        .args(["--suppress-health-check", "all", "--exclude-path", "/v1/events"])
        .args(["--header", &format!("Authorization: Bearer {}", served.token)])
        .arg("--tls-verify")
        .arg(&authority)
        .current_dir(world.folder())
        .env("NO_PROXY", "*")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&fuzzer.stdout).into_owned();
    let said = said.replace(&served.token, "TOKEN");
    assert!(fuzzer.status.success(), "{said}\n{}", String::from_utf8_lossy(&fuzzer.stderr));
    assert_eq!(served.get(&world, "/readyz").status(), 200);
    world.end(served).expect(0);
    world.finish_with(Allow { volumes: true, ..Allow::default() });
}
