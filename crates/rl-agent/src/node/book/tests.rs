#![allow(clippy::unwrap_used)]
use std::io::Write;

use proptest::prelude::*;

use super::*;

fn open(dir: &tempfile::TempDir) -> Book {
    Book::open(dir.path()).unwrap()
}

#[test]
fn a_book_remembers_across_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let mut book = open(&dir);
    book.begin("a").unwrap();
    book.end("a", Ended { code: Some(3), ..Ended::default() }).unwrap();
    book.begin("b").unwrap();
    book.begin("c").unwrap();
    book.void("c").unwrap();
    assert_eq!(book.fence("g", "j", 5).unwrap(), Ok(()));
    drop(book);
    // The process was killed while it wrote a line.
    let mut file = OpenOptions::new().append(true).open(dir.path().join(FILE)).unwrap();
    file.write_all(b"{\"l\":\"begun\",\"key\":\"d").unwrap();
    for _ in 0..2 {
        let mut book = open(&dir);
        assert_eq!(book.known("a"), Some(&Known::Ended(Ended { code: Some(3), ..Ended::default() })));
        assert_eq!(book.known("b"), Some(&Known::Begun));
        assert_eq!((book.known("c"), book.known("d")), (None, None));
        assert_eq!(book.fence("g", "j", 4).unwrap(), Err(5));
        assert_eq!(book.fence("g", "other", 1).unwrap(), Ok(()));
    }
}

#[test]
fn a_book_does_not_grow_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let mut book = open(&dir);
    for n in 0..COMMANDS_MAX + 10 {
        book.take(Line::Begun { key: format!("k{n}") });
        book.take(Line::Fence { guest: format!("g{n}"), job: "j".to_owned(), fence: 1 });
    }
    assert_eq!((book.commands.len(), book.command_order.len()), (COMMANDS_MAX, COMMANDS_MAX));
    assert_eq!((book.known("k0"), book.known("k10").is_some()), (None, true));
    book.lines = LINES_MAX;
    book.begin("last").unwrap();
    assert!(book.lines <= LINES_MAX / 2, "{} lines", book.lines);
    assert_eq!(open(&dir).known("last"), Some(&Known::Begun));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever order fences come in, and however often the agent is started anew: one lower than an accepted one of the same
    /// job is refused, and the others are taken.
    #[test]
    fn fences_only_rise(steps in prop::collection::vec((0..2u8, 0..6u64, any::<bool>()), 1..20)) {
        let dir = tempfile::tempdir().unwrap();
        let mut book = open(&dir);
        let mut highest = [0; 2];
        for (job, fence, restart) in steps {
            if restart {
                book = open(&dir);
            }
            let kept = &mut highest[usize::from(job)];
            let expected = if fence < *kept { Err(*kept) } else { Ok(()) };
            prop_assert_eq!(book.fence("g", &format!("j{job}"), fence).unwrap(), expected);
            *kept = fence.max(*kept);
        }
    }
}
