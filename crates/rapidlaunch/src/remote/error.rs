//! Why a server did not do what was asked, and what a command says of it: the same words as where it does the work itself.

use serde::Deserialize;

use crate::error::{CommandError, ErrorKind};

/// What a server answers instead of what was asked for (RFC 9457).
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Problem {
    /// The stable code, such as `RL0503`.
    #[serde(default)]
    pub(crate) code: String,
    /// The HTTP status.
    #[serde(default)]
    pub(crate) status: u16,
    /// What happened, with its causes.
    #[serde(default)]
    pub(crate) detail: String,
    /// The causes, outermost first.
    #[serde(default)]
    pub(crate) causes: Vec<String>,
    /// What to do next.
    #[serde(default)]
    pub(crate) hints: Vec<String>,
    /// More for machines.
    #[serde(default)]
    pub(crate) details: Option<serde_json::Value>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    /// Nobody answers.
    #[error("the server at {url} cannot be reached")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// What was met.
        #[source]
        source: reqwest::Error,
    },
    /// Nobody vouches for the one who answers.
    #[error("the certificate of the server at {url} is not trusted")]
    Untrusted {
        /// Where it is.
        url: String,
        /// What was met.
        #[source]
        source: reqwest::Error,
    },
    /// The answer is none that this release knows.
    #[error("the answer of the server at {url} is not understood: {why}")]
    Strange {
        /// Where it is.
        url: String,
        /// What is wrong with it.
        why: String,
        /// The server's release, if it told.
        release: Option<String>,
    },
    /// A long answer ended before its end.
    #[error("the answer of the server at {url} broke off before its end")]
    Cut {
        /// Where it is.
        url: String,
        /// What was met, where it was not just silence.
        source: Option<reqwest::Error>,
    },
    /// It refuses.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>, Option<String>),
}

/// A cause that a server told.
#[derive(Debug)]
struct Cause {
    text: String,
    below: Option<Box<Cause>>,
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.below.as_deref().map(|cause| cause as &dyn std::error::Error)
    }
}

impl RemoteError {
    /// The code of a refusal.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(problem, _) => Some(&problem.code),
            _ => None,
        }
    }

    /// Whether there is no such thing, or none that the caller may see.
    pub(crate) fn is_not_found(&self) -> bool {
        self.code() == Some("RL0503")
    }
}

impl From<RemoteError> for CommandError {
    fn from(error: RemoteError) -> Self {
        match error {
            RemoteError::Unreachable { .. } => Self::failed(error.to_string())
                .hinted("check that it runs, and that its address and port are right: `rapidlaunch serve --listen ADDR` says where it is"),
            RemoteError::Untrusted { .. } => Self::failed(error.to_string())
                .hinted("name the certificate of its authority with --ca-file FILE or RAPIDLAUNCH_CA: the server keeps it in DATA/api/ca.pem")
                .hinted("a certificate is for names: reach the server by one of them, or give it another with `serve --name NAME`"),
            RemoteError::Cut { .. } => Self::failed(error.to_string())
                .hinted("what came is not all of it: give the same command again"),
            RemoteError::Strange { ref release, .. } => {
                releases(Self::failed(error.to_string()), release.as_deref())
            }
            RemoteError::Refused(problem, release) => return refused(*problem, release.as_deref()),
        }
        .because_of(error)
    }
}

impl CommandError {
    /// Adds what lies below the error of a server.
    fn because_of(self, error: RemoteError) -> Self {
        match error {
            RemoteError::Unreachable { source, .. } | RemoteError::Untrusted { source, .. } => {
                // The address stands in front already.
                self.because(Causes::of(&source.without_url()))
            }
            RemoteError::Cut { source: Some(source), .. } => self.because(Causes::of(&source.without_url())),
            _ => self,
        }
    }
}

/// The causes of a failed call, the innermost words once.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Causes(String);

impl Causes {
    fn of(error: &reqwest::Error) -> Self {
        let (mut innermost, mut cause) = (error.to_string(), std::error::Error::source(error));
        while let Some(error) = cause {
            innermost = error.to_string();
            cause = error.source();
        }
        Self(innermost)
    }
}

/// What a refusal means for the exit code: the same as where the command does the work itself.
fn kind(problem: &Problem) -> ErrorKind {
    match problem.code.as_str() {
        "RL0501" | "RL0502" | "RL0503" | "RL0506" | "RL0523" | "RL0525" | "RL0526" => ErrorKind::Input,
        "RL0507" | "RL0508" | "RL0514" | "RL0517" | "RL0518" | "RL0522" => ErrorKind::Blocked,
        _ => ErrorKind::Failed,
    }
}

fn refused(problem: Problem, release: Option<&str>) -> CommandError {
    let tail: String = problem.causes.iter().map(|cause| format!(": {cause}")).collect();
    let message = problem.detail.strip_suffix(&tail).unwrap_or(&problem.detail).to_owned();
    let mut error = CommandError::failed(if message.is_empty() {
        format!("the server refuses with status {}", problem.status)
    } else {
        message
    });
    error.kind = kind(&problem);
    let causes = problem.causes.into_iter().rev();
    let below = causes.fold(None, |below, text| Some(Box::new(Cause { text, below })));
    if let Some(cause) = below {
        error = error.because(*cause);
    }
    error.hints = problem.hints;
    error.details = problem.details.map(Box::new);
    match problem.code.as_str() {
        "RL0501" => error.hinted("give another token with RAPIDLAUNCH_TOKEN or --token-file FILE; tokens are made on the server's page, under Tokens"),
        // A route or field that the other release does not know.
        "RL0504" | "RL0505" => releases(error, release),
        _ => error,
    }
}

/// Tells that two releases do not understand each other, where they are not the same.
fn releases(error: CommandError, server: Option<&str>) -> CommandError {
    const OWN: &str = env!("CARGO_PKG_VERSION");
    match server {
        Some(release) if release == OWN => error,
        Some(release) => error.hinted(format!(
            "the server is of release {release}, and this command of release {OWN}: use the same release for both"
        )),
        None => error.hinted("nothing says that a rapidlaunch server answers there: check address and port"),
    }
}
