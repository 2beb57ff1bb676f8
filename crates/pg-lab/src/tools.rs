//! Where PostgreSQL's programs are, and running them as a user they accept.
use std::path::{Path, PathBuf};
use std::process::Command;

/// Why a server could not be had.
#[derive(Debug)]
pub struct LabError {
    what: String,
}

impl LabError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

impl std::fmt::Display for LabError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for LabError {}

/// PostgreSQL's programs.
#[derive(Debug, Clone)]
pub struct Tools {
    bin: PathBuf,
    as_postgres: bool,
}

impl Tools {
    /// Finds the newest PostgreSQL on this machine. Debian keeps the server's programs out of the path.
    pub fn find() -> Result<Self, LabError> {
        let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
            .filter(|(_, bin)| bin.join("initdb").exists() && bin.join("pg_ctl").exists())
            .collect();
        found.sort();
        let newest = found.pop().map(|(_, bin)| bin);
        let bin = newest.ok_or_else(|| LabError::new("no PostgreSQL server is installed; run scripts/setup test"))?;
        Ok(Self { bin, as_postgres: rustix::process::getuid().is_root() })
    }

    /// The major version, as the folder says.
    pub fn version(&self) -> Option<u32> {
        self.bin.parent()?.file_name()?.to_str()?.parse().ok()
    }

    /// A command for one of the programs.
    pub fn command(&self, program: &str) -> Command {
        let path = self.bin.join(program);
        if !self.as_postgres {
            return Command::new(path);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(path);
        command
    }

    /// Makes a folder the server's own.
    pub(crate) fn give(&self, dir: &Path) -> Result<(), LabError> {
        if !self.as_postgres {
            return Ok(());
        }
        run(Command::new("chown").arg("-R").arg("postgres:postgres").arg(dir))
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Result<(), LabError> {
    output(command).map(drop)
}

/// Runs a command to its end and gives what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String, LabError> {
    let done = command.output().map_err(|error| LabError::new(format!("{command:?}: {error}")))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&done.stderr).into_owned() + &String::from_utf8_lossy(&done.stdout);
    Err(LabError::new(format!("{command:?} ended with {}: {said}", done.status)))
}
