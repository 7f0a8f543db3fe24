//! x
use crate::document::Document;
/// x
/// # Errors
/// x
pub fn export(_runs: &[Document]) -> anyhow::Result<Vec<u8>> {
    Ok(Vec::new())
}
