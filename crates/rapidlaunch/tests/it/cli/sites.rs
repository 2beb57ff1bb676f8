//! Sites declared, declared anew and removed by command, with the tokens that are kept for them.

use serde_json::{Value, json};

use super::audited;
use crate::harness::{Allow, World, farm, site};

/// Writes a site's file that names its token so. Only `lab` is there.
fn file(world: &World, name: &str, token: &str) -> String {
    let urls = if name == "lab" { world.sim.urls() } else { vec![format!("https://{name}.example:8006")] };
    let text = site(&urls, world.sim.fingerprint(), token).replace("name: lab", &format!("name: {name}"));
    world.write(&format!("{name}.yaml"), &text).display().to_string()
}

fn secrets(world: &World) -> Vec<(String, u64)> {
    let listed = world.run(&["secret", "ls", "-o", "json"]).expect(0).json();
    let secrets = listed["secrets"].as_array().unwrap().iter();
    secrets.map(|s| (s["name"].as_str().unwrap().to_owned(), s["version"].as_u64().unwrap())).collect()
}

#[test]
fn declared_with_its_token_used_and_removed() {
    let world = World::new();
    let (file, token) = (file(&world, "lab", "{ secret: sites/lab }"), world.path("lab.token").display().to_string());
    let add = ["site", "add", "-f", &file, "--site-token-file", &token, "-o", "json"];
    let added = world.run(&add).expect(0).json();
    assert_eq!(
        (&added["sites"][0]["name"], &added["sites"][0]["token"]),
        (&json!("lab"), &json!({ "secret": "sites/lab" }))
    );
    world.run(&["site", "check", "lab"]).expect(0);
    // The same again changes nothing, and another token is its next version.
    let said = world.run(&["site", "add", "-f", &file]).expect(0).stdout;
    assert!(said.starts_with("Site lab is declared;"), "{said}");
    assert_eq!(audited(&world), ["secret.set /secrets/sites/lab", "site.declare /sites/lab"]);
    let said = world.tell(&["site", "add", "-f", &file, "--site-token-file", "-"], &format!("{}\n", world.sim.token()));
    said.expect(0);
    assert_eq!(secrets(&world), [("sites/lab".to_owned(), 2)]);

    let stack = world.write("farm.yaml", &farm(1).yaml()).display().to_string();
    world.run(&["apply", "--yes", "-f", &stack]).expect(0);
    let held = world.run(&["site", "rm", "lab"]).expect(4).stderr;
    assert!(held.contains("site lab still has the guest w-1 of stack farm; remove what lies on it first"), "{held}");
    world.run(&["destroy", "farm", "--yes"]).expect(0);
    let removed = world.run(&["site", "rm", "lab", "-o", "json"]).expect(0).json();
    let secret = json!({ "name": "sites/lab", "removed": true, "used_by": null });
    assert_eq!(removed, json!({ "name": "lab", "removed": true, "secret": secret }));
    assert_eq!(secrets(&world), []);
    assert_eq!(world.run(&["site", "ls", "-o", "json"]).expect(0).json(), json!({ "sites": [] }));
    let again = world.run(&["site", "rm", "lab"]).expect(2).stderr;
    assert!(again.contains("site `lab` is not known"), "{again}");
    let deeds = audited(&world);
    assert_eq!(deeds[deeds.len() - 2..], ["site.remove /sites/lab", "secret.remove /secrets/sites/lab"]);
    world.finish_with(Allow { volumes: true, ..Allow::default() });
}

#[test]
fn a_token_that_another_site_uses_stays() {
    let world = World::new();
    world.run(&["secret", "set", "sites/lab", "--file", &world.path("lab.token").display().to_string()]).expect(0);
    let [lab, spare] = ["lab", "spare"].map(|name| file(&world, name, "{ secret: sites/lab }"));
    let both = [lab, spare].map(|file| std::fs::read_to_string(file).unwrap()).join("---\n");
    let both = world.write("both.yaml", &both).display().to_string();
    let token = world.path("lab.token").display().to_string();
    let one = world.run(&["site", "add", "-f", &both, "--site-token-file", &token]).expect(2).stderr;
    assert!(one.contains("a token is for one site, and the file declares 2"), "{one}");
    let said = world.run(&["site", "add", "-f", &both]).expect(0).stdout;
    assert_eq!(said.lines().count(), 2, "{said}");
    let said = world.run(&["site", "rm", "lab"]).expect(0).stdout;
    assert_eq!(said, "Site lab is removed.\nThe secret sites/lab stays: site spare uses it.\n");
    let said = world.run(&["site", "rm", "spare"]).expect(0).stdout;
    assert_eq!(said, "Site spare is removed.\n");
    assert_eq!(secrets(&world), [("sites/lab".to_owned(), 1)]);
    world.finish();
}

#[test]
fn refused_before_anything_is_kept() {
    let world = World::new();
    let token = world.path("lab.token").display().to_string();
    let stack = world.write("farm.yaml", &farm(1).yaml()).display().to_string();
    let from_file = file(&world, "other", &format!("{{ file: {token} }}"));
    let from_secret = file(&world, "lab", "{ secret: sites/lab }");
    let bad = world.write_private("bad.token", "nothing of the kind").display().to_string();
    let empty = world.write("empty.yaml", "").display().to_string();
    for (args, said) in [
        (&["-f", &stack][..], "farm"),
        (&["-f", &empty], "nothing is declared"),
        (&["-f", &from_file, "--site-token-file", &token], "does not take its API token from the secret sites/other"),
        (&["-f", &from_secret, "--site-token-file", &bad], "site lab: its API token is not usable"),
        (&["-f", "-", "--site-token-file", "-"], "cannot be both"),
        (&["-f", "nowhere.yaml"], "nowhere.yaml cannot be read"),
    ] {
        let run = world.run(&[&["site", "add"], args].concat()).expect(2);
        assert!(run.stderr.contains(said), "{run:?}");
    }
    assert_eq!(
        (world.run(&["site", "ls", "-o", "json"]).json()["sites"].clone(), secrets(&world)),
        (json!([]), vec![])
    );
    assert_eq!(audited(&world), Vec::<String>::new());
    world.finish();
}

/// The token of a server is not taken for that of a site.
#[test]
fn two_kinds_of_tokens_are_kept_apart() {
    let world = World::new();
    let (file, token) = (file(&world, "lab", "{ secret: sites/lab }"), world.path("lab.token").display().to_string());
    let run = world.run(&["site", "add", "-f", &file, "--token-file", &token]).expect(2);
    assert!(run.stderr.contains("--site-token-file"), "{run:?}");
    assert_eq!(world.run(&["site", "ls", "-o", "json"]).json()["sites"], Value::Array(vec![]));
    world.finish();
}

also_through_a_server![
    declared_with_its_token_used_and_removed,
    a_token_that_another_site_uses_stays,
    refused_before_anything_is_kept,
];
