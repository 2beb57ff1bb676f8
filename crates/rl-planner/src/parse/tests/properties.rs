//! What holds for any stack files: order does not matter, and no text makes the parser fail.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::diagnostic::{Severity, render};

/// Two sites and two stacks, each a document.
fn good_documents() -> Vec<String> {
    let ams = SITE
        .replace("fra1", "ams1")
        .replace("pve1.", "pve9.")
        .replace("10.20.", "10.40.")
        .replace("2000-2999", "3000-3999");
    let blog = "kind: stack\nname: blog\nsite: ams1\ndefaults: { image: debian-12 }\ncontainers:\n  \
        web: { count: 3, after: [db], nics: { eth0: { network: dmz } } }\n  db: { vmid: 3000, nics: { eth0: { network: dmz, ipv4: 10.40.0.50 } } }\n";
    vec![
        SITE.to_owned(),
        ams,
        stack_of("image: debian-12\ncount: 2\nnics: { eth0: { network: dmz } }"),
        blog.to_owned(),
    ]
}

/// The same with mistakes that do not depend on which of two comes first.
fn wrong_documents() -> Vec<String> {
    let mut all = good_documents();
    all[0] = all[0].replace("vmids: 2000-2999", "vmids: 2000-2000").replace("storage: local", "storag: local");
    all[2] = all[2].replace("debian-12", "debian-13").replace("dmz", "dnz");
    all[3] = all[3].replace("after: [db]", "after: [bd]").replace("10.40.0.50", "10.41.0.50").replace("3000,", "100,");
    all
}

/// Documents in an order, cut into one or more files.
fn files(documents: &[String], order: &[usize], cut: usize) -> Vec<(String, String)> {
    let cut = cut % (order.len() + 1);
    let join = |part: &[usize]| part.iter().map(|n| documents[*n].as_str()).collect::<Vec<_>>().join("---\n");
    [("one.yaml", &order[..cut]), ("two.yaml", &order[cut..])]
        .into_iter()
        .filter(|(_, part)| !part.is_empty())
        .map(|(name, part)| (name.to_owned(), join(part)))
        .collect()
}

/// What came of it, without places.
fn outcome(files: &[(String, String)]) -> Result<(BTreeMap<SiteName, Site>, String), Vec<String>> {
    let sources: Vec<Source<'_>> = files.iter().map(|(name, text)| Source { name, text }).collect();
    match parse_all(&sources, &Known::default()) {
        Ok((manifest, _)) => Ok((manifest.sites, serde_json::to_string(&manifest.stacks).unwrap())),
        Err(errors) => {
            let mut all: Vec<String> =
                errors.diagnostics.iter().map(|d| format!("{} {} {:?}", d.code, d.message, d.help)).collect();
            all.sort();
            Err(all)
        }
    }
}

/// A good file that uses every kind of key, for mutation.
fn everything() -> String {
    let stack = stack_of(
        "image: debian-12\ncount: 2\nmemory: 1 GiB\nnics:\n  eth0: { network: dmz, ipv4: [10.20.0.5, 10.20.0.6] }\n\
         volumes: { data: { path: /data, size: 1 GiB } }\nstartup: { order: 1 }\nafter: []\ntags: [a, b]\n\
         firewall: { rules: [{ allow: https, from: [web, dmz] }] }\nsecrets: [{ from: a/b, to: /run/c, mode: \"0400\" }]\nnotes: |\n  Grüße\n  ✓",
    );
    format!("{SITE}---\n{stack}dns:\n  - {{ zone: example.org, name: www, type: A, to: web.eth0 }}\n")
}

