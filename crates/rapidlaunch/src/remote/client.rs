//! Asks a server: over TLS that is always verified, with limits on answers, and with the same key when a request is sent again.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use reqwest::{Method, Response, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{Problem, RemoteError};
use super::way::{ServerArgs, Way};
use crate::api;
use crate::error::CommandError;
use crate::out::Out;

/// Longest time a request may take: a little more than servers allow themselves.
const CALL_LIMIT: Duration = Duration::from_secs(150);
/// Longest time a stream may be open: servers end theirs after 15 minutes, so that rights are looked at anew.
const STREAM_LIMIT: Duration = Duration::from_secs(20 * 60);
/// Largest answer: the plan of some ten thousand guests.
const ANSWER_BYTES_MAX: usize = 128 << 20;
/// How long a server that has answered before is asked again when it no longer does: it is being started anew.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// First pause between two tries; the next ones are twice as long, up to the longest.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Things of a page.
const PAGE: usize = 200;
/// Most pages of a list: beyond, a person looks for something else.
const PAGES_MAX: usize = 500;
/// Longest name of a release that is repeated.
const RELEASE_LEN_MAX: usize = 64;

/// A server that a command works through.
pub(crate) struct Remote {
    way: RwLock<Arc<Way>>,
    /// The data directory's folder in which the server says where it is; it says so anew at each start.
    door: Option<PathBuf>,
    key: String,
    requests: AtomicU64,
    reached: AtomicBool,
}

/// A page of a list.
#[derive(serde::Deserialize)]
struct Page<T> {
    items: Vec<T>,
    next: Option<String>,
}

impl Remote {
    /// The server that the command line names, if it names one.
    pub(crate) fn given(args: &ServerArgs, out: &Out) -> Result<Option<Self>, CommandError> {
        let Some(server) = &args.server else { return Ok(None) };
        Way::given(args, server, out).map(|way| Some(Self::over(way, None)))
    }

    /// The server that works on a data directory, if one says so there and answers.
    pub(crate) async fn at_door(folder: PathBuf) -> Option<Self> {
        let way = Way::of_door(api::find_door(&folder)?)?;
        let remote = Self::over(way, Some(folder));
        // A server that was killed has left its words behind.
        remote.once(&Method::GET, "/v1/session", None, "").await.ok()?;
        Some(remote)
    }

    pub(super) fn over(way: Way, door: Option<PathBuf>) -> Self {
        Self {
            way: RwLock::new(Arc::new(way)),
            door,
            key: ulid::Ulid::generate().to_string(),
            requests: AtomicU64::new(0),
            reached: AtomicBool::new(false),
        }
    }

    /// Whether the server works on this machine for this user, so that files named here can be read there.
    pub(crate) fn is_beside(&self) -> bool {
        self.way().token.expose().starts_with(api::LOCAL_TOKEN)
    }

    /// Where the server is.
    pub(crate) fn url(&self) -> String {
        self.way().url.clone()
    }

