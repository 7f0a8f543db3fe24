//! The atomic number that workers and their parent share.
//!
//! It is the standard library's. In this crate's own tests it is one that tells of each access before it is made, so that a
//! test can let whoever makes it die, or be overtaken, there and at every other access; and one whose every order of accesses,
//! and every value that the memory model lets a load return, can be gone through.

#[cfg(not(test))]
pub use std::sync::atomic::{AtomicU64, fence};

#[cfg(test)]
pub mod reordered;
#[cfg(test)]
mod watched;

#[cfg(test)]
pub use reordered::fence;
#[cfg(test)]
pub use watched::{AtomicU64, watching};
