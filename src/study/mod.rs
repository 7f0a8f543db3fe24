//! Questions that take more than one benchmark to answer.

pub mod advise;
pub mod crossover;
pub mod standing;
pub mod sweep;
