//! Memory obtained from the kernel without a name: shared with forked or exec'd children, or kept from them.

use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::atomic::AtomicU64;

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
    /// The file behind it, which is the same at whatever address it is mapped.
    #[cfg(test)]
    file: u64,
}

// SAFETY: a mapping is plain memory; every access goes through the typed views below, which
// follow the usual borrowing rules or are atomic.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes. Pages are allocated when they are first touched. Nothing is mapped for none: every mapping costs each
    /// fork something.
    ///
    /// # Errors
    /// Whatever `mmap` or `madvise` says, `ENOMEM` above all.
    pub fn new(len: usize, visibility: Visibility) -> io::Result<Self> {
        if len == 0 {
            return Ok(Self {
                start: NonNull::dangling(),
                len,
                #[cfg(test)]
                file: 0,
            });
        }
        let kind = match visibility {
            Visibility::Shared => libc::MAP_SHARED,
            Visibility::Private | Visibility::ParentOnly => libc::MAP_PRIVATE,
        };
        let mapping = Self::map(len, kind | libc::MAP_ANONYMOUS, -1, 0)?;
        if visibility == Visibility::ParentOnly {
            // SAFETY: the range is the mapping just made; the advice changes nothing in this process.
            if unsafe { libc::madvise(mapping.start.as_ptr().cast(), len, libc::MADV_DONTFORK) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(mapping)
    }

    /// The same just behind the program itself, if there is room. A process that touches nothing but its program and such
    /// memory has page tables for one part of its address space only: several pages that nobody has to make for each fork.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn near_program(len: usize, visibility: Visibility) -> io::Result<Self> {
        /// More than this is nobody's to put in the way of the heap, which grows there too.
        const MOST: usize = 16 << 20;
        /// What comes next, as far from the program's end.
        static TAKEN: AtomicUsize = AtomicUsize::new(0);

        let page = procfs::page_size() as usize;
        let room = len.next_multiple_of(page);
        if len == 0 || visibility == Visibility::ParentOnly || TAKEN.load(Ordering::Relaxed) + room > MOST {
            return Self::new(len, visibility);
        }
        let kind = if visibility == Visibility::Shared { libc::MAP_SHARED } else { libc::MAP_PRIVATE };
        let place = program_end().next_multiple_of(page) + TAKEN.fetch_add(room, Ordering::Relaxed);
        Self::map(len, kind | libc::MAP_ANONYMOUS, -1, place)
    }

    /// Maps the first `len` bytes of `file`, shared with everybody who does so.
    fn of_file(len: usize, file: &File) -> io::Result<Self> {
        if file.metadata()?.len() < len as u64 {
            return Err(io::Error::other("the memory that was handed over is smaller than it should be"));
        }
        let mapping = Self::map(len, libc::MAP_SHARED, file.as_raw_fd(), 0)?;
        #[cfg(test)]
        let mapping = {
            let mut mapping = mapping;
            mapping.file = std::os::unix::fs::MetadataExt::ino(&file.metadata()?);
            mapping
        };
        Ok(mapping)
    }

    /// At `wish`, if nothing is there.
    fn map(len: usize, flags: i32, fd: RawFd, wish: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let wish = std::ptr::without_provenance_mut(wish);
        // SAFETY: a fresh mapping overlaps nothing: without `MAP_FIXED` an address is a wish, and the kernel takes another
        // where something lies. A file is at least `len` bytes and cannot shrink: whoever made it has sealed its size.
        let start = unsafe { libc::mmap(wish, len, protection, flags | libc::MAP_NORESERVE, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            start: NonNull::new(start.cast()).expect("mmap does not return null"),
            len,
            #[cfg(test)]
            file: 0,
        })
    }

    /// First byte.
    pub fn address(&self) -> usize {
        self.start.as_ptr() as usize
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
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
        if !self.is_empty() {
            // SAFETY: the range was mapped by `new`, and no view outlives `self`.
            unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
        }
    }
}

/// Where this program's own memory ends: what the linker has placed last.
fn program_end() -> usize {
    unsafe extern "C" {
        /// Set by the linker; only its address means something.
        static _end: u8;
    }
    &raw const _end as usize
}

/// Where the memory comes from that a parent shares with its children, who may be copies of it or programs of their own.
///
/// Those who execute a program anew ask for the same memory in the same order as their parent did, and are given the
/// same.
#[derive(Debug)]
pub enum Sharing {
    /// With forked children, who have every mapping already.
    WithForked,
    /// With exec'd children, who inherit files without a name: those made so far.
    WithExeced(Vec<File>),
    /// As such a child: what it has inherited and not asked for yet.
    FromParent(std::vec::IntoIter<File>),
}

impl Sharing {
    /// What an exec'd child can make of its parent's [`Self::descriptors`].
    pub fn from_parent(descriptors: Vec<RawFd>) -> Self {
        Self::FromParent(descriptors.into_iter().map(inherited_file).collect::<Vec<_>>().into_iter())
    }

    /// The descriptors that a child has to be told of.
    pub fn descriptors(&self) -> Vec<RawFd> {
        match self {
            Self::WithExeced(files) => files.iter().map(AsRawFd::as_raw_fd).collect(),
            Self::WithForked | Self::FromParent(_) => Vec::new(),
        }
    }

