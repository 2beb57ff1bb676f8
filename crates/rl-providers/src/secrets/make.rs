//! Values that no person has to think of.

use rand::rngs::OsRng;
use rand::{Rng, TryRngCore};
use rl_model::SecretValue;
use zeroize::Zeroizing;

/// Letters and digits: every program takes them, and each adds 5.95 bits.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A value of so many letters and digits, each as likely as any other, from the kernel's generator.
pub fn generated(length: u32) -> SecretValue {
    let mut rng = OsRng.unwrap_err();
    // The room is taken at once: a text that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(length as usize));
    for _ in 0..length {
        text.push(char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]));
    }
    SecretValue::new(text.as_str())
}
