//! How the program is linked, and which commit it is built from.

use std::process::Command;

fn main() {
    // A program that may be loaded anywhere is full of addresses that the loader fills in: several hundred pages that are
    // then this process's own, and that every fork has to copy the page tables of. At a fixed address they stay as they
    // are in the file. What is given up is the randomisation of the program's own address.
    println!("cargo:rustc-link-arg-bins=-no-pie");

    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=.git/logs/HEAD");
    let commit = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    let commit = commit.ok().filter(|output| output.status.success());
    let commit = commit.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    println!("cargo:rustc-env=PROCBENCH_COMMIT={}", commit.trim());
}
