//! One reading of a node's container list, shared by everybody who asks at the same time.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// A value read on demand. Whoever asks gets a reading that began after asking; those who ask while one is under way
/// share the next. So the number of calls does not grow with the number of steps that look.
#[derive(Debug)]
pub(crate) struct Shared<T> {
    last: Mutex<Option<(Instant, Arc<T>)>>,
}

impl<T> Shared<T> {
    /// Nothing read yet.
    pub(crate) fn new() -> Self {
        Self { last: Mutex::new(None) }
    }

    /// A reading that began after this call.
    pub(crate) async fn fresh<E>(&self, read: impl Future<Output = Result<T, E>>) -> Result<Arc<T>, E> {
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        if let Some((began, value)) = &*last
            && *began > asked
        {
            return Ok(Arc::clone(value));
        }
        let began = Instant::now();
        let value = Arc::new(read.await?);
        *last = Some((began, Arc::clone(&value)));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::Shared;

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_share_one_reading() {
        let shared = Arc::new(Shared::<u32>::new());
        let reads = Arc::new(AtomicU32::new(0));
        let ask = || {
            let (shared, reads) = (Arc::clone(&shared), Arc::clone(&reads));
            tokio::spawn(async move {
                let read = async {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    Ok::<u32, Infallible>(reads.fetch_add(1, Ordering::SeqCst))
                };
                *shared.fresh(read).await.expect("cannot fail")
            })
        };
        let first = ask();
        tokio::time::sleep(Duration::from_millis(10)).await;
        let waiting: Vec<_> = (0..20).map(|_| ask()).collect();
        assert_eq!(first.await.expect("first"), 0);
        for task in waiting {
            assert_eq!(task.await.expect("a waiter"), 1, "a reading that began before the question must not answer it");
        }
        assert_eq!(reads.load(Ordering::SeqCst), 2);
    }
}
