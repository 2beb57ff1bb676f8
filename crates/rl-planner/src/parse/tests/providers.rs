//! Providers of secrets, and grants that name them.

use super::*;

const PROVIDERS: &str = r#"providers:
  corp:
    vault:
      address: "https://vault.example:8200"
      namespace: team
      ca_file: corp.pem
      approle: { role_id: role-1, secret_id: { env: CORP_SECRET_ID } }
  near: { vault: { address: "http://127.0.0.1:8200", mount: kv, token: { secret: vault/token } } }
  keys: { age: { folder: sealed, identity: { file: age.key } } }
  team: { sops: { folder: ".", identity: { env: SOPS_AGE_KEY } } }
"#;

fn stack_of(from: &[&str]) -> String {
    let grants: String =
        from.iter().map(|from| format!("      - {{ from: \"{from}\", to: /run/secrets/{} }}\n", from.len())).collect();
    format!("kind: stack\nname: shop\nsite: fra1\ncontainers:\n  db:\n    image: debian-12\n    secrets:\n{grants}")
}

fn granted(providers: &str, from: &[&str]) -> String {
    together(&[("site.yaml", &format!("{SITE}{providers}")), ("stack.yaml", &stack_of(from))])
}

#[test]
fn providers_of_every_kind_are_read() {
    let site = parse(&format!("{SITE}{PROVIDERS}"), "site.yaml").unwrap().sites.into_values().next().unwrap();
    insta::assert_snapshot!(serde_json::to_string(&site.providers).unwrap(), @r#"
        {"corp":{"name":"corp","kind":{"vault":{"address":"https://vault.example:8200","mount":"secret","namespace":"team","ca_file":"corp.pem","login":{"approle":{"mount":"approle","role_id":"role-1","secret_id":{"env":"CORP_SECRET_ID"}}}}}},"keys":{"name":"keys","kind":{"age":{"folder":"sealed","identity":{"file":"age.key"}}}},"near":{"name":"near","kind":{"vault":{"address":"http://127.0.0.1:8200","mount":"kv","namespace":null,"ca_file":null,"login":{"token":{"secret":"vault/token"}}}}},"team":{"name":"team","kind":{"sops":{"folder":".","identity":{"env":"SOPS_AGE_KEY"}}}}}
    "#);
}

#[test]
fn grants_name_what_providers_have() {
    let good = ["corp:shop/db#password", "near:a#b", "keys:web/tls.age", "team:secrets.yaml#db.password", "shop/db"];
    assert_eq!(granted(PROVIDERS, &good), "nothing is wrong");
    insta::assert_snapshot!(granted(PROVIDERS, &["crop:shop/db#password", "corp:shop", "keys:a#entry", "keys:../other", "team:/etc/shadow#x1"]), @r#"
        error[RL0228]: no site declares the provider `crop`
         --> stack.yaml:8:17
          |
        7 |     secrets:
        8 |       - { from: "crop:shop/db#password", to: /run/secrets/21 }
          |                 ^^^^^^^^^^^^^^^^^^^^^^^
        9 |       - { from: "corp:shop", to: /run/secrets/9 }
          |
          = help: did you mean `corp`?

        error[RL0201]: `corp:shop` names no entry
          --> stack.yaml:9:17
           |
         8 |       - { from: "crop:shop/db#password", to: /run/secrets/21 }
         9 |       - { from: "corp:shop", to: /run/secrets/9 }
           |                 ^^^^^^^^^^^
        10 |       - { from: "keys:a#entry", to: /run/secrets/12 }
           |
           = help: add its name, as in `corp:shop/db#password`

        error[RL0201]: `keys:a#entry` names an entry
          --> stack.yaml:10:17
           |
         9 |       - { from: "corp:shop", to: /run/secrets/9 }
        10 |       - { from: "keys:a#entry", to: /run/secrets/12 }
           |                 ^^^^^^^^^^^^^^
        11 |       - { from: "keys:../other", to: /run/secrets/13 }
           |
           = help: leave out what follows `#`: a file of age holds one value

        error[RL0201]: the file of `keys:../other` lies outside of the provider's folder
          --> stack.yaml:11:17
           |
        10 |       - { from: "keys:a#entry", to: /run/secrets/12 }
        11 |       - { from: "keys:../other", to: /run/secrets/13 }
           |                 ^^^^^^^^^^^^^^^
        12 |       - { from: "team:/etc/shadow#x1", to: /run/secrets/19 }
           |
           = help: name a file below the provider's folder, without `..`

        error[RL0201]: the file of `team:/etc/shadow#x1` lies outside of the provider's folder
          --> stack.yaml:12:17
           |
        11 |       - { from: "keys:../other", to: /run/secrets/13 }
        12 |       - { from: "team:/etc/shadow#x1", to: /run/secrets/19 }
           |                 ^^^^^^^^^^^^^^^^^^^^^
           |
           = help: name a file below the provider's folder, without `..`

        the stack files have 5 errors; nothing was contacted or changed
    "#);
}

#[test]
fn providers_wrong_in_several_ways() {
    insta::assert_snapshot!(granted(r#"providers:
  Corp: { age: { folder: x, identity: { file: y } } }
  a: { vault: { address: "http://vault.example:8200", token: hvs.abcdef } }
  b: { vault: { mount: "k v", token: { file: t }, approle: { secret_id: { file: s } } } }
  c: { age: { folder: x }, sops: {} }
  d: {}
"#, &["shop/db"]), @r#"
        error[RL0201]: `Corp` is no valid provider name
          --> site.yaml:13:3
           |
        12 | providers:
        13 |   Corp: { age: { folder: x, identity: { file: y } } }
           |   ^^^^ write 1 to 32 lower-case letters, digits and `-`, beginning with a letter
        14 |   a: { vault: { address: "http://vault.example:8200", token: ***********} }
           |
           = help: did you mean `corp`?

        error[RL0201]: secrets would go over `http://vault.example:8200` in clear
          --> site.yaml:14:26
           |
        13 |   Corp: { age: { folder: x, identity: { file: y } } }
        14 |   a: { vault: { address: "http://vault.example:8200", token: ***********} }
           |                          ^^^^^^^^^^^^^^^^^^^^^^^^^^^
        15 |   b: { vault: { mount: "k v", token: { file: t }, approle: { secret_id: { file: s } } } }
           |
           = help: write https://, and `ca_file` for a CA of your own

        error[RL0114]: `token` must not stand in a site file
          --> site.yaml:14:62
           |
        13 |   Corp: { age: { folder: x, identity: { file: y } } }
        14 |   a: { vault: { address: "http://vault.example:8200", token: ***********} }
           |                                                              ^^^^^^^^^^
        15 |   b: { vault: { mount: "k v", token: { file: t }, approle: { secret_id: { file: s } } } }
           |
           = help: write it into a file only you can read and name it: `token: { file: vault.token }`

        error[RL0106]: `vault` needs the key `address`
          --> site.yaml:15:8
           |
        14 |   a: { vault: { address: "http://vault.example:8200", token: ***********} }
        15 |   b: { vault: { mount: "k v", token: { file: t }, approle: { secret_id: { file: s } } } }
           |        ^^^^^ the key is missing here
        16 |   c: { age: { folder: x }, sops: {} }
           |
           = help: add it, as in `address: "https://vault.example:8200"`

        error[RL0201]: `mount` cannot be used
          --> site.yaml:15:24
           |
        14 |   a: { vault: { address: "http://vault.example:8200", token: ***********} }
        15 |   b: { vault: { mount: "k v", token: { file: t }, approle: { secret_id: { file: s } } } }
           |                        ^^^^^
        16 |   c: { age: { folder: x }, sops: {} }
           |
           = help: write 1 to 256 characters without spaces

        error[RL0113]: `vault` takes only one of `token`, `approle`
          --> site.yaml:15:51
           |
        14 |   a: { vault: { address: "http://vault.example:8200", token: ***********} }
        15 |   b: { vault: { mount: "k v", token: { file: t }, approle: { secret_id: { file: s } } } }
           |                               -----               ^^^^^^^ one too many
           |                               |
           |                               already given by this
        16 |   c: { age: { folder: x }, sops: {} }
           |
           = help: keep the one that is meant

        error[RL0113]: `provider` takes only one of `vault`, `age`, `sops`
          --> site.yaml:16:28
           |
        15 |   b: { vault: { mount: "k v", token: { file: t }, approle: { secret_id: { file: s } } } }
        16 |   c: { age: { folder: x }, sops: {} }
           |        ---                 ^^^^ one too many
           |        |
           |        already given by this
        17 |   d: {}
           |
           = help: keep the one that is meant

        error[RL0106]: `provider` needs one of `vault`, `age`, `sops`
          --> site.yaml:17:3
           |
        16 |   c: { age: { folder: x }, sops: {} }
        17 |   d: {}
           |   ^
           |
           = help: give `provider` exactly one of them

        the stack files have 8 errors; nothing was contacted or changed
    "#);
}

/// A stack's grants name a provider by its name alone, so that it must be one.
#[test]
fn two_sites_that_disagree_are_told() {
    let site = |name: &str, vmids: &str, folder: &str| {
        format!(
            "kind: site\nname: {name}\nproxmox: {{ endpoints: [\"https://{name}.example:8006\"], token: {{ env: T }} }}\n\
             vmids: {vmids}\nproviders: {{ keys: {{ age: {{ folder: {folder}, identity: {{ env: K }} }} }} }}\n"
        )
    };
    let (one, other) = (site("aaa", "100-199", "x"), site("bbb", "200-299", "y"));
    insta::assert_snapshot!(together(&[("aaa.yaml", &one), ("bbb.yaml", &other)]), @r#"
        error[RL0203]: the sites `aaa` and `bbb` declare the provider `keys` differently
         --> bbb.yaml:5:14
          |
        4 | vmids: 200-299
        5 | providers: { keys: { age: { folder: y, identity: { env: K } } } }
          |              ^^^^
          |
         ::: aaa.yaml:5:14
          |
        4 | vmids: 100-199
        5 | providers: { keys: { age: { folder: x, identity: { env: K } } } }
          |              ---- first declaration
          |
          = help: declare it the same in both, in one of them alone, or under two names

        the stack files have 1 error; nothing was contacted or changed
    "#);
}
