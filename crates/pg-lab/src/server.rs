//! One server: started, stopped, killed, followed by a standby and promoted.
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::tools::{LabError, Tools, output, run};

/// How a server is set up.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Write through to the disk. Off for tests that kill processes and not the machine.
    pub fsync: bool,
    /// Lines for `postgresql.conf`, after the laboratory's own.
    pub settings: Vec<String>,
}

/// A running server. Dropped, it is stopped and its folder removed.
#[derive(Debug)]
pub struct PgServer {
    tools: Tools,
    dir: TempDir,
    port: u16,
}

impl PgServer {
    /// A server with an empty database `rapidlaunch` for the user `postgres`, who needs no password.
    pub fn start(options: &Options) -> Result<Self, LabError> {
        let tools = Tools::find()?;
        let server = Self { dir: folder(&tools)?, port: free_port()?, tools };
        let mut initdb = server.tools.command("initdb");
        initdb.args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--pgdata"]);
        run(initdb.arg(server.data()))?;
        server.configure(options)?;
        server.boot()?;
        server.psql("postgres", "create database rapidlaunch")?;
        Ok(server)
    }

    /// A standby that follows this server by streaming, named `name` for `synchronous_standby_names`.
    pub fn standby(&self, name: &str, options: &Options) -> Result<Self, LabError> {
        let server = Self { dir: folder(&self.tools)?, port: free_port()?, tools: self.tools.clone() };
        let source = format!("host=127.0.0.1 port={} user=postgres application_name={name}", self.port);
        let mut copy = self.tools.command("pg_basebackup");
        copy.args(["--no-sync", "--checkpoint=fast", "--write-recovery-conf", "--wal-method=stream", "--dbname"]);
        run(copy.arg(source).arg("--pgdata").arg(server.data()))?;
        server.configure(options)?;
        server.boot()?;
        Ok(server)
    }

    /// Where clients connect: `postgres://postgres@127.0.0.1:PORT/rapidlaunch`.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/rapidlaunch", self.port)
    }

    /// The port on loopback; it stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's data folder.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// What the server wrote to its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The process id of the postmaster, while it runs.
    pub fn pid(&self) -> Option<i32> {
        let text = std::fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok()
    }

    /// Starts the server again after [`PgServer::stop`].
    pub fn boot(&self) -> Result<(), LabError> {
        let mut start = self.tools.command("pg_ctl");
        start.args(["start", "--wait", "--timeout=60", "--silent", "--pgdata"]).arg(self.data());
        start.arg("--log").arg(self.log_file());
        // The server inherits the pipes of whoever starts it, so that waiting for their end would never end.
        let status = start.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            other => Err(LabError::new(format!("the server did not start ({other:?}): {}", self.log()))),
        }
    }

    /// Ends the server: `fast` closes its connections in order, `immediate` is as good as a crash.
    pub fn stop(&self, mode: &str) -> Result<(), LabError> {
        let mut stop = self.tools.command("pg_ctl");
        stop.args(["stop", "--wait", "--timeout=60", "--silent", "--mode", mode, "--pgdata"]).arg(self.data());
        run(&mut stop)
    }

    /// Makes a standby a primary.
    pub fn promote(&self) -> Result<(), LabError> {
        let mut promote = self.tools.command("pg_ctl");
        promote.args(["promote", "--wait", "--timeout=60", "--silent", "--pgdata"]).arg(self.data());
        run(&mut promote)
    }

    /// Reads `postgresql.conf` again after `setting` was added to it.
    pub fn set(&self, setting: &str) -> Result<(), LabError> {
        let path = self.data().join("postgresql.conf");
        let text = std::fs::read_to_string(&path).map_err(|error| LabError::new(format!("{path:?}: {error}")))?;
        std::fs::write(&path, format!("{text}{setting}\n"))
            .map_err(|error| LabError::new(format!("{path:?}: {error}")))?;
        let mut reload = self.tools.command("pg_ctl");
        run(reload.args(["reload", "--silent", "--pgdata"]).arg(self.data()))
    }

    /// Runs SQL in a database and gives what it printed, unaligned and without headings.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String, LabError> {
        let mut psql = Command::new("psql");
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]);
        psql.args(["--host=127.0.0.1", "--username=postgres", "--dbname", database, "--command", sql]);
        output(psql.arg(format!("--port={}", self.port)))
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn configure(&self, options: &Options) -> Result<(), LabError> {
        let fsync = if options.fsync { "on" } else { "off" };
        let sockets = self.dir.path().display();
        let mut text = format!(
            "\nlisten_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{sockets}'\nfsync = {fsync}\n\
             max_connections = 60\nshared_buffers = 64MB\nwal_level = replica\n",
            self.port
        );
        for setting in &options.settings {
            text.push_str(setting);
            text.push('\n');
        }
        let path = self.data().join("postgresql.conf");
        let old = std::fs::read_to_string(&path).map_err(|error| LabError::new(format!("{path:?}: {error}")))?;
        std::fs::write(&path, old + &text).map_err(|error| LabError::new(format!("{path:?}: {error}")))
    }
}

impl Drop for PgServer {
    fn drop(&mut self) {
        if self.pid().is_some() {
            // A server that a test stopped with SIGSTOP must go on before it can end.
            let _ = self.signal(rustix::process::Signal::CONT);
            let _ = self.stop("immediate");
        }
    }
}

impl PgServer {
    /// Sends a signal to the postmaster and to every backend.
    pub fn signal(&self, signal: rustix::process::Signal) -> Result<(), LabError> {
        let Some(pid) = self.pid() else { return Err(LabError::new("the server does not run")) };
        for pid in children(pid).into_iter().chain([pid]) {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                // A backend may have ended meanwhile.
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
        Ok(())
    }
}

fn children(pid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn folder(tools: &Tools) -> Result<TempDir, LabError> {
    let dir = tempfile::Builder::new()
        .prefix("pg-lab-")
        .tempdir_in(Path::new("/tmp"))
        .map_err(|error| LabError::new(format!("making a folder: {error}")))?;
    tools.give(dir.path())?;
    Ok(dir)
}

/// A port that nobody listens on. Another process may take it before the server does; then the start says so.
fn free_port() -> Result<u16, LabError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    listener
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| LabError::new(format!("finding a free port: {error}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn starts_crashes_and_starts_again() {
        let server = PgServer::start(&Options::default()).unwrap();
        server.psql("rapidlaunch", "create table t (a int); insert into t values (7)").unwrap();
        server.stop("immediate").unwrap();
        assert!(server.psql("rapidlaunch", "select a from t").is_err());
        server.boot().unwrap();
        assert_eq!(server.psql("rapidlaunch", "select a from t").unwrap().trim(), "7");
    }

    #[test]
    fn a_standby_follows_and_is_promoted() {
        let server = PgServer::start(&Options::default()).unwrap();
        let standby = server.standby("second", &Options::default()).unwrap();
        server.set("synchronous_standby_names = 'second'").unwrap();
        server.psql("rapidlaunch", "create table t (a int)").unwrap();
        server.psql("rapidlaunch", "insert into t values (8)").unwrap();
        server.stop("immediate").unwrap();
        standby.promote().unwrap();
        assert_eq!(standby.psql("rapidlaunch", "select a from t").unwrap().trim(), "8");
    }
}
