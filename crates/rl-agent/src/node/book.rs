//! What the agent must not forget: which commands were begun and ended, and the highest fence of each job of a guest.
//!
//! One file of lines, appended and synced before a command begins and after it has ended. A torn last line was never answered.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::answer::Ended;
use crate::files;

/// Most commands that are remembered: whoever asks again does so within minutes, and a node sees few commands a second.
const COMMANDS_MAX: usize = 8_192;
/// Most fences that are remembered: guests of a node times the jobs that may overlap on one.
const FENCES_MAX: usize = 16_384;
/// Lines after which the file is written anew without what is forgotten.
const LINES_MAX: usize = 4 * (COMMANDS_MAX + FENCES_MAX);
/// Longest line: names of orders and jobs are limited.
const LINE_MAX: usize = 4_096;
const FILE: &str = "book";

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "l", rename_all = "kebab-case")]
enum Line {
    Fence {
        guest: String,
        job: String,
        fence: u64,
    },
    Begun {
        key: String,
    },
    Ended {
        key: String,
        ended: Ended,
    },
    /// It was begun, and could not even be started.
    Void {
        key: String,
    },
}

/// What is known of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    /// It was begun; how it ended is not known.
    Begun,
    /// It ended so.
    Ended(Ended),
}

/// The book, in memory and on disk.
pub(crate) struct Book {
    path: PathBuf,
    file: File,
    lines: usize,
    commands: BTreeMap<String, Known>,
    command_order: VecDeque<String>,
    fences: BTreeMap<(String, String), u64>,
    fence_order: VecDeque<(String, String)>,
}

impl Book {
    /// Opens the book in a folder.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        files::private_dir(dir)?;
        let path = dir.join(FILE);
        let options = || OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path);
        let mut book = Self {
            file: options()?,
            path: path.clone(),
            lines: 0,
            commands: BTreeMap::new(),
            command_order: VecDeque::new(),
            fences: BTreeMap::new(),
            fence_order: VecDeque::new(),
        };
        let mut reader = BufReader::new(File::open(&path)?);
        let mut text = Vec::new();
        while reader.read_until(b'\n', &mut text)? > 0 {
            match serde_json::from_slice(&text) {
                Ok(line) if text.ends_with(b"\n") => book.take(line),
                // A later release's line, or the last one of a process that was killed.
                _ => tracing::warn!(file = %path.display(), "a line of the agent's book cannot be read"),
            }
            text.clear();
        }
        // Whatever was torn is cut off by writing all of it anew.
        book.rewrite()?;
        Ok(book)
    }

    /// What is known of a command.
    pub(crate) fn known(&self, key: &str) -> Option<&Known> {
        self.commands.get(key)
    }

    /// Keeps the highest fence of a job of a guest. A lower one is refused with the one that is kept.
    pub(crate) fn fence(&mut self, guest: &str, job: &str, fence: u64) -> io::Result<Result<(), u64>> {
        let kept = self.fences.get(&(guest.to_owned(), job.to_owned())).copied();
        match kept {
            Some(kept) if kept > fence => Ok(Err(kept)),
            Some(kept) if kept == fence => Ok(Ok(())),
            _ => {
                self.append(Line::Fence { guest: guest.to_owned(), job: job.to_owned(), fence })?;
                Ok(Ok(()))
            }
        }
    }

    /// Notes that a command begins. On disk when this returns.
    pub(crate) fn begin(&mut self, key: &str) -> io::Result<()> {
        self.append(Line::Begun { key: key.to_owned() })
    }

    /// Notes how it ended.
    pub(crate) fn end(&mut self, key: &str, ended: Ended) -> io::Result<()> {
        self.append(Line::Ended { key: key.to_owned(), ended })
    }

    /// Notes that it could not be started, so that it may be asked again.
    pub(crate) fn void(&mut self, key: &str) -> io::Result<()> {
        self.append(Line::Void { key: key.to_owned() })
    }

    fn append(&mut self, line: Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        debug_assert!(text.len() <= LINE_MAX, "names are limited");
        self.file.write_all(&text)?;
        self.file.sync_data()?;
        self.take(line);
        if self.lines > LINES_MAX { self.rewrite() } else { Ok(()) }
    }

    fn take(&mut self, line: Line) {
        self.lines += 1;
        match line {
            Line::Fence { guest, job, fence } => {
                let key = (guest, job);
                if self.fences.insert(key.clone(), fence).is_none() {
                    self.fence_order.push_back(key);
                }
            }
            Line::Begun { key } => {
                if self.commands.insert(key.clone(), Known::Begun).is_none() {
                    self.command_order.push_back(key);
                }
            }
            Line::Ended { key, ended } => {
                self.commands.insert(key, Known::Ended(ended));
            }
            Line::Void { key } => {
                self.commands.remove(&key);
                self.command_order.retain(|known| *known != key);
            }
        }
        while self.command_order.len() > COMMANDS_MAX {
            let Some(oldest) = self.command_order.pop_front() else { break };
            self.commands.remove(&oldest);
        }
        while self.fence_order.len() > FENCES_MAX {
            let Some(oldest) = self.fence_order.pop_front() else { break };
            self.fences.remove(&oldest);
        }
    }

    /// Writes the file anew with what is still remembered.
    fn rewrite(&mut self) -> io::Result<()> {
        let fences = self.fence_order.iter().filter_map(|key| {
            let (guest, job) = key.clone();
            self.fences.get(key).map(|fence| Line::Fence { guest, job, fence: *fence })
        });
        let commands = self.command_order.iter().filter_map(|key| {
            self.commands.get(key).map(|known| match known {
                Known::Begun => vec![Line::Begun { key: key.clone() }],
                Known::Ended(ended) => {
                    vec![Line::Begun { key: key.clone() }, Line::Ended { key: key.clone(), ended: ended.clone() }]
                }
            })
        });
        let mut text = Vec::new();
        let mut lines = 0;
        for line in fences.chain(commands.flatten()) {
            serde_json::to_writer(&mut text, &line)?;
            text.push(b'\n');
            lines += 1;
        }
        files::write_private(&self.path, &text)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.lines = lines;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
