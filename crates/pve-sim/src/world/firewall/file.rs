//! Firewall files: reading them as PVE does, skipping what cannot be read, and writing them in PVE's order.

use super::conf::{Alias, Conf, Entry, Group, IpSet, option_kind};
use super::rule::Rule;
use super::verify::Names;
use super::{Env, address, is_name};

/// Longest name of a security group.
const LONGEST_GROUP: usize = 18;
/// Longest name of an IP set.
const LONGEST_SET: usize = 64;
/// Datacenter rules switched on with a time are off again so many seconds later.
const TRIAL_S: i64 = 60;

enum Section {
    None,
    Options,
    Aliases,
    Rules,
    Set(String),
    Group(String),
}

/// Reads a file. `cluster` is the datacenter's file for all others; `now` is in seconds since 1970. The lines that could not
/// be read come back too.
pub(crate) fn read(text: &str, env: Env, cluster: Option<&Conf>, now: i64) -> (Conf, Vec<String>) {
    let mut conf = Conf { present: !text.is_empty(), ..Conf::default() };
    let mut section = Section::None;
    let mut skipped = Vec::new();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        match header(line, env) {
            Some(Ok((next, comment))) => section = open(&mut conf, next, comment),
            Some(Err(())) => {
                section = Section::None;
                skipped.push(line.to_owned());
            }
            None => {
                if !read_line(&mut conf, &section, line, env, cluster, now) {
                    skipped.push(line.to_owned());
                }
            }
        }
    }
    (conf, skipped)
}

/// `[rules]`, `[ipset name] # comment` and so on; an error for a name that cannot be.
fn header(line: &str, env: Env) -> Option<Result<(Section, Option<String>), ()>> {
    let (inner, rest) = line.strip_prefix('[')?.split_once(']')?;
    let comment = rest.split_once('#').map(|(_, c)| c.trim().to_owned()).filter(|c| !c.is_empty());
    let inner = inner.to_lowercase();
    let mut words = inner.split_whitespace();
    let (first, second) = (words.next()?, words.next());
    let cluster = env == Env::Cluster;
    let section = match (first, second) {
        ("options", None) => Section::Options,
        ("rules", None) => Section::Rules,
        ("aliases", None) if env != Env::Node => Section::Aliases,
        ("ipset", Some(name)) if env != Env::Node => Section::Set(name.to_owned()),
        ("group", Some(name)) if cluster => Section::Group(name.to_owned()),
        _ => return None,
    };
    let good = match &section {
        Section::Set(name) => is_name(name) && name.len() <= LONGEST_SET,
        Section::Group(name) => is_name(name) && name.len() <= LONGEST_GROUP,
        _ => true,
    };
    Some(if good { Ok((section, comment)) } else { Err(()) })
}

fn open(conf: &mut Conf, section: Section, comment: Option<String>) -> Section {
    match &section {
        Section::Set(name) => {
            conf.sets.insert(name.clone(), IpSet { comment, entries: Vec::new() });
        }
        Section::Group(name) => {
            conf.groups.insert(name.clone(), Group { comment, rules: Vec::new() });
        }
        _ => {}
    }
    section
}

/// Names as seen from inside a file that is being read.
fn names<'a>(conf: &'a Conf, env: Env, cluster: Option<&'a Conf>) -> Names<'a> {
    match env {
        Env::Cluster | Env::Group => Names { own: None, cluster: Some(conf) },
        Env::Node => Names { own: None, cluster },
        Env::Ct | Env::Vm => Names { own: Some(conf), cluster },
    }
}

fn read_line(conf: &mut Conf, section: &Section, line: &str, env: Env, cluster: Option<&Conf>, now: i64) -> bool {
    match section {
        Section::None => false,
        Section::Options => read_option(conf, line, env, now),
        Section::Aliases => read_alias(line).map(|a| conf.aliases.insert(a.name.to_lowercase(), a)).is_some(),
        Section::Rules => {
            let rule = Rule::read(line, env, &names(conf, env, cluster));
            rule.map(|r| conf.rules.push(r)).is_ok()
        }
        Section::Group(name) => {
            let rule = Rule::read(line, Env::Group, &names(conf, env, cluster));
            let group = conf.groups.entry(name.clone()).or_default();
            rule.map(|r| group.rules.push(r)).is_ok()
        }
        Section::Set(name) => {
            let entry = read_entry(line, &names(conf, env, cluster));
            let set = conf.sets.entry(name.clone()).or_default();
            entry.map(|e| push_entry(set, e)).is_some()
        }
    }
}

