//! From the text of stack files to a manifest, all mistakes reported together.
//!
//! Events become trees that know their places (`yaml`, `tree`), trees become drafts key by key (`site`, `stack`,
//! `container` and what they hold), drafts are joined to the model (`link`) and checked against each other (`checks`).
//! No step stops at the first mistake.

use std::collections::BTreeMap;
use std::sync::Arc;

use rl_model::manifest::{Location, Manifest, Origins};
use rl_model::{Site, SiteName, StackName};

mod checks;
mod container;
mod dns;
mod fields;
mod firewall;
mod link;
mod network;
mod nic;
mod peers;
mod providers;
mod report;
mod secrets;
mod site;
mod site_firewall;
mod ssh;
mod stack;
mod tree;
mod values;
mod volume;
mod yaml;
mod zones;

use fields::Shape;
use link::{Linker, Placed};
use report::{Findings, Report};
use stack::StackDraft;
use tree::{Kind, Node, Place};
use values::{parsed, text, wrong_type};

use crate::diagnostic::{Diagnostic, codes};
pub use crate::diagnostic::{ManifestErrors, Source};

/// Largest stack file in bytes: 10,000 containers written out take about half of it.
pub const FILE_BYTES_MAX: usize = 4 << 20;

/// What is known beside the files themselves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// Sites that an earlier apply stored; a stack file alone may name them. A file's own site goes before.
    pub sites: BTreeMap<SiteName, Site>,
}

/// Reads one stack file. Warnings are not returned: see [`parse_all`].
pub fn parse(text: &str, name: &str) -> Result<Manifest, ManifestErrors> {
    parse_all(&[Source { name, text }], &Known::default()).map(|(manifest, _)| manifest)
}

/// Takes the bytes of a stack file for text: at most [`FILE_BYTES_MAX`] of them, in UTF-8.
pub fn text_of<'a>(bytes: &'a [u8], name: &str) -> Result<&'a str, Box<Diagnostic>> {
    let file: Arc<str> = name.into();
    if bytes.len() > FILE_BYTES_MAX {
        return Err(Box::new(too_large(&file, bytes.len())));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let good = &bytes[..error.valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count();
        let last = good.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        let column = String::from_utf8_lossy(last).chars().count();
        let span = good.len()..good.len();
        let at = Location { file, line: line as u32 + 1, column: column as u32 + 1, span };
        let message = format!("the file is not UTF-8 text: byte 0x{:02X} does not fit", bytes[good.len()]);
        let help = "save it as UTF-8; from Latin-1: iconv -f ISO-8859-1 -t UTF-8";
        Box::new(Diagnostic::error(codes::NOT_UTF8, Some(&at), message).help(help))
    })
}

/// Reads several stack files at once as [`parse_all`] does, from their bytes. A file that cannot be taken for text is
/// reported beside the mistakes of the others, and what it may declare is not missed in them.
pub fn parse_bytes(files: &[(&str, &[u8])], known: &Known) -> Result<(Manifest, Vec<Diagnostic>), ManifestErrors> {
    let mut reader = Reader::default();
    for (name, bytes) in files {
        match text_of(bytes, name) {
            Ok(text) => reader.file(Source { name, text }),
            Err(found) => {
                reader.broken = true;
                reader.findings.push(*found);
            }
        }
    }
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    reader.finish(&names, known)
}

