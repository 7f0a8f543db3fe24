//! What is measured from outside a round. Nothing here prints.

pub mod kernel;
pub mod limits;
pub mod memory;
pub mod parked;
