//! What one caller may take of the server, so that the others are answered: connections, requests, bytes. Each limit stands in
//! `docs/limits.md`.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::caller::{self, Remote};
use super::problem::{Code, Problem};
use crate::env;
use crate::telemetry::names;

/// Most connections at once: each costs some tens of kilobytes, and followers keep theirs.
const CONNECTIONS_MAX: u64 = 16_384;
/// Most of them from one address: a proxy needs a few, and no address may take them all.
const CONNECTIONS_OF_ADDRESS_MAX: u64 = 2_048;
/// Requests a second that one address may send on end; and how many at once before that counts. Whoever tries tokens pays here.
const ADDRESS_RATE: Rate = Rate { per_second: 2_000, burst: 4_000 };
/// The same for one token or session.
const CALLER_RATE: Rate = Rate { per_second: 500, burst: 1_000 };
/// Addresses and callers that are counted apart; beyond, those that are idle are forgotten.
const BUCKETS_MAX: usize = 20_000;
/// Longest path with its query.
const TARGET_BYTES_MAX: usize = 8 << 10;
/// How long a request may take: looking at large sites takes a while, and nothing else takes long.
const REQUEST_LIMIT: Duration = Duration::from_secs(120);

/// How often something may be done.
#[derive(Debug, Clone, Copy)]
struct Rate {
    per_second: u32,
    burst: u32,
}

/// What is counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Whose {
    Address(IpAddr),
    /// A token or cookie, as a number that tells nothing of it.
    Caller(u64),
}

/// Requests that were made lately: for each the time at which its allowance is whole again (the generic cell rate algorithm,
/// ITU-T I.371). An allowance that is whole need not be kept.
#[derive(Debug, Default)]
struct Buckets(HashMap<Whose, Instant>);

impl Buckets {
    /// Takes one request of the allowance; answers how long to wait where there is none.
    fn take(&mut self, whose: Whose, rate: Rate, now: Instant) -> Result<(), Duration> {
        if self.0.len() >= BUCKETS_MAX {
            self.0.retain(|_, whole_at| *whole_at > now);
        }
        let each = Duration::from_secs(1) / rate.per_second;
        let whole_at = self.0.get(&whose).copied().unwrap_or(now).max(now) + each;
        let wait = whole_at.saturating_duration_since(now).saturating_sub(each * rate.burst);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.0.insert(whose, whole_at);
        Ok(())
    }
}

/// See the module.
pub(crate) struct Limits {
    buckets: Mutex<Buckets>,
    hasher: RandomState,
    caller: Rate,
    connections: Mutex<HashMap<IpAddr, u64>>,
    open: Arc<AtomicU64>,
}

impl Limits {
    /// Counts open connections where somebody reads them.
    pub(super) fn new(open: Arc<AtomicU64>) -> Arc<Self> {
        let caller = env::rate().map_or(CALLER_RATE, |per_second| Rate { per_second, burst: 2 * per_second });
        let (buckets, connections) = (Mutex::default(), Mutex::default());
        Arc::new(Self { buckets, hasher: RandomState::new(), caller, connections, open })
    }

