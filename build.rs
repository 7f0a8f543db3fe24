//! How the program is linked, and which commit it is built from.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn main() {
    // A program that may be loaded anywhere is full of addresses that the loader fills in: several hundred pages that are
    // then this process's own, and that every fork has to copy the page tables of. At a fixed address they stay as they
    // are in the file. What is given up is the randomisation of the program's own address.
    println!("cargo:rustc-link-arg-bins=-no-pie");

    println!("cargo:rustc-check-cfg=cfg(rseq_symbols)");
    let target = env::var("TARGET").unwrap_or_default();
    if env::var("HOST").as_deref() == Ok(&target) && target.ends_with("-linux-gnu") {
        link_unwinder();
        link_statically();
        if compiles(RSEQ_SYMBOLS, &[]) {
            println!("cargo:rustc-cfg=rseq_symbols");
        }
    }

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
    let Some(unwinder) = archive("gcc_eh") else { return };
    // In a folder of its own, since beside it lies the shared one, which would be found first where it is asked for.
    if let Ok(folder) = folder_of_archives("unwinder", &[("gcc_eh", unwinder)]) {
        println!("cargo:rustc-link-search=native={}", folder.display());
        println!("cargo:rustc-link-lib=static:-bundle=gcc_eh");
    }
}

/// Links the C library into the program where it can be had as an archive: an executed child is then one file that is mapped
/// and begun, where a loader would first map two more and fill in a thousand addresses.
///
/// rustc asks for shared libraries by name, unless it is told otherwise by flags that a package cannot set for those who build
/// it. So these names lead to a folder that holds the archives and nothing else. Only for the program: tests and
/// benchmarks are linked as usual.
fn link_statically() {
    // Those that Rust's standard library asks for. Newer C libraries have most of them as empty archives.
    const LIBRARIES: [&str; 6] = ["c", "m", "rt", "pthread", "util", "dl"];
    const TRIAL: &str = "#include <math.h>\n#include <stdlib.h>\n\
        int main(int count, char **words) { return (int)cos(atof(words[count - 1])); }\n";

    let Some(archives) =
        LIBRARIES.iter().map(|name| Some((*name, archive(name)?))).collect::<Option<Vec<_>>>()
    else {
        return;
    };
    let (Some(unwinder), Some(compiler)) = (archive("gcc_eh"), archive("gcc")) else { return };
    if !compiles(TRIAL, &["-static", "-no-pie", "-lm"]) {
        return;
    }
    let made = folder_of_archives("archives", &archives).and_then(|folder| {
        // The shared unwinder, which is asked for even where nothing is needed of it.
        let both = format!("GROUP ( {} {} )\n", unwinder.display(), compiler.display());
        fs::write(folder.join("libgcc_s.a"), both)?;
        Ok(folder)
    });
    let folder = match made {
        Ok(folder) => folder,
        Err(error) => {
            println!("cargo:warning=the C library is not linked into the program: {error}");
            return;
        }
    };
    println!("cargo:rustc-link-arg-bins=-L{}", folder.display());
    println!("cargo:rustc-link-arg-bins=-static");
    // They need each other, which a linker that goes through its arguments once has to be told.
    for argument in ["-Wl,--start-group", "-lgcc_s", "-lc", "-Wl,--end-group"] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}

/// Where the C library says how the kernel's restartable sequences are registered. In a program that it is linked into,
/// these names cannot be looked up while it runs.
const RSEQ_SYMBOLS: &str = "#include <stddef.h>\n\
    extern const ptrdiff_t __rseq_offset;\nextern const unsigned int __rseq_size;\n\
    int main(void) { return __rseq_offset == 0 && __rseq_size == 0; }\n";

/// A new folder `name` with a link to each archive, under the name that a linker looks for.
fn folder_of_archives(name: &str, archives: &[(&str, PathBuf)]) -> io::Result<PathBuf> {
    let folder = out_dir().join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    for (library, archive) in archives {
        symlink(archive, folder.join(format!("lib{library}.a")))?;
    }
    Ok(folder)
}

/// An archive that the C compiler links with.
fn archive(name: &str) -> Option<PathBuf> {
    let asked = Command::new("cc").arg(format!("-print-file-name=lib{name}.a")).output().ok()?;
    let path = PathBuf::from(String::from_utf8(asked.stdout).ok()?.trim());
    // It answers with the bare name where it knows of none.
    (path.is_absolute() && path.exists()).then_some(path)
}

/// Whether the C compiler makes a program of `source`.
fn compiles(source: &str, arguments: &[&str]) -> bool {
    let (file, program) = (out_dir().join("trial.c"), out_dir().join("trial"));
    fs::write(&file, source).is_ok()
        && Command::new("cc")
            .arg(&file)
            .arg("-o")
            .arg(&program)
            .args(arguments)
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
}

fn out_dir() -> PathBuf {
    PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where a build script may write"))
}
