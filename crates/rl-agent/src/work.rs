//! What an agent can be asked to do. Every order names the guest, the job and its fence.

use std::fmt;
use std::str::FromStr;

use rl_model::{GuestPath, MacAddr, Stamp, Vmid};
use serde::{Deserialize, Serialize};

/// Longest name of an order or a job: ids of jobs and steps with room to spare.
const NAME_LEN_MAX: usize = 200;
/// Most words of a command; a command line is for people and scripts, lists belong into files.
const ARGV_MAX: usize = 1_000;
/// Most bytes of a command and its environment together: the kernel takes 2 MiB, half of that is enough.
const ARGV_BYTES_MAX: usize = 1 << 20;
/// Most variables given to a command.
const ENV_MAX: usize = 200;
/// Longest a command may run: what takes longer is a service, not a command.
const TIME_LIMIT_MAX_S: u32 = 24 * 3600;
/// Most bytes of output that are brought back.
pub const OUTPUT_MAX: u64 = 8 << 20;
/// Most bytes of a file that is brought into or out of a guest, and of a command's input.
pub const CONTENT_MAX: u64 = 16 << 20;

/// The guest that is meant. The agent reads the guest's configuration and compares all of this before it does anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// VMID it was last seen under.
    pub vmid: Vmid,
    /// The stamp it must bear, in its tags and in its description.
    pub stamp: Stamp,
    /// Host names it may have; any when empty.
    pub hostnames: Vec<String>,
    /// MAC addresses its `net0` may have; any when empty.
    pub net0: Vec<MacAddr>,
}

/// One piece of work for one guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Names this order. Asked again under the same name, a command is not run twice: its first answer is given again.
    pub key: String,
    /// The job it is done for.
    pub job: String,
    /// The fence of the job's claim. The agent keeps the highest of each job of a guest and refuses older ones.
    pub fence: u64,
    /// The guest.
    pub guest: Target,
    /// What to do.
    pub work: Work,
}

/// What can be done. A command runs once; everything else looks first and may be asked again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Work {
    /// Runs a command; what is given beside the order becomes its standard input.
    Exec(Exec),
    /// Writes the given bytes to a file, whole or not at all.
    Push(DeliverFile),
    /// The same with bytes that only this agent can open.
    Deliver(DeliverFile),
    /// Reads a file.
    Pull {
        /// The file.
        path: GuestPath,
    },
    /// Tells digest, owner and mode of a file.
    Digest {
        /// The file.
        path: GuestPath,
    },
    /// Removes a file; one that is not there is no error.
    Remove {
        /// The file.
        path: GuestPath,
    },
    /// Lists the files below a folder, without crossing into other file systems.
    List {
        /// The folder; one that is not there has no files.
        folder: GuestPath,
    },
    /// Takes away a lock that was left behind, when no task holds it.
    Unlock,
    /// Reads the guest's configuration.
    Config,
}

impl Work {
    /// Whether it may be done again after an interruption: the state it leaves does not depend on how often it was done.
    pub fn is_repeatable(&self) -> bool {
        !matches!(self, Self::Exec(_))
    }

    /// Whether it changes files by itself.
    pub(crate) fn writes(&self) -> bool {
        matches!(self, Self::Push(_) | Self::Deliver(_) | Self::Remove { .. })
    }
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// Program and arguments, handed over word by word; no shell reads them.
    pub argv: Vec<String>,
    /// Variables beside those every command in a guest has.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// The account inside the guest; root when left out.
    #[serde(default)]
    pub user: Option<Account>,
    /// Seconds after which it is ended.
    pub time_limit_s: u32,
    /// Most bytes of standard output and error together that are brought back; what comes after is dropped.
    pub output_max: u64,
}

/// A file to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverFile {
    /// Where.
    pub path: GuestPath,
    /// Permissions.
    pub mode: FileMode,
    /// Owner.
    pub owner: Owner,
    /// SHA-256 of the content in hexadecimal digits. It is compared inside the guest before the file gets its name. For a
    /// sealed value it stands inside the seal instead and is left out here.
    #[serde(default)]
    pub sha256: Option<String>,
}

/// Permission bits of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct FileMode(u32);

/// An account inside a guest: a name or a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Account(String);

/// Owner of a file inside a guest: `user` or `user:group`, as names or numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Owner(String);

