//! What the last looks at stacks came to.

use rl_engine::UnixMs;

use super::{Telemetry, names};

/// The last look of a kind at a stack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// When.
    pub(crate) at: UnixMs,
    /// How many things were wrong.
    pub(crate) faults: u64,
}

impl Telemetry {
    /// The last proof of a stack, and the last look for drift.
    pub(crate) fn stack_looked_at(&self, stack: &str, proof: Option<Look>, drift: Option<Look>) {
        let stack = self.stacks.label(stack);
        let seconds = |at: UnixMs| at.0 as f64 / 1000.0;
        if let Some(proof) = proof {
            metrics::gauge!(names::PROOF_OK, "stack" => stack.clone()).set(f64::from(u8::from(proof.faults == 0)));
            metrics::gauge!(names::PROOF_AT, "stack" => stack.clone()).set(seconds(proof.at));
        }
        if let Some(drift) = drift {
            metrics::gauge!(names::DRIFT, "stack" => stack.clone()).set(drift.faults as f64);
            metrics::gauge!(names::DRIFT_AT, "stack" => stack).set(seconds(drift.at));
        }
    }
}
