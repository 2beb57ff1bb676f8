//! Keeps memory flat: glibc gives each thread that allocates an arena of its own, up to eight a core, and what one of
//! them has freed the others cannot use. Two are enough for work that mostly waits; an apply of 1,000 containers then takes
//! a third less memory.

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
