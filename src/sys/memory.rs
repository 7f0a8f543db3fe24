//! Memory obtained from the kernel without a name: shared with forked children, or kept from them.

use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// Whom a mapping is visible to after a fork.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// The same pages in the parent and in every child.
    Shared,
    /// Copied on write, like a heap.
    Private,
    /// Not in the child at all: the fork pays nothing for it, however large it is.
    ParentOnly,
}

/// An anonymous mapping, zeroed, unmapped when dropped.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping is plain memory; every access goes through the typed views below, which
// follow the usual borrowing rules or are atomic.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes (at least one page). Pages are allocated when they are first touched.
    ///
    /// # Errors
    /// Whatever `mmap` or `madvise` says, `ENOMEM` above all.
    pub fn new(len: usize, visibility: Visibility) -> io::Result<Self> {
        let len = len.max(1);
        let kind = match visibility {
            Visibility::Shared => libc::MAP_SHARED,
            Visibility::Private | Visibility::ParentOnly => libc::MAP_PRIVATE,
        };
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choice overlaps nothing.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                kind | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let mapping = Self { start: NonNull::new(start.cast()).expect("mmap does not return null"), len };
        if visibility == Visibility::ParentOnly {
            // SAFETY: the range is the mapping just made; the advice changes nothing in this process.
            if unsafe { libc::madvise(start, len, libc::MADV_DONTFORK) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(mapping)
    }

    /// Asks for large pages (2 MiB on most machines), where the kernel gives some to those who ask: fewer page faults when
    /// all of it is going to be written.
    pub fn prefer_large_pages(&self) {
        // SAFETY: the range is this mapping; the advice changes no contents, and is refused at worst.
        unsafe { libc::madvise(self.start.as_ptr().cast(), self.len, libc::MADV_HUGEPAGE) };
    }

    /// First byte.
    pub fn address(&self) -> usize {
        self.start.as_ptr() as usize
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never true: the shortest mapping is one byte.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The bytes, for a mapping that only its owner writes, while it does not.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: as for `bytes_mut`, with `&self` excluding writers in this process.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// The bytes, for a mapping that only its owner writes.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is `len` readable, writable, initialised (zeroed) bytes, and `&mut self`
        // makes this the only view of them in this process.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `new`, and no view outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// Types that may lie in memory shared between processes.
///
/// # Safety
/// All-zero bytes must be a valid value, and every access through `&self` must be atomic.
pub unsafe trait Shareable: Sync + 'static {}

// SAFETY: zero is a valid AtomicU64, and it is only accessed atomically.
unsafe impl Shareable for AtomicU64 {}

/// Declares a record of `AtomicU64`s that may lie in shared memory, aligned so that two records never
/// share a cache line where `line` is asked for.
#[macro_export]
macro_rules! shared_record {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$doc:meta])* $field:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug)]
        $vis struct $name { $($(#[$doc])* pub $field: std::sync::atomic::AtomicU64),+ }

        #[allow(unsafe_code)]
        // SAFETY: every field is an AtomicU64: zeroes are valid, and every access is atomic.
        unsafe impl $crate::sys::memory::Shareable for $name {}
    };
}

/// A zeroed array of atomics in a [`Mapping`].
#[derive(Debug)]
pub struct SharedSlice<T: Shareable> {
    mapping: Mapping,
    len: usize,
    items: PhantomData<T>,
}

impl<T: Shareable> SharedSlice<T> {
    /// An array of `len` zeroed items.
    ///
    /// # Errors
    /// `ENOMEM`, also where `len` items are more than an address space.
    pub fn new(len: usize, visibility: Visibility) -> io::Result<Self> {
        let bytes =
            len.checked_mul(size_of::<T>()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        assert!(align_of::<T>() <= 4096, "a page's alignment is all that mmap gives");
        Ok(Self { mapping: Mapping::new(bytes, visibility)?, len, items: PhantomData })
    }

    /// The memory behind the items.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }
}

impl<T: Shareable> Deref for SharedSlice<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the mapping holds `len` items, zeroes are valid, the alignment is at most a page's,
        // and whoever else writes them, in whatever process, does so atomically (`Shareable`).
        unsafe { std::slice::from_raw_parts(self.mapping.start.as_ptr().cast(), self.len) }
    }
}

/// Byte slots of one size, in memory that several processes may see.
///
/// Within a process the borrow checker keeps views apart. Between processes the protocol does: a slot is
/// written only by whoever holds its task, and read by others only after the task's done mark (a release
/// store) has been seen (an acquire load).
#[derive(Debug)]
pub struct Slots {
    mapping: Mapping,
    size: usize,
    count: usize,
}

impl Slots {
    /// `count` slots of `size` bytes.
    ///
    /// # Errors
    /// `ENOMEM`, also where they are more than an address space.
    pub fn new(count: usize, size: usize, visibility: Visibility) -> io::Result<Self> {
        let bytes = count.checked_mul(size).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        Ok(Self { mapping: Mapping::new(bytes, visibility)?, size, count })
    }

    /// Bytes in a slot.
    pub fn size(&self) -> usize {
        self.size
    }

    /// How many slots there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The memory behind the slots.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// Slot `index`, to read.
    #[inline]
    pub fn get(&self, index: usize) -> &[u8] {
        assert!(index < self.count);
        // SAFETY: within the mapping; initialised (zeroed or written); within this process `&self`
        // excludes writers, and between processes the done mark does (see the type's documentation).
        unsafe { std::slice::from_raw_parts(self.mapping.start.as_ptr().add(index * self.size), self.size) }
    }

    /// Slot `index`, to write.
    #[inline]
    pub fn get_mut(&mut self, index: usize) -> &mut [u8] {
        assert!(index < self.count);
        // SAFETY: as for `get`, with `&mut self` excluding every other view in this process.
        unsafe {
            std::slice::from_raw_parts_mut(self.mapping.start.as_ptr().add(index * self.size), self.size)
        }
    }

    /// All slots, one after another.
    pub fn all_mut(&mut self) -> &mut [u8] {
        let len = self.count * self.size;
        &mut self.mapping.bytes_mut()[..len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn slots_are_zeroed_and_apart() {
        let mut slots = Slots::new(3, 5, Visibility::Private).unwrap();
        slots.get_mut(1).fill(7);
        assert_eq!((slots.get(0), slots.get(1), slots.get(2)), (&[0; 5][..], &[7; 5][..], &[0; 5][..]));
    }

    #[test]
    fn more_than_an_address_space_is_refused_not_wrapped() {
        assert!(Slots::new(usize::MAX / 2, 3, Visibility::Private).is_err());
        assert!(SharedSlice::<AtomicU64>::new(usize::MAX / 4, Visibility::Private).is_err());
    }

    #[test]
    fn a_shared_slice_begins_with_zeroes() {
        let slice = SharedSlice::<AtomicU64>::new(1000, Visibility::Shared).unwrap();
        assert_eq!(slice.len(), 1000);
        assert!(slice.iter().all(|item| item.load(Relaxed) == 0));
    }
}
