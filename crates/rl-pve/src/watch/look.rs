//! One look at a node: a list for all its tasks, a call of its own for those the list does not show.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use rl_model::{NodeName, Upid};

use super::board::{Board, Task};
use super::{TaskEnd, lock};
use crate::api::tasks::{self, TaskQuery, TaskRow, TaskSource};
use crate::client::Pve;
use crate::{ErrorKind, PveError};

/// Shortest time between two looks at a node, in the site's time.
pub(super) const TICK_MIN: Duration = Duration::from_millis(500);
/// Longest time between two looks at a running task, in the site's time.
const TICK_MAX: Duration = Duration::from_secs(15);
/// Tasks older than this are asked for one by one, in the site's time: a list that reaches back to their start would
/// be long, and there are few of them.
const LISTED_AGE_MAX: Duration = Duration::from_secs(600);
/// Rows of a list on top of a few for each task that is followed: other people's tasks stand between ours.
const ROWS_EXTRA: u32 = 50;
/// Most rows of a list.
const ROWS_MAX: u32 = 500;
/// Tasks asked for one by one in one look; the others wait for the next.
const SINGLES_MAX: usize = 8;
/// A task may be unknown for this long after its start, in the site's time; then it is forgotten.
const UNSEEN_MAX: Duration = Duration::from_secs(5);
/// And for no less than this in our time, however quick the site's clock: answers take their time too.
const UNSEEN_FLOOR: Duration = Duration::from_millis(500);
/// Pause after a node did not answer, in the site's time.
const FAILING_PAUSE: Duration = Duration::from_secs(3);
/// How long a node may not answer before those who wait are told, in our time: a reboot takes less.
const PATIENCE: Duration = Duration::from_secs(180);

/// Looks once at all tasks of a node that are followed.
pub(super) async fn look(pve: &Pve, board: &Mutex<Board>, node: &NodeName) {
    let (pace, all) = {
        let board = lock(board);
        (board.pace(), board.tasks(node))
    };
    let (listed, old): (Vec<Task>, Vec<Task>) = all.into_iter().partition(|task| task.age < pace.local(LISTED_AGE_MAX));
    let mut singles: Vec<Task> = old.into_iter().filter(|task| task.due).collect();
    if listed.iter().any(|task| task.due) {
        match list(pve, node, &listed).await {
            Ok(rows) => {
                lock(board).answered(node);
                singles.extend(take_in(board, listed, &rows));
            }
            Err(error) => return trouble(board, node, &error, pace.local(FAILING_PAUSE)),
        }
    }
    for task in singles.iter().take(SINGLES_MAX) {
        match single(pve, board, task).await {
            Ok(()) => lock(board).answered(node),
            Err(error) => return trouble(board, node, &error, pace.local(FAILING_PAUSE)),
        }
    }
}

async fn list(pve: &Pve, node: &NodeName, listed: &[Task]) -> Result<HashMap<String, TaskRow>, PveError> {
    let followed = u32::try_from(listed.len()).unwrap_or(ROWS_MAX);
    let query = TaskQuery {
        source: TaskSource::All,
        since: listed.iter().map(|task| task.upid.started_s()).min(),
        limit: followed.saturating_mul(2).saturating_add(ROWS_EXTRA).min(ROWS_MAX),
        about: None,
    };
    let rows = pve.send(tasks::list(node, &query)).await?;
    Ok(rows.into_iter().map(|row| (row.upid.clone(), row)).collect())
}

/// Notes what a list says; hands back the due tasks that it does not show.
fn take_in(board: &Mutex<Board>, listed: Vec<Task>, rows: &HashMap<String, TaskRow>) -> Vec<Task> {
    let mut board = lock(board);
    let mut unseen = Vec::new();
    for task in listed {
        match rows.get(task.upid.as_str()) {
            None if task.due => unseen.push(task),
            None => {}
            Some(row) => match row.ended() {
                Some(status) => board.finish(&task.upid, &Ok(TaskEnd::of_status(status)), took(row)),
                None => runs(&mut board, &task.upid),
            },
        }
    }
    unseen
}

fn runs(board: &mut Board, upid: &Upid) {
    let pace = board.pace();
    board.still_runs(upid, pace.local(TICK_MIN), pace.local(TICK_MAX));
}

/// How long a task ran by its node's clock; both ends are whole seconds, so up to one more is possible.
fn took(row: &TaskRow) -> Option<Duration> {
    let seconds = row.endtime?.0.checked_sub(row.starttime.0)?;
    u64::try_from(seconds).ok().map(|seconds| Duration::from_secs(seconds + 1))
}

async fn single(pve: &Pve, board: &Mutex<Board>, task: &Task) -> Result<(), PveError> {
    let outcome = pve.send(tasks::status(&task.upid)).await;
    let mut board = lock(board);
    match outcome {
        Ok(status) if status.status == "stopped" => {
            let end = status.exitstatus.map_or(TaskEnd::Unknown, |text| TaskEnd::of_status(&text.0));
            board.finish(&task.upid, &Ok(end), None);
        }
        Ok(_) => runs(&mut board, &task.upid),
        Err(error) if *error.kind() == ErrorKind::NoSuchTask => {
            if task.age < board.pace().local(UNSEEN_MAX).max(UNSEEN_FLOOR) {
                runs(&mut board, &task.upid);
            } else {
                board.finish(&task.upid, &Ok(TaskEnd::Unknown), None);
            }
        }
        // Another user's task, or an answer that makes no sense: that concerns this task alone.
        Err(error) if matches!(error.kind(), ErrorKind::Forbidden { .. } | ErrorKind::Decode { .. }) => {
            board.finish(&task.upid, &Err(error), None);
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

fn trouble(board: &Mutex<Board>, node: &NodeName, error: &PveError, pause: Duration) {
    let hopeless = matches!(
        error.kind(),
        ErrorKind::Unauthorized
            | ErrorKind::Forbidden { .. }
            | ErrorKind::Decode { .. }
            | ErrorKind::NotImplemented
            | ErrorKind::BadParameters(_)
    );
    let mut board = lock(board);
    if hopeless { board.fail_all(node, error) } else { board.failing(node, error, pause, PATIENCE) }
}
