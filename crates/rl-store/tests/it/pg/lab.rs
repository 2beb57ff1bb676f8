//! Databases of a real server, one for each test or case.
use std::sync::atomic::{AtomicU32, Ordering};

use pg_lab::{Options, PgServer};
use rl_store::{Postgres, Target};

/// A server, and databases in it.
pub(super) struct Lab {
    pub(super) server: PgServer,
    made: AtomicU32,
}

impl Lab {
    pub(super) fn start() -> Self {
        Self::with(&Options::default())
    }

    pub(super) fn with(options: &Options) -> Self {
        Self { server: PgServer::start(options).unwrap(), made: AtomicU32::new(0) }
    }

    /// A new, empty database.
    pub(super) fn database(&self) -> Target {
        let name = format!("case{}", self.made.fetch_add(1, Ordering::Relaxed));
        self.server.psql("postgres", &format!("create database {name}")).unwrap();
        Target::parse(&self.server.url().replace("/rapidlaunch", &format!("/{name}"))).unwrap()
    }

    /// The database every server has from the start.
    pub(super) fn target(&self) -> Target {
        Target::parse(&self.server.url()).unwrap()
    }

    /// An open store on the database that every server has.
    pub(super) fn open(&self) -> Postgres {
        Postgres::open(&self.target()).unwrap()
    }
}
