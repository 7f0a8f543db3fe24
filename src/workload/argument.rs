//! Arguments and results: how they are made, and the checksum that proves they crossed over.
//!
//! Everything here is chosen so that another runtime can do the same at its native speed. In Python:
//!
//! ```python
//! pattern  = struct.pack("<Q", mix(seed ^ mix(task + GOLDEN)))
//! argument = (pattern * (size // 8 + 1))[:size]
//! checksum = zlib.crc32(argument, task * 0x9E3779B1 & 0xFFFFFFFF)
//! result   = (struct.pack("<Q", mix(task << 32 | checksum)) * (size // 8 + 1))[:size]
//! ```

use crate::seed::{Rng, mix};

/// Fills `buffer` with the argument of `task`: eight bytes drawn from seed and task, again and again.
#[inline]
pub fn fill(seed: u64, task: u64, buffer: &mut [u8]) {
    repeat(Rng::for_item(seed, task).next_u64().to_le_bytes(), buffer);
}

/// The checksum of `argument` as the argument of `task`: CRC-32 (IEEE), begun with a value that depends on the
/// task. It changes with the task's number and with every byte.
#[inline(always)]
pub fn checksum(task: u64, argument: &[u8]) -> u32 {
    let start = (task as u32).wrapping_mul(0x9e37_79b1);
    if argument.is_empty() { start } else { extend(start, argument) }
}

/// Goes on with a `checksum` over more bytes.
#[inline]
pub fn extend(checksum: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(checksum);
    hasher.update(bytes);
    hasher.finalize()
}

/// Fills `buffer` with what `task` hands back if its checksum is `checksum`.
#[inline]
pub fn fill_result(task: u64, checksum: u32, buffer: &mut [u8]) {
    repeat(result_pattern(task, checksum).to_le_bytes(), buffer);
}

/// Whether `buffer` is what [`fill_result`] makes.
pub fn is_result(task: u64, checksum: u32, buffer: &[u8]) -> bool {
    let pattern = result_pattern(task, checksum);
    let words = buffer.chunks_exact(8);
    let rest = words.remainder();
    // Not for nothing: comparing no bytes at an address that nothing is mapped at was measured to take 100 ns, since the
    // vector load whose lanes are all masked takes a fault in microcode.
    (rest.is_empty() || rest == &pattern.to_le_bytes()[..rest.len()])
        && words
            .map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")))
            .all(|word| word == pattern)
}

fn result_pattern(task: u64, checksum: u32) -> u64 {
    mix(task << 32 | u64::from(checksum))
}

/// CRC-32's table for one byte at a time: slower than [`extend`] on more than a few bytes, but without a library that finds
/// out at run time what the processor can do, which a lean child could not call.
pub static TABLE: [u32; 256] = {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ POLYNOMIAL } else { value >> 1 };
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
};

/// Fills `buffer` with `pattern`, again and again.
#[inline]
pub fn repeat(pattern: [u8; 8], buffer: &mut [u8]) {
    let mut chunks = buffer.chunks_exact_mut(8);
    for chunk in &mut chunks {
        chunk.copy_from_slice(&pattern);
    }
    let rest = chunks.into_remainder();
    rest.copy_from_slice(&pattern[..rest.len()]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_what_zlib_gives() {
        // python3: zlib.crc32(b"hello", 7 * 0x9E3779B1 & 0xFFFFFFFF)
        assert_eq!(checksum(7, b"hello"), 0xa3d7_1848);
        assert_eq!(checksum(7, b""), 0x5384_53d7);
    }

    #[test]
    fn every_byte_and_the_task_count() {
        let mut argument = [0; 37];
        fill(1, 2, &mut argument);
        let whole = checksum(2, &argument);
        assert_ne!(whole, checksum(3, &argument));
        for place in 0..argument.len() {
            let mut changed = argument;
            changed[place] ^= 1;
            assert_ne!(whole, checksum(2, &changed), "byte {place}");
        }
    }

    #[test]
    fn a_result_is_recognised_and_a_wrong_one_refused() {
        let mut result = [0; 21];
        fill_result(5, 99, &mut result);
        assert!(is_result(5, 99, &result));
        assert!(!is_result(6, 99, &result));
        result[20] ^= 1;
        assert!(!is_result(5, 99, &result));
    }
}
