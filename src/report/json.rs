//! The JSON export: every raw value and every summary.

use anyhow::Context;
use serde::Serialize;

/// `document` as JSON, with an end of line.
///
/// # Errors
/// If it has no such form.
pub fn export<T: Serialize>(document: &T) -> anyhow::Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(document).context("failed to write the document as JSON")?;
    text.push(b'\n');
    Ok(text)
}
