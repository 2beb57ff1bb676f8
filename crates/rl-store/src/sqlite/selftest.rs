//! How fast the disk says that it has written: too fast is not durable, too slow holds everything up.
use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Name of the file that is written for it, and removed again.
const TEST_FILE: &str = "synctest";
/// Faster than any medium that keeps data without power: such a disk, or the machine under it, probably only says so.
const TOO_FAST: Duration = Duration::from_micros(20);
/// Slower than this, a single job's five writes take longer than a person waits for.
const TOO_SLOW: Duration = Duration::from_millis(5);
/// Measured this often; the median counts.
const ROUNDS: usize = 5;
/// Bytes written in one round, as much as a small commit.
const BYTES: usize = 4_096;

/// What is wrong with the speed of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suspect {
    TooFast,
    TooSlow,
}

/// Judges the median time of one write with `fdatasync`.
pub(super) fn judge(median: Duration) -> Option<Suspect> {
    match median {
        fast if fast < TOO_FAST => Some(Suspect::TooFast),
        slow if slow > TOO_SLOW => Some(Suspect::TooSlow),
        _ => None,
    }
}

/// Measures the disk of a data directory and warns if it is suspect. A disk that cannot be measured says so when the database is
/// written.
pub(super) fn run(dir: &Path) {
    let Ok(median) = measure(dir) else { return };
    match judge(median) {
        Some(Suspect::TooFast) => tracing::warn!(
            dir = %dir.display(),
            ?median,
            "this disk says within {median:?} that it has written, which no medium can: after a power failure, what was acknowledged may be gone"
        ),
        Some(Suspect::TooSlow) => tracing::warn!(
            dir = %dir.display(),
            ?median,
            "this disk takes {median:?} to write: every step of every job waits for it"
        ),
        None => tracing::debug!(dir = %dir.display(), ?median, "time of one write to the disk"),
    }
}

fn measure(dir: &Path) -> std::io::Result<Duration> {
    let path = dir.join(TEST_FILE);
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    // Gone at once by name, so that nothing is left whatever happens.
    std::fs::remove_file(&path)?;
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&[0x5a; BYTES])?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(times[ROUNDS / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_suspect_disks_are_named() {
        let judged = |micros| judge(Duration::from_micros(micros));
        assert_eq!([judged(1), judged(19)], [Some(Suspect::TooFast); 2]);
        assert_eq!([judged(20), judged(200), judged(5_000)], [None; 3]);
        assert_eq!([judged(5_001), judged(1_000_000)], [Some(Suspect::TooSlow); 2]);
        let dir = tempfile::tempdir().unwrap();
        assert!(measure(dir.path()).unwrap() > Duration::ZERO);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
    }
}
