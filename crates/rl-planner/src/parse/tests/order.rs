//! The order of containers, and too many of a thing.

use super::*;

#[test]
fn waits_for_itself() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
after: [web]
"#), @r#"
        error[RL0223]: the container `web` waits for itself
         --> stack.yaml:7:13
          |
        6 |     image: debian-12
        7 |     after: [web]
          |             ^^^ `web` waits for this
          |
          = help: remove it from `after`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn wait_for_each_other() {
    insta::assert_snapshot!(stack_shown(r#"kind: stack
name: shop
site: fra1
defaults: { image: debian-12 }
containers:
  web: { after: [cache] }
  cache: { after: [db] }
  db: { after: [web] }
  late: { after: [web] }
"#), @r#"
        error[RL0223]: containers wait for each other: `cache` waits for `db` waits for `web` waits for `cache`
         --> stack.yaml:7:20
          |
        5 | containers:
        6 |   web: { after: [cache] }
          |                  ----- `web` waits for this
        7 |   cache: { after: [db] }
          |                    ^^ `cache` waits for this
        8 |   db: { after: [web] }
          |                 --- `db` waits for this
        9 |   late: { after: [web] }
          |
          = help: remove one of these from `after`

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn two_circles() {
    insta::assert_snapshot!(stack_shown(r#"kind: stack
name: shop
site: fra1
defaults: { image: debian-12 }
containers:
  a: { after: [b] }
  b: { after: [a] }
  c: { after: [d, a] }
  d: { after: [c] }
"#), @r#"
        error[RL0223]: containers wait for each other: `a` waits for `b` waits for `a`
         --> stack.yaml:6:16
          |
        5 | containers:
        6 |   a: { after: [b] }
          |                ^ `a` waits for this
        7 |   b: { after: [a] }
          |                - `b` waits for this
        8 |   c: { after: [d, a] }
          |
          = help: remove one of these from `after`

        error[RL0223]: containers wait for each other: `c` waits for `d` waits for `c`
         --> stack.yaml:8:16
          |
        7 |   b: { after: [a] }
        8 |   c: { after: [d, a] }
          |                ^ `c` waits for this
        9 |   d: { after: [c] }
          |                - `d` waits for this
          |
          = help: remove one of these from `after`

        the stack files have 2 errors; nothing was contacted or changed
    "#);
}

#[test]
fn two_volumes_at_one_path() {
    insta::assert_snapshot!(container_shown(r#"image: debian-12
volumes:
  data: { path: /srv, size: 1 GiB }
  more: { path: /srv, size: 2 GiB }
"#), @r#"
        error[RL0222]: two volumes are mounted at `/srv`
         --> stack.yaml:9:21
          |
        7 |     volumes:
        8 |       data: { path: /srv, size: 1 GiB }
          |                     ---- first volume
        9 |       more: { path: /srv, size: 2 GiB }
          |                     ^^^^ second volume
          |
          = help: give one of them another path

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn too_many_nics() {
    let nics: String = (0..33).map(|n| format!("\n  eth{n}: {{ network: lan }}")).collect();
    insta::assert_snapshot!(container_shown(&format!("image: debian-12\nnics:{nics}")), @r#"
        error[RL0221]: the container has 33 NICs
          --> stack.yaml:40:7
           |
        39 |       eth31: { network: lan }
        40 |       eth32: { network: lan }
           |       ^^^^^ a container has at most 32
           |
           = help: remove some, or spread the service over several containers

        the stack files have 1 error; nothing was contacted or changed
    "#);
}

#[test]
fn too_many_volumes() {
    let volumes: String = (0..257).map(|n| format!("\n  v{n}: {{ path: /v{n}, size: 1 GiB }}")).collect();
    insta::assert_snapshot!(container_shown(&format!("image: debian-12\nvolumes:{volumes}")), @r#"
        error[RL0221]: the container has 257 volumes
           --> stack.yaml:264:7
            |
        263 |       v255: { path: /v255, size: 1 GiB }
        264 |       v256: { path: /v256, size: 1 GiB }
            |       ^^^^ at most 256 are possible
            |
            = help: remove some

        the stack files have 1 error; nothing was contacted or changed
    "#);
}
