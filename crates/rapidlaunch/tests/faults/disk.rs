//! Rows 4 and 5: the disk is full, or fails to write through.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::{Allow, World, farm};
use crate::process::{Process, READY};
use crate::report::{Outcome, row, size};
use crate::shim::Shim;
use crate::worker::{Acknowledged, Place, Settings, guests};

/// How long jobs may take that a busy machine made fail a few times: two waits of the longest back-off.
const GOING_ON: Duration = Duration::from_secs(120);
/// Room of the small file system.
const ROOM_MIB: u64 = 160;

/// A file system in a file, mounted; gone when dropped.
struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    fn mount(world: &World) -> Result<Self, String> {
        if !rustix::process::getuid().is_root() {
            return Err("mounting a loop file system needs root".to_owned());
        }
        let (image, at) = (world.path("disk.img"), world.path("disk"));
        std::fs::File::create(&image).unwrap().set_len(ROOM_MIB << 20).unwrap();
        std::fs::create_dir(&at).unwrap();
        tool(Command::new("mkfs.ext4").args(["-q", "-F", "-O", "^has_journal", "-m", "0"]).arg(&image))?;
        tool(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&at))?;
        Ok(Self { at })
    }

    /// Takes all room that is left.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.at.join("fill")).unwrap();
        for block in [1 << 20, 4096, 512, 1] {
            let bytes = vec![7; block];
            while file.write_all(&bytes).is_ok() {}
        }
    }

    fn empty(&self) {
        std::fs::remove_file(self.at.join("fill")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = tool(Command::new("umount").arg("--lazy").arg(&self.at));
    }
}

