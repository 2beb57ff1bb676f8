//! What the kernel knows of this process (proc(5)).

use std::time::Duration;

/// Figures of a process.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Process {
    pub(super) memory_bytes: u64,
    pub(super) processor: Duration,
    pub(super) files: u64,
    pub(super) files_max: Option<u64>,
}

impl Process {
    /// Reads them; what cannot be read is 0.
    pub(super) fn read() -> Self {
        let pid = std::process::id();
        Self {
            memory_bytes: crate::memory::resident(pid),
            processor: crate::memory::processor(pid),
            files: std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64),
            files_max: rustix::process::getrlimit(rustix::process::Resource::Nofile).current,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_itself() {
        let process = Process::read();
        assert!(process.memory_bytes > 1_000_000 && process.files > 2, "{process:?}");
        assert!(process.files_max.is_none_or(|max| max >= process.files));
    }
}
