//! Whole files and YAML itself.

use super::*;

#[test]
fn tab_as_indentation() {
    insta::assert_snapshot!(shown("kind: stack\nname: shop\ncontainers:\n\tweb: {}\n"), @r#"
        error[RL0108]: a tab is used for indentation
         --> site.yaml:4:1
          |
        3 | containers:
        4 |     web: {}
          | ^^^^ this is a tab
          |
          = help: replace it by spaces; most editors can do so for the whole file

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn quote_not_closed() {
    insta::assert_snapshot!(shown(r#"kind: stack
name: "shop
site: fra1
"#), @r#"
        error[RL0103]: a quoted text has no closing quote
         --> site.yaml:2:7
          |
        1 | kind: stack
        2 | name: "shop
          |       ^ reading stopped here
        3 | site: fra1
          |
          = help: add the missing quote

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn bracket_not_closed() {
    insta::assert_snapshot!(shown(r#"kind: site
name: fra1
proxmox: { endpoints: ["https://pve1:8006"
vmids: 2000-2999
"#), @r#"
        error[RL0103]: a `[` or `{` is not closed
         --> site.yaml:4:6
          |
        2 | name: fra1
        3 | proxmox: { endpoints: ["https://pve1:8006"
          |                       - this bracket is open
        4 | vmids: 2000-2999
          |      ^ reading stopped here
          |
          = help: add the missing `]` or `}`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn comma_missing() {
    insta::assert_snapshot!(shown(r#"kind: site
networks: { dmz: { bridge: vmbr0 vlan: 20, mtu: 1500 } }
"#), @r#"
        error[RL0103]: a `,` or `}` is missing here
         --> site.yaml:2:38
          |
        1 | kind: site
        2 | networks: { dmz: { bridge: vmbr0 vlan: 20, mtu: 1500 } }
          |                  -                   ^ reading stopped here
          |                  |
          |                  this bracket is open
          |
          = help: part the entries with `,` and close with `}`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn indentation_does_not_fit() {
    insta::assert_snapshot!(shown(r#"kind: stack
name: shop
  site: fra1
containers: {}
"#), @r#"
        error[RL0103]: the indentation does not fit what is above
         --> site.yaml:3:7
          |
        2 | name: shop
        3 |   site: fra1
          |       ^ reading stopped here
        4 | containers: {}
          |
          = help: keys of one mapping begin in the same column

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn colon_missing() {
    insta::assert_snapshot!(shown(r#"kind: stack
name: shop
site fra1
containers: {}
"#), @r#"
        error[RL0103]: a `:` is missing behind a key
         --> site.yaml:3:1
          |
        2 | name: shop
        3 | site fra1
          | ^ reading stopped here
        4 | containers: {}
          |
          = help: write `key: value`, with a space behind the colon

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn text_with_a_colon() {
    insta::assert_snapshot!(shown(r#"kind: stack
name: shop
containers:
  web:
    notes: see: the wiki
"#), @r#"
        error[RL0103]: a `key: value` is not allowed here
         --> site.yaml:5:15
          |
        4 |   web:
        5 |     notes: see: the wiki
          |               ^ reading stopped here
          |
          = help: quote a text that contains `: `, or check the indentation

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn a_syntax_error_hides_nothing_in_another_document() {
    insta::assert_snapshot!(together(&[("one.yaml", "kind: site\nname: [fra1\n---\nkind: stack\nname: Shop\ncontainers: {}\n"), ("two.yaml", "kind: stack\nname: blog\nsite: fra1\ncontainers: { web: { imag: x } }\n")]), @r#"
        error[RL0103]: a `[` or `{` is not closed
         --> one.yaml:2:7
          |
        1 | kind: site
        2 | name: [fra1
          |       ^ reading stopped here
        3 | ---
          |
          = help: add the missing `]` or `}`

        error[RL0201]: `Shop` is no valid stack name
         --> one.yaml:5:7
          |
        4 | kind: stack
        5 | name: Shop
          |       ^^^^ it must be lower case
        6 | containers: {}
          |
          = help: did you mean `shop`?

        error[RL0111]: the stack has no containers
         --> one.yaml:6:13
          |
        5 | name: Shop
        6 | containers: {}
          |             ^^
          |
          = help: declare at least one

        error[RL0106]: a container needs the key `image`
         --> two.yaml:4:15
          |
        3 | site: fra1
        4 | containers: { web: { imag: x } }
          |               ^^^ the key is missing here
          |
          = help: add it, as in `image: debian-12`

        error[RL0104]: a container has no key `imag`
         --> two.yaml:4:22
          |
        3 | site: fra1
        4 | containers: { web: { imag: x } }
          |                      ^^^^ unknown key
          |
          = help: did you mean `image`?

        the stack files have 5 errors; nothing was contacted or changed
    "#);
}

#[test]
fn nothing_declared() {
    insta::assert_snapshot!(shown(r#"# only a comment
---
---
"#), @r#"
        error[RL0111]: nothing is declared
         --> site.yaml:1:1
          |
        1 | # only a comment
          | ^
        2 | ---
          |
          = help: write a document with `kind: site` or `kind: stack`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn document_is_a_list() {
    insta::assert_snapshot!(shown(r#"- kind: site
- kind: stack
"#), @r#"
        error[RL0105]: expected a document, which is a mapping, found a list
         --> site.yaml:1:1
          |
        1 | - kind: site
          | ^^^^^^^^^^^^
        2 | - kind: stack
          |
          = help: a document begins with `kind: site` or `kind: stack`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn unknown_kind() {
    insta::assert_snapshot!(shown(r#"kind: sitee
name: fra1
"#), @r#"
        error[RL0110]: `sitee` is no kind of document
         --> site.yaml:1:7
          |
        1 | kind: sitee
          |       ^^^^^
        2 | name: fra1
          |
          = help: did you mean `site`?

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn kind_left_out() {
    insta::assert_snapshot!(shown(r#"name: shop
site: fra1
containers: { web: { imge: debian-12 } }
"#), @r#"
        error[RL0110]: the document does not say its kind
         --> site.yaml:1:1
          |
        1 | name: shop
          | ^
        2 | site: fra1
          |
          = help: begin it with `kind: stack`

        error[RL0204]: there is no site `fra1`
         --> site.yaml:2:7
          |
        1 | name: shop
        2 | site: fra1
          |       ^^^^
        3 | containers: { web: { imge: debian-12 } }
          |
          = help: give the file that declares the site too, with another `-f`

        error[RL0106]: a container needs the key `image`
         --> site.yaml:3:15
          |
        2 | site: fra1
        3 | containers: { web: { imge: debian-12 } }
          |               ^^^ the key is missing here
          |
          = help: add it, as in `image: debian-12`

        error[RL0104]: a container has no key `imge`
         --> site.yaml:3:22
          |
        2 | site: fra1
        3 | containers: { web: { imge: debian-12 } }
          |                      ^^^^ unknown key
          |
          = help: did you mean `image`?

        the stack files have 4 errors; nothing was contacted or changed
    "#);
}

#[test]
fn tag_on_a_value() {
    insta::assert_snapshot!(shown(r#"kind: stack
name: !!str shop
containers: { web: { image: !include x } }
"#), @r#"
        error[RL0112]: tags such as `!!str` are not supported
         --> site.yaml:2:7
          |
        1 | kind: stack
        2 | name: !!str shop
          |       ^^^^^
        3 | containers: { web: { image: !include x } }
          |
          = help: remove the tag; quotes make a value text

        error[RL0106]: the container names no site
         --> site.yaml:3:15
          |
        2 | name: !!str shop
        3 | containers: { web: { image: !include x } }
          |               ^^^
          |
          = help: give the stack `site: NAME`, or the container its own

        error[RL0112]: tags such as `!!str` are not supported
         --> site.yaml:3:29
          |
        2 | name: !!str shop
        3 | containers: { web: { image: !include x } }
          |                             ^^^^^^^^
          |
          = help: remove the tag; quotes make a value text

        the stack files have 3 errors; nothing was contacted or changed
    "#);
}

#[test]
fn merge_key() {
    insta::assert_snapshot!(stack_shown(r#"kind: stack
name: shop
site: fra1
containers:
  web: &web { image: debian-12 }
  db: { <<: *web, cores: 2 }
"#), @r#"
        error[RL0112]: the merge key `<<` is not supported
         --> stack.yaml:6:9
          |
        5 |   web: &web { image: debian-12 }
        6 |   db: { <<: *web, cores: 2 }
          |         ^^
          |
          = help: put what containers have in common under `defaults:` of the stack

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn alias_without_anchor() {
    insta::assert_snapshot!(stack_shown(r#"kind: stack
name: shop
site: fra1
containers: { web: *web }
"#), @r#"
        error[RL0112]: the alias `*web` has no anchor `&web` before it in its document
         --> stack.yaml:4:20
          |
        3 | site: fra1
        4 | containers: { web: *web }
          |                    ^^^^
          |
          = help: write the value out, or name it with an anchor first

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn alias_inside_itself() {
    insta::assert_snapshot!(stack_shown(r#"kind: stack
name: shop
site: fra1
containers: &all { web: *all }
"#), @r#"
        error[RL0112]: the alias stands inside the value it names
         --> stack.yaml:4:25
          |
        3 | site: fra1
        4 | containers: &all { web: *all }
          |                         ^^^^
          |
          = help: write the value out

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn key_is_a_list() {
    insta::assert_snapshot!(shown(r#"kind: stack
name: shop
? [a, b]
: 1
containers: {}
"#), @r#"
        error[RL0112]: a key must be one word or quoted text
         --> site.yaml:3:3
          |
        2 | name: shop
        3 | ? [a, b]
          |   ^^^^^^
        4 | : 1
          |
          = help: write the key as plain text

        error[RL0111]: the stack has no containers
         --> site.yaml:5:13
          |
        4 | : 1
        5 | containers: {}
          |             ^^
          |
          = help: declare at least one

        the stack files have 2 errors; nothing was contacted or changed
    "#);
}

#[test]
fn file_that_is_not_utf_8() {
    let found = text_of(b"kind: stack\nname: K\xf6ln\n", "latin1.yaml").unwrap_err();
    insta::assert_snapshot!(crate::diagnostic::render(&[*found], &[], false), @r#"
        error[RL0101]: the file is not UTF-8 text: byte 0xF6 does not fit
        --> latin1.yaml:2:8
         |
         = help: save it as UTF-8; from Latin-1: iconv -f ISO-8859-1 -t UTF-8
    "#);
}

#[test]
fn a_file_that_cannot_be_read_is_not_missed_in_the_others() {
    let stack = stack_of("image: debian-12\ncores: none");
    let files: [(&str, &[u8]); 2] = [("site.yaml", b"kind: site\n\xff"), ("stack.yaml", stack.as_bytes())];
    let errors = parse_bytes(&files, &Known::default()).unwrap_err();
    insta::assert_snapshot!(errors.render(&[Source { name: "stack.yaml", text: &stack }], false), @r#"
        error[RL0101]: the file is not UTF-8 text: byte 0xFF does not fit
        --> site.yaml:2:1
         |
         = help: save it as UTF-8; from Latin-1: iconv -f ISO-8859-1 -t UTF-8

        error[RL0105]: expected a number of cores, found the text `none`
         --> stack.yaml:7:12
          |
        6 |     image: debian-12
        7 |     cores: none
          |            ^^^^
          |
          = help: write a whole number from 1 to 8192

        the stack files have 2 errors; nothing was contacted or changed
    "#);
    let right = stack.replace("none", "2");
    let files: [(&str, &[u8]); 2] = [("site.yaml", SITE.as_bytes()), ("stack.yaml", right.as_bytes())];
    assert_eq!(parse_bytes(&files, &Known::default()).unwrap().0.stacks.len(), 1);
}

#[test]
fn file_of_50_mb_is_refused_unread() {
    let bytes = vec![b' '; 50_000_000];
    let found = text_of(&bytes, "large.yaml").unwrap_err();
    insta::assert_snapshot!(crate::diagnostic::render(&[*found], &[], false), @r#"
        error[RL0102]: the file has 50000000 bytes, at most 4194304 are read
        --> large.yaml:1:1
         |
         = help: split it into several files and give each with `-f`; `count` declares many alike containers
    "#);
    let text = String::from_utf8(bytes).unwrap();
    insta::assert_snapshot!(parse(&text, "large.yaml").unwrap_err().render(&[], false), @r#"
        error[RL0102]: the file has 50000000 bytes, at most 4194304 are read
        --> large.yaml:1:1
         |
         = help: split it into several files and give each with `-f`; `count` declares many alike containers

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn a_byte_order_mark_is_no_mistake() {
    assert_eq!(together(&[("bom.yaml", &format!("\u{feff}{SITE}"))]), "nothing is wrong");
}

#[test]
fn aliases_that_expand_without_end() {
    let mut text = String::from("kind: stack\nname: bomb\na: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (this, last) in ('b'..='i').zip('a'..='h') {
        text += &format!("{this}: &{this} [{}]\n", vec![format!("*{last}"); 10].join(", "));
    }
    insta::assert_snapshot!(shown(&text), @r#"
        error[RL0109]: the file holds more than 500000 values once its aliases are written out
         --> site.yaml:7:7
          |
        6 | d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]
        7 | e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]
          |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ here the limit is passed
        8 | f: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]
          |
          = help: split it into several files

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn nesting_without_end() {
    let deep = format!("kind: stack\nname: {}x{}\n", "[".repeat(100_000), "]".repeat(100_000));
    let shown = shown(&deep);
    assert!(shown.starts_with("error[RL0109]: the document is nested too deeply"), "{shown}");
    let mut aliases = String::from("kind: stack\na0: &a0 x\n");
    (1..100_000).for_each(|n| aliases += &format!("a{n}: &a{n} [*a{}]\n", n - 1));
    let shown = together(&[("deep.yaml", &aliases)]);
    assert!(shown.starts_with("error[RL0109]: the document is nested more than 48 levels deep"), "{shown}");
}

#[test]
fn more_mistakes_than_anyone_reads_are_counted() {
    let containers: String = (0..500).map(|n| format!("  c{n}: {{ image: none }}\n")).collect();
    let text = format!("kind: stack\nname: shop\nsite: fra1\ncontainers:\n{containers}");
    let shown = stack_shown(&text);
    assert_eq!(shown.matches("error[").count(), 200);
    assert!(
        shown.ends_with("the stack files have 500 errors, 300 of them not listed; nothing was contacted or changed\n")
    );
}

#[test]
fn so_many_mistakes_that_the_rest_is_not_looked_for() {
    let containers: String = (0..5000).map(|n| format!("  c{n}: {{ image: none }}\n")).collect();
    let text = format!("kind: stack\nname: shop\nsite: fra1\ncontainers:\n{containers}");
    assert!(stack_shown(&text).ends_with(
        "the stack files have at least 1000 errors, 800 of them not listed; nothing was contacted or changed\n"
    ));
}

#[test]
fn lines_may_end_as_on_windows() {
    assert_eq!(shown(&SITE.replace('\n', "\r\n")), "nothing is wrong");
    insta::assert_snapshot!(shown(&SITE.replace("vmids: 2000", "vmid: 2000").replace('\n', "\r\n")), @r#"
        error[RL0106]: a site needs the key `vmids`
         --> site.yaml:2:7
          |
        1 | kind: site
        2 | name: fra1
          |       ^^^^ the key is missing here
        3 | proxmox: { endpoints: ["https://pve1.example:8006"], token: { file: fra1.token } }␍
          |
          = help: add it, as in `vmids: 2000-2999`

        error[RL0104]: a site has no key `vmid`
         --> site.yaml:4:1
          |
        3 | proxmox: { endpoints: ["https://pve1.example:8006"], token: { file: fra1.token } }
        4 | vmid: 2000-2999
          | ^^^^ unknown key
        5 | networks:␍
          |
          = help: did you mean `vmids`?

        the stack files have 2 errors; nothing was contacted or changed
    "#);
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let shown = shown("kind: site\nname: fra1\n\"a\\e[31mb\": 1\nvmids: \"\\u202e\\x1b]0;x\\x07\"\nc: \u{9b}31m\n");
    let names = stack_shown("kind: stack\nname: \"a\\e[31m\"\nsite: \"\\u202e\"\ncontainers: { \"w\\x9bb\": {} }\n");
    for text in [shown, names] {
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}']), "{text:?}");
    }
}
