//! Locks of a node: the file lock per guest, and how many heavy operations a storage does at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use crate::api::error::{ApiError, ApiResult};
use crate::clock::Clock;

/// How long PVE waits for a guest's file lock (AbstractConfig.pm).
pub(crate) const FLOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// However fast the operations run, a loaded test machine is given this much real time for a lock to come free.
const FLOCK_TIMEOUT_FLOOR: Duration = Duration::from_millis(300);

/// A held file lock of a guest.
pub(crate) type GuestLock = OwnedMutexGuard<()>;

#[derive(Default)]
pub(crate) struct Locks {
    guests: Mutex<HashMap<u32, Arc<tokio::sync::Mutex<()>>>>,
    storages: Mutex<HashMap<(String, String), Arc<Semaphore>>>,
}

impl Locks {
    fn guest(&self, vmid: u32) -> Arc<tokio::sync::Mutex<()>> {
        let mut guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        guests.entry(vmid).or_default().clone()
    }

    /// Takes the file lock of a guest, waiting as long as PVE would.
    pub(crate) async fn lock_guest(&self, clock: &Clock, vmid: u32) -> ApiResult<GuestLock> {
        let wait = clock.real(FLOCK_TIMEOUT).max(FLOCK_TIMEOUT_FLOOR);
        tokio::time::timeout(wait, self.guest(vmid).lock_owned())
            .await
            .map_err(|_| ApiError::die(format!("can't lock file '/run/lock/lxc/pve-config-{vmid}.lock' - got timeout")))
    }

    /// Takes the file lock if nobody holds it.
    pub(crate) fn try_lock_guest(&self, vmid: u32) -> Option<GuestLock> {
        self.guest(vmid).try_lock_owned().ok()
    }

    /// Waits for one of the storage's `at_once` places.
    pub(crate) async fn storage_place(
        &self,
        storage: &str,
        node: &str,
        at_once: usize,
    ) -> Option<OwnedSemaphorePermit> {
        let place = {
            let mut storages = self.storages.lock().unwrap_or_else(PoisonError::into_inner);
            let key = (storage.to_owned(), node.to_owned());
            storages.entry(key).or_insert_with(|| Arc::new(Semaphore::new(at_once.max(1)))).clone()
        };
        place.acquire_owned().await.ok()
    }
}
