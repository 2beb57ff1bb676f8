//! Secrets: a reference that may be shown, and a value that may not.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::names::text_newtype;

text_newtype!(
    /// Name of a secret: lower-case parts joined by `/`, as in `shop/db-password`.
    SecretRef, "secret name", |text| {
        if text.is_empty() || text.len() > 200 {
            return Err("it must have 1 to 200 characters".into());
        }
        let good = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c))
        };
        if text.split('/').all(good) { Ok(()) } else {
            Err("write lower-case parts joined by `/`, as in shop/db-password".into())
        }
    }
);

/// The value of a secret. It cannot be printed, compared by accident or serialised; memory is wiped on drop.
#[derive(Clone)]
pub struct SecretValue(SecretString);

impl SecretValue {
    /// Takes a value in.
    pub fn new(value: impl Into<String>) -> Self {
        Self(SecretString::from(value.into()))
    }

    /// Hands the value out, for the one call that needs it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(hidden)")
    }
}
