//! Where the built-in DNS server of a data directory answers, told to the other commands that look into it.
//!
//! The file is locked by the server that wrote it, so that one a killed server left behind misleads nobody.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use rl_model::dns::DnsServer;

/// The file's name in the data directory.
const FILE: &str = "dns-address";
/// Longest address that is read.
const ADDRESS_BYTES_MAX: u64 = 128;

/// An address that is told until the value is dropped.
pub(crate) struct DnsDoor(#[expect(dead_code, reason = "its lock ends with it")] File);

/// Tells where questions are answered.
pub(crate) fn open(dir: &Path, address: SocketAddr) -> std::io::Result<DnsDoor> {
    let mut file = File::options().create(true).truncate(false).write(true).open(dir.join(FILE))?;
    file.try_lock().map_err(std::io::Error::from)?;
    file.set_len(0)?;
    file.write_all(server(address).to_string().as_bytes())?;
    Ok(DnsDoor(file))
}

/// Where a server answers that runs on this data directory; nothing where none does.
pub(crate) fn look(dir: &Path) -> Option<DnsServer> {
    let file = File::open(dir.join(FILE)).ok()?;
    let Err(TryLockError::WouldBlock) = file.try_lock_shared() else { return None };
    let mut text = String::new();
    file.take(ADDRESS_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.parse().ok()
}

/// The address under which this machine itself reaches a server that listens there.
pub(crate) fn server(address: SocketAddr) -> DnsServer {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port()).to_string().parse().expect("the text of an address names a server")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_is_told_while_its_server_lives() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(look(dir.path()), None);
        let door = open(dir.path(), "0.0.0.0:5300".parse().unwrap()).unwrap();
        assert_eq!(look(dir.path()).unwrap().to_string(), "127.0.0.1:5300");
        assert!(open(dir.path(), "127.0.0.1:1".parse().unwrap()).is_err(), "one server tells its address");
        drop(door);
        assert_eq!(look(dir.path()), None, "the file alone tells nothing");
        let _door = open(dir.path(), "[::]:53".parse().unwrap()).unwrap();
        assert_eq!(look(dir.path()).unwrap().to_string(), "[::1]:53");
    }
}
