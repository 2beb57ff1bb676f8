//! The value of a secret has no text form, cannot be stored, and cannot be compared by accident.

use rl_model::SecretValue;

fn stored<T: serde::Serialize>(_: T) {}

fn main() {
    let value = SecretValue::new("x");
    println!("{value}");
    stored(value.clone());
    let _ = value == SecretValue::new("x");
}
