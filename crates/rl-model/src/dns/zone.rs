//! A zone as a site file declares it. Holds no secret: keys are references.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::DnsName;
use crate::names::text_newtype;
use crate::net::string_serde;
use crate::{Fqdn, ParseError, TokenSource};

/// A zone whose records RapidLaunch may write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Its name.
    pub name: Fqdn,
    /// Where it is kept.
    pub provider: ZoneProvider,
    /// Authoritative servers that must answer what was written; each is asked.
    pub servers: Vec<DnsServer>,
}

impl Zone {
    /// Every place that a credential of it is read from.
    pub fn credentials_mut(&mut self) -> Vec<&mut TokenSource> {
        match &mut self.provider {
            ZoneProvider::Builtin { secondaries, .. } => {
                secondaries.iter_mut().filter_map(|one| one.key.as_mut()).map(|key| &mut key.secret).collect()
            }
            ZoneProvider::Rfc2136 { key, .. } => vec![&mut key.secret],
            ZoneProvider::PowerDns { key, .. } => vec![key],
            ZoneProvider::Cloudflare { token, .. } => vec![token],
        }
    }
}

/// Where a zone is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZoneProvider {
    /// The store of this installation, answered by `rapidlaunch serve --dns`.
    Builtin {
        /// Names of the zone's servers; the first is its primary. Made up below the zone where none is given.
        nameservers: Vec<DnsName>,
        /// Servers that may copy the zone, and are told of every change.
        secondaries: Vec<Secondary>,
    },
    /// A server that takes updates signed with a key (RFC 2136, RFC 8945).
    Rfc2136 {
        /// The primary.
        server: DnsServer,
        /// The key; it must be allowed to update the zone and to copy it.
        key: TsigKey,
    },
    /// The HTTP API of PowerDNS.
    #[serde(rename = "powerdns")]
    PowerDns {
        /// Where the API is.
        url: ZoneUrl,
        /// The server's id, `localhost` unless there is a proxy in between.
        server: String,
        /// The API key.
        key: TokenSource,
    },
    /// Cloudflare's API, version 4.
    Cloudflare {
        /// Where the API is; Cloudflare's own when left out.
        url: Option<ZoneUrl>,
        /// A token that may edit the zone's records.
        token: TokenSource,
    },
}

impl ZoneProvider {
    /// What a person calls it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Builtin { .. } => "builtin",
            Self::Rfc2136 { .. } => "rfc2136",
            Self::PowerDns { .. } => "powerdns",
            Self::Cloudflare { .. } => "cloudflare",
        }
    }
}

/// A server that copies a zone from the built-in server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secondary {
    /// Its address; changes are told there.
    pub address: DnsServer,
    /// The key it must sign with; its address alone decides where there is none.
    pub key: Option<TsigKey>,
}

/// A shared key of RFC 8945.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TsigKey {
    /// Its name, which both ends must know.
    pub name: DnsName,
    /// Its algorithm.
    pub algorithm: TsigAlgorithm,
    /// Where its value comes from, in base 64.
    pub secret: TokenSource,
}

/// Algorithms of keys (RFC 8945 section 6); those with MD5 and SHA-1 are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TsigAlgorithm {
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
}

impl fmt::Display for TsigAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        })
    }
}

/// Port of DNS.
const DNS_PORT: u16 = 53;

/// Host or address of a DNS server with its port; 53 when left out. An IPv6 address with a port stands in brackets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DnsServer {
    host: String,
    port: u16,
}

impl DnsServer {
    /// What a person calls it.
    pub const WHAT: &'static str = "DNS server";

    /// Name or address, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for DnsServer {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = |rule: &str| ParseError::new(Self::WHAT, text, rule);
        if text.parse::<IpAddr>().is_ok() {
            return Ok(Self { host: text.to_owned(), port: DNS_PORT });
        }
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => {
                host.parse::<std::net::Ipv6Addr>().map_err(|_| wrong("the part in brackets is no IPv6 address"))?;
                (host, rest.strip_prefix(':').or(rest.is_empty().then_some("53")))
            }
            None => text.split_once(':').map_or((text, Some("53")), |(host, port)| (host, Some(port))),
        };
        let port = port.and_then(|digits| digits.parse::<u16>().ok()).filter(|port| *port != 0);
        let port = port.ok_or_else(|| wrong("write host or host:port, with a port from 1 to 65535"))?;
        if host.parse::<IpAddr>().is_err() && host.to_ascii_lowercase().parse::<crate::Hostname>().is_err() {
            return Err(wrong("its host is neither a name nor an address"));
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for DnsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for DnsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

string_serde!(DnsServer);

text_newtype!(
    /// `http://` or `https://` address of an API, without user, query and fragment.
    ZoneUrl, "API address", |text| {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let rest = rest.ok_or("it must begin with https:// or http://")?;
        if rest.is_empty() || rest.starts_with('/') {
            return Err("it names no host".into());
        }
        if rest.contains(['@', '?', '#', ' ']) {
            return Err("write only https://host:port/path, without user, query and fragment".into());
        }
        Ok(())
    }
);
