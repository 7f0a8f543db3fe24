//! Questions that take several runs: each is a plan of runs, and a pure rule that makes an answer of their documents.

pub mod claims;
