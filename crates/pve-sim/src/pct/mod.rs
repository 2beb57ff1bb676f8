//! The nodes' `pct` and `pvesh`, as far as an agent uses them: real processes in real folders, one folder a container.
//!
//! The program is called under one of these names; a file beside it says which node of which site it belongs to. As root a
//! command runs with its container's folder as its root; otherwise in the folder, with absolute paths turned into it.

mod exec;
mod site;
mod trees;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use site::Guest;

/// What stands in the file beside the program.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Setting {
    control: SocketAddr,
    node: String,
    trees: PathBuf,
}

/// Name of that file.
const SETTING: &str = "pct.json";

/// What a tool failed with, as Perl's `die` prints it.
#[derive(Debug)]
struct Died(String);

impl<T: std::error::Error> From<T> for Died {
    fn from(error: T) -> Self {
        Self(error.to_string())
    }
}

/// Puts `pct` and `pvesh` of one node into a folder: names for `program`, which must call [`main`] when it bears one of them.
/// The files of containers lie in `trees`, which all nodes of the site share.
pub fn install(dir: &Path, program: &Path, control: SocketAddr, node: &str, trees: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    std::fs::create_dir_all(trees)?;
    let setting = Setting { control, node: node.to_owned(), trees: trees.to_owned() };
    std::fs::write(dir.join(SETTING), serde_json::to_vec(&setting)?)?;
    for name in ["pct", "pvesh"] {
        let link = dir.join(name);
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(program, link)?;
    }
    Ok(())
}

/// Whether this machine has what the files of containers are made from.
pub fn has_files_for_guests() -> bool {
    trees::busybox().is_some()
}

/// The name under which the program was called, where it is one of the tools.
pub fn called_as(program: &OsString) -> Option<&'static str> {
    let name = Path::new(program).file_name()?;
    ["pct", "pvesh"].into_iter().find(|tool| name == *tool)
}

/// Does what the tool does; answers its exit code.
pub fn main(program: &OsString, args: &[String]) -> u8 {
    let tool = called_as(program).unwrap_or("pct");
    match run(tool, program, args) {
        Ok(code) => code,
        Err(Died(why)) => {
            let _ = writeln!(io::stderr(), "{why}");
            // Perl's exit code for `die`.
            255
        }
    }
}

fn run(tool: &str, program: &OsString, args: &[String]) -> Result<u8, Died> {
    let dir = Path::new(program).parent().ok_or_else(|| Died("call it with its folder".to_owned()))?;
    let setting: Setting = serde_json::from_slice(&std::fs::read(dir.join(SETTING))?)?;
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match (tool, words.as_slice()) {
        ("pvesh", ["get", path, ..]) if path.ends_with("/tasks") => print(&site::tasks(&setting)?.to_string()),
        ("pct", ["config", vmid, ..]) => print(&config(&site::guest(&setting, vmid)?)),
        ("pct", ["status", vmid, ..]) => {
            let status = if site::guest(&setting, vmid)?.boot.is_some() { "running" } else { "stopped" };
            print(&format!("status: {status}"))
        }
        ("pct", ["unlock", vmid]) => site::unlock(&setting, vmid).map(|()| 0),
        ("pct", ["exec", vmid, rest @ ..]) => {
            let from = rest.iter().position(|word| *word == "--").map_or(0, |at| at + 1);
            exec::exec(&setting, vmid, &rest[from..])
        }
        ("pct", ["push", vmid, file, path, options @ ..]) => exec::push(&setting, vmid, file, path, options),
        ("pct", ["pull", vmid, path, file, ..]) => exec::pull(&setting, vmid, path, file),
        _ => Err(Died(format!("ERROR: unknown command '{tool} {}'", words.first().unwrap_or(&"")))),
    }
}

fn print(text: &str) -> Result<u8, Died> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    Ok(0)
}

/// The configuration as `pct config` prints it.
fn config(guest: &Guest) -> String {
    let mut text = String::new();
    for (key, value) in &guest.config {
        let value = if key == "description" { encode(value) } else { value.clone() };
        let _ = writeln!(text, "{key}: {value}");
    }
    text
}

/// Control characters, colons, per cent signs and what is not ASCII, as Proxmox writes them in a description.
fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b':' | b'%' | 0..=0x1f | 0x7f.. => {
                let _ = write!(out, "%{byte:02X}");
            }
            _ => out.push(char::from(byte)),
        }
    }
    out
}
