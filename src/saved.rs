//! Files that a procbench has written, read back: whose they are, which version they have, and never more of them than
//! fits. What is in them is for [`document`](crate::document) and [`plan`](crate::plan) to say.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

use crate::document::head::Kind;
use crate::exit;
use crate::sys::interrupt;

/// Raised whenever a field of an export changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// What is larger was not written by a person, nor by a procbench.
pub const LARGEST_BYTES: u64 = 256 << 20;

/// Reads the text at `path`, or standard input for `-`, of `most` bytes or less; `what` it should be is only shown.
///
/// # Errors
/// One sentence that names the file: it cannot be read, is too large, or is no text.
pub fn read_text(path: &Path, what: &str, most: u64) -> Result<String, String> {
    let shown = path.display();
    let mut bytes = Vec::new();
    // What a pipe or a device has to say is known only when it has been read.
    let read = interrupt::ends_at_once(exit::INTERRUPTED, || match path == Path::new("-") {
        true => io::stdin().lock().take(most + 1).read_to_end(&mut bytes),
        false => File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)),
    });
    read.map_err(|error| format!("failed to read {what} {shown}: {error}"))?;
    if bytes.len() as u64 > most {
        return Err(format!("failed to read {what} {shown}: it is too large, expected at most {most} bytes"));
    }
    String::from_utf8(bytes)
        .map_err(|error| format!("failed to read {what} {shown}: not UTF-8 text ({error})"))
}

/// What an export says of itself. A hand-written plan says nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Header {
    schema_version: Option<serde_json::Value>,
    kind: Option<String>,
    /// What those have that were written before they said their kind.
    claims: Option<IgnoredAny>,
    tool: Option<Writer>,
}

#[derive(Debug, Deserialize)]
struct Writer {
    version: String,
}

impl Header {
    /// What `text` says of itself; nothing if it is not even JSON, which whoever reads the rest will say better.
    pub fn of(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// Why an export of this version is not read, if it is not.
    pub fn refusal(&self) -> Option<String> {
        let version = self.schema_version.as_ref()?;
        if version.as_u64() == Some(u64::from(SCHEMA_VERSION)) {
            return None;
        }
        let writer = match &self.tool {
            Some(tool) => format!(" (written by procbench {})", tool.version),
            None => String::new(),
        };
        Some(format!(
            "its schema_version is {version}{writer}: expected {SCHEMA_VERSION}, which is all that procbench {} reads",
            env!("CARGO_PKG_VERSION")
        ))
    }

    /// What it is an export of.
    pub fn kind(&self) -> &str {
        let unsaid = if self.claims.is_some() { Kind::Claims } else { Kind::Run };
        self.kind.as_deref().unwrap_or(unsaid.name())
    }
}

/// What the export in `text` says of itself, if it is one that this program reads; `path` is only shown.
///
/// # Errors
/// One sentence that names the file, what was found there and what was expected.
pub fn header(text: &str, path: &Path) -> Result<Header, String> {
    let shown = path.display();
    let header: Header = match serde_json::from_str(text) {
        Ok(header) => header,
        // What is JSON, but of another shape, need not be told in which column.
        Err(error) if error.is_data() => return Err(format!("{shown} is not an export of procbench")),
        Err(error) => return Err(wrong(&error, path, "procbench")),
    };
    if header.schema_version.is_none() {
        return Err(format!("{shown} is not an export of procbench: it has no schema_version"));
    }
    match header.refusal() {
        Some(refusal) => Err(format!("{shown} cannot be read: {refusal}")),
        None => Ok(header),
    }
}

/// Reads an export of the kind `wanted` from `text`; `path` is only shown.
///
/// # Errors
/// One sentence that names the file, what was found there and what was expected.
pub fn parse<T: DeserializeOwned>(text: &str, path: &Path, wanted: Kind) -> Result<T, String> {
    // Two passes: the rest of another version, or of another kind, would only give an error that leads astray.
    let header = header(text, path)?;
    if header.kind() != wanted.name() {
        return Err(another_kind(&header, path, wanted.in_words()));
    }
    serde_json::from_str(text).map_err(|error| wrong(&error, path, wanted.in_words()))
}

/// Why an export is not read that is of another kind than those that are `expected`.
pub fn another_kind(header: &Header, path: &Path, expected: &str) -> String {
    let found = Kind::ALL.into_iter().find(|kind| kind.name() == header.kind());
    let found = found.map_or_else(|| format!("a '{}'", header.kind()), |kind| kind.in_words().into());
    format!("{} is the export of {found}: expected that of {expected}", path.display())
}

fn wrong(error: &serde_json::Error, path: &Path, wanted: &str) -> String {
    let shown = path.display();
    match error.classify() {
        Category::Eof => {
            format!("{shown} ends too early, in line {}: it is empty, or was cut off", error.line())
        }
        Category::Syntax => format!("{shown} is not JSON: {error}"),
        _ => format!("{shown} is not the export of {wanted}: {error}"),
    }
}
