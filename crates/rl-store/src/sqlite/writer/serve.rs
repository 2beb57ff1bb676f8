//! The thread's loop: batches, commits, and what happens when the disk is full.
use std::time::{Duration, Instant};

use rl_engine::{Announce, fail_point};

use super::queue::{Batch, Next, Shared, Work};
use super::session::Session;
use crate::sqlite::{Commit, Pending};

/// How long running work waits for room on a full disk before it looks again.
const ROOM_WAIT: Duration = Duration::from_millis(100);

impl Shared {
    pub(super) fn serve(&self, session: &mut Session) {
        let mut dirty = true;
        loop {
            let batch = match self.next(dirty) {
                Next::Batch(batch) => batch,
                Next::Idle => {
                    session.checkpoint("passive");
                    dirty = false;
                    continue;
                }
                Next::Closed => break,
            };
            dirty = true;
            session.room.look();
            self.commit(session, batch);
            if self.is_poisoned() {
                session.leave_log();
                break;
            }
            session.trim_log();
        }
        self.refuse_rest();
    }

    /// Writes on rows share one transaction; those with statements of their own share another, which cannot be repeated.
    fn commit(&self, session: &mut Session, mut batch: Batch) {
        if session.room.is_tight() {
            refuse(std::mem::take(&mut batch.intake));
        }
        let split = |works: Vec<Work>| works.into_iter().partition::<Vec<_>, _>(|work| work.statements);
        let (statements, progress) = split(batch.progress);
        let (more, intake) = split(batch.intake);
        if !progress.is_empty() || !intake.is_empty() {
            self.commit_rows(session, progress, intake);
        }
        if self.is_poisoned() {
            return;
        }
        if !statements.is_empty() && session.room.is_tight() {
            session.room.give_up_reserve();
        }
        self.commit_statements(session, statements.into_iter().chain(more).collect());
    }

    fn commit_rows(&self, session: &mut Session, progress: Vec<Work>, intake: Vec<Work>) {
        let begun = session.begin();
        if begun != Commit::Kept {
            return self.answer(session, run_none(progress.into_iter().chain(intake)), begun);
        }
        let mut running = run(session, progress);
        session.cache.keep();
        let logged = session.cache.logged();
        let new = run(session, intake);
        let mut outcome = self.end(session);
        if outcome != Commit::TakenBack {
            running.extend(new);
            return self.answer(session, running, outcome);
        }
        session.room.filled();
        if session.cache.is_direct() || running.is_empty() {
            running.extend(new);
            return self.forget(session, running);
        }
        // The new work is refused, the running work is tried again, with the reserve's room, until it fits.
        let any_new = !new.is_empty();
        session.cache.undo_all(logged);
        self.answer(session, new, Commit::TakenBack);
        outcome = self.insist(session);
        if any_new && outcome == Commit::Kept && session.rebuild().is_err() {
            outcome = Commit::Failed;
        }
        match outcome {
            Commit::TakenBack => self.forget(session, running),
            outcome => self.answer(session, running, outcome),
        }
    }

    /// Commits what running jobs have to record, waiting for room as long as the store is open.
    fn insist(&self, session: &mut Session) -> Commit {
        loop {
            let outcome = match session.begin() {
                Commit::Kept => self.end(session),
                other => other,
            };
            if outcome != Commit::TakenBack {
                return outcome;
            }
            if session.room.give_up_reserve() {
                continue;
            }
            if self.is_closed() {
                return outcome;
            }
            refuse(self.waiting_intake());
            std::thread::sleep(ROOM_WAIT);
        }
    }

    fn end(&self, session: &mut Session) -> Commit {
        if session.broken {
            return Commit::Failed;
        }
        if session.connection.is_autocommit() {
            return Commit::TakenBack;
        }
        fail_point!("store.commit.before");
        let began = Instant::now();
        let outcome = session.end();
        self.commits.took(began);
        fail_point!("store.commit.after");
        outcome
    }

    /// One transaction after the other: all that waits, or as much as fits on the disk.
    fn commit_statements(&self, session: &mut Session, works: Vec<Work>) {
        let mut waiting = works.into_iter();
        while waiting.len() > 0 && !self.is_poisoned() {
            let mut outcome = session.begin();
            let mut pending = Vec::with_capacity(waiting.len());
            while outcome == Commit::Kept && !session.connection.is_autocommit() && !session.broken {
                let Some(work) = waiting.next() else { break };
                pending.push((work.run)(Some(session)));
            }
            if outcome == Commit::Kept {
                outcome = self.end(session);
            } else {
                pending.extend(run_none(waiting.by_ref()));
            }
            match outcome {
                Commit::TakenBack => {
                    session.room.filled();
                    self.forget(session, pending);
                }
                outcome => self.answer(session, pending, outcome),
            }
        }
    }

    /// Nothing of the transaction is stored, so nothing of it may be remembered.
    fn forget(&self, session: &mut Session, pending: Vec<Pending>) {
        let outcome = match session.forget() {
            Ok(()) => Commit::TakenBack,
            Err(error) => {
                tracing::error!(%error, "the store cannot read what is stored; it stops");
                Commit::Failed
            }
        };
        self.answer(session, pending, outcome);
    }

    fn answer(&self, session: &mut Session, pending: Vec<Pending>, outcome: Commit) {
        match outcome {
            Commit::Kept => {
                session.cache.committed();
                self.commits.kept();
                let announce = pending.iter().map(|pending| pending.announce).fold(Announce::default(), Announce::and);
                self.signal.send_if_modified(|signal| announce.apply(signal));
            }
            Commit::Failed => self.poison(),
            Commit::TakenBack => {}
        }
        for pending in pending {
            (pending.answer)(outcome);
        }
    }
}

/// Runs writes until the transaction is lost.
fn run(session: &mut Session, works: Vec<Work>) -> Vec<Pending> {
    let mut pending = Vec::with_capacity(works.len());
    for work in works {
        let lost = session.broken || session.connection.is_autocommit();
        pending.push((work.run)(if lost { None } else { Some(session) }));
    }
    pending
}

fn run_none(works: impl Iterator<Item = Work>) -> Vec<Pending> {
    works.map(|work| (work.run)(None)).collect()
}

/// Refuses new work because the disk is full.
fn refuse(works: Vec<Work>) {
    for pending in run_none(works.into_iter()) {
        (pending.answer)(Commit::TakenBack);
    }
}
