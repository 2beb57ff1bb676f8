//! Reads stack and site files, and turns what is wrong with them into one report.

use std::io::Read;
use std::path::{Path, PathBuf};

use rl_model::manifest::Manifest;
use rl_planner::diagnostic::{self, Diagnostic, Source};
use rl_planner::parse::{FILE_BYTES_MAX, Known, ManifestErrors, parse_bytes};
use rl_planner::resolve::ResolveErrors;

use crate::error::CommandError;
use crate::out::Out;

/// A file as it was read.
#[derive(Debug, Clone)]
pub(crate) struct InputFile {
    /// Its name, as the user gave it.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
}

/// Files as they were read, with their manifest.
pub(crate) struct Inputs {
    /// The files.
    pub(crate) files: Vec<InputFile>,
    /// What they declare.
    pub(crate) manifest: Manifest,
    /// What the user should look at although it is no mistake.
    pub(crate) warnings: Vec<Diagnostic>,
}

/// Reads and checks files; `known` are sites from earlier applies. Warnings are said on stderr.
pub(crate) fn read(paths: &[PathBuf], known: &Known, out: &Out) -> Result<Inputs, CommandError> {
    let inputs = read_quietly(paths, known, out)?;
    if !inputs.warnings.is_empty() {
        out.say(&render_warnings(&inputs, out.colour_err));
    }
    Ok(inputs)
}

/// Findings about files, with excerpts.
pub(crate) fn render(found: &[Diagnostic], files: &[InputFile], colour: bool) -> String {
    diagnostic::render(found, &sources(files), colour)
}

/// The warnings of files without mistakes, with excerpts.
pub(crate) fn render_warnings(inputs: &Inputs, colour: bool) -> String {
    render(&inputs.warnings, &inputs.files, colour)
}

/// The same as [`read`], with the warnings left to the caller.
pub(crate) fn read_quietly(paths: &[PathBuf], known: &Known, out: &Out) -> Result<Inputs, CommandError> {
    let raw: Vec<(String, Vec<u8>)> =
        paths.iter().map(|path| Ok((shown(path), bytes(path)?))).collect::<Result<_, CommandError>>()?;
    parsed(&raw, known, out)
}

/// Checks files that somebody sent, by name and content.
pub(crate) fn parsed(raw: &[(String, Vec<u8>)], known: &Known, out: &Out) -> Result<Inputs, CommandError> {
    let borrowed: Vec<(&str, &[u8])> = raw.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let parsed = parse_bytes(&borrowed, known);
    let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(FILE_BYTES_MAX)]).into_owned();
    let files: Vec<InputFile> =
        raw.iter().map(|(name, bytes)| InputFile { name: name.clone(), text: text(bytes) }).collect();
    match parsed {
        Ok((manifest, warnings)) => Ok(Inputs { files, manifest, warnings }),
        Err(errors) => Err(refused(errors, &files, out)),
    }
}

/// The error for files with mistakes: all of them, rendered for people and as data.
fn refused(errors: ManifestErrors, files: &[InputFile], out: &Out) -> CommandError {
    CommandError::input(errors.to_string())
        .rendered(errors.render(&sources(files), out.colour_err))
        .detailed(serde_json::json!({ "diagnostics": errors.diagnostics }))
}

/// The error for what was found only when the sites were looked at, in the same form.
pub(crate) fn unresolved(errors: &ResolveErrors, files: &[InputFile], out: &Out) -> CommandError {
    CommandError::input(errors.to_string())
        .rendered(errors.render(&sources(files), out.colour_err))
        .detailed(serde_json::json!({ "diagnostics": errors.diagnostics }))
}

fn sources(files: &[InputFile]) -> Vec<Source<'_>> {
    files.iter().map(|file| Source { name: &file.name, text: &file.text }).collect()
}

fn shown(path: &Path) -> String {
    if path == Path::new("-") { "<stdin>".to_owned() } else { path.display().to_string() }
}

/// Reads at most one byte more than is accepted, so that a huge file is refused without being held in memory.
fn bytes(path: &Path) -> Result<Vec<u8>, CommandError> {
    let limit = FILE_BYTES_MAX as u64 + 1;
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| {
        CommandError::input(format!("{} cannot be read; nothing was touched", shown(path)))
            .because(error)
            .hinted("check the path, and that you may read it")
    })?;
    Ok(bytes)
}
