//! Whoever wants to know is told how long each commit took, on either database.
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rl_engine::{Clock, Ids, SystemClock};

use crate::home::Home;
use crate::samples::operation;

crate::home::cases! { commits_are_told_with_their_time }

async fn commits_are_told_with_their_time(home: Home) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = home.open(Arc::clone(&clock)).await.unwrap();
    let told: Arc<Mutex<Vec<Duration>>> = Arc::default();
    store.on_commit(Box::new({
        let told = Arc::clone(&told);
        move |took| told.lock().unwrap().push(took)
    }));
    store.on_commit(Box::new(|_| panic!("only the first is told")));
    let (before, ids) = (store.commits(), Ids::from_os(clock));
    for subject in ["shop", "mail"] {
        store.start_operation(operation(&ids, subject, 1), None, None).await.unwrap();
    }
    let told = told.lock().unwrap().clone();
    assert_eq!(told.len() as u64, store.commits() - before);
    assert!(told.len() >= 2 && told.iter().all(|took| !took.is_zero()), "{told:?}");
}
