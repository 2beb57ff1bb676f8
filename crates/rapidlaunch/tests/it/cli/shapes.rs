//! `--output json` of every command: scripts depend on these shapes, so a change here is a change for them.

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::people_remote::people;
use super::shape;
use crate::harness::{Run, World, farm};

fn of(run: Run) -> String {
    shape(&run.expect(0).json())
}

#[test]
fn before_anything_is_applied() {
    let world = World::new();
    let files = world.write_farm(&farm(1));
    assert_snapshot!(of(world.run_files(&["validate", "-o", "json"], &files)), @r#"
    ok: yes or no
    sites: list of text
    stacks: list of text
    guests: number
    diagnostics: []
    "#);
    assert_snapshot!(of(world.run_files(&["plan", "-o", "json"], &files)), @r#"
    plans: list of
        stack: text
        id: text
        empty: yes or no
        blocked: yes or no
        destroy: yes or no
        actions: list of
            id: number
            stamp:
              guest: text
              stack: text
              name: text
              controller: text
            site: text
            node: text
            vmid: number
            kind:
              do: text
              guest:
                id: text
                name: text
                container: text
                site: text
                node: text
                node_pinned: yes or no
                vmid: number
                hostname: text
                image: text
                storage: text
                cores: number
                memory: text
                swap: text
                disk: text
                volumes: []
                nics: list of
                    slot: text
                    name: text
                    network: text
                    bridge: text
                    vlan: null
                    mtu: null
                    rate_mbps: null
                    mac: text
                    ipv4:
                      static:
                        address: text
                        gateway: text
                    ipv6: text
                    firewall: yes or no
                nameservers: []
                search_domain: null
                tags: []
                notes: text
                onboot: yes or no
                startup: null
                unprivileged: yes or no
                features:
                  nesting: yes or no
                  keyctl: yes or no
                  fuse: yes or no
                protection: yes or no
                running: yes or no
                pool: null
                ssh_keys: []
                timezone: null
                after: []
            reasons: list of text
            after: []
        parts: []
        report:
          placements: list of
              guest: text
              node: text
              why: text
              refused: {}
          notes: []
          unchanged: []
          shallow: number
    "#);
    assert_snapshot!(of(world.run(&["site", "ls", "-o", "json", "-f", &files[1]])), @r#"
    sites: list of
        name: text
        datacenter: null
        endpoints: list of text
        token:
          file: text
        tls:
          fingerprints: list of text
        vmids: text
        networks:
          lan:
            name: text
            bridge: text
            vlan: null
            mtu: null
            subnet: text
            gateway: text
            addresses: list of text
            nameservers: []
            search_domain: null
        images:
          debian-12: text
        storage: text
        storages: []
        nodes: []
        pool: null
        limits:
          creates_per_node: number
          starts_per_node: number
          requests_per_node: number
    "#);
    assert_snapshot!(of(world.run_files(&["site", "check", "lab", "-o", "json"], &files)), @r#"
    site: text
    ok: yes or no
    items: list of
        name: text
        ok: yes or no
        found: text
        hint: null
    "#);
    for command in [&["op", "ls"][..], &["guest", "ls"], &["stack", "ls"], &["site", "ls"], &["drift"]] {
        let args: Vec<&str> = command.iter().copied().chain(["-o", "json"]).collect();
        let value = world.run(&args).expect(0).json();
        let empty = value
            .as_object()
            .unwrap()
            .values()
            .all(|v| matches!(v, Value::Bool(false)) || *v == json!([]) || *v == json!({}));
        assert!(empty, "{command:?}: {value}");
    }
    world.finish();
}

#[test]
fn applied_and_destroyed() {
    let world = World::new();
    let files = world.write_farm(&farm(1));
    assert_snapshot!(of(world.apply(&files)), @r#"
    stacks: list of
        stack: text
        resumed: null
        plan:
          stack: text
          id: text
          empty: yes or no
          blocked: yes or no
          destroy: yes or no
          actions: list of
              id: number
              stamp:
                guest: text
                stack: text
                name: text
                controller: text
              site: text
              node: text
              vmid: number
              kind:
                do: text
                guest:
                  id: text
                  name: text
                  container: text
                  site: text
                  node: text
                  node_pinned: yes or no
                  vmid: number
                  hostname: text
                  image: text
                  storage: text
                  cores: number
                  memory: text
                  swap: text
                  disk: text
                  volumes: []
                  nics: list of
                      slot: text
                      name: text
                      network: text
                      bridge: text
                      vlan: null
                      mtu: null
                      rate_mbps: null
                      mac: text
                      ipv4:
                        static:
                          address: text
                          gateway: text
                      ipv6: text
                      firewall: yes or no
                  nameservers: []
                  search_domain: null
                  tags: []
                  notes: text
                  onboot: yes or no
                  startup: null
                  unprivileged: yes or no
                  features:
                    nesting: yes or no
                    keyctl: yes or no
                    fuse: yes or no
                  protection: yes or no
                  running: yes or no
                  pool: null
                  ssh_keys: []
                  timezone: null
                  after: []
              reasons: list of text
              after: []
          parts: []
          report:
            placements: list of
                guest: text
                node: text
                why: text
                refused: {}
            notes: []
            unchanged: []
            shallow: number
        operation:
          id: text
          state: text
        proof:
          stack: text
          ok: yes or no
          at_ms: number
          items: list of
              guest: text
              site: text
              node: text
              vmid: number
              checks: list of
                  name: text
                  ok: yes or no
                  expected: text
                  found: text
        ok: yes or no
    "#);
    assert_snapshot!(of(world.run(&["verify", "farm", "-o", "json"])), @r#"
    ok: yes or no
    proofs: list of
        stack: text
        ok: yes or no
        at_ms: number
        items: list of
            guest: text
            site: text
            node: text
            vmid: number
            checks: list of
                name: text
                ok: yes or no
                expected: text
                found: text
    "#);
    assert_snapshot!(of(world.run(&["op", "ls", "-o", "json"])), @r#"
    operations: list of
        id: text
        kind: text
        stack: text
        summary: text
        actor: text
        state: text
        jobs_by_state:
          done: number
        created_at_ms: number
        finished_at_ms: number
        cancelled_by: null
    "#);
    assert_snapshot!(of(world.run(&["op", "show", "last", "-o", "json"])), @r#"
    id: text
    kind: text
    stack: text
    summary: text
    actor: text
    state: text
    jobs_by_state:
      done: number
    created_at_ms: number
    finished_at_ms: number
    cancelled_by: null
    jobs: list of
        id: text
        name: text
        state: text
        reason: null
        hint: null
        failures: number
        interrupted: number
        steps: list of
            name: text
            direction: text
            state: text
            upid: text
            attempts: number
            at_ms: number
        started_at_ms: number
        finished_at_ms: number
    "#);
    assert_snapshot!(of(world.run(&["stack", "ls", "-o", "json"])), @r#"
    stacks: list of
        name: text
        revision: number
        state: text
        applied_revision: number
        guests: number
        applied_at_ms: number
        protected: yes or no
        owner: null
    "#);
    assert_snapshot!(of(world.run(&["guest", "ls", "-o", "json"])), @r#"
    guests: list of
        id: text
        stack: text
        name: text
        site: text
        node: text
        vmid: number
        state: text
        addresses: list of text
        drifted: yes or no
    "#);
    assert_snapshot!(of(world.run(&["guest", "stop", "w-1", "-o", "json"])), @r#"
    id: text
    kind: text
    stack: text
    summary: text
    actor: text
    state: text
    jobs_by_state:
      done: number
    created_at_ms: number
    finished_at_ms: number
    cancelled_by: null
    "#);
    world.until("the stop shows", || world.run(&["drift"]).code == Some(3));
    assert_snapshot!(shape(&world.run(&["drift", "-o", "json"]).expect(3).json()), @r#"
    drift: yes or no
    stacks:
      farm: list of
          guest: text
          site: text
          vmid: number
          kind:
            kind: text
          message: text
    "#);
    assert_snapshot!(of(world.run(&["destroy", "farm", "--yes", "-o", "json"])), @r#"
    stacks: list of
        stack: text
        plan:
          stack: text
          id: text
          empty: yes or no
          blocked: yes or no
          destroy: yes or no
          actions: list of
              id: number
              stamp:
                guest: text
                stack: text
                name: text
                controller: text
              site: text
              node: text
              vmid: number
              kind:
                do: text
                was_running: yes or no
                seen_net0: text
                seen_hostname: text
              reasons: list of text
              after: []
          parts: []
          report:
            placements: []
            notes: []
            unchanged: []
            shallow: number
        operation:
          id: text
          state: text
        proof:
          stack: text
          ok: yes or no
          at_ms: number
          items: list of
              guest: text
              site: text
              node: null
              vmid: null
              checks: list of
                  name: text
                  ok: yes or no
                  expected: text
                  found: text
        ok: yes or no
    "#);
    world.finish();
}

#[test]
fn the_stored_file_is_given_back() {
    let world = World::new();
    let files = world.write_farm(&farm(1));
    world.apply(&files).expect(0);
    assert_eq!(world.run(&["stack", "show", "farm"]).expect(0).stdout, farm(1).yaml());
    let shown = world.run(&["stack", "show", "farm", "-o", "json"]).expect(0).json();
    assert_eq!(shown["stack"]["name"], "farm");
    world.finish();
}

#[test]
fn an_error_is_one_document_too() {
    let world = World::new();
    assert_snapshot!(shape(&world.run(&["plan", "nope", "-o", "json"]).expect(2).json()), @r#"
    error:
      kind: text
      message: text
      causes: []
      hints: list of text
      details: null
    "#);
    world.finish();
}

#[test]
fn the_schema_is_one() {
    let world = World::new();
    let schema = world.run(&["schema"]).expect(0).json();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let stack = json!({ "kind": "stack", "name": "s", "site": "lab", "containers": { "w": { "image": "debian-12", "nics": { "eth0": { "network": "lan" } } } } });
    assert!(validator.is_valid(&stack));
    assert!(!validator.is_valid(
        &json!({ "kind": "stack", "name": "s", "site": "lab", "containers": { "w": { "imagee": "debian-12" } } })
    ));
    same_as_stored("stack-file.schema.json", &schema, "rapidlaunch schema > schema/stack-file.schema.json");
    world.finish();
}

#[test]
fn the_description_of_the_api_is_the_stored_one() {
    let world = World::new();
    let document = world.run(&["openapi"]).expect(0).json();
    assert_eq!(document["openapi"], "3.1.0");
    same_as_stored("openapi.json", &document, "make openapi");
    world.finish();
}

/// Compares what the program prints with the file of the repository, and says line by line where they differ.
#[track_caller]
fn same_as_stored(file: &str, printed: &Value, renewed_by: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schema").join(file);
    let stored: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let [stored, printed] = [&stored, printed].map(|value| format!("{value:#}\n"));
    let lines = similar::TextDiff::from_lines(&stored, &printed);
    let diff = lines.unified_diff().context_radius(2).header("stored", "printed").to_string();
    assert!(diff.is_empty(), "schema/{file} is not what the program prints; renew it with `{renewed_by}`\n{diff}");
}

#[test]
fn completions_are_scripts() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = world.run(&["completion", shell]).expect(0).stdout;
        assert!(script.contains("rapidlaunch") && script.contains("destroy"), "{shell}");
    }
    let file = world.write("complete.bash", &world.run(&["completion", "bash"]).stdout);
    assert!(std::process::Command::new("bash").arg("-n").arg(file).status().unwrap().success());
    world.finish();
}

/// The simulator says in one line how it is reached, and answers there.
#[test]
fn the_simulator_prints_one_line() {
    use std::io::{BufRead, BufReader};
    let world = World::new();
    let mut child = world.command(&["sim", "--listen", "127.0.0.1:0", "--nodes", "2"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    assert_snapshot!(shape(&ready), @r#"
    url: text
    urls: list of text
    fingerprint: text
    token: text
    control: text
    "#);
    assert_eq!(ready["urls"].as_array().unwrap().len(), 2);
    world.finish();
}

also_through_a_server![applied_and_destroyed, the_stored_file_is_given_back, an_error_is_one_document_too];

#[test]
fn people_and_what_they_did() {
    let world = World::new();
    people(&world);
    let mut shapes = String::new();
    for args in [
        &["user", "ls"][..],
        &["user", "enable", "otto"],
        &["user", "rm", "otto"],
        &["grant", "ls"],
        &["token", "ls"],
        &["token", "add", "maria", "--label", "x", "--scope", "viewer:/"],
        &["quota", "show", "team"],
        &["audit", "ls", "--limit", "1"],
        &["audit", "verify"],
    ] {
        let args: Vec<&str> = args.iter().copied().chain(["-o", "json"]).collect();
        shapes.push_str(&format!("{}:{}\n", args[..2].join(" "), of(world.run(&args)).trim_end()));
    }
    assert_snapshot!(shapes, @r#"
    user ls:
    users: list of
        name: text
        password: yes or no
        totp: text
        oidc: yes or no
        groups: []
        created_at_ms: number
        created_by: text
        signed_in_at_ms: null
        disabled: yes or no
        version: number
    user enable:
    name: text
    version: number
    user rm:
    name: text
    removed: yes or no
    grant ls:
    grants: list of
        id: text
        to: text
        role: text
        path: text
        created_at_ms: number
        created_by: text
    token ls:
    tokens: list of
        id: text
        owner: text
        label: text
        scopes: list of
            role: text
            path: text
        created_at_ms: number
        created_by: text
        expires_at_ms: null
        used_at_ms: null
        revoked_at_ms: null
        state: text
    token add:
    token: text
    note: null
    id: text
    owner: text
    label: text
    scopes: list of
        role: text
        path: text
    created_at_ms: number
    created_by: text
    expires_at_ms: null
    used_at_ms: null
    revoked_at_ms: null
    state: text
    quota show:
    owner: text
    limits:
      guests: number
      cores: null
      memory_bytes: number
      disk_bytes: number
      addresses: null
    used:
      guests: number
      cores: number
      memory_bytes: number
      disk_bytes: number
      addresses: number
    audit ls:
    entries: list of
        seq: number
        at_ms: number
        actor: text
        via: text
        remote: null
        action: text
        path: text
        before: null
        after:
          owner: text
          label: text
          scopes: list of
              role: text
              path: text
          expires_at_ms: null
          revoked_at_ms: null
        prev: text
        hash: text
    audit verify:
    ok: yes or no
    count: number
    head: text
    broken_seq: null
    fault: null
    "#);
    world.finish();
}
