//! Helpers for tests of steps and engines: a journal that dies at a chosen write, a clock that runs fast, and the proofs every job must pass.
mod crash;
mod fast;
mod proofs;
mod wrap;

pub use crash::{Crash, CrashJournal, Ended, run_until_settled};
pub use fast::FastClock;
pub use proofs::{ProofCase, ProofReport, ProofScene, ProofWorld, Proofs};
