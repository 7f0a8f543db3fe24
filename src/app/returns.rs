//! What functions of the user's own have returned, as a file of its own.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::report::exports::Exports;
use crate::report::target::Target;

/// Where it goes in the end, and what it is written to until then: a file without a name, which nobody has to remove.
pub struct Returns {
    target: Target,
    draft: File,
}

impl Returns {
    /// Opens `path`, so that what cannot be written is found out before the run. `exports` are written too, and `inputs` read.
    ///
    /// # Errors
    /// If nothing can be written there, or something else is to be there.
    pub fn open<T>(path: &Path, exports: &Exports<T>, inputs: &[PathBuf]) -> anyhow::Result<Self> {
        const FLAG: &str = "--returns";
        let draft = tempfile::tempfile().context("failed to make a temporary file")?;
        let target = Target::open(path)?;
        exports.refuse_sharing(FLAG, &target)?;
        target.spare(FLAG, &inputs.iter().map(PathBuf::as_path).collect::<Vec<_>>())?;
        Ok(Self { target, draft })
    }

    /// Where a round writes.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.draft.as_raw_fd()).into()
    }

    /// Puts what was written where it belongs. A run that was interrupted before all of it was leaves the old file as it is.
    ///
    /// # Errors
    /// If it could not be written completely; then the old file is still there.
    pub fn finish(mut self) -> anyhow::Result<()> {
        let mut text = Vec::new();
        self.draft.read_to_end(&mut text).context("failed to read what functions returned")?;
        // An empty line comes last.
        let is_complete = text.len() > 1 && text.ends_with(b"\n\n");
        text.pop();
        if !is_complete {
            let _ =
                writeln!(anstream::stderr(), "No round has ended, so there are no return values to write.");
            return Ok(());
        }
        self.target.write(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_off_does_not_take_the_place_of_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("kept.jsonl");
        for (written, expected) in [
            ("", "old\n"),
            ("{\"task\": 0, \"val", "old\n"),
            ("{\"task\": 0, \"value\": 1}\n", "old\n"),
            ("{\"task\": 0, \"value\": 1}\n\n", "{\"task\": 0, \"value\": 1}\n"),
        ] {
            std::fs::write(&kept, "old\n").unwrap();
            let returns = Returns::open(&kept, &Exports::<()>::open(&[]).unwrap(), &[]).unwrap();
            std::fs::write(returns.path(), written).unwrap();
            returns.finish().unwrap();
            assert_eq!(std::fs::read_to_string(&kept).unwrap(), expected, "{written:?}");
        }
    }
}
