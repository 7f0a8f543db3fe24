//! procbench measures what it costs to execute a workload serially, by threads, through a pool of
//! worker processes, and as one process per task, on the machine it runs on.
//!
//! From command line to table:
//!
//! 1. [`cli`] is what was typed; [`plan`] merges it with a spec file and resolves it into a validated plan.
//! 2. [`experiment`] looks at the machine once (its workbench), draws the order of rounds and starts one fresh runner process for each.
//! 3. The runner ([`engine`]) builds the [`workload`], executes it in one [`mode`], checks what must hold and reports.
//! 4. [`experiment`] adds what it [`measure`]s from outside, and sums up with [`stats`] into a [`document`].
//! 5. [`report`] shows the document: tables, JSON. Nothing is printed that is not in it.
//!
//! What takes several runs is a [`study`], between [`report`] and [`experiment`].

#![deny(unsafe_code)]

pub mod app;
pub mod cli;
pub mod document;
pub mod engine;
pub mod exit;
pub mod experiment;
pub mod janitor;
pub mod measure;
pub mod mode;
pub mod plan;
pub mod report;
pub mod saved;
pub mod seed;
pub mod stats;
pub mod study;
pub mod sys;
pub mod workload;