/// Reads several stack files at once, which may refer to each other; gives the manifest and warnings, or everything
/// that is wrong. Nothing but the arguments is looked at.
///
/// The manifest holds the sites of the files and those known ones that its stacks name.
pub fn parse_all(sources: &[Source<'_>], known: &Known) -> Result<(Manifest, Vec<Diagnostic>), ManifestErrors> {
    let mut reader = Reader::default();
    for source in sources {
        reader.file(*source);
    }
    let names: Vec<&str> = sources.iter().map(|source| source.name).collect();
    reader.finish(&names, known)
}

fn too_large(file: &Arc<str>, bytes: usize) -> Diagnostic {
    let message = format!("the file has {bytes} bytes, at most {FILE_BYTES_MAX} are read");
    Diagnostic::error(codes::TOO_LARGE, Some(&beginning(file)), message)
        .help("split it into several files and give each with `-f`; `count` declares many alike containers")
}

fn beginning(file: &Arc<str>) -> Location {
    Location { file: Arc::clone(file), line: 1, column: 1, span: 0..0 }
}

/// Links the drafts and checks all of it together.
fn join(
    findings: &mut Findings,
    origins: Origins,
    mut sites: BTreeMap<SiteName, Site>,
    stacks: &[StackDraft],
    broken: bool,
    known: &Known,
) -> Manifest {
    let declared: Vec<SiteName> = sites.keys().cloned().collect();
    for (name, site) in &known.sites {
        sites.entry(name.clone()).or_insert_with(|| site.clone());
    }
    let linker = Linker { sites: &sites, origins: &origins, broken };
    let mut placed: Vec<Placed<'_>> = Vec::new();
    let mut out = BTreeMap::new();
    for stack in stacks {
        let begin = placed.len();
        for draft in &stack.containers {
            placed.push(Placed { stack, draft, site: linker.site(findings, stack, draft) });
        }
        if let Some(made) = linker.stack(findings, stack, &placed[begin..]) {
            out.entry(made.name.clone()).or_insert(made);
        }
    }
    if !findings.full() {
        checks::all(findings, &sites, &origins, stacks, &placed, broken);
    }
    let used: std::collections::BTreeSet<SiteName> =
        placed.iter().filter_map(|one| Some(one.site?.name.clone())).chain(declared).collect();
    sites.retain(|name, _| used.contains(name));
    Manifest { sites, stacks: out, origins }
}

/// Every kind of mapping that a stack file may hold.
pub(crate) const SHAPES: &[Shape] = &[
    site::SITE,
    site::PROXMOX,
    site::TOKEN,
    site::TLS,
    site::LIMITS,
    network::NETWORK,
    stack::STACK,
    container::CONTAINER,
    container::STARTUP,
    container::FEATURES,
    nic::NIC,
    volume::VOLUME,
    firewall::FIREWALL,
    firewall::RULE,
    site_firewall::SITE_FIREWALL,
    site_firewall::ALIAS,
    site_firewall::IP_SET,
    site_firewall::GROUP,
    site_firewall::GROUP_RULE,
    secrets::SECRET,
    dns::RECORD,
    zones::ZONE,
    zones::PROVIDER,
    zones::BUILTIN,
    zones::SECONDARY,
    zones::RFC2136,
    zones::KEY,
    zones::POWERDNS,
    zones::CLOUDFLARE,
    providers::PROVIDER,
    providers::VAULT,
    providers::APPROLE,
    providers::FILES,
];

#[cfg(test)]
mod tests;

/// The two kinds of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DocumentKind {
    Site,
    Stack,
}

/// What has been read so far.
#[derive(Default)]
struct Reader {
    findings: Findings,
    origins: Origins,
    sites: BTreeMap<SiteName, Site>,
    stacks: Vec<StackDraft>,
    /// Where each name was first given, by path.
    names: BTreeMap<String, Location>,
    documents: usize,
    broken: bool,
}

impl Reader {
    /// Joins what was read and checks it together.
    fn finish(mut self, files: &[&str], known: &Known) -> Result<(Manifest, Vec<Diagnostic>), ManifestErrors> {
        if self.documents == 0 && !self.broken {
            let at = files.first().map(|name| beginning(&(*name).into()));
            let help = "write a document with `kind: site` or `kind: stack`";
            let found = Diagnostic::error(codes::NOTHING_DECLARED, at.as_ref(), "nothing is declared");
            self.findings.push(found.help(help));
        }
        let Self { mut findings, origins, sites, stacks, broken, .. } = self;
        let manifest = join(&mut findings, origins, sites, &stacks, broken, known);
        findings.finish(files).map(|warnings| (manifest, warnings))
    }

    fn file(&mut self, source: Source<'_>) {
        let file: Arc<str> = source.name.into();
        if source.text.len() > FILE_BYTES_MAX {
            self.broken = true;
            return self.findings.push(too_large(&file, source.text.len()));
        }
        let mut report = Report {
            file: Arc::clone(&file),
            findings: &mut self.findings,
            origins: &mut self.origins,
            partial: false,
        };
        let documents = yaml::documents(source.text, &mut report);
        self.broken |= documents.broken;
        for root in &documents.roots {
            self.documents += 1;
            self.document(&file, root);
        }
    }

    fn document(&mut self, file: &Arc<str>, root: &Node) {
        let Self { findings, origins, .. } = self;
        let mut report = Report { file: Arc::clone(file), findings, origins, partial: false };
        if !matches!(root.kind, Kind::Map(_)) {
            self.broken = true;
            let help = "a document begins with `kind: site` or `kind: stack`";
            return wrong_type(&mut report, root, root.place, "a document, which is a mapping", help);
        }
        let Some(kind) = kind(&mut report, root) else {
            self.broken = true;
            return;
        };
        match kind {
            DocumentKind::Site => self.site(file, root),
            DocumentKind::Stack => self.stack(file, root),
        }
    }

