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

/// Writes standard input under a temporary name beside the path, compares the digest, sets owner and mode.
/// Arguments: temporary name, path, digest or nothing, owner, mode. Arguments can be read by everybody in the guest, so the digest of a
/// secret is never one: the agent compares what the script prints.
const STAGE: &str = r#"set -eu
if [ -d "$2" ]; then exit 91; fi
dir=${2%/*}
if [ -n "$dir" ] && [ ! -d "$dir" ]; then umask 022; mkdir -p -- "$dir"; fi
umask 077
set -C
cat > "$1"
got=$(sha256sum < "$1")
if [ -n "$3" ] && [ "${got%% *}" != "$3" ]; then rm -f -- "$1"; exit 92; fi
if ! { chown -- "$4" "$1" && chmod -- "$5" "$1"; }; then rm -f -- "$1"; exit 1; fi
"#;
/// Gives the file its name, in one step, and reads its digest back.
const COMMIT: &str = r#"set -eu
if [ -d "$2" ]; then rm -f -- "$1"; exit 91; fi
mv -f -- "$1" "$2"
sha256sum < "$2"
"#;
const CLEAN: &str = r#"rm -f -- "$1""#;
const DIGEST: &str = r#"set -eu
if [ -d "$1" ]; then exit 91; fi
if [ ! -e "$1" ]; then exit 93; fi
sha256sum < "$1"
stat -c '%a %U:%G %u:%g' -- "$1"
"#;
const REMOVE: &str = r#"set -eu
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

pub(crate) fn stage(part: &str, path: &str, digest: &str, owner: &str, mode: &str) -> Vec<String> {
    script(STAGE, &[part, path, digest, owner, mode])
}

pub(crate) fn commit(part: &str, path: &str) -> Vec<String> {
    script(COMMIT, &[part, path])
}

/// Both at once, for a guest that is held meanwhile.
pub(crate) fn stage_and_commit(part: &str, path: &str, digest: &str, owner: &str, mode: &str) -> Vec<String> {
    script(&[STAGE, COMMIT].concat(), &[part, path, digest, owner, mode])
}

pub(crate) fn clean(part: &str) -> Vec<String> {
    script(CLEAN, &[part])
}

pub(crate) fn digest(path: &str) -> Vec<String> {
    script(DIGEST, &[path])
}

pub(crate) fn remove(path: &str) -> Vec<String> {
    script(REMOVE, &[path])
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
