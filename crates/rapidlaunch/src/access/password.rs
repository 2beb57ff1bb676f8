//! Passwords: argon2id, a few at a time, and as long for a name that is not known.
use std::sync::Arc;

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use rl_model::SecretValue;
use rl_store::PasswordHash;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::AccessError;

/// Fewest characters of a password (NIST SP 800-63B asks for 8, and for 15 where it is all there is).
const PASSWORD_CHARS_MIN: usize = 12;
/// Most bytes of a password: longer than any that a person types, short enough to hash.
const PASSWORD_BYTES_MAX: usize = 1024;
/// Memory of one hash in KiB, rounds and lanes (OWASP Password Storage Cheat Sheet, argon2id).
const MEMORY_KIB: u32 = 19 * 1024;
const ROUNDS: u32 = 2;
const LANES: u32 = 1;
/// Hashes at the same time: with 19 MiB each they take 76 MiB at most.
const AT_ONCE: usize = 4;
/// Hashes that wait for their turn, or have it; beyond them a caller is told to come again.
const WAITING_MAX: usize = 64;
/// A hash that no password has, made with the same parameters: it takes as long to find that out.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes and checks passwords on threads that may be busy for a while.
pub(super) struct Hasher {
    waiting: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

/// A place in the queue of those who sign in.
pub(super) struct Place {
    running: Arc<Semaphore>,
    _waiting: OwnedSemaphorePermit,
}

impl Hasher {
    pub(super) fn new() -> Self {
        Self { waiting: Arc::new(Semaphore::new(WAITING_MAX)), running: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Takes a place, where there is one.
    pub(super) fn place(&self) -> Result<Place, AccessError> {
        let waiting = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| AccessError::Busy)?;
        Ok(Place { running: Arc::clone(&self.running), _waiting: waiting })
    }
}

impl Place {
    /// Hashes a new password.
    pub(super) async fn hash(self, password: SecretValue) -> Result<PasswordHash, AccessError> {
        check(&password)?;
        self.run(move || {
            let made =
                argon2()?.hash_password(password.expose().as_bytes()).map_err(|e| AccessError::Hash(e.to_string()))?;
            made.to_string().parse().map_err(|error: std::io::Error| AccessError::Hash(error.to_string()))
        })
        .await?
    }

    /// Whether the password is the one of the hash. Without a hash it never is, and that takes as long to say.
    pub(super) async fn verify(self, password: SecretValue, hash: Option<PasswordHash>) -> Result<bool, AccessError> {
        self.run(move || {
            let text = hash.as_ref().map_or(NOBODY, PasswordHash::as_str);
            let given = if password.expose().len() <= PASSWORD_BYTES_MAX { password.expose() } else { "" };
            let right = argon2()?.verify_password(given.as_bytes(), text).is_ok();
            Ok(right && hash.is_some() && !given.is_empty())
        })
        .await?
    }

    async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> Result<T, AccessError> + Send + 'static,
    ) -> Result<Result<T, AccessError>, AccessError> {
        let permit = self.running.acquire().await.map_err(|_| AccessError::Busy)?;
        let done = tokio::task::spawn_blocking(work).await;
        drop(permit);
        done.map_err(|error| AccessError::Hash(error.to_string()))
    }
}

fn argon2() -> Result<Argon2<'static>, AccessError> {
    let params = Params::new(MEMORY_KIB, ROUNDS, LANES, None).map_err(|error| AccessError::Hash(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The rules of a new password: length alone, as rules about kinds of characters make people write worse ones.
fn check(password: &SecretValue) -> Result<(), AccessError> {
    let text = password.expose();
    if text.chars().count() < PASSWORD_CHARS_MIN {
        return Err(AccessError::Weak("it has fewer than 12 characters"));
    }
    if text.len() > PASSWORD_BYTES_MAX {
        return Err(AccessError::Weak("it has more than 1024 bytes"));
    }
    let mut letters = text.chars();
    let first = letters.next();
    if letters.all(|c| Some(c) == first) {
        return Err(AccessError::Weak("it is one character again and again"));
    }
    Ok(())
}
