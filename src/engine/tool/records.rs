//! What GNU parallel has written down of each task.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::{Outcome, Tasks};
use crate::sys::wait::Exit;
use crate::workload::Failure;

/// A file in memory for the tool's `--joblog`.
pub(super) struct Records {
    file: File,
    path: PathBuf,
}

impl Records {
    pub(super) fn begin() -> anyhow::Result<Self> {
        let file: File = memfd_create(c"procbench-joblog", MFdFlags::MFD_CLOEXEC)?.into();
        let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into();
        Ok(Self { file, path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How long they are by now, in bytes.
    pub(super) fn bytes(&self) -> std::io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// How each of `tasks` has ended.
    pub(super) fn read(&self, tasks: &Tasks) -> anyhow::Result<Outcome> {
        let mut text = Vec::new();
        let mut file = &self.file;
        file.rewind()?;
        file.read_to_end(&mut text)?;
        outcome(&text, tasks.count)
    }
}

/// How each of `tasks` tasks has ended, by `log`.
fn outcome(log: &[u8], tasks: u64) -> anyhow::Result<Outcome> {
    let mut seen = vec![false; usize::try_from(tasks)?];
    let mut failures = Vec::new();
    for line in log.split(|byte| *byte == b'\n').skip(1) {
        // A word of a command may have a line's end in it: what follows is no record.
        let Some((task, exit)) = record(line) else { continue };
        let place = task.checked_sub(1).and_then(|task| seen.get_mut(task as usize));
        let place =
            place.with_context(|| format!("GNU parallel says it executed a task {task}, of {tasks}"))?;
        ensure!(!std::mem::replace(place, true), "GNU parallel says it executed task {} twice", task - 1);
        if exit != Exit::Code(0) {
            failures.push((task - 1, Failure::Exited(exit).to_string()));
        }
    }
    if let Some(missing) = seen.iter().position(|seen| !seen) {
        anyhow::bail!("GNU parallel has not executed task {missing}: its joblog does not have it");
    }
    failures.sort();
    Ok(Outcome { failures })
}

/// Sequence number and end of a task: Seq, Host, Starttime, JobRuntime, Send, Receive, Exitval, Signal, Command.
fn record(line: &[u8]) -> Option<(u64, Exit)> {
    let text = String::from_utf8_lossy(line);
    let mut fields = text.splitn(9, '\t');
    let mut field = || fields.next().map(str::trim);
    let number = field()?.parse().ok()?;
    field()?;
    let (_, _): (f64, f64) = (field()?.parse().ok()?, field()?.parse().ok()?);
    let (_, _): (u64, u64) = (field()?.parse().ok()?, field()?.parse().ok()?);
    let (code, signal): (i32, i32) = (field()?.parse().ok()?, field()?.parse().ok()?);
    field()?;
    Some((number, if signal == 0 { Exit::Code(code) } else { Exit::Signal(signal) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

    fn read(lines: &str, tasks: u64) -> Result<Vec<(u64, String)>, String> {
        let read = outcome(format!("{HEAD}{lines}").as_bytes(), tasks);
        read.map(|outcome| outcome.failures).map_err(|error| error.to_string())
    }

    #[test]
    fn each_task_has_ended_as_it_was_written_down() {
        let log = "2\t:\t1764112345.123\t     0.003\t0\t0\t7\t0\tsh -c x\n\
                   1\t:\t1764112345.120\t     0.002\t0\t0\t0\t0\techo\nof two lines\n\
                   3\t:\t1764112345.120\t     0.002\t0\t0\t0\t9\tsleep 1\n";
        let failures = read(log, 3).unwrap();
        assert_eq!(failures.iter().map(|(task, _)| *task).collect::<Vec<_>>(), [1, 2]);
        assert!(failures[0].1.contains('7') && failures[1].1.contains("SIGKILL"), "{failures:?}");
    }

    #[test]
    fn a_task_that_is_missing_or_there_twice_is_told() {
        let one = "1\t:\t1.0\t0.1\t0\t0\t0\t0\ttrue\n";
        assert!(read(one, 2).unwrap_err().contains("has not executed task 1"));
        assert!(read(&one.repeat(2), 1).unwrap_err().contains("twice"));
        assert!(read("9\t:\t1.0\t0.1\t0\t0\t0\t0\ttrue\n", 1).unwrap_err().contains("a task 9"));
    }
}
