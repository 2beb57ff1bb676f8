//! Where thought becomes act: observe, compile a plan to jobs, the steps and the proof.