    /// What an exec'd child of this process would have, for a test that does without one.
    #[cfg(test)]
    pub fn as_a_child_has_it(&self) -> Self {
        let Self::WithExeced(files) = self else { panic!("only files can be handed over") };
        let copies = files.iter().map(|file| file.try_clone().expect("a descriptor"));
        Self::FromParent(copies.collect::<Vec<_>>().into_iter())
    }

    /// `len` bytes, zeroed when the parent asks.
    ///
    /// # Errors
    /// What the kernel says, or if the parent has not asked for as much.
    pub fn map(&mut self, len: usize) -> io::Result<Mapping> {
        match self {
            Self::WithForked => Mapping::near_program(len, Visibility::Shared),
            _ if len == 0 => Mapping::new(0, Visibility::Shared),
            Self::WithExeced(files) => {
                let file = unnamed_file(len)?;
                let mapping = Mapping::of_file(len, &file)?;
                files.push(file);
                Ok(mapping)
            }
            Self::FromParent(files) => {
                let file = files
                    .next()
                    .ok_or_else(|| io::Error::other("the parent has not handed over enough memory"))?;
                Mapping::of_file(len, &file)
            }
        }
    }
}

/// An open file that this program was started with, for whoever was told of it.
pub fn inherited_file(descriptor: RawFd) -> File {
    // SAFETY: it was inherited for this and belongs to nobody else in this process. If it is not open, using it says so.
    unsafe { File::from_raw_fd(descriptor) }
}

/// A file without a name with `content`, which programs that this process executes inherit.
///
/// # Errors
/// What the kernel says.
pub fn unnamed_file_with(content: &[u8]) -> io::Result<File> {
    let file = unnamed_file(content.len())?;
    file.write_all_at(content, 0)?;
    Ok(file)
}

/// A file without a name, of `len` bytes for good, which programs that this process executes inherit.
fn unnamed_file(len: usize) -> io::Result<File> {
    let file = File::from(memfd_create(c"procbench", MFdFlags::MFD_ALLOW_SEALING)?);
    file.set_len(len as u64)?;
    let size_for_good = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(size_for_good))?;
    Ok(file)
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
        $vis struct $name { $($(#[$doc])* pub $field: $crate::sys::atomic::AtomicU64),+ }

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

    /// The same in memory that is shared as `sharing` says.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn shared(len: usize, sharing: &mut Sharing) -> io::Result<Self> {
        let bytes =
            len.checked_mul(size_of::<T>()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        Ok(Self { mapping: sharing.map(bytes)?, len, items: PhantomData })
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
        if self.len == 0 {
            return &[];
        }
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

    /// The same in memory that is shared as `sharing` says.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn shared(count: usize, size: usize, sharing: &mut Sharing) -> io::Result<Self> {
        let bytes = count.checked_mul(size).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        Ok(Self { mapping: sharing.map(bytes)?, size, count })
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
        #[cfg(test)]
        super::atomic::reordered::read(self.mapping.file, index);
        // SAFETY: within the mapping; initialised (zeroed or written); within this process `&self`
        // excludes writers, and between processes the done mark does (see the type's documentation).
        unsafe { std::slice::from_raw_parts(self.mapping.start.as_ptr().add(index * self.size), self.size) }
    }

    /// Slot `index`, to write.
    #[inline]
    pub fn get_mut(&mut self, index: usize) -> &mut [u8] {
        assert!(index < self.count);
        #[cfg(test)]
        super::atomic::reordered::written(self.mapping.file, index);
        // SAFETY: as for `get`, with `&mut self` excluding every other view in this process.
        unsafe {
            std::slice::from_raw_parts_mut(self.mapping.start.as_ptr().add(index * self.size), self.size)
        }
    }

    /// Slot `index`, to be written from its beginning to its end: the kernel is asked for all of its pages at once, where that
    /// is cheaper than one fault for each.
    #[inline]
    pub fn get_mut_whole(&mut self, index: usize) -> &mut [u8] {
        const WORTH_ASKING_BYTES: usize = 16 << 10;
        if self.size >= WORTH_ASKING_BYTES {
            self.populate(index);
        }
        self.get_mut(index)
    }

    fn populate(&self, index: usize) {
        assert!(index < self.count);
        let page = procfs::page_size() as usize;
        let start = index * self.size / page * page;
        let len = (index + 1) * self.size - start;
        // SAFETY: within the mapping, whose bytes it does not change. Older kernels refuse it, and then each page is
        // had when it is touched.
        unsafe {
            libc::madvise(self.mapping.start.as_ptr().add(start).cast(), len, libc::MADV_POPULATE_WRITE);
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
    fn nothing_is_mapped_for_nothing() {
        let slice = SharedSlice::<AtomicU64>::new(0, Visibility::Shared).unwrap();
        assert!(slice.is_empty() && slice.mapping().is_empty());
        let slots = Slots::new(3, 0, Visibility::Shared).unwrap();
        assert!(slots.mapping().is_empty() && slots.get(2).is_empty());
    }

    #[test]
    fn a_shared_slice_begins_with_zeroes() {
        let slice = SharedSlice::<AtomicU64>::new(1000, Visibility::Shared).unwrap();
        assert_eq!(slice.len(), 1000);
        assert!(slice.iter().all(|item| item.load(Relaxed) == 0));
    }
}
