//! Where runs, and studies that are made of several, are exported and shown: all in the same way.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::benchmark::ignore_closed;
use super::failure::{Failure, usage};
use crate::cli::{Benchmark, Claims};
use crate::exit;
use crate::report;
use crate::report::exports::{Exports, Render};
use crate::report::subject::Subject;
use crate::sys::interrupt;

/// The flag of the export that can be read back.
pub const JSON: &str = "--json";

/// Where exports are to go, as typed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Places<'a> {
    json: Option<&'a Path>,
    csv: Option<&'a Path>,
    markdown: Option<&'a Path>,
    html: Option<&'a Path>,
    /// Files that are read, and so not written over.
    inputs: [Option<&'a Path>; 2],
    /// The function whose module is not written over either.
    call: Option<&'a str>,
}

impl Places<'_> {
    /// The flags that name a file.
    pub fn named(&self) -> Vec<&'static str> {
        let all = [
            ("--json", self.json),
            ("--csv", self.csv),
            ("--markdown", self.markdown),
            ("--html", self.html),
        ];
        all.into_iter().filter_map(|(flag, path)| path.map(|_| flag)).collect()
    }

    /// The files that are read, or may be.
    pub fn read(&self) -> Vec<PathBuf> {
        let modules = self.call.map(files_of_module).unwrap_or_default();
        self.inputs.into_iter().flatten().map(Path::to_owned).chain(modules).collect()
    }
}

macro_rules! places {
    ($($flags:ty: $others:expr),+) => {
        $(impl<'a> From<&'a $flags> for Places<'a> {
            fn from(flags: &'a $flags) -> Self {
                let [json, csv, markdown, html] =
                    [&flags.json, &flags.csv, &flags.markdown, &flags.html].map(Option::as_deref);
                let others: fn(&'a $flags) -> Places<'a> = $others;
                Self { json, csv, markdown, html, ..others(flags) }
            }
        })+
    };
}

places!(
    Benchmark: |flags| {
        // A saved run may be run again, and take the place of the old one.
        let spec = flags.config.as_deref().filter(|path| path.extension().is_none_or(|of| of != "json"));
        Places {
            inputs: [spec, flags.args_from.as_deref().map(Path::new)],
            call: flags.call.as_deref(),
            ..Places::default()
        }
    },
    Claims: |_| Places::default()
);

/// Opens what is to be written to.
pub fn open<'a, T>(places: impl Into<Places<'a>>) -> Result<Exports<T>, Failure>
where
    T: Serialize,
    for<'b> Subject<'b>: From<&'b T>,
{
    open_with(report::json::export::<T>, places.into())
}

/// The same, where JSON is not made as everywhere.
pub fn open_with<T>(json: Render<T>, places: Places<'_>) -> Result<Exports<T>, Failure>
where
    for<'b> Subject<'b>: From<&'b T>,
{
    let exports = Exports::open(&[
        (JSON, places.json, json),
        ("--csv", places.csv, |made: &T| report::csv::export(&[Subject::from(made)])),
        ("--markdown", places.markdown, |made: &T| report::markdown::export(&[Subject::from(made)])),
        ("--html", places.html, |made: &T| report::html::export(&[Subject::from(made)])),
    ]);
    let read = places.read();
    let exports = exports.and_then(|exports| exports.spare(read.iter().map(PathBuf::as_path)));
    exports.map_err(|error| match interrupt::was_told() {
        true => Failure::new(exit::INTERRUPTED, format!("{error:#}")),
        false => usage(format!("{error:#}")),
    })
}

/// Where Python may find the module of the function `call`, and the packages that it is in, among the user's own files.
fn files_of_module(call: &str) -> Vec<PathBuf> {
    let module = call.split(':').next().unwrap_or_default();
    let path = std::env::var_os("PYTHONPATH").unwrap_or_default();
    let mut files = Vec::new();
    for mut folder in [PathBuf::from(".")].into_iter().chain(std::env::split_paths(&path)) {
        for name in module.split('.') {
            folder.push(name);
            files.extend([folder.with_extension("py"), folder.join("__init__.py")]);
        }
    }
    files
}

/// Exports `study`, and has `write` show it on standard output, unless an export goes there.
pub fn show<T>(
    study: &T,
    exports: Exports<T>,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Failure> {
    let to_standard_output = exports.take_standard_output();
    // A disk that is full takes the export, not the tables.
    let exported = exports.write(study);
    if !to_standard_output {
        let mut out = anstream::stdout().lock();
        ignore_closed(write(&mut out).and_then(|()| out.flush()))?;
    }
    Ok(exported?)
}
