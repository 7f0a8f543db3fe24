//! What a tool is to start.

use std::fs::File;
use std::io::{BufWriter, Seek, Write};

use anyhow::Context;

use crate::sys::sealed;
use crate::workload::argument;
use crate::workload::program::ProgramSpec;
use crate::workload::program::lines::Lines;

/// The tasks of a round: a line each, or their numbers.
pub(super) struct Tasks {
    pub(super) count: u64,
    lines: Option<Lines>,
}

impl Tasks {
    pub(super) fn new(spec: &ProgramSpec, count: u64) -> anyhow::Result<Self> {
        Ok(Self { count, lines: spec.lines.as_ref().map(Lines::read).transpose()? })
    }

    /// What stands for `task` in the words of its command.
    pub(super) fn text(&self, task: u64) -> Vec<u8> {
        self.lines.as_ref().map_or_else(|| task.to_string().into_bytes(), |lines| lines.get(task).to_vec())
    }

    /// What its result is if it succeeds: as that of any engine.
    pub(super) fn checksum(&self, task: u64) -> u32 {
        argument::checksum(task, self.lines.as_ref().map_or(&[], |lines| lines.get(task)))
    }

    pub(super) fn shown(&self, task: u64) -> Option<String> {
        const LONGEST: usize = 200;
        let line = String::from_utf8_lossy(self.lines.as_ref()?.get(task)).into_owned();
        Some(line.chars().take(LONGEST).collect())
    }

    /// What the tool reads: each text ends with a zero byte.
    pub(super) fn input(&self) -> anyhow::Result<File> {
        let (mut file, ()) = sealed::create(c"procbench-lines", |file| {
            let mut file = BufWriter::new(file);
            for task in 0..self.count {
                file.write_all(&self.text(task))?;
                file.write_all(&[0])?;
            }
            file.flush()
        })
        .context("no memory for what the tool reads")?;
        file.rewind()?;
        Ok(file)
    }
}
