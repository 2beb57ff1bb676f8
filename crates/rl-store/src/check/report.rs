//! What a check found.
use std::collections::BTreeMap;
use std::fmt;

/// Most findings that are listed, of each rule and in all: beyond it the number says enough.
pub(super) const FINDINGS_MAX: usize = 1_000;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// Rows of each table.
    pub tables: BTreeMap<String, u64>,
    /// What is not as it should be, in the order it was found.
    pub findings: Vec<Finding>,
    /// Findings beyond those listed.
    pub left_out: u64,
    faults: u64,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// The table.
    pub table: String,
    /// The row: its key, with `/` between the columns.
    pub key: String,
    /// What it is.
    pub text: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The store contradicts itself.
    Fault,
    /// A row cannot be read. It is kept with its bytes, and nothing acts on it.
    Quarantined,
    /// A row waits for a newer release, which can read it.
    Newer,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Fault => "fault",
            Level::Quarantined => "quarantined",
            Level::Newer => "newer",
        })
    }
}

impl CheckReport {
    /// Nothing contradicts itself; rows that cannot be read may wait in quarantine.
    pub fn is_sound(&self) -> bool {
        self.faults == 0
    }

    /// Findings of a level that are listed.
    pub fn of(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }
}

/// Findings on their way.
#[derive(Debug, Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
    left_out: u64,
    faults: u64,
}

impl Findings {
    pub(super) fn fault(&mut self, table: &str, key: &str, text: String) {
        self.add(Level::Fault, table, key.to_owned(), text);
    }

    pub(super) fn add(&mut self, level: Level, table: &str, key: String, text: String) {
        self.faults += u64::from(level == Level::Fault);
        if self.list.len() < FINDINGS_MAX {
            self.list.push(Finding { level, table: table.to_owned(), key, text });
        } else {
            self.left_out += 1;
        }
    }

    pub(super) fn report(self, tables: BTreeMap<String, u64>) -> CheckReport {
        CheckReport { tables, findings: self.list, left_out: self.left_out, faults: self.faults }
    }
}