/// Why something cannot be asked of an agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{given}` cannot be used: {rule}")]
pub struct OrderError {
    what: &'static str,
    given: String,
    rule: String,
}

fn wrong(what: &'static str, given: impl fmt::Display, rule: impl Into<String>) -> OrderError {
    OrderError { what, given: given.to_string(), rule: rule.into() }
}

impl Order {
    /// Checks every limit. The agent does so too, as it does not know who asks.
    pub fn check(&self) -> Result<(), OrderError> {
        for (what, name) in [("order name", &self.key), ("job name", &self.job)] {
            if name.is_empty() || name.len() > NAME_LEN_MAX || name.chars().any(char::is_control) {
                return Err(wrong(what, name, format!("it must have 1 to {NAME_LEN_MAX} printable characters")));
            }
        }
        match &self.work {
            Work::Exec(exec) => exec.check(),
            Work::Push(file) if file.sha256.is_none() => {
                Err(wrong("file", &file.path, "the digest of its content is missing"))
            }
            Work::Push(file) | Work::Deliver(file) => file.check(),
            _ => Ok(()),
        }
    }
}

impl Exec {
    fn check(&self) -> Result<(), OrderError> {
        let shown = self.argv.first().map_or("", String::as_str);
        if shown.is_empty() {
            return Err(wrong("command", shown, "name a program"));
        }
        let words = self.argv.iter().chain(self.env.iter().flat_map(|(name, value)| [name, value]));
        if self.argv.len() > ARGV_MAX || words.clone().map(String::len).sum::<usize>() > ARGV_BYTES_MAX {
            return Err(wrong(
                "command",
                shown,
                format!("at most {ARGV_MAX} words of {ARGV_BYTES_MAX} bytes together"),
            ));
        }
        if words.clone().any(|word| word.contains('\0')) {
            return Err(wrong("command", shown, "a word has a zero byte"));
        }
        let named = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if let Some((name, _)) = self.env.iter().find(|(name, _)| !named(name)) {
            return Err(wrong("variable", name, "its name must be made of letters, digits and `_`"));
        }
        if self.env.len() > ENV_MAX {
            return Err(wrong("command", shown, format!("at most {ENV_MAX} variables")));
        }
        if !(1..=TIME_LIMIT_MAX_S).contains(&self.time_limit_s) {
            return Err(wrong("time limit", self.time_limit_s, format!("give 1 to {TIME_LIMIT_MAX_S} seconds")));
        }
        if self.output_max > OUTPUT_MAX {
            return Err(wrong("output limit", self.output_max, format!("at most {OUTPUT_MAX} bytes")));
        }
        Ok(())
    }
}

impl DeliverFile {
    fn check(&self) -> Result<(), OrderError> {
        let hex = |text: &str| text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match &self.sha256 {
            Some(digest) if !hex(digest) => Err(wrong("digest", digest, "it must be 64 lower-case hexadecimal digits")),
            _ => Ok(()),
        }
    }
}

impl FileMode {
    /// Permission bits, as in `0o400`. Bits that change who runs a program are not given by RapidLaunch.
    pub fn new(bits: u32) -> Result<Self, OrderError> {
        if bits & !0o777 == 0 { Ok(Self(bits)) } else { Err(wrong("mode", format!("{bits:o}"), "at most 777")) }
    }

    /// The bits.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for FileMode {
    type Error = OrderError;
    fn try_from(bits: u32) -> Result<Self, OrderError> {
        Self::new(bits)
    }
}

impl From<FileMode> for u32 {
    fn from(mode: FileMode) -> u32 {
        mode.0
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// A name that no program reads as an option.
fn is_account(text: &str) -> bool {
    let first = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= 64
        && text.starts_with(first)
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

macro_rules! text_type {
    ($name:ident, $what:literal, $rule:literal, $check:expr) => {
        impl $name {
            /// The text as it was parsed.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = OrderError;
            fn from_str(text: &str) -> Result<Self, OrderError> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.to_owned())) } else { Err(wrong($what, text, $rule)) }
            }
        }
        impl TryFrom<String> for $name {
            type Error = OrderError;
            fn try_from(text: String) -> Result<Self, OrderError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_type!(Account, "account", "write a name or a number of letters, digits, `_`, `-` and `.`", is_account);
text_type!(Owner, "owner", "write `user` or `user:group`, as names or numbers", |text| {
    let mut parts = text.splitn(2, ':');
    parts.all(is_account)
});
