//! Bytes that no file system can compress and any runtime can make: numbered copies of one random block.
//!
//! In Python, with `rng` the SplitMix64 stream of `seed ^ STREAM` (see [`crate::seed`]):
//!
//! ```python
//! block = struct.pack("<8192Q", *(rng.next() for _ in range(8192)))
//! bytes = (struct.pack("<Q", number) + (block[8:] + block[:8]) * (size // 65536 + 1))[:size]
//! ```

use crate::seed::Rng;

/// Bytes of the random block.
pub const BLOCK_BYTES: usize = 64 << 10;

/// Keeps these bytes apart from arguments that are drawn from the same seed.
const STREAM: u64 = 0x626c_6f63_6b73_2121;

const NUMBER: usize = size_of::<u64>();

/// The random block of a seed.
#[derive(Debug, Clone)]
pub struct Block {
    /// Turned so that it begins behind its number: what follows the number of a copy, over and over.
    turned: Vec<u8>,
}

impl Block {
    /// The block of `seed`.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ STREAM);
        let mut turned = Vec::with_capacity(BLOCK_BYTES);
        for _ in 0..BLOCK_BYTES / NUMBER {
            turned.extend_from_slice(&rng.next_u64().to_le_bytes());
        }
        turned.rotate_left(NUMBER);
        Self { turned }
    }

    /// Fills `buffer` with the bytes called `number`: the number itself, then the block from its second eight bytes on, and
    /// again from its beginning, as often as it takes.
    pub fn fill(&self, number: u64, buffer: &mut [u8]) {
        let (head, rest) = buffer.split_at_mut(NUMBER.min(buffer.len()));
        head.copy_from_slice(&number.to_le_bytes()[..head.len()]);
        for piece in rest.chunks_mut(self.turned.len()) {
            piece.copy_from_slice(&self.turned[..piece.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_differ_by_their_number_and_their_seed() {
        let made = |seed, number, size| {
            let mut buffer = vec![0; size];
            Block::new(seed).fill(number, &mut buffer);
            buffer
        };
        for size in [1, 7, 8, 9, 4096, BLOCK_BYTES, 2 * BLOCK_BYTES + 5] {
            assert_ne!(made(1, 2, size), made(1, 3, size), "{size}");
        }
        assert_eq!(made(1, 0, 100)[8..], made(1, 5, 100)[8..]);
        assert_ne!(made(1, 0, 100)[8..], made(2, 0, 100)[8..]);
    }

    #[test]
    fn bytes_are_what_their_description_says() {
        let mut rng = Rng::new(3 ^ STREAM);
        let block: Vec<u8> = (0..8192).flat_map(|_| rng.next_u64().to_le_bytes()).collect();
        let mut expected = 9_u64.to_le_bytes().to_vec();
        for _ in 0..3 {
            expected.extend_from_slice(&block[8..]);
            expected.extend_from_slice(&block[..8]);
        }
        let mut buffer = vec![0; 150_000];
        Block::new(3).fill(9, &mut buffer);
        assert_eq!(buffer, expected[..150_000]);
    }
}