/// One edit of a text.
#[derive(Debug, Clone)]
enum Edit {
    Delete { at: usize, chars: usize },
    Insert { at: usize, text: &'static str },
    SwapLines { one: usize, two: usize },
    RepeatLine { line: usize },
    Indent { line: usize, by: usize },
    ReplaceWord { word: usize, by: &'static str },
}

const PIECES: [&str; 22] = [
    ":", " ", "\n", "\t", "- ", "{", "}", "[", "]", ",", "\"", "'", "&a ", "*a", "|\n", "#", "!!str ", "---\n", "<<: ",
    "ß✓", "\u{0}", "? ",
];
const WORDS: [&str; 20] = [
    "",
    "null",
    "true",
    "-1",
    "0",
    "99999999999999999999",
    "1.5",
    "web",
    "dmz",
    "eth0",
    "fra1",
    "10.20.0.5",
    "::",
    "1 GiB",
    "{}",
    "[]",
    "~",
    "\"\"",
    "[web, web]",
    "{ web: web }",
];

fn edit() -> impl Strategy<Value = Edit> {
    let n = 0usize..4096;
    prop_oneof![
        (n.clone(), 1usize..40).prop_map(|(at, chars)| Edit::Delete { at, chars }),
        (n.clone(), prop::sample::select(&PIECES[..])).prop_map(|(at, text)| Edit::Insert { at, text }),
        (n.clone(), n.clone()).prop_map(|(one, two)| Edit::SwapLines { one, two }),
        n.clone().prop_map(|line| Edit::RepeatLine { line }),
        (n.clone(), 1usize..5).prop_map(|(line, by)| Edit::Indent { line, by }),
        (n, prop::sample::select(&WORDS[..])).prop_map(|(word, by)| Edit::ReplaceWord { word, by }),
    ]
}

fn apply(text: &str, edit: &Edit) -> String {
    let boundary = |at: usize| {
        let at = at % (text.len() + 1);
        (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
    };
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let count = lines.len().max(1);
    match edit {
        Edit::Delete { at, chars } => {
            let (head, tail) = text.split_at(boundary(*at));
            return head.to_owned() + &tail.chars().skip(*chars).collect::<String>();
        }
        Edit::Insert { at, text: piece } => {
            let (head, tail) = text.split_at(boundary(*at));
            return format!("{head}{piece}{tail}");
        }
        Edit::ReplaceWord { word, by } => {
            let mut parts: Vec<&str> = text.split_inclusive(' ').collect();
            let count = parts.len().max(1);
            if let Some(part) = parts.get_mut(word % count) {
                *part = by;
            }
            return parts.concat();
        }
        Edit::SwapLines { one, two } if !lines.is_empty() => lines.swap(one % count, two % count),
        Edit::RepeatLine { line } if !lines.is_empty() => lines.insert(line % count, lines[line % count].clone()),
        Edit::Indent { line, by } if !lines.is_empty() => lines[line % count].insert_str(0, &" ".repeat(*by)),
        _ => {}
    }
    lines.join("\n") + "\n"
}

/// Holds that every place of a finding lies in its file and agrees with itself.
fn places_are_true(found: &Diagnostic, text: &str) -> Result<(), TestCaseError> {
    let at = found.location.iter().chain(found.related.iter().map(|related| &related.location));
    for location in at {
        let span = location.span.clone();
        prop_assert!(span.start <= span.end && span.end <= text.len(), "{found:?}");
        prop_assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end), "{found:?}");
        let before = &text[..span.start];
        prop_assert_eq!(location.line as usize, before.matches('\n').count() + 1, "{:?}", found);
        let line = before.rsplit('\n').next().unwrap_or_default();
        prop_assert_eq!(
            location.column as usize,
            line.trim_start_matches('\u{feff}').chars().count() + 1,
            "{:?}",
            found
        );
    }
    Ok(())
}

/// Holds that what was taken fits the schema, and that no part of it was dropped without a word; the file is read by
/// another YAML library.
fn nothing_is_lost(manifest: &Manifest, text: &str) -> Result<(), TestCaseError> {
    static SCHEMA: LazyLock<jsonschema::Validator> =
        LazyLock::new(|| jsonschema::draft202012::new(&crate::schema::schema()).unwrap());
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|e| TestCaseError::fail(e.to_string()))?;
    for document in documents.iter().filter(|document| !document.is_null()) {
        let why: Vec<String> = SCHEMA.iter_errors(document).map(|e| format!("{e} at {}", e.instance_path())).collect();
        prop_assert!(why.is_empty(), "{why:?}");
        let name = document["name"].as_str().unwrap();
        if document["kind"] == "site" {
            let site = &manifest.sites[&name.parse().unwrap()];
            prop_assert_eq!(site.endpoints.len(), size(&document["proxmox"]["endpoints"]));
            prop_assert_eq!(site.networks.len(), size(&document["networks"]));
            prop_assert_eq!(site.images.len(), size(&document["images"]));
            prop_assert_ne!(&site.token, &rl_model::TokenSource::Env(String::new()));
            continue;
        }
        let stack = &manifest.stacks[&name.parse().unwrap()];
        prop_assert_eq!(stack.containers.len(), size(&document["containers"]));
        prop_assert_eq!(stack.dns.len(), size(&document["dns"]));
        for (name, written) in document["containers"].as_object().unwrap() {
            let made = &stack.containers[&name.parse().unwrap()];
            let rules = made.firewall.as_ref().map_or(0, |firewall| firewall.rules.len());
            let all =
                [made.nics.len(), made.volumes.len(), made.secrets.len(), made.tags.len(), made.after.len(), rules];
            let keys = ["/nics", "/volumes", "/secrets", "/tags", "/after", "/firewall/rules"];
            prop_assert_eq!(all, keys.map(|key| written.pointer(key).map_or(0, size)), "{}", name);
        }
    }
    Ok(())
}

