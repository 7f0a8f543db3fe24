//! What a Python program has to say to do what a strategy did with its function.

use crate::document::Document;
use crate::document::standing::{Outcome, Standing};
use crate::mode::Mode;
use crate::mode::settings::{Api, Settings, Start};
use crate::plan::program::is_name_in_python;
use crate::workload::Kind;

/// The line of the strategy that `document` names as its answer; `None` where there is no answer, or no such line.
pub fn of_answer(document: &Document) -> Option<String> {
    let standing = document.standing.clone().or_else(|| Standing::of(document))?;
    let is_answer = match standing.outcome {
        Outcome::Best | Outcome::NotDistinguished => true,
        // Who was asked about alone is no answer either where others were to be compared with it.
        Outcome::Alone => document.strategies.len() == 1 && !document.partial,
        Outcome::Failed | Outcome::TooFewRounds => false,
    };
    is_answer.then(|| of(document, &standing.best)).flatten()
}

/// The line of the strategy called `name`; `None` where tasks are no calls, or one line does not do it.
pub fn of(document: &Document, name: &str) -> Option<String> {
    let workload = &document.plan.workload;
    if workload.kind != Kind::Call {
        return None;
    }
    let function = workload.program.as_ref()?.words.first()?;
    let row = document.strategies.iter().find(|row| row.name == name)?;
    let statement = line(function, row.mode, &row.settings)?;
    Some(format!("In Python (import {}): {statement}", imported(function, &statement)))
}

/// The modules that `statement` names, which calls `function`.
fn imported(function: &str, statement: &str) -> String {
    // By what is used of each: a module of the user's own may have a name that ends like one of these.
    let of_libraries = [
        ("concurrent.futures", "concurrent.futures.ProcessPoolExecutor("),
        ("multiprocessing", "multiprocessing.get_context("),
        ("multiprocessing.pool", "multiprocessing.pool.ThreadPool("),
        ("loky", "loky.get_reusable_executor("),
        ("mpire", "mpire.WorkerPool("),
    ];
    let named = of_libraries.into_iter().filter(|(_, part)| statement.contains(part));
    let mut modules: Vec<&str> = named.map(|(module, _)| module).collect();
    modules.extend(function.split(':').next().filter(|own| !modules.contains(own)));
    modules.join(", ")
}

/// Names that the line itself gives to something.
const OWN: [&str; 5] = ["args", "arg", "pool", "results", "waiting"];

/// A statement that makes `results` of `args` by `function`, as it is typed, and leaves no pool to the garbage collector, which may hang.
fn line(function: &str, mode: Mode, settings: &Settings) -> Option<String> {
    let function = function.replace(':', ".");
    let mut names = function.split('.');
    // A saved run may be anybody's, and this is to be copied.
    if !names.clone().all(is_name_in_python) || names.next().is_some_and(|name| OWN.contains(&name)) {
        return None;
    }
    let workers = settings.workers.unwrap_or(1);
    let chunk = settings.chunk.map_or_else(String::new, |chunk| format!(", chunksize={chunk}"));
    let start = settings.start.map_or("fork", |start| start.name());
    let context = format!("multiprocessing.get_context(\"{start}\")");
    let api = settings.api.unwrap_or_default();
    let with = |pool: String, results: String| format!("with {pool} as pool: results = {results}");
    // What such a process imports first is the program itself, which would start another pool, and so on for ever.
    let imports_main = matches!(settings.start, Some(Start::Spawn | Start::Forkserver));
    let below = if imports_main { "  # below if __name__ == \"__main__\":" } else { "" };
    let statement = match (mode, api) {
        (Mode::Serial, _) => format!("results = [{function}(arg) for arg in args]"),
        (Mode::Threads, _) => with(
            format!("multiprocessing.pool.ThreadPool({workers})"),
            format!("pool.map({function}, args{chunk})"),
        ),
        // What it returns has to be carried back, in a way of the program's own.
        (Mode::Process, _) => return None,
        (Mode::Pool, Api::Executor) => with(
            format!("concurrent.futures.ProcessPoolExecutor({workers}, {context})"),
            format!("list(pool.map({function}, args{chunk}))"),
        ),
        // It is kept, to be used again.
        (Mode::Pool, Api::Loky) => {
            format!("results = list(loky.get_reusable_executor({workers}).map({function}, args{chunk}))")
        }
        (Mode::Pool, Api::Mpire) => with(
            format!("mpire.WorkerPool({workers}, start_method=\"{start}\")"),
            // It takes a list for several arguments, and makes one array of several.
            format!(
                "pool.map({function}, [(arg,) for arg in args]{}, concatenate_numpy_output=False)",
                chunk.replace("chunksize", "chunk_size")
            ),
        ),
        (Mode::Pool, Api::Map | Api::Imap | Api::ImapUnordered | Api::ApplyAsync) => {
            let replaced = settings.max_tasks_per_child;
            let replaced = replaced.map_or_else(String::new, |most| format!(", maxtasksperchild={most}"));
            let results = match api {
                Api::ApplyAsync => {
                    format!(
                        "[waiting.get() for waiting in [pool.apply_async({function}, (arg,)) for arg in args]]"
                    )
                }
                Api::Map => format!("pool.map({function}, args{chunk})"),
                _ => format!("list(pool.{}({function}, args{chunk}))", api.name()),
            };
            with(format!("{context}.Pool({workers}{replaced})"), results)
        }
    };
    Some(statement + below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_whose_name_would_say_something_else_has_no_line() {
        let said = |function| line(function, Mode::Serial, &Settings::default());
        assert_eq!(said("shop.prices:total").unwrap(), "results = [shop.prices.total(arg) for arg in args]");
        assert!(said("shop:Pool.map").is_some());
        for function in ["a;b:c", "a:b(", "a b:c", ":", "a:b\n", "pool:f", "args:f", "arg.of:f"] {
            assert_eq!(said(function), None, "{function}");
        }
    }

    #[test]
    fn what_the_line_names_is_imported() {
        let imports = |mode, api| {
            let settings = Settings { api: Some(api), ..Settings::default() };
            imported("shop.prices:total", &line("shop.prices:total", mode, &settings).unwrap())
        };
        assert_eq!(imports(Mode::Serial, Api::Map), "shop.prices");
        assert_eq!(imports(Mode::Threads, Api::Map), "multiprocessing.pool, shop.prices");
        assert_eq!(imports(Mode::Pool, Api::Map), "multiprocessing, shop.prices");
        assert_eq!(imports(Mode::Pool, Api::Executor), "concurrent.futures, multiprocessing, shop.prices");
        assert_eq!(imports(Mode::Pool, Api::Mpire), "mpire, shop.prices");
    }

    #[test]
    fn where_the_program_is_imported_anew_the_line_says_where_it_has_to_stand() {
        for (start, has) in [(Start::Fork, false), (Start::Spawn, true), (Start::Forkserver, true)] {
            for api in [Api::Map, Api::Imap, Api::ApplyAsync, Api::Executor, Api::Mpire] {
                let settings = Settings { start: Some(start), api: Some(api), ..Settings::default() };
                let said = line("a:b", Mode::Pool, &settings).unwrap();
                assert_eq!(said.ends_with("  # below if __name__ == \"__main__\":"), has, "{said}");
            }
        }
    }
}
