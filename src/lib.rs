//! procbench measures what it costs to execute a workload serially, by threads, through a pool of
//! worker processes, and as one process per task, on the machine it runs on.

#![deny(unsafe_code)]

pub mod seed;

pub mod workload;