    fn way(&self) -> Arc<Way> {
        Arc::clone(&self.way.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks where a server that was started anew is now.
    fn look_again(&self) {
        if let Some(way) = self.door.as_deref().and_then(api::find_door).and_then(Way::of_door) {
            *self.way.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(way);
        }
    }

    /// Asks for something.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RemoteError> {
        self.ask(Method::GET, path, None).await
    }

    /// The same, with nothing for what is not there.
    pub(crate) async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, RemoteError> {
        match self.get(path).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All things of a list, or the first ones up to `most`. The path may have a query.
    pub(crate) async fn list<T: DeserializeOwned>(&self, path: &str, most: usize) -> Result<Vec<T>, RemoteError> {
        self.list_after(path, None, most).await
    }

    /// The same, from where a cursor points.
    pub(super) async fn list_after<T: DeserializeOwned>(
        &self,
        path: &str,
        mut cursor: Option<String>,
        most: usize,
    ) -> Result<Vec<T>, RemoteError> {
        let mut all = Vec::new();
        let sign = if path.contains('?') { '&' } else { '?' };
        for _ in 0..PAGES_MAX {
            let limit = PAGE.min(most - all.len());
            let after = cursor.map(|cursor| format!("&cursor={}", encoded(&cursor))).unwrap_or_default();
            let page: Page<T> = self.get(&format!("{path}{sign}limit={limit}{after}")).await?;
            all.extend(page.items);
            cursor = page.next;
            if cursor.is_none() || all.len() >= most {
                break;
            }
        }
        Ok(all)
    }

    /// Has something done. Sent again under the same key where the answer is lost, so that it is done once.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, RemoteError> {
        self.send(Method::POST, path, body).await
    }

    /// The same with another method.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, RemoteError> {
        let body = serde_json::to_vec(body).map_err(|error| self.strange(&error.to_string(), None))?;
        self.ask(method, path, Some(body)).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<T, RemoteError> {
        let key = format!("{}-{}", self.key, self.requests.fetch_add(1, Ordering::Relaxed));
        let (began, mut pause) = (Instant::now(), PAUSE);
        let (bytes, release) = loop {
            let error = match self.once(&method, path, body.as_deref(), &key).await {
                Ok(answer) => break answer,
                Err(error) => error,
            };
            let wait = self.wait_after(&error, pause).filter(|wait| began.elapsed() + *wait < PATIENCE);
            let Some(wait) = wait else { return Err(error) };
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(PAUSE_MAX);
            self.look_again();
        };
        let text = if bytes.is_empty() { b"null".as_slice() } else { &bytes };
        serde_json::from_slice(text).map_err(|error| self.strange(&format!("{path}: {error}"), release))
    }

    /// How long to wait before a request is sent again; `None` where that is no use.
    fn wait_after(&self, error: &RemoteError, pause: Duration) -> Option<Duration> {
        let reached = self.reached.load(Ordering::Relaxed);
        match error {
            // Whoever was never reached will not be: the address is wrong, or nobody runs there.
            RemoteError::Unreachable { source, .. } if reached || !source.is_connect() => Some(pause),
            RemoteError::Refused(problem, _) => match problem.code.as_str() {
                "RL0511" | "RL0516" => Some(pause),
                // The token of a server's own folder is another after each start.
                "RL0501" if reached && self.door.is_some() => Some(pause),
                _ => None,
            },
            _ => None,
        }
    }

    async fn once(
        &self,
        method: &Method,
        path: &str,
        body: Option<&[u8]>,
        key: &str,
    ) -> Result<(Vec<u8>, Option<String>), RemoteError> {
        let way = self.way();
        let mut request = way.client.request(method.clone(), format!("{}{path}", way.url)).timeout(CALL_LIMIT);
        request = request.bearer_auth(way.token.expose());
        if *method != Method::GET {
            request = request.header("idempotency-key", key).header(header::IF_MATCH, "*");
        }
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_vec());
        }
        let response = request.send().await.map_err(|error| unreachable(&way, error))?;
        self.reached.store(true, Ordering::Relaxed);
        let (status, release) = (response.status(), release_of(&response));
        let bytes = read(&way, response).await?;
        if status.is_success() {
            return Ok((bytes, release));
        }
        Err(self.refused(status, &bytes, release))
    }

    /// An answer of this kind that comes bit by bit; of events, one that goes on after the event with this id.
    pub(super) async fn stream(&self, path: &str, kind: &str, last: Option<&str>) -> Result<Response, RemoteError> {
        let way = self.way();
        let mut request = way.client.get(format!("{}{path}", way.url)).timeout(STREAM_LIMIT);
        request = request.bearer_auth(way.token.expose()).header(header::ACCEPT, kind);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.map_err(|error| unreachable(&way, error))?;
        let (status, release) = (response.status(), release_of(&response));
        if status.is_success() {
            return Ok(response);
        }
        let bytes = read(&way, response).await?;
        Err(self.refused(status, &bytes, release))
    }

    /// Waits before a stream is asked for again. An error that stays is given back.
    pub(super) async fn rest(&self, error: RemoteError) -> Result<(), RemoteError> {
        if self.wait_after(&error, PAUSE).is_none() {
            return Err(error);
        }
        tokio::time::sleep(PAUSE_MAX / 4).await;
        self.look_again();
        Ok(())
    }

    fn refused(&self, status: StatusCode, bytes: &[u8], release: Option<String>) -> RemoteError {
        match serde_json::from_slice::<Problem>(bytes) {
            Ok(problem) if !problem.code.is_empty() => RemoteError::Refused(Box::new(problem), release),
            _ => self.strange(&format!("status {} without a problem document", status.as_u16()), release),
        }
    }

    pub(super) fn strange(&self, why: &str, release: Option<String>) -> RemoteError {
        RemoteError::Strange { url: self.url(), why: why.to_owned(), release }
    }
}

fn unreachable(way: &Way, source: reqwest::Error) -> RemoteError {
    let url = way.url.clone();
    if rl_providers::web::is_untrusted(&source) {
        return RemoteError::Untrusted { url, source };
    }
    RemoteError::Unreachable { url, source }
}

async fn read(way: &Way, mut response: Response) -> Result<Vec<u8>, RemoteError> {
    let release = release_of(&response);
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(way, error))? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            let why = format!("it has more than {ANSWER_BYTES_MAX} bytes");
            return Err(RemoteError::Strange { url: way.url.clone(), why, release });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn release_of(response: &Response) -> Option<String> {
    let value = response.headers().get(api::RELEASE)?.to_str().ok()?;
    Some(value.chars().take(RELEASE_LEN_MAX).collect())
}

/// A text as a part of a path or query (RFC 3986).
pub(crate) fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
