//! A gate that lets a bounded number through, except for those who are inside already.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Bounds how many Proxmox tasks of a kind run at once on a node. A step that finds its task running already, after a
/// crash, enters by force: the task is there, whether or not there is room for it.
#[derive(Debug)]
pub(crate) struct Gate {
    limit: usize,
    inside: Mutex<usize>,
    freed: Notify,
}

/// A place inside; dropping it leaves.
#[derive(Debug)]
pub(crate) struct Pass(Arc<Gate>);

impl Gate {
    /// A gate for `limit` at once, at least one.
    pub(crate) fn new(limit: u32) -> Arc<Self> {
        Arc::new(Self { limit: (limit as usize).max(1), inside: Mutex::new(0), freed: Notify::new() })
    }

    /// Waits for room and enters.
    pub(crate) async fn enter(self: &Arc<Self>) -> Pass {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if self.try_enter() {
                return Pass(Arc::clone(self));
            }
            freed.await;
        }
    }

    /// Enters whether or not there is room.
    pub(crate) fn enter_by_force(self: &Arc<Self>) -> Pass {
        *self.inside.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Pass(Arc::clone(self))
    }

    fn try_enter(&self) -> bool {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let room = *inside < self.limit;
        *inside += usize::from(room);
        room
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        *self.0.inside.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::Gate;

    #[tokio::test]
    async fn no_more_than_the_limit_are_inside() {
        let gate = Gate::new(2);
        let first = gate.enter().await;
        let _second = gate.enter().await;
        let third = tokio::spawn({
            let gate = gate.clone();
            async move { gate.enter().await }
        });
        tokio::task::yield_now().await;
        assert!(!third.is_finished());
        drop(first);
        third.await.expect("the third enters when the first has left");
    }

    #[tokio::test]
    async fn one_who_is_inside_already_counts() {
        let gate = Gate::new(1);
        let forced = gate.enter_by_force();
        assert!(!gate.try_enter());
        drop(forced);
        assert!(gate.try_enter());
    }
}
