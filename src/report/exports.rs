//! The exports that were asked for, beside the tables or in their place.
//!
//! A new one is one file with a function from a document to bytes, and one line where they are opened.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::bail;

use super::target::Target;

/// Makes the bytes of an export.
pub type Render<T> = fn(&T) -> anyhow::Result<Vec<u8>>;

/// An export as it was asked for: the flag, where it is to go, and what makes it.
pub type Wanted<'a, T> = (&'static str, Option<&'a Path>, Render<T>);

/// Exports of a `T`, with their places open.
pub struct Exports<T: ?Sized> {
    exports: Vec<(&'static str, Target, Render<T>)>,
}

impl<T: ?Sized> Exports<T> {
    /// Opens the places of those that are wanted, so that what cannot be written is found out before there is anything
    /// to write.
    ///
    /// # Errors
    /// If nothing can be written somewhere, or two are to go to the same place.
    pub fn open(wanted: &[Wanted<'_, T>]) -> anyhow::Result<Self> {
        let mut exports = Vec::new();
        let mut places = BTreeMap::new();
        for (flag, path, render) in wanted {
            let Some(path) = path else { continue };
            let target = Target::open(path)?;
            let place = target.place();
            if let Some(other) = places.insert(place.clone(), flag) {
                bail!("{other} and {flag} would both be written to {}", place.display());
            }
            exports.push((*flag, target, *render));
        }
        Ok(Self { exports })
    }

    /// Refuses to write to `target` too, where `flag` has something else written.
    ///
    /// # Errors
    /// If one of them goes there.
    pub fn refuse_sharing(&self, flag: &str, target: &Target) -> anyhow::Result<()> {
        let place = target.place();
        match self.exports.iter().find(|(_, own, _)| own.place() == place) {
            Some((other, ..)) => bail!("{other} and {flag} would both be written to {}", place.display()),
            None => Ok(()),
        }
    }

    /// Refuses to write over one of `inputs`, which are read.
    ///
    /// # Errors
    /// If one of them is where an export goes.
    pub fn spare<'a>(self, inputs: impl IntoIterator<Item = &'a Path>) -> anyhow::Result<Self> {
        let inputs: Vec<&Path> = inputs.into_iter().collect();
        for (flag, target, _) in &self.exports {
            target.spare(flag, &inputs)?;
        }
        Ok(self)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.exports.is_empty()
    }

    /// Whether one of them goes to standard output, in place of the tables.
    pub fn take_standard_output(&self) -> bool {
        self.exports.iter().any(|(_, target, _)| matches!(target, Target::StandardOutput))
    }

    /// Writes the one that was asked for by `flag`, if it goes to a file: it is written again when all is done.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn write_early(&self, flag: &str, document: &T) -> anyhow::Result<()> {
        let mut wanted = self.exports.iter().filter(|(name, target, _)| *name == flag && target.is_file());
        wanted.try_for_each(|(_, target, render)| target.write(&render(document)?))
    }

    /// Those that take no earlier export's place, and the places of the others, which stay as they are.
    pub fn keep_earlier(self) -> (Self, Vec<PathBuf>) {
        // What is empty was made to be filled.
        let has_content = |place: PathBuf| fs::metadata(place).is_ok_and(|found| found.len() > 0);
        let is_earlier = |target: &Target| target.is_file() && has_content(target.place());
        let (kept, exports): (Vec<_>, Vec<_>) =
            self.exports.into_iter().partition(|(_, target, _)| is_earlier(target));
        (Self { exports }, kept.iter().map(|(_, target, _)| target.place()).collect())
    }

    /// Writes all of them.
    ///
    /// # Errors
    /// If one could not be written completely; then an old file is still there.
    pub fn write(self, document: &T) -> anyhow::Result<()> {
        // Nothing is written unless all can be made.
        let made = self.exports.into_iter().map(|(_, target, render)| Ok((target, render(document)?)));
        let made = made.collect::<anyhow::Result<Vec<_>>>()?;
        // Where one has no room, another may have.
        let failed = made.iter().filter_map(|(target, bytes)| target.write(bytes).err());
        let mut failed: Vec<anyhow::Error> = failed.collect();
        match failed.len() {
            0 | 1 => failed.pop().map_or(Ok(()), Err),
            _ => {
                let first = failed.remove(0);
                let others: Vec<String> = failed.iter().map(|error| format!("{error:#}")).collect();
                Err(first.context(others.join("; and ")))
            }
        }
    }
}
