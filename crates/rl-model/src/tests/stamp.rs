//! The stamp is found only where it stands whole and alone, whatever else a description says.

use proptest::prelude::*;

use crate::*;

fn stamp(bits: u128) -> Stamp {
    Stamp {
        guest: GuestId::from_bits(bits),
        stack: "shop".parse().unwrap(),
        name: "web-1".parse().unwrap(),
        controller: ControllerId::from_bits(7),
    }
}

#[test]
fn it_reads_as_it_is_written() {
    let stamp = stamp(1);
    insta::assert_snapshot!(stamp.description("Keep this one"), @r"
    Keep this one

    rapidlaunch: guest=10000000000000000000 stack=shop name=web-1 controller=70000000000000000000
    ");
    assert_eq!(stamp.tag().as_str(), "rl-100000000000");
}

#[test]
fn a_description_with_less_or_more_than_one_whole_stamp_has_none() {
    let (line, other) = (stamp(1).to_string(), stamp(2).to_string());
    let hostile = [
        String::new(),
        "rapidlaunch:".to_owned(),
        "rapidlaunch: ".to_owned(),
        format!("see {line}"),
        line.replace("guest=", "guest= "),
        line.replace("guest", "Guest"),
        line.replace("stack=shop ", ""),
        line.replace("stack=shop", "stack=Shop"),
        line.replace("stack=shop name=web-1", "name=web-1 stack=shop"),
        line.replace("10000000000000000000", "1000000000000000000"),
        line.replace("10000000000000000000", "i0000000000000000000"),
        format!("{line} more"),
        format!("{line} controller=70000000000000000000"),
        format!("{line}\n{other}"),
        format!("{line}\nrapidlaunch: guest="),
        format!("rapidlaunch: {line}"),
    ];
    for text in hostile {
        assert_eq!(Stamp::find(&text), None, "{text:?}");
    }
}

#[test]
fn it_is_found_among_other_lines_and_twice_the_same_is_once() {
    let line = stamp(1).to_string();
    for text in [format!("# a\n{line}\nb"), format!("  {line}  "), format!("{line}\r\n"), format!("{line}\n\n{line}\n")]
    {
        assert_eq!(Stamp::find(&text), Some(stamp(1)), "{text:?}");
    }
}

#[test]
fn tags_of_other_forms_are_no_stamp() {
    for tag in [
        "rl-",
        "rl-10000000000",
        "rl-1000000000000",
        "rl-10000000000i",
        "rl-10000000000U",
        "xrl-100000000000",
        "RL-100000000000",
    ] {
        assert!(!Stamp::is_stamp_tag(tag), "{tag}");
    }
}

proptest! {
    #[test]
    fn notes_and_stamp_are_told_apart(notes in "(\\PC|\n){0,200}", bits in any::<u128>()) {
        prop_assume!(!notes.lines().any(|line| line.trim().starts_with("rapidlaunch: ")));
        let stamp = stamp(bits);
        let text = stamp.description(&notes);
        prop_assert_eq!(Stamp::find(&text), Some(stamp));
        let lines: Vec<&str> = notes.lines().collect();
        prop_assert_eq!(Stamp::notes_of(&text), lines.join("\n").trim().to_owned());
    }

    #[test]
    fn hostile_text_is_read_without_harm(text in "(rapidlaunch: |guest=|stack=|name=|controller=|[0-9a-z]{20}| |\n|\\PC){0,40}") {
        if let Some(found) = Stamp::find(&text) {
            prop_assert!(text.contains(found.guest.as_str()) && text.contains(found.controller.as_str()));
        }
    }
}
