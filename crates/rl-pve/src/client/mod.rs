//! The client of one site: sends requests, fails over, renews tickets, counts.

mod answer;
mod auth;
mod connection;
mod endpoints;
mod figures;
mod limits;
mod local;
mod observer;
mod resolver;
mod streams;
mod tls;
mod transport;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::header::HeaderMap;
use rl_model::{Endpoint, Upid};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::Instrument;

use crate::api;
use crate::request::{Call, Request, Safety};
use crate::watch::{TaskEnd, TaskWatch};
use crate::{ErrorKind, PveError};

use auth::{Auth, Session, session_headers, token_headers};
use endpoints::Endpoints;
use figures::Figures;
use limits::Limits;
use observer::Unwatched;
use streams::Streams;
use transport::{Failure, Http, attempt, http_client};

pub(crate) use answer::decode;
pub use connection::{ApiToken, CallLimits, ConnectError, Credentials, Pace, SiteConnection, TokenError};
pub use figures::CallCount;
pub use observer::{CallEnd, CallInfo, CallObserver};
pub use resolver::NameResolver;
pub use streams::{ByteStream, Dial, Dialled};

/// Times a call that is safe to repeat is sent at most.
const TRIES_MAX: u32 = 5;
/// Pause before the first repetition; it doubles before each further one, for an endpoint that restarts needs a moment.
const REPEAT_PAUSE: Duration = Duration::from_millis(250);
/// All pauses between the tries of one call together.
const PAUSES_ALL: Duration = REPEAT_PAUSE.saturating_mul(2_u32.pow(TRIES_MAX - 1) - 1);

/// The client of one site. Cheap to clone; all clones share connections, limits and counters.
#[derive(Clone)]
pub struct Pve {
    inner: Arc<Inner>,
}

struct Inner {
    http: Http,
    endpoints: Endpoints,
    resolver: Arc<NameResolver>,
    auth: Auth,
    limits: Limits,
    figures: Figures,
    pace: Pace,
    answer_limit: Duration,
    /// Longest time to find out that no endpoint can be reached.
    connect_all: Duration,
    watch: TaskWatch,
    observer: OnceLock<Arc<dyn CallObserver>>,
}

impl Pve {
    /// Prepares a client. Nothing is contacted before the first call; a CA file is read here.
    pub fn connect(connection: SiteConnection) -> Result<Self, ConnectError> {
        if connection.endpoints.is_empty() {
            return Err(ConnectError::NoEndpoint);
        }
        let http = Http::Network(http_client(&connection)?);
        Ok(Self::over(http, connection))
    }

    /// A client whose connections come from `dial`, as plain HTTP without TLS: for simulations in memory, where nothing
    /// may wait for the machine. Trust and name lookup of the connection mean nothing then.
    pub fn over_streams(connection: SiteConnection, dial: Arc<dyn Dial>) -> Result<Self, ConnectError> {
        if connection.endpoints.is_empty() {
            return Err(ConnectError::NoEndpoint);
        }
        let http = Http::Streams(Streams::new(dial, connection.limits.connect));
        Ok(Self::over(http, connection))
    }

