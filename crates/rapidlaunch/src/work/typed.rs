//! Takes the value of a secret in: from a terminal without showing it, from standard input, or from a file. Never from argv,
//! which every user of the machine can read.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;

use rl_model::SecretValue;
use rl_providers::secrets::VALUE_BYTES_MAX;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::{Zeroize, Zeroizing};

use crate::error::CommandError;

/// Key codes that a terminal sends (ASCII).
const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BACKSPACE: [u8; 2] = [0x08, 0x7f];
const CLEAR: u8 = 0x15;

/// A value from standard input; asked for where a person sits there. One line end at its end is not part of it.
pub(crate) fn from_stdin(what: &str) -> Result<SecretValue, CommandError> {
    if io::stdin().is_terminal() {
        return from_terminal(what);
    }
    let mut bytes = read(io::stdin().lock()).map_err(|error| unreadable("standard input", error))?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    value(&bytes)
}

/// A value from a file, byte for byte.
pub(crate) fn from_file(path: &Path) -> Result<SecretValue, CommandError> {
    let read = File::open(path).and_then(read);
    value(&read.map_err(|error| unreadable(&path.display().to_string(), error))?)
}

fn unreadable(place: &str, error: io::Error) -> CommandError {
    CommandError::input(format!("the value cannot be read from {place}")).because(error)
}

/// Reads up to one byte more than a value may have. The room is taken at once: a buffer that grows leaves copies behind.
fn read(from: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(VALUE_BYTES_MAX + 2));
    from.take(VALUE_BYTES_MAX as u64 + 2).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A value as it came, if it is one.
pub(crate) fn value(bytes: &[u8]) -> Result<SecretValue, CommandError> {
    if bytes.len() > VALUE_BYTES_MAX {
        return Err(CommandError::input(format!("the value is longer than {VALUE_BYTES_MAX} bytes")));
    }
    if bytes.is_empty() {
        return Err(CommandError::input("the value is empty, and an empty value protects nothing")
            .hinted("give it on standard input, with --file FILE, or let it be made with --generate 32"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| {
        CommandError::input("the value is no text (UTF-8)").hinted("store it in base64, and let the service decode it")
    })?;
    Ok(SecretValue::new(text))
}

fn from_terminal(what: &str) -> Result<SecretValue, CommandError> {
    let failed = |error| unreadable("the terminal", error);
    let first = ask(&format!("Value of {what}: ")).map_err(failed)?;
    let again = ask("The same again: ").map_err(failed)?;
    let (Some(first), Some(again)) = (first, again) else {
        return Err(CommandError::input("interrupted; nothing was stored"));
    };
    if *first != *again {
        return Err(CommandError::input("the two values differ; nothing was stored"));
    }
    value(&first)
}

/// Asks without showing what is typed; `None` when the person interrupts.
fn ask(prompt: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{prompt}").and_then(|()| stderr.flush())?;
    let quiet = Quiet::new()?;
    let line = line(&mut io::stdin().lock());
    drop(quiet);
    let _ = writeln!(stderr);
    line
}

/// Reads a line key by key.
fn line(keys: &mut impl Read) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut typed = Zeroizing::new(Vec::with_capacity(VALUE_BYTES_MAX + 1));
    let mut key = [0; 1];
    while typed.len() <= VALUE_BYTES_MAX && keys.read(&mut key)? == 1 {
        match key[0] {
            INTERRUPT => return Ok(None),
            b'\r' | b'\n' | END => break,
            CLEAR => {
                typed.zeroize();
            }
            key if BACKSPACE.contains(&key) => {
                // A letter may have several bytes: those that go on with it go too.
                while typed.pop().is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000) {}
            }
            key => typed.push(key),
        }
    }
    key.zeroize();
    Ok(Some(typed))
}

/// The terminal while it shows nothing; as it was before when this is dropped.
struct Quiet(Termios);

impl Quiet {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        // Key by key, and the key of interruption as a key: else the terminal would stay silent after it.
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn typed(keys: &str) -> Option<String> {
        line(&mut keys.as_bytes()).unwrap().map(|line| String::from_utf8(line.to_vec()).unwrap())
    }

    #[test]
    fn line_is_edited_as_on_a_terminal() {
        assert_eq!(typed("hunter2\rrest").as_deref(), Some("hunter2"));
        assert_eq!(typed("hunx\u{7f}ter2\n").as_deref(), Some("hunter2"));
        assert_eq!(typed("hü\u{8}unter2").as_deref(), Some("hunter2"));
        assert_eq!(typed("wrong\u{15}hunter2\u{4}").as_deref(), Some("hunter2"));
        assert_eq!(typed("hunter2\u{3}\n"), None);
    }

    #[test]
    fn values_that_cannot_be_kept_are_refused_and_not_shown() {
        assert!(value(b"").is_err() && value(&[0xff, 0xfe]).is_err());
        assert!(value(&vec![b'x'; VALUE_BYTES_MAX]).is_ok());
        let error = value(&vec![b'x'; VALUE_BYTES_MAX + 1]).unwrap_err();
        assert!(!format!("{error:?}").contains("xxxx"));
    }
}
