//! The few fixed programs that run inside guests. They are for a POSIX shell and the tools of coreutils or busybox; whatever
//! varies is handed over as an argument, never put into the text.

/// A guest's shell.
const SHELL: &str = "/bin/sh";

/// Exit code: the path is a folder.
pub(crate) const IS_FOLDER: i32 = 91;
/// Exit code: what arrived in the guest has another digest.
pub(crate) const OTHER_DIGEST: i32 = 92;
/// Exit code: there is no such file.
pub(crate) const NO_FILE: i32 = 93;

/// Exit code: the file is not wanted any more.
pub(crate) const NOT_WANTED: i32 = 94;
/// What the script says when the whole file lies under its temporary name.
pub(crate) const STAGED: &[u8] = b"staged\n";
/// What it is told then, to give the file its name.
pub(crate) const GO: &[u8] = b"go\n";

/// Writes a file under a temporary name beside its path, says so, and gives it its name when it is told to. Standard input: digest
/// and length on a line, the content, and then the word. Whoever feeds it may die at any moment: an input that ends early leaves nothing behind,
/// and what a script left that was itself killed with its guest is removed by the next one.
/// Arguments: temporary name, path, owner, mode. They can be read by everybody in the guest, so the digest is none of them.
const WRITE: &str = r#"set -eu
if [ -d "$2" ]; then exit 91; fi
trap 'rm -f -- "$1"' EXIT
trap 'exit 1' HUP INT TERM
hex='[0-9a-f][0-9a-f][0-9a-f][0-9a-f]'
rm -f -- "${1%.*}".$hex$hex$hex$hex
dir=${2%/*}
if [ -n "$dir" ] && [ ! -d "$dir" ]; then umask 022; mkdir -p -- "$dir"; fi
umask 077
set -C
read -r wanted length
head -c "$length" > "$1"
got=$(sha256sum < "$1")
if [ "${got%% *}" != "$wanted" ]; then exit 92; fi
chown -- "$3" "$1"
chmod -- "$4" "$1"
echo staged
if ! read -r word || [ "$word" != go ]; then exit 94; fi
if [ -d "$2" ]; then exit 91; fi
mv -f -- "$1" "$2"
sha256sum < "$2"
"#;
const DIGEST: &str = r#"set -eu
if [ -d "$1" ]; then exit 91; fi
if [ ! -e "$1" ]; then exit 93; fi
sha256sum < "$1"
stat -c '%a %U:%G %u:%g' -- "$1"
"#;
/// Arguments: path, and how temporary names of it begin.
const REMOVE: &str = r#"set -eu
hex='[0-9a-f][0-9a-f][0-9a-f][0-9a-f]'
rm -f -- "$2".$hex$hex$hex$hex
if [ -d "$1" ] && [ ! -L "$1" ]; then exit 91; fi
if [ ! -e "$1" ] && [ ! -L "$1" ]; then exit 93; fi
rm -f -- "$1"
"#;
const LIST: &str = r#"set -eu
if [ ! -d "$1" ]; then exit 93; fi
exec find "$1" -xdev ! -type d -print0
"#;
const PULL: &str = r#"set -eu
if [ -d "$1" ]; then exit 91; fi
if [ ! -e "$1" ]; then exit 93; fi
exec cat -- "$1"
"#;
/// Runs what follows as another account, whose name comes first.
const AS_USER: &str = r#"exec "$0" "$@""#;

fn script(text: &str, args: &[&str]) -> Vec<String> {
    [SHELL, "-c", text, "sh"].into_iter().chain(args.iter().copied()).map(str::to_owned).collect()
}

pub(crate) fn write(part: &str, path: &str, owner: &str, mode: &str) -> Vec<String> {
    script(WRITE, &[part, path, owner, mode])
}

pub(crate) fn digest(path: &str) -> Vec<String> {
    script(DIGEST, &[path])
}

pub(crate) fn remove(path: &str, parts: &str) -> Vec<String> {
    script(REMOVE, &[path, parts])
}

pub(crate) fn list(folder: &str) -> Vec<String> {
    script(LIST, &[folder])
}

pub(crate) fn pull(path: &str) -> Vec<String> {
    script(PULL, &[path])
}

/// A command under its time limit inside the guest, so that it ends also when the agent does not live to end it; as another
/// account where one is given.
pub(crate) fn command(argv: &[String], user: Option<&str>, limit_s: u32) -> Vec<String> {
    let limit = limit_s.to_string();
    let mut words: Vec<String> = ["timeout", "-k", "5", &limit].into_iter().map(str::to_owned).collect();
    if let Some(user) = user {
        words.extend(["su", "-s", SHELL, "-c", AS_USER, "--", user].into_iter().map(str::to_owned));
    }
    words.extend(argv.iter().cloned());
    words
}