fn read_option(conf: &mut Conf, line: &str, env: Env, now: i64) -> bool {
    let Some((name, value)) = line.split_once(':') else { return false };
    let (name, mut value) = (name.to_lowercase(), value.trim().to_owned());
    let Some(kind) = option_kind(env, &name).filter(|kind| kind.accepts(&value)) else { return false };
    if env == Env::Cluster && name == "enable" && kind.is_number() {
        let since = value.parse::<i64>().unwrap_or(0);
        if since > 1 && now - since > TRIAL_S {
            "0".clone_into(&mut value);
        }
    }
    conf.options.insert(name, value);
    true
}

/// Takes the comment off a line; an empty one is none.
fn split_comment(line: &str) -> (&str, Option<String>) {
    match line.split_once('#') {
        Some((before, comment)) => (before.trim_end(), Some(comment.trim().to_owned()).filter(|c| !c.is_empty())),
        None => (line, None),
    }
}

fn read_alias(line: &str) -> Option<Alias> {
    let (line, comment) = split_comment(line);
    let (name, cidr) = line.split_once(' ')?;
    let (cidr, ipversion) = address::parse_cidr(cidr.trim()).ok()?;
    Some(Alias { name: name.to_owned(), cidr, ipversion, comment })
}

fn read_entry(line: &str, names: &Names) -> Option<Entry> {
    let (line, comment) = split_comment(line);
    let wanted = line.strip_prefix('!');
    let text = wanted.unwrap_or(line).trim();
    if text.is_empty() || text.contains(char::is_whitespace) {
        return None;
    }
    let mut entry = Entry { cidr: text.to_owned(), nomatch: wanted.is_some(), comment, ..Entry::default() };
    let read = if is_name(address::split_scope(text).1) {
        names.alias(text).map(|_| text.to_owned()).ok_or_else(|| format!("no such alias '{text}'"))
    } else {
        address::parse_cidr(text).map(|(cidr, _)| cidr)
    };
    match read {
        Ok(cidr) => entry.cidr = cidr,
        Err(why) => drop(entry.errors.insert("cidr".to_owned(), why)),
    }
    if is_zero_prefix(&entry.cidr) {
        entry.errors.insert("cidr".to_owned(), "a zero prefix is not allowed in ipset entries".to_owned());
    }
    Some(entry)
}

/// A network of everything cannot be in a set.
pub(crate) fn is_zero_prefix(cidr: &str) -> bool {
    cidr.rsplit_once('/').is_some_and(|(_, len)| !len.is_empty() && len.bytes().all(|b| b == b'0'))
}

fn push_entry(set: &mut IpSet, mut entry: Entry) {
    if set.entries.iter().any(|e| e.cidr == entry.cidr) {
        let why = format!("duplicate ipset entry for '{}'", entry.cidr);
        entry.errors.entry("cidr".to_owned()).or_insert(why);
    }
    set.entries.push(entry);
}

/// The file's text; empty when there is nothing to say, and then there is no file.
pub(crate) fn write(conf: &Conf) -> String {
    let mut out = String::new();
    if !conf.options.is_empty() {
        out.push_str("[OPTIONS]\n\n");
        out.extend(conf.options.iter().map(|(name, value)| format!("{name}: {value}\n")));
        out.push('\n');
    }
    if !conf.aliases.is_empty() {
        out.push_str("[ALIASES]\n\n");
        out.extend(conf.aliases.values().map(|a| format!("{} {}{}\n", a.name, a.cidr, comment(a.comment.as_deref()))));
        out.push('\n');
    }
    for (name, set) in &conf.sets {
        write_set(&mut out, name, set);
    }
    if !conf.rules.is_empty() {
        out.push_str("[RULES]\n\n");
        out.extend(conf.rules.iter().map(|r| r.write(true)));
        out.push('\n');
    }
    for (name, group) in &conf.groups {
        out.push_str(&format!("[group {name}]{}\n\n", comment(group.comment.as_deref())));
        out.extend(group.rules.iter().map(|r| r.write(false)));
        out.push('\n');
    }
    out
}

fn comment(text: Option<&str>) -> String {
    text.filter(|t| !t.trim().is_empty()).map_or_else(String::new, |t| format!(" # {t}"))
}

/// Entries are sorted by their text.
fn write_set(out: &mut String, name: &str, set: &IpSet) {
    out.push_str(&format!("[IPSET {name}]{}\n\n", comment(set.comment.as_deref())));
    let mut entries: Vec<&Entry> = set.entries.iter().collect();
    entries.sort_by(|a, b| a.cidr.cmp(&b.cidr));
    entries.dedup_by(|a, b| a.cidr == b.cidr);
    for entry in entries {
        let sign = if entry.nomatch { "!" } else { "" };
        out.push_str(&format!("{sign}{}{}\n", entry.cidr, comment(entry.comment.as_deref())));
    }
    out.push('\n');
}