fn tool(command: &mut Command) -> Result<(), String> {
    match command.output() {
        Ok(done) if done.status.success() => Ok(()),
        Ok(done) => Err(format!("{command:?}: {}", String::from_utf8_lossy(&done.stderr).trim())),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}

fn busy_world() -> World {
    World::with(|config| {
        config.time_scale = 10_000.0;
        config.worker_limit = 64;
    })
}

#[test]
fn row_04_the_disk_is_full() {
    let how = "the data directory of a worker under load lies on a loop file system of 160 MiB that is filled and emptied; then the same with the binary";
    row("04", "disk full", how, || {
        let world = busy_world();
        let disk = match SmallDisk::mount(&world) {
            Ok(disk) => disk,
            Err(why) => {
                world.finish();
                return Outcome::Skipped(why);
            }
        };
        let seen = full_under_load(&world, &disk);
        full_for_the_binary(&disk);
        drop(disk);
        world.finish_with(Allow { copies: true, volumes: true, ..Allow::default() });
        Outcome::Pass(seen)
    });
}

/// New work is refused at once, what runs is still recorded, and work goes on when there is room.
fn full_under_load(world: &World, disk: &SmallDisk) -> String {
    let guests = guests(world, 64);
    let mut settings = Settings::new(world, Place::Dir(disk.at.join("data")), &guests);
    (settings.rate, settings.jobs, settings.hold_ms) = (200, 1_000_000, 300);
    let mut worker = settings.start();
    let mut heard = Acknowledged::default();
    let mut refused = 0;
    for round in 0..size(1, 20) {
        std::thread::sleep(Duration::from_millis(700 + 130 * (round % 7)));
        disk.fill();
        let begun = Instant::now();
        let before = count(&worker, "refused");
        while count(&worker, "refused") == before {
            assert!(worker.runs(), "the worker ended: {:?} {}", worker.lines().last(), worker.errors());
            assert!(begun.elapsed() < Duration::from_secs(60), "nothing was refused although the disk is full");
            std::thread::sleep(Duration::from_millis(5));
        }
        let accepted = count(&worker, "ack ");
        std::thread::sleep(Duration::from_secs(2));
        refused = count(&worker, "refused");
        assert!(worker.runs(), "the worker ended: {:?}", worker.lines().last());
        all_made(world, &worker, accepted);
        disk.empty();
        let begun = Instant::now();
        let before = count(&worker, "ack ");
        while count(&worker, "ack ") <= before + 5 {
            assert!(begun.elapsed() < Duration::from_secs(60), "work does not go on although there is room");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    worker.end(Duration::from_secs(30));
    heard.hear(&worker);
    let late = heard.refused.iter().filter_map(|line| line.split(' ').nth(1)?.parse::<u64>().ok()).max().unwrap_or(0);
    assert!(late <= 1_000, "a refusal took {late} ms");
    (settings.jobs, settings.until_idle) = (0, true);
    settings.start().wait_line("idle", Duration::from_secs(120));
    heard.check(world, "mark");
    format!(
        "{} fillings: {refused} submits refused, each within {late} ms; running jobs recorded meanwhile; {} jobs acknowledged, 0 lost, 0 doubled",
        size(1, 20),
        heard.marks.len()
    )
}

fn count(worker: &Process, begin: &str) -> usize {
    worker.count(begin)
}

/// What was acknowledged before is carried out although the disk is full.
#[track_caller]
fn all_made(world: &World, worker: &Process, accepted: usize) {
    let lines = worker.lines();
    let acks: Vec<&String> = lines.iter().filter(|line| line.starts_with("ack ")).take(accepted).collect();
    let marks: Vec<&str> = acks.iter().flat_map(|line| line.split(' ').skip(2)).collect();
    let began = Instant::now();
    loop {
        let ledger = world.sim.ledger();
        let open = marks.iter().filter(|mark| !ledger.by_description_line.contains_key(**mark)).count();
        if open == 0 {
            return;
        }
        assert!(
            began.elapsed() < GOING_ON,
            "{open} of {} accepted jobs do not go on while the disk is full",
            marks.len()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The binary says what is wrong, and the same command succeeds when there is room.
fn full_for_the_binary(disk: &SmallDisk) {
    let mut world = World::new();
    world.data = disk.at.join("binary");
    let files = world.write_farm(&farm(3));
    world.run(&["op", "ls"]).expect(0);
    disk.fill();
    let refused = world.apply(&files).expect_not(0);
    assert!(refused.stderr.contains("room") || refused.stderr.contains("full"), "{}", refused.stderr);
    assert_eq!(world.stamped(), []);
    disk.empty();
    world.apply(&files).expect(0);
    world.finish();
}

#[test]
fn row_05_a_write_through_fails() {
    let how = "a preloaded library lets fsync and fdatasync fail with EIO from a moment on, in a worker under load and in `serve`";
    row("05", "fsync fails with EIO", how, || {
        let world = busy_world();
        let shim = match Shim::build(&world) {
            Ok(shim) => shim,
            Err(why) => {
                world.finish();
                return Outcome::Skipped(why);
            }
        };
        let guests = guests(&world, 64);
        let mut settings = Settings::new(&world, Place::Dir(world.data.clone()), &guests);
        let mut heard = Acknowledged::default();
        let (mut slowest, mut most, rounds) = (Duration::ZERO, 0, size(2, 30));
        for round in 0..rounds {
            settings.tag = format!("e{round}");
            (settings.rate, settings.jobs) = (300, 1_000_000);
            let mut command = settings.command();
            shim.preload(&mut command);
            let mut worker = Process::start("worker", command);
            worker.wait_line("ready", READY);
            std::thread::sleep(Duration::from_millis(300 + 37 * round));
            shim.fail_syncs();
            let began = Instant::now();
            let status = worker.wait_end(Duration::from_secs(30));
            slowest = slowest.max(began.elapsed());
            assert_eq!(status.code(), Some(1), "{:?}", worker.lines().last());
            // The commit that failed, and at most the checkpoint that SQLite tries when its connection is closed.
            most = most.max(shim.failed_syncs());
            assert!(most <= 2, "write-throughs were tried again and again after one had failed");
            shim.heal_syncs();
            heard.hear(&worker);
        }
        // In the small size the machine may be busy with other tests; there the process must only end.
        let bound = Duration::from_secs(size(10, 2));
        assert!(slowest < bound, "the process lived on for {slowest:?}");
        (settings.jobs, settings.until_idle) = (0, true);
        settings.start().wait_line("idle", Duration::from_secs(120));
        heard.check(&world, "e");
        server_ends(&shim);
        world.finish_with(Allow { copies: true, volumes: true, ..Allow::default() });
        Outcome::Pass(format!(
            "{rounds} failures: exit 1 within {:.2} s, at most {most} write-throughs tried; {} jobs acknowledged, 0 lost, 0 doubled after the restart",
            slowest.as_secs_f64(),
            heard.marks.len()
        ))
    });
}

/// The server ends with 1 and says why; started again it goes on.
fn server_ends(shim: &Shim) {
    let world = World::new();
    let id = world.detach(&world.write_farm(&farm(4)));
    let mut command = world.command(&["serve", "--output", "json"]);
    shim.preload(&mut command);
    shim.fail_syncs();
    let mut server = Process::start("serve", command);
    assert_eq!(server.wait_end(Duration::from_secs(20)).code(), Some(1));
    let said = server.errors() + &server.lines().join("\n");
    assert!(said.contains("start"), "{said}");
    shim.heal_syncs();
    assert_eq!(world.serve_to_end(&[], &id), "done");
    crate::launch::each_once(&world, 4);
    world.finish();
}
