//! What a person reads: plans, progress, proofs, lists. Pure text; printing is the caller's business.

pub(crate) mod firewall;
pub(crate) mod operation;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod proof;
pub(crate) mod style;
pub(crate) mod table;

#[cfg(test)]
mod tests;