    /// A place for a connection, as long as it is kept; none where there are too many.
    pub(super) fn connect(self: &Arc<Self>, from: IpAddr) -> Option<Place> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if self.open.load(Ordering::Relaxed) >= CONNECTIONS_MAX {
            refused("connections");
            return None;
        }
        let count = connections.entry(from).or_default();
        if *count >= CONNECTIONS_OF_ADDRESS_MAX {
            refused("connections_of_address");
            return None;
        }
        *count += 1;
        self.open.fetch_add(1, Ordering::Relaxed);
        Some(Place { limits: Arc::clone(self), from })
    }

    fn take(&self, whose: Whose, rate: Rate) -> Result<(), Problem> {
        let taken = self.buckets.lock().unwrap_or_else(PoisonError::into_inner).take(whose, rate, Instant::now());
        taken.map_err(|wait| {
            refused("rate");
            let seconds = wait.as_secs() + 1;
            Problem::new(Code::TOO_MANY, format!("more than {} requests a second", rate.per_second))
                .hint(format!("try again in {seconds} s; send fewer requests, or follow /v1/events"))
                .retry_after(seconds)
        })
    }

    /// Whether this request may be answered now. Whoever may read the data directory may ask as often as they like.
    fn allow(&self, request: &Request, local: bool) -> Result<(), Problem> {
        let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
        if target > TARGET_BYTES_MAX {
            return Err(Problem::new(Code::TARGET, format!("path and query have more than {TARGET_BYTES_MAX} bytes")));
        }
        if local {
            return Ok(());
        }
        if let Some(remote) = request.extensions().get::<Remote>() {
            self.take(Whose::Address(remote.0), ADDRESS_RATE)?;
        }
        let shown = request.headers().get(header::AUTHORIZATION).or_else(|| request.headers().get(header::COOKIE));
        match shown {
            Some(shown) => self.take(Whose::Caller(self.hasher.hash_one(shown.as_bytes())), self.caller),
            None => Ok(()),
        }
    }
}

/// A connection's place; free again when it is dropped.
pub(super) struct Place {
    limits: Arc<Limits>,
    from: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut connections = self.limits.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = connections.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                connections.remove(&self.from);
            }
        }
        self.limits.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts what was refused for a limit.
pub(crate) fn refused(why: &'static str) {
    metrics::counter!(names::HTTP_REFUSED, "why" => why).increment(1);
}

/// Answers what is within the limits of its caller, in time.
pub(super) async fn limited(State(api): State<Api>, request: Request, next: Next) -> Response {
    let local = caller::bearer(request.headers()).is_some_and(|token| api.local.opens(token));
    if let Err(problem) = api.limits.allow(&request, local) {
        return problem.into_response();
    }
    match tokio::time::timeout(REQUEST_LIMIT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(Code::TIMEOUT, format!("no answer within {} s", REQUEST_LIMIT.as_secs()))
            .hint("what was accepted goes on; read it again")
            .into_response(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 3 };

    fn address(last: u8) -> Whose {
        Whose::Address(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn an_allowance_is_used_up_and_comes_back() {
        let (mut buckets, now) = (Buckets::default(), Instant::now());
        assert!((0..3).all(|_| buckets.take(address(1), RATE, now).is_ok()));
        let wait = buckets.take(address(1), RATE, now).unwrap_err();
        assert!(wait <= Duration::from_millis(100), "{wait:?}");
        assert!(buckets.take(address(2), RATE, now).is_ok(), "others are not concerned");
        assert!(buckets.take(address(1), RATE, now + wait).is_ok());
        assert!(buckets.take(address(1), RATE, now + wait).is_err());
        let later = now + Duration::from_secs(10);
        assert!((0..3).all(|_| buckets.take(address(1), RATE, later).is_ok()), "and is no larger after a rest");
        assert!(buckets.take(address(1), RATE, later).is_err());
    }

    #[test]
    fn idle_callers_are_forgotten_when_there_are_many() {
        let (mut buckets, now) = (Buckets::default(), Instant::now());
        for number in 0..BUCKETS_MAX as u64 {
            buckets.take(Whose::Caller(number), RATE, now).unwrap();
        }
        buckets.take(address(1), RATE, now + Duration::from_secs(1)).unwrap();
        assert_eq!(buckets.0.len(), 1);
    }

    #[test]
    fn connections_are_counted_by_address_and_given_back() {
        let limits = Limits::new(Arc::default());
        let from = IpAddr::from([192, 0, 2, 1]);
        let places: Vec<Place> = (0..CONNECTIONS_OF_ADDRESS_MAX).map_while(|_| limits.connect(from)).collect();
        assert_eq!(places.len() as u64, CONNECTIONS_OF_ADDRESS_MAX);
        assert!(limits.connect(from).is_none() && limits.connect(IpAddr::from([192, 0, 2, 2])).is_some());
        drop(places);
        assert!(limits.connect(from).is_some());
        assert_eq!(limits.open.load(Ordering::Relaxed), 0);
        assert!(limits.connections.lock().unwrap().is_empty());
    }
}