    fn over(http: Http, connection: SiteConnection) -> Self {
        let connect_all = connection.limits.connect.saturating_mul(connection.endpoints.len() as u32);
        let inner = Inner {
            http,
            connect_all,
            limits: Limits::new(connection.requests_per_node),
            auth: Auth::new(connection.credentials, connection.pace),
            endpoints: Endpoints::new(connection.endpoints),
            resolver: connection.resolver,
            figures: Figures::default(),
            pace: connection.pace,
            answer_limit: connection.limits.answer,
            watch: TaskWatch::new(connection.pace),
            observer: OnceLock::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Lets somebody watch the calls of this client and all its clones. Only the first who is named does.
    #[must_use]
    pub fn watched_by(self, observer: Arc<dyn CallObserver>) -> Self {
        let _ = self.inner.observer.set(observer);
        self
    }

    fn observer(&self) -> &dyn CallObserver {
        self.inner.observer.get().map_or(&Unwatched, |observer| &**observer)
    }

    /// Sends a request and hands back its answer.
    ///
    /// Connection errors lead to the next endpoint, for every call. A call that was sent and not answered is repeated
    /// only when that is safe; else the error says [`ErrorKind::MayHaveHappened`]. Cancelling (dropping the future) leaves
    /// it open whether the call was carried out.
    pub async fn send<A: DeserializeOwned>(&self, request: Request<A>) -> Result<A, PveError> {
        let call = request.call();
        // On the heap while it lasts: every step that ever sends something would keep room for a whole exchange as long as it lives.
        let body = Box::pin(self.exchange(&call)).await?;
        decode(&call, &body)
    }

    /// Follows a task that was started just now to its end. May be cancelled and called again at any time.
    pub async fn watch(&self, upid: &Upid) -> Result<TaskEnd, PveError> {
        self.inner.watch.follow(self, upid, false).await
    }

    /// Follows a task started earlier, perhaps by a process that is no more: the first look is at once.
    pub async fn watch_earlier(&self, upid: &Upid) -> Result<TaskEnd, PveError> {
        self.inner.watch.follow(self, upid, true).await
    }

    /// The last `lines` lines of a task's log.
    pub async fn task_log_tail(&self, upid: &Upid, lines: u32) -> Result<Vec<String>, PveError> {
        let first = self.send(api::tasks::log(upid, 0, lines.max(1))).await?;
        let total = first.total.unsigned();
        let part = if total > u64::from(lines) {
            self.send(api::tasks::log(upid, total - u64::from(lines), lines.max(1))).await?
        } else {
            first
        };
        Ok(part.data.into_iter().map(|line| crate::error::clean(&line.t.0, 1_000)).collect())
    }

    /// How often each call was sent so far.
    pub fn calls(&self) -> Vec<CallCount> {
        self.inner.figures.all()
    }

    /// How many calls were sent so far.
    pub fn calls_total(&self) -> u64 {
        self.inner.figures.all().iter().map(|call| call.count).sum()
    }

    /// Who the client is to Proxmox, as its task ids name it: `user@realm!token`, or `user@realm` with a password.
    pub fn identity(&self) -> String {
        match &self.inner.auth.credentials {
            Credentials::Token(token) => format!("{}!{}", token.user(), token.id()),
            Credentials::Password { user, .. } => user.clone(),
        }
    }

    /// How quickly the site's clock runs.
    pub fn pace(&self) -> Pace {
        self.inner.pace
    }

    /// Longest time a request can be under way, from its first byte to the end of its last try. Waiting for a place in
    /// the queue, and for a connection, comes before that and is not counted.
    pub fn longest<A>(&self, request: &Request<A>) -> Duration {
        let inner = &self.inner;
        let answer = request.class().limit().min(inner.answer_limit);
        match request.safety() {
            Safety::Once => answer,
            // No try begins after the time of one answer has passed.
            Safety::Read | Safety::Repeatable => 2 * answer + PAUSES_ALL + TRIES_MAX * inner.connect_all,
        }
    }

    async fn exchange(&self, call: &Call) -> Result<Vec<u8>, PveError> {
        let _place = self.inner.limits.enter(call).await?;
        let began = Instant::now();
        let mut lost = false;
        let mut renewed = false;
        for tries in 1..=TRIES_MAX {
            let (headers, seen) = self.headers(call).await?;
            let failure = match self.over_endpoints(call, headers).await {
                Ok(body) => return Ok(body),
                Err(failure) => failure,
            };
            let in_time = tries < TRIES_MAX && began.elapsed() < call.class.limit().min(self.inner.answer_limit);
            match failure {
                // Nothing was carried out: a refused ticket is replaced once and the call sent again, whatever it is.
                Failure::Refused(error) if seen.is_some() && !renewed && *error.kind() == ErrorKind::Unauthorized => {
                    renewed = true;
                    self.drop_session(seen).await;
                }
                Failure::Lost(_) if call.safety != Safety::Once && in_time => {
                    lost = true;
                    tokio::time::sleep(REPEAT_PAUSE * 2_u32.pow(tries - 1)).await;
                }
                Failure::NotSent(error) | Failure::Lost(error) | Failure::Refused(error) => {
                    let unsure = lost && call.safety == Safety::Repeatable;
                    return Err(if unsure { error.after_repetition() } else { error });
                }
            }
        }
        Err(PveError::lost(call, "no answer, several times over"))
    }

    /// Tries the endpoints until one takes the call.
    async fn over_endpoints(&self, call: &Call, headers: HeaderMap) -> Result<Vec<u8>, Failure> {
        let inner = &self.inner;
        if let Err(text) = inner.auth.gate() {
            return Err(Failure::Refused(PveError::new(call, ErrorKind::Unauthorized, &text)));
        }
        let mut last = PveError::new(call, ErrorKind::Unreachable, "there is no endpoint");
        for index in inner.endpoints.order() {
            let endpoint = inner.endpoints.get(index);
            let limit = call.class.limit().min(inner.answer_limit);
            let (about, observer, began) = (CallInfo::of(call), self.observer(), Instant::now());
            let tried = attempt(&inner.http, endpoint, call, headers.clone(), limit);
            let span = observer.span(&about);
            let outcome = tried.instrument(span.clone()).await;
            observer.ended(&about, CallEnd::of(&outcome), began.elapsed(), &span);
            if !matches!(outcome, Err(Failure::NotSent(_))) {
                inner.figures.count(call.method, call.template);
            }
            span.in_scope(|| {
                tracing::debug!(method = %call.method, path = %call.path, %endpoint, ok = outcome.is_ok(), "call");
            });
            match outcome {
                Err(Failure::NotSent(error)) if *error.kind() == ErrorKind::Unreachable => {
                    inner.endpoints.mark_failed(index);
                    last = error;
                }
                outcome => {
                    self.note(index, &outcome);
                    return outcome;
                }
            }
        }
        Err(Failure::NotSent(last))
    }

    /// Remembers what an outcome says about endpoint and credentials.
    fn note(&self, index: usize, outcome: &Result<Vec<u8>, Failure>) {
        let inner = &self.inner;
        match outcome {
            Ok(_) => {
                inner.endpoints.mark_good(index);
                inner.auth.accepted();
            }
            Err(Failure::Refused(error)) if *error.kind() == ErrorKind::Unauthorized => {
                inner.endpoints.mark_good(index);
                if matches!(inner.auth.credentials, Credentials::Token(_)) {
                    inner.auth.refuse(error.text());
                }
            }
            Err(Failure::Refused(_)) => {
                inner.endpoints.mark_good(index);
                inner.auth.accepted();
            }
            // A status from 595 on speaks of the node behind the endpoint, not of the endpoint.
            Err(Failure::Lost(error)) if error.status().is_none() => inner.endpoints.mark_failed(index),
            Err(Failure::Lost(_) | Failure::NotSent(_)) => {}
        }
    }

    /// The headers that prove who asks; for a ticket also when it was taken.
    async fn headers(&self, call: &Call) -> Result<(HeaderMap, Option<Instant>), PveError> {
        match &self.inner.auth.credentials {
            Credentials::Token(token) => Ok((token_headers(&token.header()), None)),
            Credentials::Password { user, password } => {
                let mut held = self.inner.auth.session.lock().await;
                let session = match held.as_ref().filter(|session| self.inner.auth.is_fresh(session)) {
                    Some(session) => session.clone(),
                    None => held.insert(self.log_in(user, password.clone()).await?).clone(),
                };
                Ok((session_headers(&session, call), Some(session.taken())))
            }
        }
    }

    async fn log_in(&self, user: &str, password: rl_model::SecretValue) -> Result<Session, PveError> {
        let call = api::access::login(user, password).call();
        let body = match self.over_endpoints(&call, HeaderMap::new()).await {
            Ok(body) => body,
            Err(Failure::NotSent(error) | Failure::Lost(error) | Failure::Refused(error)) => {
                if *error.kind() == ErrorKind::Unauthorized {
                    self.inner.auth.refuse(error.text());
                }
                return Err(error);
            }
        };
        let ticket: api::access::Ticket = decode(&call, &body)?;
        let (ticket, csrf) = ticket.into_secrets().ok_or_else(|| {
            PveError::new(&call, ErrorKind::Unauthorized, "the user needs a second factor: use an API token instead")
        })?;
        Ok(Session::new(ticket, csrf))
    }

    /// Lets go of a refused ticket, unless another call has replaced it already.
    async fn drop_session(&self, seen: Option<Instant>) {
        let mut held = self.inner.auth.session.lock().await;
        let replaced = held.as_ref().zip(seen).is_some_and(|(session, seen)| session.is_newer_than(seen));
        if !replaced {
            *held = None;
        }
    }
}

impl std::fmt::Debug for Pve {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let first: &Endpoint = self.inner.endpoints.get(0);
        f.debug_struct("Pve").field("endpoint", first).field("calls", &self.calls_total()).finish_non_exhaustive()
    }
}
