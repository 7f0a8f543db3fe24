//! A program of the user's own, as typed: what it contradicts, and what it comes to.

use super::draft::{Words, WorkloadDraft};
use super::units::{Length, Seconds};
use crate::workload::program::SuccessCodes;
use crate::workload::{Io, Kind, ProgramSpec, Spread};

/// What is said of exit codes where there are none, before the workload's name.
const SUCCESS_OF_COMMANDS: &str = "success-codes belongs to the command workload, but this one is";

impl WorkloadDraft {
    /// What a task does: a command or a worker is what it says it is.
    pub fn kind(&self) -> Kind {
        let implied = match (&self.command, &self.worker) {
            (Some(_), _) => Kind::Command,
            (None, Some(_)) => Kind::Worker,
            (None, None) if self.call.is_some() => Kind::Call,
            (None, None) => Kind::Synthetic,
        };
        self.workload.unwrap_or(implied)
    }

    /// What contradicts itself in what was typed about programs.
    pub(super) fn contradiction_of_program(&self) -> Option<String> {
        let kind = self.kind();
        let other = |name: &str, given: bool, belongs: Kind| {
            (given && kind != belongs).then(|| {
                format!("{name} belongs to the {} workload, but this one is {}", belongs.name(), kind.name())
            })
        };
        let size = |size: Option<super::units::Size>| size.is_some_and(|size| size.0 > 0);
        let time = |time: Option<Seconds>| time.is_some_and(|time| time.0 > 0.0);
        let length = |length: Option<Length>| length.is_some_and(Length::is_some);
        let own = [
            ("cpu", length(self.cpu)),
            ("io-wait", length(self.io_wait)),
            ("io", self.io.is_some_and(|io| io != Io::Sleep)),
            ("io-size", self.io_size.is_some()),
            ("io-folder", self.io_folder.is_some()),
            ("shared", size(self.shared)),
            ("init", time(self.init)),
            ("memory", size(self.memory)),
            ("spread", self.spread.as_ref().is_some_and(|spread| *spread != Spread::Constant)),
        ];
        let given = own.iter().find(|(_, given)| *given && kind.is_program()).map(|(name, _)| *name);
        let all = [
            ("a command", self.command.is_some()),
            ("a worker", self.worker.is_some()),
            ("a call", self.call.is_some()),
        ];
        let given_of: Vec<&str> = all.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
        (given_of.len() > 1)
            .then(|| format!("both {} are given: expected one of them", given_of.join(" and ")))
            .or_else(|| other("a command", self.command.is_some(), Kind::Command))
            .or_else(|| other("worker", self.worker.is_some(), Kind::Worker))
            .or_else(|| other("call", self.call.is_some(), Kind::Call))
            .or_else(|| {
                given.map(|name| {
                    let kind = kind.name();
                    format!("{name} does not belong to the {kind} workload: what its tasks do is the program's own affair")
                })
            })
            .or_else(|| {
                (self.timeout == Some(Seconds(0.0))).then(|| "timeout is 0: expected more, such as 5s".into())
            })
            .or_else(|| {
                let text = self.args_from.as_deref().filter(|path| path.is_empty());
                text.map(|_| "args-from is empty: expected a file, or - for standard input".into())
            })
            .or_else(|| {
                let text = self.output.as_deref().filter(|path| path.is_empty());
                text.map(|_| "output is empty: expected a folder".into())
            })
    }

    /// The Python function that is to be called.
    fn called(&self) -> Result<ProgramSpec, String> {
        const WANTED: &str = "expected package.module:function, such as mypackage.work:crunch";
        let Some(call) = &self.call else {
            return Err(format!("which call? {}", WANTED.replacen("expected", "Expected --call", 1)));
        };
        for (name, given) in [("shell", self.shell == Some(true)), ("output", self.output.is_some())] {
            if given {
                return Err(format!(
                    "{name} belongs to the command and worker workloads, but this one is call"
                ));
            }
        }
        let (module, function) = call.split_once(':').ok_or_else(|| match call.strip_suffix(".py") {
            Some(module) => format!("'{call}' is a file: {WANTED}; this one's module is {module}"),
            None => format!("'{call}' names no function: {WANTED}"),
        })?;
        if let Some(module) = module.strip_suffix(".py") {
            let module = module.replace('/', ".");
            return Err(format!("'{call}' names a file, not a module: expected {module}:{function}"));
        }
        if module == "__main__" {
            return Err(format!("__main__ is procbench's own program there, not yours: {WANTED}"));
        }
        if !module.split('.').chain(function.split('.')).all(is_name_in_python) {
            return Err(format!("'{call}' is not the name of a function: {WANTED}"));
        }
        Ok(ProgramSpec {
            words: vec![call.clone()],
            args_from: self.args_from.clone(),
            timeout_seconds: self.timeout.map(|timeout| timeout.0),
            prepare: self.prepare.clone(),
            ignore_answers: self.ignore_answers.unwrap_or(false),
            ..ProgramSpec::default()
        })
    }

