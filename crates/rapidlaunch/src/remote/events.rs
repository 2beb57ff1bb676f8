//! The event stream of a server, which goes on where it stopped when the connection or the server was lost.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::Response;

use super::client::Remote;
use super::error::RemoteError;
use super::stream::{Lines, Told};

/// What events come as.
const KIND: &str = "text/event-stream";
/// How long a stream may say nothing: servers say something every 15 seconds.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// Pause before a stream that ended is asked for again: a server that ends may end streams as they begin.
const PAUSE: Duration = Duration::from_millis(200);

/// What a follower hears.
pub(super) enum Heard {
    /// An event.
    Event(Told),
    /// The stream begins, or goes on somewhere else: fetch the present state.
    Anew,
    /// Nothing for now, and the connection lives.
    Alive,
    /// The server is out of reach, and asked again.
    Lost,
}

/// Somebody who follows.
pub(super) struct Events<'a> {
    remote: &'a Remote,
    path: String,
    last: Option<String>,
    open: Option<(Response, Lines)>,
    queue: VecDeque<Heard>,
}

impl<'a> Events<'a> {
    /// Follows what this path tells.
    pub(super) fn new(remote: &'a Remote, path: String) -> Self {
        Self { remote, path, last: None, open: None, queue: VecDeque::new() }
    }

    /// Waits for what comes next. Dropped in between, it goes on where it was.
    pub(super) async fn next(&mut self) -> Result<Heard, RemoteError> {
        loop {
            if let Some(heard) = self.queue.pop_front() {
                return Ok(heard);
            }
            let Some((response, lines)) = &mut self.open else {
                match self.remote.stream(&self.path, KIND, self.last.as_deref()).await {
                    Ok(response) => self.open = Some((response, Lines::default())),
                    Err(error) => {
                        self.remote.rest(error).await?;
                        return Ok(Heard::Lost);
                    }
                }
                continue;
            };
            let chunk = tokio::time::timeout(SILENCE_MAX, response.chunk()).await;
            let Ok(Ok(Some(bytes))) = chunk else {
                // Ended, broken or silent: it is asked for again, after the last id.
                self.open = None;
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            match lines.take(&bytes) {
                Ok(told) if told.is_empty() => return Ok(Heard::Alive),
                Ok(told) => told.into_iter().for_each(|told| self.hear(told)),
                Err(_) => self.open = None,
            }
        }
    }

    fn hear(&mut self, told: Told) {
        let anew = match told.kind.as_str() {
            // A first stream begins at the present; one that goes on begins where the last one stopped.
            "ready" => self.last.is_none(),
            "resync" => true,
            _ => false,
        };
        if told.id.is_some() {
            self.last.clone_from(&told.id);
        }
        if anew {
            self.queue.push_back(Heard::Anew);
        } else if told.kind != "ready" {
            self.queue.push_back(Heard::Event(told));
        }
    }
}
