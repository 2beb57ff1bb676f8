//! Stores as a whole: copied to another place in the middle of an apply, checked, looked into.

use pg_lab::{Options, PgServer};
use rl_engine::failpoints::VARIABLE;

use crate::harness::{Farm, Run, World, farm};

/// Containers of each apply.
const CONTAINERS: usize = 12;

/// A world whose apply was killed in the middle, and the files of its stack.
fn killed_half_way() -> (World, Vec<String>) {
    let world = World::new();
    let files = world.write_farm(&farm(CONTAINERS));
    let args: Vec<&str> = ["apply", "--yes"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let killed = world.run_with(&args, VARIABLE, "ops.call.after:7");
    assert!(killed.killed(), "{killed:?}");
    (world, files.to_vec())
}

#[track_caller]
fn proven(run: &Run) {
    let result = run.json();
    let stack = &result["stacks"][0];
    assert_eq!((&stack["ok"], &stack["proof"]["ok"]), (&true.into(), &true.into()), "{result:#}");
    assert_eq!(stack["proof"]["items"].as_array().unwrap().len(), CONTAINERS);
    assert!(stack["resumed"].is_string(), "the operation that was killed goes on");
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn an_apply_goes_on_in_a_copy_of_its_directory() {
    let (mut world, files) = killed_half_way();
    let moved = world.path("moved");
    let copied = world.run(&["store", "copy", text(&world.data), text(&moved), "--output", "json"]).expect(0);
    let tables = copied.json()["tables"].as_array().unwrap().clone();
    assert!(tables.iter().any(|table| table["table"] == "job" && table["rows"] == CONTAINERS), "{tables:#?}");
    assert!(copied.stderr.contains("every one was read back and is the same"), "{copied:?}");
    world.data = moved;
    proven(&world.apply(&files).expect(0));
    world.finish();
}

#[test]
fn a_copy_is_refused_where_it_would_do_harm() {
    let (world, _) = killed_half_way();
    let (data, other) = (world.data.clone(), world.path("other"));
    let copy = |from: &std::path::Path, to: &std::path::Path| world.run(&["store", "copy", text(from), text(to)]);
    let refused = copy(&data, &data).expect(2);
    assert!(refused.stderr.contains("cannot be copied onto itself"), "{refused:?}");
    let missing = copy(&world.path("nowhere"), &other).expect(1);
    assert!(missing.stderr.contains("nowhere") && !world.path("nowhere").exists(), "{missing:?}");
    copy(&data, &other).expect(0);
    let full = copy(&data, &other).expect(2);
    assert!(full.stderr.contains("is not empty"), "{full:?}");
    world.finish_with(crate::harness::Allow { unfinished: true, ..Default::default() });
}

#[test]
fn a_check_tells_what_is_wrong_and_shows_the_row() {
    let (world, files) = killed_half_way();
    world.apply(&files).expect(0);
    let sound = world.run(&["store", "check"]).expect(0);
    assert!(sound.stdout.contains("is sound: "), "{sound:?}");
    let database = rusqlite::Connection::open(world.data.join("rapidlaunch.db")).unwrap();
    database.execute("update site set document = cast(x'7bff' as text)", []).unwrap();
    let torn = world.run(&["store", "check"]).expect(0);
    assert!(torn.stdout.contains("quarantined  site   lab  document: its bytes are no text"), "{torn:?}");
    assert!(torn.stdout.contains("1 of which this release cannot read"), "{torn:?}");
    let row = world.run(&["store", "row", "site", "lab"]).expect(0);
    assert!(row.stdout.contains("bytes 7bff"), "{row:?}");
    let json = world.run(&["store", "row", "site", "lab", "--output", "json"]).expect(0).json();
    assert_eq!(json["document"]["hex"], "7bff");
    let name = world.run(&["store", "row", "site", "lab", "--column", "name"]).expect(0);
    assert_eq!(name.stdout, "lab");
    world.run(&["store", "row", "site", "nobody"]).expect(2);
    let changed = database.execute("update operation set state = 'running'", []).unwrap();
    assert!(changed > 0);
    let broken = world.run(&["store", "check", "--output", "json"]).expect(1).json();
    assert_eq!(broken["ok"], false, "{broken:#}");
    let said = broken["findings"].as_array().unwrap();
    assert!(
        said.iter()
            .any(|found| found["level"] == "fault" && found["text"] == "it is running, and its jobs make it done"),
        "{said:#?}"
    );
    // The last change is taken back, so that the checks on the way out find the store as it was.
    database.execute("update operation set state = 'done'", []).unwrap();
    drop(database);
    world.run_files(&["destroy", "--yes"], &files).expect(0);
    world.finish();
}

#[test]
fn an_apply_goes_on_in_a_database_it_was_copied_to_and_back() {
    let (mut world, files) = killed_half_way();
    let server = PgServer::start(&Options::default()).unwrap();
    let url = server.url();
    let directory = world.data.clone();
    let copied = world.run(&["store", "copy", text(&directory), &url]).expect(0);
    assert!(copied.stderr.contains("every one was read back and is the same"), "{copied:?}");
    let full = world.run(&["store", "copy", text(&directory), &url]).expect(2);
    assert!(full.stderr.contains("is not empty"), "{full:?}");
    // From here on the directory would only be in the way.
    std::fs::remove_dir_all(&directory).unwrap();
    world.database = Some(url.clone());
    proven(&world.apply(&files).expect(0));
    let checked = world.run(&["store", "check"]).expect(0);
    assert!(checked.stdout.contains("is sound: "), "{checked:?}");
    world.run(&["verify", "farm"]).expect(0);
    world.run(&["drift"]).expect(0);
    world.check_now(crate::harness::Allow::default());
    assert!(!directory.exists(), "nothing is written beside the database");
    world.database = None;
    world.run(&["store", "copy", &url, text(&directory)]).expect(0);
    world.run(&["verify", "farm"]).expect(0);
    world.run_files(&["destroy", "--yes"], &files).expect(0);
    world.finish();
}

#[test]
fn two_commands_share_a_database() {
    let mut world = World::new();
    let server = PgServer::start(&Options::default()).unwrap();
    world.database = Some(server.url());
    let one = world.write_farm(&Farm { name: "one", ..farm(CONTAINERS) });
    let other = world.write_farm(&Farm { name: "other", ..farm(CONTAINERS) });
    let apply = ["apply", "--yes", "--output", "json"];
    let both = [&one, &other].map(|files| (files, world.spawn_files(&apply, files)));
    for (files, child) in both {
        let mut run = world.wait(child);
        if run.code == Some(4) {
            // Both had planned before either had reserved anything: who came second is told to plan again, and does.
            assert!(run.text().contains("plan again"), "{run:?}");
            run = world.apply(files);
        }
        let stack = &run.expect(0).json()["stacks"][0];
        assert_eq!(stack["proof"]["ok"], true, "{stack:#}");
    }
    assert_eq!(world.stamped().len(), 2 * CONTAINERS);
    // Two of one stack: the second goes on with what the first began, or finds nothing left to do.
    let destroy = ["destroy", "--yes"];
    let both = [world.spawn_files(&destroy, &one), world.spawn_files(&destroy, &other)];
    for child in both {
        world.wait(child).expect(0);
    }
    world.finish();
}

#[test]
fn a_password_is_kept_off_the_command_line() {
    let mut world = World::new();
    let server = PgServer::start(&Options::default()).unwrap();
    let with_password = server.url().replace("postgres@", "postgres:hunter2@");
    let refused = world.run(&["--database", &with_password, "stack", "ls"]).expect(2);
    assert!(refused.stderr.contains("RAPIDLAUNCH_DATABASE_PASSWORD_FILE"), "{refused:?}");
    assert!(!refused.text().contains("hunter2"), "{refused:?}");
    let copy = world.run(&["store", "copy", text(&world.data), &with_password]).expect(2);
    assert!(!copy.text().contains("hunter2"), "{copy:?}");
    world.run(&["--database", &server.url(), "stack", "ls"]).expect(0);
    let file = world.write_private("password", "hunter2\n");
    world
        .run_with(&["--database", &server.url(), "op", "ls"], "RAPIDLAUNCH_DATABASE_PASSWORD_FILE", text(&file))
        .expect(0);
    let missing = world.path("missing");
    let unread = world.run_with(
        &["--database", &server.url(), "op", "ls"],
        "RAPIDLAUNCH_DATABASE_PASSWORD_FILE",
        text(&missing),
    );
    assert!(unread.clone().expect(2).stderr.contains("cannot be read"), "{unread:?}");
    world.run(&["--database", "postgres://nobody", "stack", "ls"]).expect(2);
    let nobody = world.run(&["--database", "postgres://postgres@127.0.0.1:1/none", "stack", "ls"]).expect(1);
    assert!(nobody.stderr.contains("127.0.0.1"), "{nobody:?}");
    let empty = PgServer::start(&Options::default()).unwrap();
    let nothing = world.run(&["--database", &empty.url(), "store", "check"]).expect(1);
    assert!(nothing.stderr.contains("holds no store"), "{nothing:?}");
    world.database = Some(with_password);
    world.run(&["stack", "ls"]).expect(0);
    world.finish();
}

#[test]
fn an_apply_outlives_a_crash_of_its_database() {
    let mut world = World::new();
    let server = PgServer::start(&Options::default()).unwrap();
    world.database = Some(server.url());
    let files = world.write_farm(&farm(CONTAINERS));
    let child = world.spawn_files(&["apply", "--yes", "--output", "json"], &files);
    world.until("some containers are made", || !world.stamped().is_empty());
    server.stop("immediate").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    server.boot().unwrap();
    let run = world.wait(child).expect(0);
    let stack = &run.json()["stacks"][0];
    assert_eq!(stack["proof"]["ok"], true, "{stack:#}");
    world.finish();
}

#[test]
fn what_a_killed_process_did_not_write_down_is_written_by_the_next() {
    let world = World::new();
    let before = farm(2);
    world.apply(&world.write_farm(&before)).expect(0);
    let database = rusqlite::Connection::open(world.data.join("rapidlaunch.db")).unwrap();
    let sql = "select applied_revision, resolved from stack where name = 'farm'";
    let old: (i64, String) = database.query_row(sql, (), |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let files = world.write_farm(&Farm { cores: 3, ..before });
    world.apply(&files).expect(0);
    // As it is when the process dies between the end of its operation and writing down what that made of the stack.
    let sql = "update stack set state = 'changing', applied_revision = ?1, resolved = ?2 where name = 'farm'";
    assert_eq!(database.execute(sql, old).unwrap(), 1);
    drop(database);
    world.run(&["verify", "farm"]).expect(0);
    world.needs_nothing(&files);
    let listed = world.run(&["stack", "ls", "--output", "json"]).expect(0).json();
    assert_eq!(
        (&listed["stacks"][0]["state"], &listed["stacks"][0]["applied_revision"]),
        (&"applied".into(), &2.into())
    );
    world.finish();
}
