//! Parse, plan, run, report.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(procbench::app::main() as u8)
}
