//! Files that a procbench has written, read back: whose they are, which version they have, and never more of them than
//! fits. What is in them is for [`document`](crate::document) and [`plan`](crate::plan) to say.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

/// Raised whenever a field of an export changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// The kind of an export that does not say what it is: one benchmark.
pub const RUN: &str = "run";

/// The kind of an export that compares two runs.
pub const COMPARISON: &str = "comparison";

/// The kind of an export that is a sweep.
pub const SWEEP: &str = "sweep";

/// What is larger was not written by a person, nor by a procbench, unless it is a sweep.
const LARGEST_BYTES: u64 = 64 << 20;

/// Room for as many cells as a sweep may have, each as large as runs are.
pub const LARGEST_SWEEP_BYTES: u64 = 1 << 30;

/// Reads the text at `path`, or standard input for `-`; `what` it should be is only shown.
///
/// # Errors
/// One sentence that names the file: it cannot be read, is too large, or is no text.
pub fn read_text(path: &Path, what: &str) -> Result<String, String> {
    read_text_up_to(LARGEST_BYTES, path, what)
}

/// The same of at most `most` bytes.
///
/// # Errors
/// As [`read_text`].
pub fn read_text_up_to(most: u64, path: &Path, what: &str) -> Result<String, String> {
    let shown = path.display();
    let mut bytes = Vec::new();
    // What a pipe or a device has to say is known only when it has been read.
    let read = if path == Path::new("-") {
        io::stdin().lock().take(most + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
    };
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
        self.kind.as_deref().unwrap_or(RUN)
    }
}

/// Reads an export of the kind `wanted` from `text`; `path` is only shown.
///
/// # Errors
/// One sentence that names the file, what was found there and what was expected.
pub fn parse<T: DeserializeOwned>(text: &str, path: &Path, wanted: &str) -> Result<T, String> {
    let shown = path.display();
    let wrong = |error: serde_json::Error| match error.classify() {
        Category::Eof => {
            format!("{shown} ends too early, in line {}: it is empty, or was cut off", error.line())
        }
        Category::Syntax => format!("{shown} is not JSON: {error}"),
        _ => format!("{shown} is not the export of a {wanted}: {error}"),
    };
    // Two passes: the rest of another version, or of another kind, would only give an error that leads astray.
    let header: Header = serde_json::from_str(text).map_err(wrong)?;
    if header.schema_version.is_none() {
        return Err(format!("{shown} is not an export of procbench: it has no schema_version"));
    }
    if let Some(refusal) = header.refusal() {
        return Err(format!("{shown} cannot be read: {refusal}"));
    }
    if header.kind() != wanted {
        return Err(format!("{shown} is the export of a {}: expected that of a {wanted}", header.kind()));
    }
    serde_json::from_str(text).map_err(wrong)
}
