//! Shared input: bytes that every task reads, all of them.
//!
//! Whoever executes the round makes them before the clock starts, and they lie in memory once: a forked child inherits
//! them, an exec'd one maps them. A task carries its checksum on over all of them, at the speed of memory. In Python:
//!
//! ```python
//! shared   = b"".join(bytes_of(number, min(65536, size - at)) for number, at in enumerate(range(0, size, 65536)))
//! checksum = zlib.crc32(shared, checksum)
//! ```
//!
//! where `bytes_of` is what [`super::block`] describes.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::argument;
use super::block::{BLOCK_BYTES, Block};
use crate::sys::sealed::{self, Sealed};

/// Makes `size` bytes from `seed`, in memory that lasts as long as the file is open.
///
/// # Errors
/// If there is no memory for them.
pub fn make(seed: u64, size: u64) -> io::Result<File> {
    let (file, ()) = sealed::create(c"procbench-shared", |file| {
        let block = Block::new(seed);
        let mut piece = vec![0; BLOCK_BYTES];
        for (number, start) in (0..size).step_by(BLOCK_BYTES).enumerate() {
            let len = (size - start).min(BLOCK_BYTES as u64);
            let piece = &mut piece[..len as usize];
            block.fill(number as u64, piece);
            file.write_all(piece)?;
        }
        Ok(())
    })?;
    Ok(file)
}

/// Where another process of this user finds what [`make`] has made: a worker that is not forked from this one, too.
pub fn path_of(file: &File) -> PathBuf {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into()
}

/// Bytes that every task reads.
#[derive(Debug)]
pub struct SharedInput {
    bytes: Sealed,
    /// Only whoever checks results needs to know them so well.
    linear: OnceLock<Linear>,
}

/// What being carried on over the bytes makes of any checksum.
#[derive(Debug)]
struct Linear {
    /// … of 0.
    of_zero: u32,
    /// By how much each bit changes that.
    of_bits: [u32; 32],
}

impl SharedInput {
    /// Maps what was made, at its path.
    ///
    /// # Errors
    /// If it cannot be mapped.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { bytes: Sealed::open(path)?, linear: OnceLock::new() })
    }

    /// Carries `checksum` on over all of the bytes, by reading them.
    pub fn read(&self, checksum: u32) -> u32 {
        argument::extend(checksum, &self.bytes)
    }

    /// What [`Self::read`] must give, without reading them again: a CRC is linear, so a bit of the checksum that is carried
    /// on changes the outcome in the same way whatever the bytes are.
    pub fn expected(&self, checksum: u32) -> u32 {
        let linear = self.linear.get_or_init(|| Linear::of(&self.bytes));
        let bits = (0..32).filter(|bit| checksum >> bit & 1 == 1);
        bits.fold(linear.of_zero, |sum, bit| sum ^ linear.of_bits[bit])
    }
}

impl Linear {
    fn of(bytes: &[u8]) -> Self {
        let as_many_zeroes = crc32fast::Hasher::new_with_initial_len(0, bytes.len() as u64);
        let of_bits = std::array::from_fn(|bit| {
            let mut hasher = crc32fast::Hasher::new_with_initial(1 << bit);
            hasher.combine(&as_many_zeroes);
            hasher.finalize()
        });
        Self { of_zero: crc32fast::hash(bytes), of_bits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(size: u64) -> SharedInput {
        let file = make(7, size).unwrap();
        SharedInput::open(&path_of(&file)).unwrap()
    }

    #[test]
    fn what_a_task_reads_is_what_was_worked_out() {
        for size in [1, 8, 65_535, 65_536, 65_537, 1_000_003] {
            let shared = made(size);
            assert_eq!(shared.bytes.len() as u64, size);
            for checksum in [0, 1, 0x8000_0000, 0xdead_beef, u32::MAX] {
                assert_eq!(shared.read(checksum), shared.expected(checksum), "{size} bytes");
            }
        }
    }

    #[test]
    fn every_byte_counts_and_no_two_blocks_are_alike() {
        let shared = made(300_000);
        let mut bytes = shared.bytes.to_vec();
        assert_ne!(bytes[..65_536], bytes[65_536..131_072]);
        for place in [0, 65_536, 299_999] {
            bytes[place] ^= 1;
            assert_ne!(argument::extend(5, &bytes), shared.expected(5), "byte {place}");
            bytes[place] ^= 1;
        }
    }
}
