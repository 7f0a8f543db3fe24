//! The only place with `unsafe`: processes, shared memory and the system calls that no crate wraps.
//!
//! Everything exported is a safe interface; each block inside says what makes it sound. Nothing here
//! knows about tasks, modes or reports.

#![allow(unsafe_code)]

pub mod abort;
pub mod atomic;
pub mod clock;
pub mod descriptor;
pub mod early;
pub mod fork;
pub mod futex;
pub mod interrupt;
pub mod lean;
pub mod memory;
pub mod raw;
pub mod sealed;
pub mod spawn;
pub mod strays;
pub mod stream;
pub mod wait;

pub use fork::{Pid, fork};
pub use lean::LeanFork;
pub use memory::{Mapping, SharedSlice, Slots};
pub use sealed::Sealed;