    fn site(&mut self, file: &Arc<str>, root: &Node) {
        let Self { findings, origins, names, sites, .. } = self;
        let mut report = Report { file: Arc::clone(file), findings, origins, partial: false };
        let (name, owner, path) = named::<SiteName>(&mut report, names, root, &site::SITE, "sites", "name: fra1");
        self.broken |= name.is_none();
        if let Some(made) = site::site(&mut report, root, owner, name, &path) {
            sites.entry(made.name.clone()).or_insert(made);
        }
    }

    fn stack(&mut self, file: &Arc<str>, root: &Node) {
        let Self { findings, origins, names, stacks, .. } = self;
        let mut report = Report { file: Arc::clone(file), findings, origins, partial: false };
        let (name, owner, path) = named::<StackName>(&mut report, names, root, &stack::STACK, "stacks", "name: shop");
        stacks.extend(stack::stack(&mut report, root, owner, name, &path));
    }
}

/// Reads `kind`. Where it is missing, the other keys tell what was meant, so that they are still checked.
fn kind(report: &mut Report<'_>, root: &Node) -> Option<DocumentKind> {
    let words = [("site", DocumentKind::Site), ("stack", DocumentKind::Stack)];
    let guess = || match (root.entry("containers"), root.entry("proxmox").or(root.entry("vmids"))) {
        (Some(_), None) => Some(("stack", DocumentKind::Stack)),
        (None, Some(_)) => Some(("site", DocumentKind::Site)),
        _ => None,
    };
    let Some(entry) = root.entry("kind").filter(|entry| !entry.value.is_null()) else {
        let meant = guess();
        let help = match meant {
            Some((word, _)) => format!("begin it with `kind: {word}`"),
            None => "begin it with `kind: site` or `kind: stack`".to_owned(),
        };
        let start = Place { end: root.place.start, ..root.place };
        report.error(codes::UNKNOWN_KIND, start, "the document does not say its kind", "", &help);
        return meant.map(|(_, kind)| kind);
    };
    let written = text(report, &entry.value, "the kind of a document")?;
    if let Some((_, kind)) = words.iter().find(|(word, _)| *word == written) {
        return Some(*kind);
    }
    let help = match report::nearest(written, words.iter().map(|(word, _)| *word)) {
        Some(word) => format!("did you mean `{word}`?"),
        None => "write `site` or `stack`".to_owned(),
    };
    let message = format!("`{}` is no kind of document", tree::shown(written));
    report.error(codes::UNKNOWN_KIND, entry.value.place, &message, "", &help);
    guess().map(|(_, kind)| kind)
}

/// Reads a document's name; gives it with the place that stands for the document and the path of its parts.
fn named<T: std::str::FromStr<Err = rl_model::ParseError>>(
    report: &mut Report<'_>,
    names: &mut BTreeMap<String, Location>,
    root: &Node,
    shape: &Shape,
    room: &str,
    example: &str,
) -> (Option<T>, Place, String) {
    let first = root.entry("kind").map_or(root.place, |entry| entry.value.place);
    let unnamed = format!("{room}.#{}:{}", report.file, root.place.start);
    let Some(entry) = root.entry("name") else {
        let message = format!("{} needs the key `name`", shape.what);
        report.error(
            codes::MISSING_KEY,
            first,
            &message,
            "the key is missing here",
            &format!("add it, as in `{example}`"),
        );
        return (None, first, unnamed);
    };
    if entry.value.is_null() {
        return (None, first, unnamed);
    }
    let Some(found) = parsed::<T>(report, &entry.value) else { return (None, entry.value.place, unnamed) };
    let text = report_text(&entry.value);
    let path = format!("{room}.{text}");
    if let Some(other) = names.get(&path) {
        let what = shape.what.trim_start_matches("a ");
        report.findings.push(
            Diagnostic::error(codes::DUPLICATE_NAME, Some(&found.at), format!("there are two {what}s named `{text}`"))
                .label(format!("second {what}"))
                .related(Some(other), format!("first {what}"))
                .help("give one of them another name, or remove it; a file given twice counts twice"),
        );
        return (None, entry.value.place, unnamed);
    }
    names.insert(path.clone(), found.at.clone());
    report.origins.insert(path.clone(), found.at);
    (Some(found.value), entry.value.place, path)
}

fn report_text(node: &Node) -> &str {
    match &node.kind {
        Kind::Scalar(scalar) => &scalar.text,
        _ => "",
    }
}