    /// A setting of programs that was given without one.
    fn setting_without_program(&self) -> Option<&'static str> {
        let settings = [
            ("shell", self.shell == Some(true)),
            ("args-from", self.args_from.is_some()),
            ("output", self.output.is_some()),
            ("prepare", self.prepare.is_some()),
            ("ignore-answers", self.ignore_answers == Some(true)),
            ("success-codes", self.success_codes.is_some()),
        ];
        settings.into_iter().find(|(_, given)| *given).map(|(name, _)| name)
    }

    /// The program that this comes to; `None` where tasks are none.
    ///
    /// # Errors
    /// What is missing, or cannot be understood.
    pub(super) fn program(&self) -> Result<Option<ProgramSpec>, String> {
        let kind = self.kind();
        if !kind.is_program() {
            return match self.setting_without_program() {
                Some("success-codes") => Err(format!("{SUCCESS_OF_COMMANDS} {}", kind.name())),
                Some(name @ ("shell" | "output")) => Err(format!(
                    "{name} belongs to the command and worker workloads, but this one is {}",
                    kind.name()
                )),
                Some(name) => Err(format!(
                    "{name} belongs to the command, worker and call workloads, but this one is {}: expected -- COMMAND, \
                     --worker or --call with it",
                    kind.name()
                )),
                None => Ok(None),
            };
        }
        if kind != Kind::Command && self.success_codes.is_some() {
            return Err(format!("{SUCCESS_OF_COMMANDS} {}", kind.name()));
        }
        if self.success_codes.as_ref().is_some_and(SuccessCodes::is_empty) {
            return Err("success-codes is empty: expected exit codes, such as 0 and 1".into());
        }
        if kind == Kind::Call {
            return self.called().map(Some);
        }
        let shell = self.shell.unwrap_or(false);
        let (typed, wanted) = match kind {
            Kind::Command => (&self.command, "-- COMMAND, or command in [workload]"),
            _ => (&self.worker, "--worker COMMAND, or worker in [workload]"),
        };
        if kind == Kind::Command && self.ignore_answers == Some(true) {
            return Err("ignore-answers belongs to the worker workload: a command gives no answers".into());
        }
        let words = match typed {
            None => return Err(format!("which {}? Expected {wanted}", kind.name())),
            Some(Words::Text(text)) if shell => vec![text.clone()],
            Some(Words::Text(text)) => shlex::split(text)
                .ok_or_else(|| format!("{text:?} cannot be split into words: a quote is not closed"))?,
            Some(Words::List(words)) => words.clone(),
        };
        if words.iter().all(|word| word.trim().is_empty()) {
            return Err(format!("the {} is empty: expected {wanted}", kind.name()));
        }
        if words.iter().any(|word| word.contains('\0')) {
            return Err(format!("the {} has a zero byte in it, at which a word would end", kind.name()));
        }
        Ok(Some(ProgramSpec {
            words,
            shell,
            args_from: self.args_from.clone(),
            timeout_seconds: self.timeout.map(|timeout| timeout.0),
            output: self.output.as_ref().map(Into::into),
            prepare: self.prepare.clone(),
            ignore_answers: self.ignore_answers.unwrap_or(false),
            success_codes: self.success_codes.clone().unwrap_or_default(),
            ..ProgramSpec::default()
        }))
    }
}

/// Whether a module, a class or a function can be called so.
pub fn is_name_in_python(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|c| c == '_' || c.is_alphanumeric())
}
