//! What a Python program has to say to do what a strategy did with its function.

use crate::document::Document;
use crate::document::standing::{Outcome, Standing};
use crate::mode::Mode;
use crate::mode::settings::{Api, Settings};
use crate::workload::Kind;

/// The line of the strategy that `document` names as its answer; `None` where tasks are no calls, or there is no answer.
pub fn of_answer(document: &Document) -> Option<String> {
    let standing = document.standing.clone().or_else(|| Standing::of(document))?;
    match standing.outcome {
        Outcome::Best | Outcome::NotDistinguished | Outcome::Alone => of(document, &standing.best),
        Outcome::Failed | Outcome::TooFewRounds => None,
    }
}

/// The line of the strategy called `name`; `None` where tasks are no calls, or there is no such strategy.
pub fn of(document: &Document, name: &str) -> Option<String> {
    let workload = &document.plan.workload;
    if workload.kind != Kind::Call {
        return None;
    }
    let function = workload.program.as_ref()?.words.first()?.replace(':', ".");
    let row = document.strategies.iter().find(|row| row.name == name)?;
    Some(format!("In Python: {}", line(&function, row.mode, &row.settings, workload.tasks)))
}

fn line(function: &str, mode: Mode, settings: &Settings, tasks: u64) -> String {
    let workers = settings.workers.unwrap_or(1);
    let chunk = settings.chunk.map_or_else(String::new, |chunk| format!(", chunksize={chunk}"));
    let start = settings.start.map(|start| start.name());
    let context = start.map_or_else(
        || "multiprocessing".to_owned(),
        |start| format!("multiprocessing.get_context(\"{start}\")"),
    );
    let api = settings.api.unwrap_or_default();
    match (mode, api) {
        (Mode::Serial, _) => format!("[{function}(arg) for arg in args]"),
        (Mode::Threads, _) => {
            format!("multiprocessing.pool.ThreadPool({workers}).map({function}, args{chunk})")
        }
        (Mode::Process, _) => {
            let at_once = match settings.in_flight {
                Some(most) if most < tasks => format!("at most {most} alive at once"),
                _ => "all at once".to_owned(),
            };
            format!("{context}.Process(target={function}, args=(arg,)) for each arg, {at_once}")
        }
        (Mode::Pool, Api::Executor) => format!(
            "concurrent.futures.ProcessPoolExecutor({workers}, {context}).map({function}, args{chunk})"
        ),
        (Mode::Pool, Api::Loky) => {
            format!("loky.get_reusable_executor({workers}).map({function}, args{chunk})")
        }
        (Mode::Pool, Api::Mpire) => {
            let start = start.map_or_else(String::new, |start| format!(", start_method=\"{start}\""));
            let chunk = chunk.replace("chunksize", "chunk_size");
            format!("mpire.WorkerPool({workers}{start}).map({function}, args{chunk})")
        }
        (Mode::Pool, Api::Map | Api::Imap | Api::ImapUnordered | Api::ApplyAsync) => {
            let replaced = settings.max_tasks_per_child;
            let replaced = replaced.map_or_else(String::new, |most| format!(", maxtasksperchild={most}"));
            let pool = format!("{context}.Pool({workers}{replaced})");
            match api {
                Api::ApplyAsync => format!("{pool}.apply_async({function}, (arg,)) for each arg"),
                _ => format!("{pool}.{}({function}, args{chunk})", api.name()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode::settings::Start;

    #[test]
    fn each_strategy_is_said_as_python_says_it() {
        let settings = Settings {
            workers: Some(8),
            chunk: Some(4),
            start: Some(Start::Fork),
            in_flight: Some(3),
            ..Settings::default()
        };
        for (mode, api, expected) in [
            (Mode::Serial, None, "[shop.total(arg) for arg in args]"),
            (Mode::Threads, None, "multiprocessing.pool.ThreadPool(8).map(shop.total, args, chunksize=4)"),
            (
                Mode::Process,
                None,
                "multiprocessing.get_context(\"fork\").Process(target=shop.total, args=(arg,)) for each arg, at most 3 alive at once",
            ),
            (
                Mode::Pool,
                None,
                "multiprocessing.get_context(\"fork\").Pool(8).map(shop.total, args, chunksize=4)",
            ),
            (
                Mode::Pool,
                Some(Api::ImapUnordered),
                "multiprocessing.get_context(\"fork\").Pool(8).imap_unordered(shop.total, args, chunksize=4)",
            ),
            (
                Mode::Pool,
                Some(Api::Executor),
                "concurrent.futures.ProcessPoolExecutor(8, multiprocessing.get_context(\"fork\")).map(shop.total, args, chunksize=4)",
            ),
            (Mode::Pool, Some(Api::Loky), "loky.get_reusable_executor(8).map(shop.total, args, chunksize=4)"),
            (
                Mode::Pool,
                Some(Api::Mpire),
                "mpire.WorkerPool(8, start_method=\"fork\").map(shop.total, args, chunk_size=4)",
            ),
        ] {
            let settings = Settings { api, ..settings.clone() };
            assert_eq!(line("shop.total", mode, &settings, 100), expected);
        }
    }
}
