//! Row 21: more than anybody asked for.

use std::time::{Duration, Instant};

use crate::harness::{Allow, World};
use crate::report::{Outcome, row, size};
use crate::worker::{Acknowledged, Place, Settings, guests};

/// Most memory of the process.
const MEMORY_MAX: u64 = 150 << 20;

#[test]
fn row_21_storm() {
    let how = "a worker is given 100,000 jobs as fast as it takes them, 10,000 of them under way at once, with marks that go on beside them";
    row("21", "storm of submits", how, || {
        let world = World::with(|config| {
            config.time_scale = 10_000.0;
            config.worker_limit = 64;
        });
        let guests = guests(&world, 32);
        let mut settings = Settings::new(&world, Place::Dir(world.data.clone()), &guests);
        settings.waiting = size(4_000, 100_000);
        (settings.jobs, settings.rate, settings.hold_ms) = (size(200, 2_000), 100, 0);
        settings.waits_ms = size(5_000, 20_000);
        settings.until_idle = true;
        let began = Instant::now();
        let mut worker = settings.start();
        let mut peak = 0;
        while !worker.lines().iter().any(|line| line == "idle") {
            peak = peak.max(worker.peak_memory());
            assert!(worker.runs(), "{:?} {}", worker.lines().last(), worker.errors());
            assert!(began.elapsed() < Duration::from_secs(600), "the storm does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
        worker.wait_end(Duration::from_secs(60));
        let figures = worker.figures();
        let mut heard = Acknowledged::default();
        heard.hear(&worker);
        heard.check(&world, "mark");
        let p99 = figures["write_p99_ms"].as_f64().unwrap();
        let most = figures["most_waiting"].as_u64().unwrap();
        assert!(peak <= MEMORY_MAX, "the process took {} MiB", peak >> 20);
        assert!(most >= size(1_500, 9_000), "only {most} were under way at once");
        world.finish_with(Allow { copies: true, volumes: true, ..Allow::default() });
        Outcome::Pass(format!(
            "{} submits in {:.0} s, {} refused, at most {most} under way: peak memory {} MiB, 99 of 100 writes of running jobs within {p99:.0} ms; 0 lost, 0 doubled",
            settings.waiting + settings.jobs,
            began.elapsed().as_secs_f64(),
            heard.refused.len(),
            peak >> 20
        ))
    });
}
