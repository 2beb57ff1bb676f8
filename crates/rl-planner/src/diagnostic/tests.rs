#![allow(clippy::unwrap_used)]

use super::*;

fn at(text: &str, needle: &str, file: &str) -> Location {
    let start = text.find(needle).unwrap();
    let line = text[..start].matches('\n').count();
    let column = text[..start].rsplit('\n').next().unwrap().chars().count();
    Location { file: file.into(), line: line as u32 + 1, column: column as u32 + 1, span: start..start + needle.len() }
}

#[test]
fn an_excerpt_marks_the_place_and_its_relative() {
    let text = "kind: site\nname: fra1\nvmids: 2000-2999\nname: ams1\n";
    let first = at(text, "name: fra1", "a.yaml");
    let second = at(text, "name: ams1", "a.yaml");
    let found = Diagnostic::error(codes::DUPLICATE_KEY, Some(&second), "the key `name` is given twice")
        .label("second time")
        .related(Some(&first), "first given here")
        .help("keep one of the two lines");
    let source = Source { name: "a.yaml", text };
    insta::assert_snapshot!(render(&[found], &[source], false), @r#"
        error[RL0107]: the key `name` is given twice
         --> a.yaml:4:1
          |
        1 | kind: site
        2 | name: fra1
          | ---------- first given here
        3 | vmids: 2000-2999
        4 | name: ams1
          | ^^^^^^^^^^ second time
          |
          = help: keep one of the two lines
    "#);
}

#[test]
fn a_relative_in_another_file_gets_its_own_excerpt() {
    let (one, two) = ("kind: site\nname: fra1\n", "# second\nkind: site\nname: fra1\n");
    let found =
        Diagnostic::error(codes::DUPLICATE_NAME, Some(&at(two, "fra1", "two.yaml")), "there are two sites `fra1`")
            .related(Some(&at(one, "fra1", "one.yaml")), "the first one");
    let sources = [Source { name: "one.yaml", text: one }, Source { name: "two.yaml", text: two }];
    insta::assert_snapshot!(render(&[found], &sources, false), @r#"
        error[RL0203]: there are two sites `fra1`
         --> two.yaml:3:7
          |
        2 | kind: site
        3 | name: fra1
          |       ^^^^
          |
         ::: one.yaml:2:7
          |
        1 | kind: site
        2 | name: fra1
          |       ---- the first one
    "#);
}

#[test]
fn a_finding_without_place_or_source_is_shown_without_excerpt() {
    let lost = Location { file: "gone.yaml".into(), line: 3, column: 7, span: 20..25 };
    let found = [
        Diagnostic::error(codes::NO_STORAGE, None, "the container `web` names no storage").help("name one"),
        Diagnostic::warning(codes::RANGES_OVERLAP, Some(&lost), "nothing uses this"),
    ];
    insta::assert_snapshot!(render(&found, &[], false), @r#"
        error[RL0226]: the container `web` names no storage
         |
         = help: name one

        warning[RL0213]: nothing uses this
        --> gone.yaml:3:7
    "#);
}

#[test]
fn a_long_line_is_cut_around_the_place() {
    let text = format!("a: [{}, needle, {}]\n", "x, ".repeat(500), "y, ".repeat(500));
    let found = Diagnostic::error(codes::WRONG_TYPE, Some(&at(&text, "needle", "long.yaml")), "not this").label("here");
    let shown = render(&[found], &[Source { name: "long.yaml", text: &text }], false);
    assert!(shown.lines().all(|line| line.len() < 260), "{shown}");
    assert!(shown.contains("needle") && shown.contains("long.yaml:1:1507"), "{shown}");
}

#[test]
fn secrets_are_hidden_from_excerpts_and_messages() {
    let uuid = "0b5f1c1e-7a53-4f6c-9d63-3c6c3d5c9a11";
    let text = format!(
        "token: root@pam!rl={uuid}\nother: {{ password: hunter2, x: 1 }}\n- a@pve!b=abc, next\nkey: {uuid}\n\
         -----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN\n-----END PRIVATE KEY-----\ntoken: {{ file: t }}\n"
    );
    let hidden = redact(&text);
    assert_eq!(hidden.len(), text.len());
    for secret in [uuid, "hunter2", "=abc", "MIIEvQIBADAN"] {
        assert!(!hidden.contains(secret), "{hidden}");
    }
    assert!(
        hidden.contains("token: { file: t }") && hidden.contains("x: 1 }") && hidden.contains(", next"),
        "{hidden}"
    );
    let found =
        Diagnostic::error(codes::PLAIN_SECRET, Some(&at(&text, "root@pam", "s.yaml")), format!("`{uuid}` is bad"));
    let shown = render(&[found], &[Source { name: "s.yaml", text: &text }], false);
    assert!(!shown.contains(uuid), "{shown}");
}

#[test]
fn colour_adds_escapes_and_nothing_else() {
    let text = "kind: sit\n";
    let found = [Diagnostic::error(codes::UNKNOWN_KIND, Some(&at(text, "sit", "c.yaml")), "unknown kind")];
    let source = [Source { name: "c.yaml", text }];
    let (plain, coloured) = (render(&found, &source, false), render(&found, &source, true));
    assert!(!plain.contains('\u{1b}') && coloured.contains('\u{1b}'));
    let mut bare = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        bare.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    assert_eq!(bare + rest, plain);
}

#[test]
fn a_finding_is_told_and_understood() {
    let text = "kind: sit\n";
    let place = at(text, "sit", "c.yaml");
    let found = [
        Diagnostic::error(codes::UNKNOWN_KIND, Some(&place), "unknown kind")
            .help("write site")
            .related(Some(&place), "here"),
        Diagnostic::warning(crate::resolve::codes::SITE_UNREAD, None, "the site could not be read"),
    ];
    let told = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Diagnostic>>(&told).unwrap(), found);
    let newer = told.replace(codes::UNKNOWN_KIND, "RL0199");
    assert!(serde_json::from_str::<Vec<Diagnostic>>(&newer).unwrap_err().to_string().contains("not known"));
}
