//! Ids made while resolving.
//!
//! Resolving is pure, so its randomness is an argument: each id is a SHA-256 digest of the entropy handed in and of
//! what the id is for. The same entropy gives the same ids in whatever order they are asked for.

use rl_model::{GuestId, GuestName, MacAddr, NicName, StackName};
use sha2::{Digest, Sha256};

/// The id of a guest that the store does not know yet.
pub(crate) fn guest_id(entropy: u64, stack: &StackName, name: &GuestName) -> GuestId {
    GuestId::from_bits(bits(entropy, &["guest", stack.as_str(), name.as_str()]))
}

/// A MAC for a NIC; `attempt` counts up when one is taken.
pub(crate) fn mac(entropy: u64, guest: &GuestId, nic: &NicName, attempt: u32) -> MacAddr {
    let bits = bits(entropy, &["mac", guest.as_str(), nic.as_str(), &attempt.to_string()]);
    // The low 40 bits count; the truncation is meant.
    MacAddr::from_bits(bits as u64)
}

fn bits(entropy: u64, parts: &[&str]) -> u128 {
    let mut hasher = Sha256::new();
    hasher.update(entropy.to_be_bytes());
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    let digest = hasher.finalize();
    digest[..16].iter().fold(0, |bits, byte| bits << 8 | u128::from(*byte))
}
