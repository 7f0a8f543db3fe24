//! Questions that take more than one benchmark to answer: each is a plan of runs, and a pure rule that makes an answer of their
//! documents.

pub mod advise;
pub mod claims;
pub mod crossover;
pub mod saved;
pub mod sweep;
