//! Building a report's lines.

use std::collections::BTreeMap;

use rl_model::{GuestName, Note, NoteLevel, PlanReport, SiteName};

/// A report under construction.
#[derive(Debug, Default)]
pub(crate) struct Reporter {
    report: PlanReport,
    /// Guests left alone for a reason of their whole site, counted so that a dead site gives one line, not thousands.
    per_site: BTreeMap<(SiteName, String), (NoteLevel, u32)>,
}

impl Reporter {
    /// Something good to know about a guest.
    pub(crate) fn info(&mut self, guest: &GuestName, message: String, hint: Option<String>) {
        self.push(NoteLevel::Info, Some(guest), message, hint);
    }

    /// A guest was left alone.
    pub(crate) fn warn(&mut self, guest: &GuestName, message: String, hint: Option<String>) {
        self.push(NoteLevel::Warning, Some(guest), message, hint);
    }

    /// A person must act.
    pub(crate) fn block(&mut self, guest: &GuestName, message: String, hint: String) {
        self.push(NoteLevel::Blocked, Some(guest), message, Some(hint));
    }

    /// A note about no guest in particular.
    pub(crate) fn general(&mut self, level: NoteLevel, message: String, hint: Option<String>) {
        self.push(level, None, message, hint);
    }

    /// Counts a guest that is left alone because of its site.
    pub(crate) fn left_alone(&mut self, site: &SiteName, level: NoteLevel, why: String) {
        let entry = self.per_site.entry((site.clone(), why)).or_insert((level, 0));
        entry.1 += 1;
    }

    /// A guest needs nothing.
    pub(crate) fn unchanged(&mut self, guest: &GuestName, shallow: bool) {
        self.report.unchanged.push(guest.clone());
        self.report.shallow += u32::from(shallow);
    }

    /// The report: notes of whole sites first, then those of guests in the order they were made.
    pub(crate) fn finish(mut self) -> PlanReport {
        let mut notes: Vec<Note> = Vec::with_capacity(self.per_site.len() + self.report.notes.len());
        for ((_, why), (level, guests)) in std::mem::take(&mut self.per_site) {
            let left = if guests == 1 { "1 guest is".to_owned() } else { format!("{guests} guests are") };
            let hint = Some("look at it with `rapidlaunch site check`, then plan again".to_owned());
            notes.push(Note { level, guest: None, message: format!("{why}; {left} left alone"), hint });
        }
        notes.append(&mut self.report.notes);
        self.report.notes = notes;
        self.report
    }

    fn push(&mut self, level: NoteLevel, guest: Option<&GuestName>, message: String, hint: Option<String>) {
        self.report.notes.push(Note { level, guest: guest.cloned(), message, hint });
    }
}
