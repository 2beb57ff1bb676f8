//! Keeps memory flat and to itself.
//!
//! mimalloc serves the program's own allocations: a server under load has a dozen threads that allocate, and half as much again
//! comes through as with glibc's. What libraries in C allocate goes to glibc, which gives each thread an arena of its own, up to
//! eight a core, and what one of them has freed the others cannot use; two are enough for those.

use std::time::Duration;

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// A crash leaves no image of this process behind: it would hold the values of secrets. The limit is for files, the flag for
/// kernels that hand the image to a program (core(5)); the flag also keeps other processes of the user from reading memory.
pub(crate) fn no_core_dumps() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
    // What is started from here may raise it again: commands in guests are none of our business.
    let maximum = getrlimit(Resource::Core).maximum;
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum });
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Most arenas of the allocator.
#[cfg(target_env = "gnu")]
const ARENAS_MAX: std::ffi::c_int = 2;

/// Sets the limit. Called before any thread is started.
pub(crate) fn limit_arenas() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "mallopt takes two numbers and touches nothing of ours (mallopt(3))")]
    // SAFETY: no other thread runs yet, and the call only sets a limit inside the allocator.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, ARENAS_MAX);
    }
}

/// Gives back what only the start needed: free memory of the allocator, and pages of the program's own code, of which most has
/// run for the last time once a server is ready. Code that runs again is mapped again, from the file or the system's cache of it.
pub(crate) fn trim() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "mi_collect, malloc_trim and madvise have no safe form")]
    // SAFETY: `mi_collect` and `malloc_trim` touch free memory alone. The ranges are code that is mapped from a file
    // (proc_pid_maps(5)) and was never written to, so that MADV_DONTNEED drops no content: the next access reads it from the file
    // (madvise(2)).
    unsafe {
        libmimalloc_sys::mi_collect(true);
        libc::malloc_trim(0);
        for (from, to) in code() {
            let _ = libc::madvise(from as *mut std::ffi::c_void, to - from, libc::MADV_DONTNEED);
        }
    }
}

/// Where the code of this program is mapped from its file.
#[cfg(target_env = "gnu")]
fn code() -> Vec<(usize, usize)> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let program = std::env::current_exe().ok().and_then(|path| path.to_str().map(str::to_owned)).unwrap_or_default();
    maps.lines().filter_map(|line| mapped(line, &program)).collect()
}

/// The range of a line of proc_pid_maps(5), if it maps code of this file. Constants are left alone: where they hold addresses,
/// the loader has written them, and only then were they made read-only.
#[cfg(target_env = "gnu")]
fn mapped(line: &str, file: &str) -> Option<(usize, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (range, rights) = (words.next()?, words.next()?);
    let is_code = rights == "r-xp" && !file.is_empty() && words.nth(3)? == file;
    let (from, to) = range.split_once('-').filter(|_| is_code)?;
    Some((usize::from_str_radix(from, 16).ok()?, usize::from_str_radix(to, 16).ok()?))
}

/// Peak resident memory of a process (`VmHWM`, proc(5)) in bytes, 0 when it is gone.
pub(crate) fn peak(pid: u32) -> u64 {
    status(pid, "VmHWM:")
}

/// Resident memory of a process (`VmRSS`, proc(5)) in bytes, 0 when it is gone.
pub(crate) fn resident(pid: u32) -> u64 {
    status(pid, "VmRSS:")
}

fn status(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib: u64 = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0);
    kib * 1024
}

/// Processor time a process has used (`utime` and `stime`, proc(5)); nothing when it is gone.
pub(crate) fn processor(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    // The kernel counts in hundredths of a second for programs on every machine Linux runs on (USER_HZ).
    Duration::from_millis(ticks * 10)
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_the_program_itself_is_given_back() {
        let at = |line| mapped(line, "/usr/bin/rapidlaunch");
        assert_eq!(
            at("00400000-00452000 r-xp 00001000 08:02 173521      /usr/bin/rapidlaunch"),
            Some((0x40_0000, 0x45_2000))
        );
        assert_eq!(at("00651000-00652000 r--p 00051000 08:02 173521      /usr/bin/rapidlaunch"), None);
        assert_eq!(at("00652000-00655000 rw-p 00052000 08:02 173521      /usr/bin/rapidlaunch"), None);
        assert_eq!(at("35b1800000-35b1820000 r-xp 00000000 08:02 135522  /usr/lib64/ld-2.15.so"), None);
        assert_eq!(at("00e03000-00e24000 rw-p 00000000 00:00 0           [heap]"), None);
        assert_eq!(at("f2c6ff8c000-7f2c7078c000 r--p 00000000 00:00 0"), None);
    }

    #[test]
    fn a_program_goes_on_after_a_trim() {
        assert!(!code().is_empty());
        let before: Vec<String> = (0..1_000).map(|n| format!("{n}")).collect();
        trim();
        assert_eq!(before.iter().map(|text| text.len()).sum::<usize>(), 2_890);
    }
}
