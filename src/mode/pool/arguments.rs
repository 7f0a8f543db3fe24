//! Arguments on their way from the parent to the workers: a ring of slots in shared memory.
//!
//! The parent makes them in task order, ahead of the workers by as many as the ring has slots. A slot is free again once
//! the word of the task before it in the same slot is published, so an argument outlives the worker that read it and is
//! still there for its successor. Every order of its steps is gone through in `arguments/model.rs`.

#[cfg(test)]
mod model;

use std::io;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::time::Duration;

use crate::mode::chunk::CHUNKS_AHEAD;
use crate::shared_record;
use crate::sys::atomic::fence;
use crate::sys::futex;
use crate::sys::memory::{SharedSlice, Sharing, Slots};

shared_record! {
    /// Where the parent says how far it is.
    #[repr(align(128))]
    struct Made {
        /// Tasks below this have their arguments in the ring.
        count,
        /// How many workers sleep until there are more.
        sleepers,
    }
}

shared_record! {
    /// Where the parent says that it waits.
    #[repr(align(128))]
    struct Wanted {
        /// 1 + the task whose slot the parent waits for; 0 if it does not wait.
        task_plus_one,
    }
}

/// The ring. Without argument bytes it is empty, and every task's argument is there from the start.
pub(super) struct ArgumentRing {
    slots: Slots,
    made: SharedSlice<Made>,
    wanted: SharedSlice<Wanted>,
}

const LENGTH_BYTES: usize = size_of::<u64>();
/// The ring holds at least [`CHUNKS_AHEAD`] slots a held task, and as many as fit into this, so that small arguments are made far ahead.
const ROOM_BYTES: u64 = 1 << 20;
/// Arguments made between two announcements while nobody is waiting for one, in bytes.
const ANNOUNCE_BYTES: usize = 16 * 1024;
/// Nobody sleeps longer than this without looking whether somebody has died.
const NAP: Duration = Duration::from_millis(20);

impl ArgumentRing {
    /// For `tasks` arguments of up to `capacity` bytes, of which workers hold `held` at a time.
    pub(super) fn new(capacity: usize, tasks: u64, held: u64, sharing: &mut Sharing) -> io::Result<Self> {
        let count = if capacity == 0 {
            0
        } else {
            let roomy = ROOM_BYTES / (LENGTH_BYTES + capacity) as u64;
            roomy.max(held.saturating_mul(CHUNKS_AHEAD)).min(tasks)
        };
        Self::with_slots(count, capacity, sharing)
    }

    /// With room for `count` arguments at a time.
    pub(super) fn with_slots(count: u64, capacity: usize, sharing: &mut Sharing) -> io::Result<Self> {
        let size = if capacity == 0 { 0 } else { LENGTH_BYTES + capacity };
        let one_or_none = count.min(1) as usize;
        Ok(Self {
            slots: Slots::shared(count as usize, size, sharing)?,
            made: SharedSlice::shared(one_or_none, sharing)?,
            wanted: SharedSlice::shared(one_or_none, sharing)?,
        })
    }

    /// The most bytes an argument may have; 0 if there are no arguments.
    pub(super) fn capacity(&self) -> usize {
        self.slots.size().saturating_sub(LENGTH_BYTES)
    }

    /// Parent: makes arguments from task `from` on until all are made or the ring has been full for a while. Returns the
    /// first task whose argument is still to be made.
    pub(super) fn make(
        &mut self,
        from: u64,
        tasks: u64,
        is_done: impl Fn(u64) -> bool,
        mut write: impl FnMut(u64, &mut [u8]) -> usize,
    ) -> u64 {
        let slots = self.slots.count() as u64;
        let announce_every = (ANNOUNCE_BYTES / self.slots.size()).clamp(1, 64) as u64;
        for task in from..tasks {
            if let Some(before) = task.checked_sub(slots)
                && !is_done(before)
            {
                self.announce(task);
                // Until half of the ring is free: whoever waited for the next slot alone would be woken for each. Tasks end in
                // any order, so that may say nothing of the next slot.
                self.await_done(before + slots / 2, &is_done);
                if !is_done(before) && !self.await_done(before, &is_done) {
                    return task;
                }
            }
            let (length, argument) = self.slots.get_mut((task % slots) as usize).split_at_mut(LENGTH_BYTES);
            length.copy_from_slice(&(write(task, argument) as u64).to_ne_bytes());
            if (task + 1) % announce_every == 0 || self.made[0].sleepers.load(Relaxed) > 0 {
                self.announce(task + 1);
            }
        }
        self.announce(tasks);
        tasks
    }

    /// Parent: sleeps until `task` is done, or for one nap. Says whether it is done.
    fn await_done(&self, task: u64, is_done: &impl Fn(u64) -> bool) -> bool {
        let wanted = &self.wanted[0].task_plus_one;
        // Sequentially consistent on both sides: either the worker sees that it is waited for, or
        // the parent sees that the task is done.
        wanted.store(task + 1, SeqCst);
        fence(SeqCst);
        if !is_done(task) {
            futex::wait(wanted, (task + 1) as u32, NAP);
        }
        wanted.store(0, Relaxed);
        is_done(task)
    }

    fn announce(&self, count: u64) {
        let made = &self.made[0];
        made.count.store(count, SeqCst);
        if made.sleepers.load(SeqCst) > 0 {
            futex::wake_all(&made.count);
        }
    }

    /// Worker: the argument of `task`, as soon as the parent has made it.
    #[inline]
    pub(super) fn wait_for(&self, task: u64) -> &[u8] {
        if self.slots.count() == 0 {
            return &[];
        }
        let made = &self.made[0];
        while made.count.load(Acquire) <= task {
            self.sleep_until_more(task);
        }
        let slot = self.slots.get((task % self.slots.count() as u64) as usize);
        let (length, bytes) = slot.split_at(LENGTH_BYTES);
        let length = u64::from_ne_bytes(length.try_into().expect("the length's own bytes"));
        &bytes[..length as usize]
    }

    #[cold]
    fn sleep_until_more(&self, task: u64) {
        let made = &self.made[0];
        made.sleepers.fetch_add(1, SeqCst);
        let seen = made.count.load(SeqCst);
        if seen <= task {
            futex::wait(&made.count, seen as u32, NAP);
        }
        made.sleepers.fetch_sub(1, Release);
    }

    /// Worker: `task` is published; wakes the parent if that is what it waits for.
    #[inline]
    pub(super) fn release(&self, task: u64) {
        if self.slots.count() == 0 {
            return;
        }
        fence(SeqCst);
        let wanted = &self.wanted[0].task_plus_one;
        if wanted.load(Relaxed) == task + 1 {
            wanted.store(0, Relaxed);
            futex::wake_all(wanted);
        }
    }
}
