//! Where the database is: `postgres://user[:password]@host[:port][,host[:port]]/database?sslmode=…&sslrootcert=…&passfile=…`.
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

/// PostgreSQL's own port.
const PORT_DEFAULT: u16 = 5432;
/// Most servers named by one URL: each is tried in turn.
const HOSTS_MAX: usize = 16;

/// A URL that does not say where a database is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the database URL cannot be used: {why}. It looks like postgres://user@host:5432/database?sslmode=verify-full")]
pub struct UrlError {
    why: String,
}

/// Whether the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tls {
    /// In the clear.
    Off,
    /// Encrypted, and the server proves to be the host that was named.
    Verified,
}

/// A parsed URL. Its password never shows.
#[derive(Clone)]
pub struct Target {
    pub(super) hosts: Vec<(String, u16)>,
    pub(super) user: String,
    pub(super) password: Option<Zeroizing<String>>,
    pub(super) database: String,
    pub(super) tls: Tls,
    pub(super) root: Option<PathBuf>,
    passfile: Option<PathBuf>,
}

impl Target {
    /// Reads a URL. The password may be left out and given by [`Target::with_password`] or a `passfile`, so that it is in no
    /// process list.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let rest = rest.ok_or_else(|| wrong("it does not start with postgres://"))?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = place.split_once('/').unwrap_or((place, ""));
        let (user, hosts) = authority.rsplit_once('@').ok_or_else(|| wrong("it names no user"))?;
        let (user, password) = match user.split_once(':') {
            Some((user, password)) => (user, Some(Zeroizing::new(decoded(password)?))),
            None => (user, None),
        };
        let (user, database) = (decoded(user)?, decoded(database)?);
        if user.is_empty() {
            return Err(wrong("it names no user"));
        }
        if database.is_empty() {
            return Err(wrong("it names no database"));
        }
        let hosts = hosts.split(',').map(host).collect::<Result<Vec<_>, _>>()?;
        if hosts.len() > HOSTS_MAX {
            return Err(wrong("it names more than 16 servers"));
        }
        let tls = if hosts.iter().all(|(host, _)| is_loopback(host)) { Tls::Off } else { Tls::Verified };
        let target = Self { hosts, user, password, database, tls, root: None, passfile: None };
        target.with_query(query)
    }

    fn with_query(mut self, query: &str) -> Result<Self, UrlError> {
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match (&*key, &*value) {
                ("sslmode", "disable") => self.tls = Tls::Off,
                ("sslmode", "require" | "verify-ca" | "verify-full") => self.tls = Tls::Verified,
                ("sslmode", other) => {
                    let why = format!(
                        "sslmode={other} is not known; use verify-full, or disable on a line nobody else reads"
                    );
                    return Err(wrong(why));
                }
                ("sslrootcert", path) => self.root = Some(path.into()),
                ("passfile", path) => self.passfile = Some(path.into()),
                (other, _) => {
                    return Err(wrong(format!("`{other}` is not known; known are sslmode, sslrootcert and passfile")));
                }
            }
        }
        Ok(self)
    }

    /// The same target with a password that was handed in apart from the URL.
    #[must_use]
    pub fn with_password(mut self, password: String) -> Self {
        self.password = Some(Zeroizing::new(password));
        self
    }

    /// Whether the URL itself holds a password, which a process list then shows.
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// The password: handed in, or from the `passfile` in PostgreSQL's format `host:port:database:user:password`.
    pub(super) fn secret(&self) -> Result<Option<Zeroizing<String>>, std::io::Error> {
        match (&self.password, &self.passfile) {
            (Some(password), _) => Ok(Some(password.clone())),
            (None, Some(path)) => self.passfile_secret(path).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn passfile_secret(&self, path: &Path) -> Result<Zeroizing<String>, std::io::Error> {
        let text = Zeroizing::new(std::fs::read_to_string(path)?);
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let found = lines.filter_map(pass_fields).find(|fields| self.is_meant(fields));
        found.map(|fields| Zeroizing::new(fields[4].clone())).ok_or_else(|| {
            std::io::Error::new(
                std::io::ErrorKind::NotFound,
                "the password file has no line for this user and database",
            )
        })
    }

    fn is_meant(&self, fields: &[String]) -> bool {
        let is = |field: &String, value: &str| field == "*" || field == value;
        let host = self.hosts.iter().any(|(host, port)| is(&fields[0], host) && is(&fields[1], &port.to_string()));
        host && is(&fields[2], &self.database) && is(&fields[3], &self.user)
    }
}

/// The five fields of a line of a password file; a backslash takes the letter after it as it is.
fn pass_fields(line: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        let last = fields.len() - 1;
        match letter {
            '\\' => fields[last].extend(letters.next()),
            ':' if last < 4 => fields.push(String::new()),
            letter => fields[last].push(letter),
        }
    }
    (fields.len() == 5).then_some(fields)
}

fn host(text: &str) -> Result<(String, u16), UrlError> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err(wrong("it names no host"));
    }
    let port = port.map_or(Ok(PORT_DEFAULT), str::parse);
    Ok((decoded(host)?, port.map_err(|_| wrong("its port is no number from 1 to 65535"))?))
}

fn decoded(text: &str) -> Result<String, UrlError> {
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| wrong("it is not UTF-8"))?;
    Ok(decoded.into_owned())
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn wrong(why: impl Into<String>) -> UrlError {
    UrlError { why: why.into() }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        write!(f, "postgres://{}@{}/{}", self.user, hosts.join(","), self.database)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}
