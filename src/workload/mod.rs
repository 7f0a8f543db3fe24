//! What a task computes.

#[cfg(feature = "excel")]
pub mod excel;
pub mod formula;
