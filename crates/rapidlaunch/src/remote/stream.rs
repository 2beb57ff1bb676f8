//! Server-sent events, read from the bytes of a stream (WHATWG HTML, section 9.2).

/// Largest event: what a job tells has some kilobytes.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// What a stream has brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The kind of the event.
    pub(super) kind: String,
    /// Its id, if it has one.
    pub(super) id: Option<String>,
    /// What it says.
    pub(super) data: String,
}

/// Takes bytes in and gives events out.
#[derive(Default)]
pub(super) struct Lines {
    buffer: Vec<u8>,
    next: Told,
    begun: bool,
}

/// An event is larger than any that a server sends.
#[derive(Debug, thiserror::Error)]
#[error("an event has more than {EVENT_BYTES_MAX} bytes")]
pub(super) struct TooLarge;

impl Lines {
    /// Takes in what came, and gives the events that are whole now.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Vec<Told>, TooLarge> {
        self.buffer.extend_from_slice(bytes);
        let mut told = Vec::new();
        let mut from = 0;
        while let Some(end) = self.buffer[from..].iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&self.buffer[from..from + end]).into_owned();
            from += end + 1;
            told.extend(self.line(line.trim_end_matches('\r')));
        }
        self.buffer.drain(..from);
        if self.buffer.len() + self.next.data.len() > EVENT_BYTES_MAX {
            return Err(TooLarge);
        }
        Ok(told)
    }

    fn line(&mut self, line: &str) -> Option<Told> {
        if line.is_empty() {
            let told = std::mem::take(&mut self.next);
            return std::mem::take(&mut self.begun).then_some(told);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.next.kind),
            "id" => self.next.id = Some(value.to_owned()),
            "data" if self.next.data.is_empty() => value.clone_into(&mut self.next.data),
            "data" => self.next.data.push_str(&format!("\n{value}")),
            // A comment, or a field that this release does not know.
            _ => return None,
        }
        self.begun = true;
        None
    }
}
