//! What is measured from outside a round. Nothing here prints.

pub mod bystander;
pub mod conditions;
pub mod environment;
pub mod kernel;
pub mod limits;
pub mod memory;
pub mod parked;
pub mod shortage;
pub mod storage;
