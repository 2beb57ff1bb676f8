//! A place of its own for each test: a data directory, or a database on a real server.
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use pg_lab::PgServer;
use rl_engine::Clock;
use rl_store::{Place, Postgres, Store, StoreError, Target};

/// Bytes that no text has, and a text with a zero byte, which PostgreSQL refuses.
pub(crate) const TORN: [&[u8]; 2] = [b"{\"\xff\x00", b"{\"\x00A"];

/// Where a test's store is; gone with the value.
pub(crate) struct Home {
    place: Place,
    dir: Option<tempfile::TempDir>,
    database: Option<(Arc<PgServer>, String)>,
}

/// A server for the homes of a test.
pub(crate) fn server() -> Arc<PgServer> {
    Arc::new(PgServer::start(&pg_lab::Options::default()).unwrap())
}

impl Home {
    /// A data directory.
    pub(crate) fn directory() -> Home {
        let dir = tempfile::tempdir().unwrap();
        Home { place: Place::Directory(dir.path().to_owned()), dir: Some(dir), database: None }
    }

    /// An empty database of a server.
    pub(crate) fn database(server: &Arc<PgServer>) -> Home {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("home_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        server.psql("postgres", &format!("create database {name}")).unwrap();
        let target = Target::parse(&server.url().replace("/rapidlaunch", &format!("/{name}"))).unwrap();
        Home { place: Place::Database(target), dir: None, database: Some((Arc::clone(server), name)) }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The directory, where it is one.
    pub(crate) fn dir(&self) -> Option<&Path> {
        self.dir.as_ref().map(|dir| dir.path())
    }

    /// Opens the store, whose clock is the one given, also in a database.
    pub(crate) async fn open(&self, clock: Arc<dyn Clock>) -> Result<Store, StoreError> {
        match &self.place {
            Place::Directory(_) => Store::at(&self.place, clock).await,
            Place::Database(target) => {
                let (target, given) = (target.clone(), Arc::clone(&clock));
                let open = move || Postgres::open_with_clock(&target, given);
                Store::over(tokio::task::spawn_blocking(open).await.unwrap()?, clock).await
            }
        }
    }

    /// Runs one statement with one parameter on the database, past the store; it must change something.
    pub(crate) fn change(&self, sql: &str, parameter: &str) {
        match &self.database {
            None => assert_eq!(self.sqlite().execute(sql, [parameter]).unwrap(), 1, "{sql}"),
            Some(_) => {
                let sql = sql.replace("?1", &format!("'{parameter}'"));
                assert_eq!(self.psql(&format!("{sql} returning 1")).trim(), "1", "{sql}");
            }
        }
    }

    /// The same without a parameter.
    pub(crate) fn change_any(&self, sql: &str) {
        match &self.database {
            None => drop(self.sqlite().execute(sql, []).unwrap()),
            Some(_) => drop(self.psql(sql)),
        }
    }

    /// Runs several statements on a directory's database, past the store.
    pub(crate) fn script(&self, sql: &str) {
        self.sqlite().execute_batch(sql).unwrap();
    }

    /// Runs a statement that SQLite itself would refuse.
    pub(crate) fn damage(&self, sql: &str) {
        let sql = format!("pragma writable_schema = on; {sql}; pragma writable_schema = off;");
        self.sqlite().execute_batch(&sql).unwrap();
    }

    /// Tears the payloads of these jobs.
    pub(crate) fn tear(&self, jobs: &[String]) {
        for (id, bytes) in jobs.iter().zip(TORN) {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            match &self.database {
                None => {
                    self.change(&format!("update job_spec set spec = cast(x'{digits}' as text) where id = ?1"), id);
                }
                Some(_) => self.change(&format!("update job_spec set spec = 'rl-bytes:{digits}' where id = ?1"), id),
            }
        }
    }

    /// The payloads of jobs, as the bytes they are stored as.
    pub(crate) fn specs(&self, jobs: &str) -> Vec<Vec<u8>> {
        let database = self.sqlite();
        let mut statement = database.prepare(&format!("select spec from job_spec where {jobs} order by seq")).unwrap();
        let read = |row: &rusqlite::Row<'_>| Ok(row.get_ref(0)?.as_bytes()?.to_vec());
        statement.query_map([], read).unwrap().map(Result::unwrap).collect()
    }

    fn sqlite(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.dir().unwrap().join("rapidlaunch.db")).unwrap()
    }

    fn psql(&self, sql: &str) -> String {
        let (server, name) = self.database.as_ref().unwrap();
        server.psql(name, sql).unwrap()
    }
}

/// Every case runs on either database.
macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        mod directory {
            $(#[tokio::test]
            async fn $case() {
                super::$case(crate::home::Home::directory()).await;
            })*
        }

        /// One server for all of them: each begins with a database of its own.
        #[tokio::test]
        async fn postgres_does_the_same() {
            let server = crate::home::server();
            $(
                println!("{}", stringify!($case));
                $case(crate::home::Home::database(&server)).await;
            )*
        }
    };
}
pub(crate) use cases;
