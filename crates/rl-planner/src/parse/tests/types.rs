//! Values of the wrong type.

use super::*;

#[test]
fn text_for_a_number() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
cores: four
"#), @r#"
        error[RL0105]: expected a number of cores, found the text `four`
         --> stack.yaml:7:12
          |
        6 |     image: debian-12
        7 |     cores: four
          |            ^^^^
          |
          = help: write a whole number from 1 to 8192

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn number_in_quotes() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
cores: "4"
"#), @r#"
        error[RL0105]: expected a number of cores, found the text `4`
         --> stack.yaml:7:12
          |
        6 |     image: debian-12
        7 |     cores: "4"
          |            ^^^
          |
          = help: write the number without quotes

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn fraction_for_a_number() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
cores: 1.5
"#), @r#"
        error[RL0105]: expected a number of cores, found the number `1.5`
         --> stack.yaml:7:12
          |
        6 |     image: debian-12
        7 |     cores: 1.5
          |            ^^^
          |
          = help: write a whole number from 1 to 8192

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn number_for_a_name() {
    insta::assert_snapshot!(stack_shown(r#"kind: stack
name: 42
site: fra1
containers: { web: { image: debian-12 } }
"#), @r#"
        error[RL0105]: expected a stack name as text, found the number `42`
         --> stack.yaml:2:7
          |
        1 | kind: stack
        2 | name: 42
          |       ^^
        3 | site: fra1
          |
          = help: put it in quotes: "42"

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn yes_for_true() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
onboot: yes
protection: "true"
"#), @r#"
        error[RL0105]: expected true or false, found the text `yes`
         --> stack.yaml:7:13
          |
        6 |     image: debian-12
        7 |     onboot: yes
          |             ^^^
        8 |     protection: "true"
          |
          = help: write `true`

        error[RL0105]: expected true or false, found the text `true`
         --> stack.yaml:8:17
          |
        7 |     onboot: yes
        8 |     protection: "true"
          |                 ^^^^^^
          |
          = help: write `true`

        the stack files have 2 errors; nothing was contacted or changed
    "#);
}

#[test]
fn memory_without_unit() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
memory: 512
disk: 8
"#), @r#"
        error[RL0105]: the number `512` has no unit
         --> stack.yaml:7:13
          |
        6 |     image: debian-12
        7 |     memory: 512
          |             ^^^ MiB? GiB?
        8 |     disk: 8
          |
          = help: write it with its unit, as in `512 MiB` or `512 GiB`

        error[RL0105]: the number `8` has no unit
         --> stack.yaml:8:11
          |
        7 |     memory: 512
        8 |     disk: 8
          |           ^ MiB? GiB?
          |
          = help: write it with its unit, as in `8 MiB` or `8 GiB`

        the stack files have 2 errors; nothing was contacted or changed
    "#);
}

#[test]
fn text_for_a_list() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
tags: web
"#), @r#"
        error[RL0105]: expected a list, found the text `web`
         --> stack.yaml:7:11
          |
        6 |     image: debian-12
        7 |     tags: web
          |           ^^^
          |
          = help: write it as `[one, two]`, or one `- item` a line

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn list_for_a_mapping() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
nics: [eth0]
"#), @r#"
        error[RL0105]: expected `nics`, which is a mapping, found a list
         --> stack.yaml:7:11
          |
        6 |     image: debian-12
        7 |     nics: [eth0]
          |           ^^^^^^
          |
          = help: write `key: value` lines below it, or `{ key: value }`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn mapping_for_text() {
    insta::assert_snapshot!(container_shown(r#"image: { name: debian-12 }
"#), @r#"
        error[RL0105]: expected an image as text, found a mapping
         --> stack.yaml:6:12
          |
        5 |   web:
        6 |     image: { name: debian-12 }
          |            ^^^^^^^^^^^^^^^^^^^
          |
          = help: write one value here

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn text_for_limits() {
    insta::assert_snapshot!(site_with(r#"storage: local-zfs
"#, r#"limits: low
storage: local-zfs
"#), @r#"
        error[RL0105]: expected `limits`, which is a mapping, found the text `low`
          --> site.yaml:9:9
           |
         8 | images: { debian-12: "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst" }
         9 | limits: low
           |         ^^^
        10 | storage: local-zfs
           |
           = help: write `limits: { creates_per_node: 2 }`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn key_without_value() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
cores:
nics:
"#), @r#"
        error[RL0105]: the key `cores` has no value
         --> stack.yaml:7:5
          |
        6 |     image: debian-12
        7 |     cores:
          |     ^^^^^
        8 |     nics:
          |
          = help: write a value behind it, or remove the line

        error[RL0105]: the key `nics` has no value
         --> stack.yaml:8:5
          |
        7 |     cores:
        8 |     nics:
          |     ^^^^
          |
          = help: write a value behind it, or remove the line

        the stack files have 2 errors; nothing was contacted or changed
    "#);
}

#[test]
fn container_without_body() {
    insta::assert_snapshot!(stack_shown(r#"kind: stack
name: shop
site: fra1
defaults: { image: debian-12 }
containers:
  web:
  db: {}
"#), @r#"
        error[RL0105]: expected a container, which is a mapping, found nothing
         --> stack.yaml:6:3
          |
        5 | containers:
        6 |   web:
          |   ^^^
        7 |   db: {}
          |
          = help: write `key: value` lines below it, or `{}` where nothing needs to be said

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn number_for_permissions() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
secrets: [{ from: shop/db, to: /run/db, mode: 0400 }]
"#), @r#"
        error[RL0105]: expected permissions as text, found the number `0400`
         --> stack.yaml:7:51
          |
        6 |     image: debian-12
        7 |     secrets: [{ from: shop/db, to: /run/db, mode: 0400 }]
          |                                                   ^^^^
          |
          = help: put it in quotes, `"0400"`: without them YAML reads another number

        the stack files have 1 error; nothing was contacted or changed
    "#);
}
