//! How the program is linked, and which commit it is built from.

use std::path::Path;
use std::process::Command;

fn main() {
    // A program that may be loaded anywhere is full of addresses that the loader fills in: several hundred pages that are
    // then this process's own, and that every fork has to copy the page tables of. At a fixed address they stay as they
    // are in the file. What is given up is the randomisation of the program's own address.
    println!("cargo:rustc-link-arg-bins=-no-pie");

    link_unwinder();

    println!("cargo:rerun-if-changed=build.rs");
    // In a worktree it lies elsewhere, and a file that is not there would have everything built anew each time.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo:rerun-if-changed={log}");
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_default();
    println!("cargo:rustc-env=PROCBENCH_COMMIT={commit}");
}

/// What git says; nothing where there is no git, or no repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// Links the unwinder into the program where the C compiler has it as an archive. Otherwise it is a shared library of its own:
/// more mappings for every fork to copy, and one more library for every exec to load.
fn link_unwinder() {
    let target = std::env::var("TARGET").unwrap_or_default();
    if std::env::var("HOST").as_deref() != Ok(&target) || !target.ends_with("-linux-gnu") {
        return;
    }
    let asked = Command::new("cc").arg("-print-file-name=libgcc_eh.a").output();
    let answer = asked.ok().and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    let archive = Path::new(answer.trim());
    if let Some(folder) = archive.parent().filter(|_| archive.is_absolute() && archive.exists()) {
        println!("cargo:rustc-link-search=native={}", folder.display());
        println!("cargo:rustc-link-lib=static:-bundle=gcc_eh");
    }
}
