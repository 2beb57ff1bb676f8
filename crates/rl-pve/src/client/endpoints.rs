//! Which endpoint is asked next.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rl_model::Endpoint;
use tokio::time::Instant;

/// How long an endpoint that failed is asked last: long enough not to pay its connect timeout with every call, short
/// enough to come back to it soon after it is repaired.
const COOL_DOWN: Duration = Duration::from_secs(15);

/// The endpoints of a site, the last good one, and those that failed lately.
pub(super) struct Endpoints {
    list: Vec<Endpoint>,
    state: Mutex<State>,
}

struct State {
    good: usize,
    failed_until: Vec<Option<Instant>>,
}

impl Endpoints {
    pub(super) fn new(list: Vec<Endpoint>) -> Self {
        let failed_until = vec![None; list.len()];
        Self { list, state: Mutex::new(State { good: 0, failed_until }) }
    }

    /// All of them.
    pub(super) fn all(&self) -> &[Endpoint] {
        &self.list
    }

    pub(super) fn get(&self, index: usize) -> &Endpoint {
        &self.list[index]
    }

    /// The order to try: the last good one, the others, those that failed lately.
    pub(super) fn order(&self) -> Vec<usize> {
        let state = self.lock();
        let now = Instant::now();
        let cooling = |index: &usize| state.failed_until[*index].is_some_and(|until| until > now);
        let mut order: Vec<usize> = (0..self.list.len()).collect();
        order.sort_by_key(|index| (cooling(index), *index != state.good, *index));
        order
    }

    pub(super) fn mark_good(&self, index: usize) {
        let mut state = self.lock();
        state.good = index;
        state.failed_until[index] = None;
    }

    pub(super) fn mark_failed(&self, index: usize) {
        self.lock().failed_until[index] = Some(Instant::now() + COOL_DOWN);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn three() -> Endpoints {
        Endpoints::new((1..4).map(|n| format!("https://pve{n}.example:8006").parse().unwrap()).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_endpoint_is_asked_last_until_it_has_cooled_down() {
        let endpoints = three();
        assert_eq!(endpoints.order(), [0, 1, 2]);
        endpoints.mark_failed(0);
        assert_eq!(endpoints.order(), [1, 2, 0]);
        endpoints.mark_good(2);
        assert_eq!(endpoints.order(), [2, 1, 0]);
        tokio::time::advance(COOL_DOWN).await;
        assert_eq!(endpoints.order(), [2, 0, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn every_endpoint_is_tried_even_when_all_failed() {
        let endpoints = three();
        (0..3).for_each(|index| endpoints.mark_failed(index));
        assert_eq!(endpoints.order(), [0, 1, 2]);
    }
}
