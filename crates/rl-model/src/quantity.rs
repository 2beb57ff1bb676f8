//! Sizes: memory and disk, with their units in the type.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ParseError;
use crate::net::string_serde;

const MIB: u64 = 1 << 20;
/// Digits before the point: enough for every number of MiB whose bytes a `u64` holds.
const DIGITS_MAX: usize = 14;

/// Reads `8 GiB`, `8GiB`, `512 MiB`, `1 TiB` and decimal units (`GB`, `MB`) into bytes.
fn parse_bytes(what: &'static str, text: &str) -> Result<u64, ParseError> {
    let wrong = |rule: &str| ParseError::new(what, text, rule);
    let text_trimmed = text.trim();
    let split = text_trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text_trimmed.len());
    let (digits, unit) = text_trimmed.split_at(split);
    let factor: u64 = match unit.trim_start() {
        "" => return Err(wrong("it needs a unit: MiB, GiB or TiB")),
        "KiB" => 1 << 10,
        "MiB" => MIB,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err(wrong("its unit is unknown, write MiB, GiB or TiB")),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || whole.len() > DIGITS_MAX || fraction.len() > 6 || digits.ends_with('.') {
        return Err(wrong("write a number and a unit, as in 512 MiB or 1.5 GiB"));
    }
    let scale = 10u128.pow(fraction.len() as u32);
    let number: u128 = format!("{whole}{fraction}").parse().map_err(|_| wrong("its number is wrong"))?;
    let bytes = number * u128::from(factor);
    if !bytes.is_multiple_of(scale) {
        return Err(wrong("it is no whole number of bytes"));
    }
    u64::try_from(bytes / scale).map_err(|_| wrong("it is too large"))
}

fn show_mib(mib: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let text = match mib {
        0 => "0 MiB".to_owned(),
        n if n % (1 << 20) == 0 => format!("{} TiB", n >> 20),
        n if n % (1 << 10) == 0 => format!("{} GiB", n >> 10),
        n => format!("{n} MiB"),
    };
    f.pad(&text)
}

/// Amount of memory in whole MiB, as Proxmox counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Memory(u64);

impl Memory {
    /// An amount in MiB.
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib)
    }

    /// The amount in MiB.
    pub const fn mib(self) -> u64 {
        self.0
    }

    /// The amount in bytes.
    pub const fn bytes(self) -> u64 {
        self.0 * MIB
    }
}

impl FromStr for Memory {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bytes = parse_bytes("amount of memory", text)?;
        if !bytes.is_multiple_of(MIB) {
            return Err(ParseError::new("amount of memory", text, "it is no whole number of MiB"));
        }
        Ok(Self(bytes / MIB))
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_mib(self.0, f)
    }
}

/// Size of a disk in whole MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DiskSize(u64);

impl DiskSize {
    /// A size in MiB.
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib)
    }

    /// A size in GiB.
    pub const fn from_gib(gib: u64) -> Self {
        Self(gib << 10)
    }

    /// The size in MiB.
    pub const fn mib(self) -> u64 {
        self.0
    }

    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        self.0 * MIB
    }

    /// As Proxmox writes sizes in configurations and takes them in `resize`: `8G`, `512M`, `1T`.
    pub fn pve(self) -> String {
        match self.0 {
            0 => "0".to_owned(),
            n if n % (1 << 20) == 0 => format!("{}T", n >> 20),
            n if n % (1 << 10) == 0 => format!("{}G", n >> 10),
            n => format!("{n}M"),
        }
    }

    /// As the create call takes it behind `storage:`: a number of GiB, with a fraction where needed.
    pub fn pve_gib(self) -> String {
        if self.0.is_multiple_of(1 << 10) {
            return (self.0 >> 10).to_string();
        }
        let text = format!("{:.10}", self.0 as f64 / 1024.0);
        text.trim_end_matches('0').to_owned()
    }

    /// Reads a size as Proxmox writes it: `8G`, `512M`, `1T`, `1048576K`, bytes without a letter.
    pub fn from_pve(text: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError::new("disk size", text, "Proxmox writes sizes as 8G or 512M");
        let (digits, shift) = match text.as_bytes().last() {
            Some(b'K') => (&text[..text.len() - 1], 10),
            Some(b'M') => (&text[..text.len() - 1], 20),
            Some(b'G') => (&text[..text.len() - 1], 30),
            Some(b'T') => (&text[..text.len() - 1], 40),
            _ => (text, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let scale = 10u128.checked_pow(fraction.len() as u32).ok_or_else(wrong)?;
        let number: u128 = format!("{whole}{fraction}").parse().map_err(|_| wrong())?;
        let bytes = number.checked_mul(1 << shift).ok_or_else(wrong)? / scale;
        u64::try_from(bytes >> 20).map(Self).map_err(|_| wrong())
    }
}

impl FromStr for DiskSize {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bytes = parse_bytes("disk size", text)?;
        if !bytes.is_multiple_of(MIB) {
            return Err(ParseError::new("disk size", text, "it is no whole number of MiB"));
        }
        Ok(Self(bytes / MIB))
    }
}

impl fmt::Display for DiskSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_mib(self.0, f)
    }
}

string_serde!(Memory, DiskSize);
