//! Keeps memory flat and to itself.
//!
//! Flat: glibc gives each thread that allocates an arena of its own, up to eight a core, and what one of
//! them has freed the others cannot use. Two are enough for work that mostly waits; an apply of 1,000 containers then takes
//! a third less memory.

use std::time::Duration;

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
