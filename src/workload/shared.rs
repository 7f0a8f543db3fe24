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

use std::io::{self, Write};
use std::os::fd::RawFd;
use std::path::Path;

use super::argument;
use super::block::{BLOCK_BYTES, Block};
use crate::sys::sealed::{self, Sealed};

/// Bytes that every task reads.
#[derive(Debug)]
pub struct SharedInput {
    bytes: Sealed,
    /// The bytes' own checksum.
    own: u32,
    /// What each bit of a checksum becomes by being carried on over as many zeroes as there are bytes.
    carried: [u32; 32],
}

impl SharedInput {
    /// Makes `size` bytes from `seed`.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub fn make(seed: u64, size: usize) -> io::Result<Self> {
        let (file, ()) = sealed::create(c"procbench-shared", |file| {
            let block = Block::new(seed);
            let mut piece = vec![0; BLOCK_BYTES.min(size)];
            for (number, start) in (0..size).step_by(BLOCK_BYTES).enumerate() {
                let piece = &mut piece[..BLOCK_BYTES.min(size - start)];
                block.fill(number as u64, piece);
                file.write_all(piece)?;
            }
            Ok(())
        })?;
        Ok(Self::new(Sealed::map(file)?))
    }

    /// Maps what another process has made and has told the path of.
    ///
    /// # Errors
    /// If it cannot be mapped.
    pub fn open(path: &Path) -> io::Result<Self> {
        Sealed::open(path).map(Self::new)
    }

    fn new(bytes: Sealed) -> Self {
        let zeroes = crc32fast::Hasher::new_with_initial_len(0, bytes.len() as u64);
        let carried = std::array::from_fn(|bit| {
            let mut hasher = crc32fast::Hasher::new_with_initial(1 << bit);
            hasher.combine(&zeroes);
            hasher.finalize()
        });
        Self { own: crc32fast::hash(&bytes), carried, bytes }
    }

    /// Carries `checksum` on over all of the bytes, by reading them.
    pub fn read(&self, checksum: u32) -> u32 {
        argument::extend(checksum, &self.bytes)
    }

    /// What [`Self::read`] must give, without reading: a CRC is linear, so a bit of the checksum that is carried on changes
    /// the outcome in the same way whatever the bytes are.
    pub fn expected(&self, checksum: u32) -> u32 {
        let bits = (0..32).filter(|bit| checksum >> bit & 1 == 1);
        bits.fold(self.own, |sum, bit| sum ^ self.carried[bit])
    }

    /// The memory that they lie in, for a program that is to inherit it.
    pub fn descriptor(&self) -> RawFd {
        self.bytes.descriptor()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_task_reads_is_what_was_worked_out() {
        for size in [1, 8, 65_535, 65_536, 65_537, 1_000_003] {
            let shared = SharedInput::make(7, size).unwrap();
            assert_eq!(shared.bytes.len(), size);
            for checksum in [0, 1, 0x8000_0000, 0xdead_beef, u32::MAX] {
                assert_eq!(shared.read(checksum), shared.expected(checksum), "{size} bytes");
            }
        }
    }

    #[test]
    fn every_byte_counts_and_no_two_blocks_are_alike() {
        let shared = SharedInput::make(7, 300_000).unwrap();
        let mut bytes = shared.bytes.to_vec();
        assert_ne!(bytes[..65_536], bytes[65_536..131_072]);
        for place in [0, 65_536, 299_999] {
            bytes[place] ^= 1;
            assert_ne!(argument::extend(5, &bytes), shared.expected(5), "byte {place}");
            bytes[place] ^= 1;
        }
    }

    #[test]
    fn another_program_maps_the_same_bytes() {
        let made = SharedInput::make(7, 100_000).unwrap();
        let path = format!("/proc/{}/fd/{}", std::process::id(), made.descriptor());
        let opened = SharedInput::open(Path::new(&path)).unwrap();
        assert_eq!(opened.read(3), made.expected(3));
    }
}
