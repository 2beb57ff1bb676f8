//! What the tools ask the simulated site, over its control endpoint.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Died, Setting};

/// Longest wait for the site.
const LIMIT: Duration = Duration::from_secs(30);
/// Largest answer: the list of the files of some ten thousand containers.
const ANSWER_MAX: u64 = 16 << 20;

/// A container.
#[derive(Debug, Deserialize)]
pub(super) struct Guest {
    found: bool,
    /// Changes with every start; `None` while it does not run.
    #[serde(default)]
    pub(super) boot: Option<String>,
    /// Its files.
    #[serde(default)]
    pub(super) tree: String,
    #[serde(default)]
    pub(super) config: BTreeMap<String, String>,
    /// The files of every container of the site.
    pub(super) trees: Vec<Tree>,
}

/// Files of a container.
#[derive(Debug, Deserialize)]
pub(super) struct Tree {
    pub(super) tree: String,
    /// The files they began as.
    pub(super) from: Option<String>,
}

/// A container of the node; dies as Proxmox does when the node has none.
pub(super) fn guest(setting: &Setting, vmid: &str) -> Result<Guest, Died> {
    if vmid.parse::<u32>().is_err() {
        return Err(Died(format!(
            "400 Parameter verification failed.\nvmid: type check ('integer') failed - got '{vmid}'"
        )));
    }
    let guest: Guest = ask(setting, "GET", &format!("/inside/{}/{vmid}", setting.node))?;
    if guest.found {
        return Ok(guest);
    }
    Err(Died(format!("Configuration file 'nodes/{}/lxc/{vmid}.conf' does not exist", setting.node)))
}

pub(super) fn unlock(setting: &Setting, vmid: &str) -> Result<(), Died> {
    guest(setting, vmid)?;
    ask::<Value>(setting, "POST", &format!("/inside/{}/{vmid}/unlock", setting.node)).map(|_| ())
}

pub(super) fn tasks(setting: &Setting) -> Result<Value, Died> {
    ask(setting, "GET", &format!("/inside/{}/tasks", setting.node))
}

fn ask<T: DeserializeOwned>(setting: &Setting, method: &str, path: &str) -> Result<T, Died> {
    let gone = |error: std::io::Error| Died(format!("ipcc_send_rec[1] failed: {error}"));
    let mut stream = TcpStream::connect_timeout(&setting.control, LIMIT).map_err(gone)?;
    stream.set_read_timeout(Some(LIMIT)).map_err(gone)?;
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).map_err(gone)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer).map_err(gone)?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| Died("the site sent half an answer".to_owned()))?;
    if !head.starts_with("HTTP/1.1 200") {
        let said = serde_json::from_str::<Value>(body).unwrap_or_default();
        return Err(Died(said["error"].as_str().unwrap_or("the site refused").to_owned()));
    }
    Ok(serde_json::from_str(body)?)
}
