//! PostgreSQL servers, workers and servers of the program on them, and what must hold at the end.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use pg_lab::{Options, PgServer};

use crate::harness::{Allow, World};
use crate::process::Process;
use crate::worker::{Acknowledged, Place, Settings, guests};

/// Time in which everything accepted must come to its end after the last fault.
pub(crate) const TERMINAL: Duration = Duration::from_secs(120);
/// A lease short enough that a test can outlast it; calls are limited to a third.
pub(crate) const LEASE_MS: u64 = 3_000;
/// Guests that are marked.
const GUESTS: u64 = 64;

/// A site, a database, and what was acknowledged.
pub(crate) struct Lab {
    pub(crate) world: World,
    pub(crate) pg: PgServer,
    pub(crate) guests: Vec<(String, u64)>,
    pub(crate) heard: Acknowledged,
}

impl Lab {
    /// A laboratory, or why there is none on this machine.
    pub(crate) fn open(options: &Options) -> Result<Self, String> {
        Self::with_guests(options, GUESTS)
    }

    /// The same with so many guests.
    pub(crate) fn with_guests(options: &Options, count: u64) -> Result<Self, String> {
        let pg = PgServer::start(options).map_err(|error| error.to_string())?;
        let world = World::with(|config| {
            config.time_scale = 10_000.0;
            config.worker_limit = 64;
        });
        let guests = guests(&world, count);
        Ok(Self { world, pg, guests, heard: Acknowledged::default() })
    }

    /// Settings of a worker on the database, with short calls and a short lease.
    pub(crate) fn settings(&self, tag: &str) -> Settings {
        let mut settings = Settings::new(&self.world, Place::Url(self.pg.url()), &self.guests);
        settings.tag = tag.to_owned();
        (settings.lease_ms, settings.call_ms) = (LEASE_MS, LEASE_MS / 3);
        settings
    }

    /// The address of the database.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.pg.port()))
    }

    /// The database behind another port.
    pub(crate) fn url_at(&self, host: &str, port: u16) -> String {
        format!("postgres://postgres@{host}:{port}/rapidlaunch?sslmode=disable")
    }

    /// Hears what workers have said, waits until everything accepted is done, and compares with the site's ledger. How long that took.
    #[track_caller]
    pub(crate) fn settle(&mut self, workers: &[&Process], tag: &str, settings: &Settings) -> Duration {
        for worker in workers {
            self.heard.hear(worker);
        }
        let mut last = Settings { jobs: 0, until_idle: true, ..settings.clone() };
        last.store = Place::Url(self.pg.url());
        let began = Instant::now();
        let mut idle = last.start();
        idle.wait_line("idle", TERMINAL);
        let took = began.elapsed();
        drop(idle);
        self.heard.check(&self.world, tag);
        took
    }

    /// The checks on the way out.
    pub(crate) fn close(self) {
        // Nothing lay in the data directory; the checks on the way out look into it.
        self.world.run(&["op", "ls"]).expect(0);
        self.world.finish_with(Allow { copies: true, volumes: true, unfinished: true, ..Allow::default() });
    }
}

/// Marks made so far.
pub(crate) fn made(world: &World, tag: &str) -> usize {
    world.sim.ledger().by_description_line.keys().filter(|line| line.starts_with(tag)).count()
}

/// Acknowledgements of a worker so far.
pub(crate) fn acks(worker: &Process) -> usize {
    worker.count("ack ")
}

/// Waits until something is true.
#[track_caller]
pub(crate) fn until(what: &str, patience: Duration, mut is: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < patience, "waited in vain for {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
    began.elapsed()
}
