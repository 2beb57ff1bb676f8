//! What a person reads when it does not go: wrong input touches nothing, and every message says what to do next.

use insta::assert_snapshot;
use serde_json::json;

use super::settings;
use crate::harness::{World, farm, site};

/// Nothing of the site was asked.
#[track_caller]
fn nothing_asked(world: &World) {
    assert_eq!(world.sim.ledger().calls_total, 0, "{:?}", world.sim.ledger().calls);
}

#[test]
fn without_consent() {
    let world = World::new();
    let files = world.write_farm(&farm(1));
    let run = world.run_files(&["apply"], &files).expect(2);
    settings(&world).bind(|| {
        assert_snapshot!(run.text(), @r#"
    error: nobody can be asked here, so nothing was done
    hint: look at it with `plan`, then give --yes
    "#)
    });
    world.run_files(&["destroy"], &files).expect(2);
    nothing_asked(&world);
    world.finish();
}

#[test]
fn wrong_stack_file() {
    let world = World::new();
    let yaml = "kind: stack\nname: farm\nsite: lab\ncontainers:\n  w:\n    image: debian-13\n    memory: 0 MiB\n    nics: { eth0: { network: dmz } }\n    colour: red\n";
    let files = world.write_stack("wrong", yaml);
    for command in [&["validate"][..], &["plan"], &["apply", "--yes"], &["destroy", "--yes"]] {
        world.run_files(command, &files).expect(2);
    }
    let run = world.run_files(&["apply", "--yes"], &files).expect(2);
    settings(&world).bind(|| assert_snapshot!(run.text(), @r#"
    error[RL0206]: the site `lab` has no image `debian-13`
      --> DIR/wrong.yaml:6:12
       |
     5 |   w:
     6 |     image: debian-13
       |            ^^^^^^^^^
     7 |     memory: 0 MiB
       |
      ::: DIR/site.yaml:10:1
       |
     9 |   lan: { bridge: vmbr0, subnet: 10.50.0.0/24, gateway: 10.50.0.1, addresses: 10.50.0.10-10.50.0.250 }
    10 | images:
       | ------ the site's images
    11 |   debian-12: "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"
       |
       = help: did you mean `debian-12`?

    error[RL0202]: `memory: 0 MiB` is out of its limits
     --> DIR/wrong.yaml:7:13
      |
    6 |     image: debian-13
    7 |     memory: 0 MiB
      |             ^^^^^ allowed: 16 MiB to 16 TiB
    8 |     nics: { eth0: { network: dmz } }
      |
      = help: write an amount from 16 MiB to 16 TiB

    error[RL0205]: the site `lab` has no network `dmz`
     --> DIR/wrong.yaml:8:30
      |
    7 |     memory: 0 MiB
    8 |     nics: { eth0: { network: dmz } }
      |                              ^^^
    9 |     colour: red
      |
     ::: DIR/site.yaml:8:1
      |
    7 | vmids: 3000-3999
    8 | networks:
      | -------- the site's networks
    9 |   lan: { bridge: vmbr0, subnet: 10.50.0.0/24, gateway: 10.50.0.1, addresses: 10.50.0.10-10.50.0.250 }
      |
      = help: known networks: `lan`

    error[RL0104]: a container has no key `colour`
     --> DIR/wrong.yaml:9:5
      |
    8 |     nics: { eth0: { network: dmz } }
    9 |     colour: red
      |     ^^^^^^ unknown key
      |
      = help: known keys: `count`, `site`, `image`, `cores`, `memory`, `swap`, `disk`, `storage`, `nics`, `volumes`, `node`, `vmid`, `spread`, `hostname`, `nameservers`, `search_domain`, `tags`, `notes`, `onboot`, `startup`, `unprivileged`, `features`, `protection`, `state`, `pool`, `ssh_keys`, `timezone`, `after`, `firewall`, `secrets`

    the stack files have 4 errors; nothing was contacted or changed
    "#));
    let error = world.run_files(&["apply", "--yes", "-o", "json"], &files).expect(2).json();
    assert_eq!(error["error"]["kind"], "input");
    assert_eq!(error["error"]["details"]["diagnostics"].as_array().unwrap().len(), 4);
    nothing_asked(&world);
    world.finish();
}

#[test]
fn unknown_names() {
    let world = World::new();
    let mut text = String::new();
    for command in [
        &["plan", "nope"][..],
        &["apply", "nope", "--yes"],
        &["verify", "nope"],
        &["drift", "nope"],
        &["stack", "show", "nope"],
        &["op", "show", "nope"],
        &["op", "watch", "last"],
        &["guest", "stop", "nope"],
        &["site", "check", "nope"],
        &["plan"],
    ] {
        let run = world.run(command).expect(2);
        text.push_str(&format!("$ rapidlaunch {}\n{}\n", command.join(" "), run.text().trim()));
    }
    settings(&world).bind(|| {
        assert_snapshot!(text, @r#"
    $ rapidlaunch plan nope
    error: no stack `nope` was applied before
    hint: give its file with -f FILE; `rapidlaunch stack ls` lists the stored ones
    $ rapidlaunch apply nope --yes
    error: no stack `nope` was applied before
    hint: give its file with -f FILE; `rapidlaunch stack ls` lists the stored ones
    $ rapidlaunch verify nope
    error: no stack `nope` was applied before
    hint: give its file with -f FILE; `rapidlaunch stack ls` lists the stored ones
    $ rapidlaunch drift nope
    error: stack `nope` was never applied to its end
    hint: apply it first; there is nothing to compare with
    $ rapidlaunch stack show nope
    error: no stack `nope` was applied before
    hint: give its file with -f FILE; `rapidlaunch stack ls` lists the stored ones
    $ rapidlaunch op show nope
    error: there is no operation `nope`
    hint: `rapidlaunch op ls` lists them
    $ rapidlaunch op watch last
    error: there is no operation `last`
    hint: `rapidlaunch op ls` lists them
    $ rapidlaunch guest stop nope
    error: there is no guest `nope`
    hint: `rapidlaunch guest ls` lists them
    $ rapidlaunch site check nope
    error: site `nope` is not known
    hint: give its file with -f FILE; `rapidlaunch site ls` lists the known ones
    $ rapidlaunch plan
    error: no stack was named
    hint: give files with -f FILE, or the name of a stack applied before (`rapidlaunch stack ls`)
    "#)
    });
    nothing_asked(&world);
    world.finish();
}

#[test]
fn no_such_command_or_option() {
    let world = World::new();
    world.run(&["frobnicate"]).expect(2);
    world.run(&["plan", "--frobnicate"]).expect(2);
    world.run(&[]).expect(2);
    world.run(&["--version"]).expect(0);
    world.run(&["--help"]).expect(0);
    world.finish();
}

#[test]
fn files_that_cannot_be_read() {
    let world = World::new();
    let text: Vec<String> = ["missing.yaml", "."]
        .iter()
        .map(|file| world.run(&["apply", "--yes", "-f", file]).expect(2).text().trim().to_owned())
        .collect();
    settings(&world).bind(|| {
        assert_snapshot!(text.join("\n"), @r#"
    error: missing.yaml cannot be read; nothing was touched
      because: No such file or directory (os error 2)
    hint: check the path, and that you may read it
    error: . cannot be read; nothing was touched
      because: Is a directory (os error 21)
    hint: check the path, and that you may read it
    "#)
    });
    world.finish();
}

/// A site file with something wrong in it, and what an apply says.
fn with_site(world: &World, site: &str, code: i32) -> String {
    let site = world.write("site.yaml", site);
    let stack = world.write("farm.yaml", &farm(1).yaml());
    let run = world.run(&["apply", "--yes", "-f", site.to_str().unwrap(), "-f", stack.to_str().unwrap()]).expect(code);
    assert_eq!(world.state()["guests"], json!({}));
    run.text().trim().to_owned()
}

/// What `site check` says of the same site.
fn checked(world: &World) -> String {
    world.run(&["site", "check", "lab", "-f", "site.yaml"]).expect(1).text().trim().to_owned()
}

fn token_file(world: &World) -> String {
    format!("{{ file: {} }}", world.path("lab.token").display())
}

#[test]
fn unreachable_site() {
    let world = World::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = with_site(
        &world,
        &site(&[format!("https://127.0.0.1:{port}")], world.sim.fingerprint(), &token_file(&world)),
        1,
    );
    let text = format!("{text}\n\n{}", checked(&world));
    settings(&world).bind(|| assert_snapshot!(text, @r#"
    error: site lab cannot be read
      because: no answer from GET /cluster/resources at https://127.0.0.1:PORT: cannot connect
    hint: `rapidlaunch site check lab -f FILE` tells what is wrong with the connection

    Check of site lab

      FAIL endpoint https://127.0.0.1:PORT: no answer from GET /version at https://127.0.0.1:PORT: cannot connect: error sending request: client error (Connect): tcp connect error: Connection refused (os error 111)
           hint: check that the endpoint is right and that a firewall lets port 8006 through

    1 of 1 points needs attention.
    "#));
    world.finish();
}

#[test]
fn wrong_fingerprint() {
    let world = World::new();
    let wrong = vec!["AB"; 32].join(":");
    let text = with_site(&world, &site(&world.sim.urls(), &wrong, &token_file(&world)), 1);
    let text = format!("{text}\n\n{}", checked(&world));
    settings(&world).bind(|| assert_snapshot!(text, @r#"
    error: site lab cannot be read
      because: no answer from GET /cluster/resources at https://127.0.0.1:PORT: its certificate has another fingerprint than the site's `tls` setting
    hint: `rapidlaunch site check lab -f FILE` tells what is wrong with the connection

    Check of site lab

      FAIL endpoint https://127.0.0.1:PORT: no answer from GET /version at https://127.0.0.1:PORT: its certificate has another fingerprint than the site's `tls` setting: error sending request: client error (Connect): invalid peer certificate: ApplicationVerificationFailure
           hint: on the node, `openssl x509 -noout -fingerprint -sha256 -in /etc/pve/local/pve-ssl.pem` (or pveproxy-ssl.pem) prints the right fingerprint; write it under `tls: { fingerprint: ... }`, or name the authority with `tls: { ca_file: ... }`
      FAIL endpoint https://127.0.0.1:PORT: no answer from GET /version at https://127.0.0.1:PORT: its certificate has another fingerprint than the site's `tls` setting: error sending request: client error (Connect): invalid peer certificate: ApplicationVerificationFailure
           hint: on the node, `openssl x509 -noout -fingerprint -sha256 -in /etc/pve/local/pve-ssl.pem` (or pveproxy-ssl.pem) prints the right fingerprint; write it under `tls: { fingerprint: ... }`, or name the authority with `tls: { ca_file: ... }`
      FAIL endpoint https://127.0.0.1:PORT: no answer from GET /version at https://127.0.0.1:PORT: its certificate has another fingerprint than the site's `tls` setting: error sending request: client error (Connect): invalid peer certificate: ApplicationVerificationFailure
           hint: on the node, `openssl x509 -noout -fingerprint -sha256 -in /etc/pve/local/pve-ssl.pem` (or pveproxy-ssl.pem) prints the right fingerprint; write it under `tls: { fingerprint: ... }`, or name the authority with `tls: { ca_file: ... }`

    3 of 3 points need attention.
    "#));
    nothing_asked(&world);
    world.finish();
}

#[test]
fn wrong_token() {
    let world = World::new();
    world.write_private("lab.token", "root@pam!rapidlaunch=00000000-0000-4000-8000-000000000000");
    let text = with_site(&world, &site(&world.sim.urls(), world.sim.fingerprint(), &token_file(&world)), 1);
    let text = format!("{text}\n\n{}", checked(&world));
    settings(&world).bind(|| assert_snapshot!(text, @r#"
    error: site lab cannot be read
      because: credentials refused by GET /cluster/resources at https://127.0.0.1:PORT: Authentication failed!
    hint: `rapidlaunch site check lab -f FILE` tells what is wrong with the connection

    Check of site lab

      FAIL endpoint https://127.0.0.1:PORT: credentials refused by GET /version at https://127.0.0.1:PORT: Authentication failed!
           hint: check the token: user@realm!id=secret, not expired, its user enabled
      FAIL endpoint https://127.0.0.1:PORT: credentials refused by GET /version at https://127.0.0.1:PORT: Authentication failed!
           hint: check the token: user@realm!id=secret, not expired, its user enabled
      FAIL endpoint https://127.0.0.1:PORT: credentials refused by GET /version at https://127.0.0.1:PORT: Authentication failed!
           hint: check the token: user@realm!id=secret, not expired, its user enabled

    3 of 3 points need attention.
    "#));
    world.finish();
}

#[test]
fn token_that_is_none() {
    let world = World::new();
    world.write_private("lab.token", "hunter2-hunter2-hunter2");
    let mut text = with_site(&world, &site(&world.sim.urls(), world.sim.fingerprint(), &token_file(&world)), 2);
    assert!(!text.contains("hunter2"), "{text}");
    for token in ["{ file: nowhere.token }", "{ env: RAPIDLAUNCH_NO_SUCH }", "{ secret: sites/lab }"] {
        text.push('\n');
        text.push_str(&with_site(&world, &site(&world.sim.urls(), world.sim.fingerprint(), token), 2));
    }
    settings(&world).bind(|| {
        assert_snapshot!(text, @r#"
    error: site lab: its API token is not usable
      because: the API token is not of the form user@realm!id=secret: it has no `=`
    hint: make one under Datacenter > Permissions > API Tokens, and store it as user@realm!id=secret
    error: site lab: its token file DIR/nowhere.token cannot be read
      because: No such file or directory (os error 2)
    hint: the file holds one line, user@realm!id=secret, and only you can read it (chmod 600)
    error: site lab: the environment variable RAPIDLAUNCH_NO_SUCH, which holds its API token, is not set
    hint: set RAPIDLAUNCH_NO_SUCH to user@realm!id=secret, or name a file with `token: { file: PATH }`
    error: site lab: its API token is the secret sites/lab, and there is no secret of that name
    hint: store the token with `rapidlaunch secret set sites/lab`, as user@realm!id=secret
    "#)
    });
    nothing_asked(&world);
    world.finish();
}

#[test]
fn token_that_others_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let files = world.write_farm(&farm(1));
    std::fs::set_permissions(world.path("lab.token"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let run = world.run_files(&["plan"], &files).expect(0);
    settings(&world).bind(|| assert_snapshot!(run.stderr, @r#"warning: others can read the API token in DIR/lab.token; run `chmod 600 DIR/lab.token`"#));
    world.finish();
}

#[test]
fn data_directory_held_by_another_process() {
    let world = World::new();
    let files = world.write_farm(&farm(2));
    world.faults(
        json!([{ "when": { "method": "POST", "path": "/nodes/*/lxc" }, "action": { "do": "delay", "seconds": 2.5 } }]),
    );
    let first = world.spawn_files(&["apply", "--yes"], &files);
    world.until("a create waits at the door", || world.struck(0) > 0);
    let second = world.apply(&files).expect(1);
    let error = second.json()["error"]["message"].as_str().unwrap().to_owned();
    settings(&world).bind(|| assert_snapshot!(error, @r#"the data directory DIR/data is in use by process PID; wait until that process has ended, or choose another with --data"#));
    // Looking is free meanwhile.
    for command in [
        &["op", "ls"][..],
        &["op", "show", "last"],
        &["guest", "ls"],
        &["stack", "ls"],
        &["site", "ls"],
        &["plan", "farm"],
    ] {
        world.run(command).expect(0);
    }
    world.wait(first).expect(0);
    world.finish();
}

#[test]
fn data_directory_that_cannot_be() {
    let world = World::new();
    std::fs::write(&world.data, "a file").unwrap();
    let run = world.run(&["op", "ls"]);
    settings(&world).bind(|| {
        assert_snapshot!(run.text().trim(), @r#"
    error: the data directory DIR/data cannot be used: creating it failed
      because: File exists (os error 17)
    hint: name another directory with --data DIR, or make this one writable for you
    "#)
    });
    assert!(matches!(run.code, Some(1 | 2)), "{run:?}");
    std::fs::remove_file(&world.data).unwrap();
    world.finish();
}