fn size(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len) + value.as_object().map_or(0, serde_json::Map::len)
}

proptest! {
    #[test]
    fn the_order_of_documents_and_files_does_not_matter(
        order in Just(vec![0usize, 1, 2, 3]).prop_shuffle(),
        cut in 0usize..5,
        wrong in any::<bool>(),
    ) {
        let documents = if wrong { wrong_documents() } else { good_documents() };
        let plain = outcome(&files(&documents, &[0, 1, 2, 3], 0));
        prop_assert_eq!(plain.is_err(), wrong);
        prop_assert_eq!(outcome(&files(&documents, &order, cut)), plain);
    }

    #[test]
    fn the_order_of_keys_does_not_matter(order in Just(vec!["image: debian-12", "cores: 2", "memory: 1 GiB", "count: 3",
        "nics: { eth0: { network: dmz } }", "tags: [b, a]", "vmid: [2000, 2001, 2002]", "notes: x"]).prop_shuffle())
    {
        let made = |body: &str| outcome(&[("a".into(), SITE.into()), ("b".into(), stack_of(body))]).unwrap();
        let sorted = { let mut sorted = order.clone(); sorted.sort_unstable(); sorted };
        prop_assert_eq!(made(&order.join("\n")), made(&sorted.join("\n")));
    }

    #[test]
    fn any_text_gives_a_manifest_or_true_findings(edits in prop::collection::vec(edit(), 1..6)) {
        let text = edits.iter().fold(everything(), |text, edit| apply(&text, edit));
        let source = [Source { name: "fuzz.yaml", text: &text }];
        match parse_all(&source, &Known::default()) {
            Ok((manifest, warnings)) => {
                prop_assert!(warnings.iter().all(|w| w.severity == Severity::Warning));
                nothing_is_lost(&manifest, &text)?;
            }
            Err(errors) => {
                prop_assert!(errors.count() > 0);
                for found in &errors.diagnostics {
                    places_are_true(found, &text)?;
                }
                let shown = render(&errors.diagnostics, &source, false);
                prop_assert!(errors.diagnostics.iter().all(|found| shown.contains(found.code)));
                prop_assert!(!errors.render(&source, true).is_empty());
            }
        }
    }

    #[test]
    fn any_bytes_are_text_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(text) = text_of(&bytes, "bytes.yaml") {
            let _ = parse(text, "bytes.yaml");
        }
    }
}
