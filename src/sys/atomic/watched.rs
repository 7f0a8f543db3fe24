//! One that tells of each access before it is made.

use std::cell::RefCell;
use std::ops::Deref;
use std::sync::atomic::{self, Ordering};

use super::reordered::{LeftOut, unless_left_out, word_of};

thread_local! {
    static WATCHER: RefCell<Option<Box<dyn FnMut()>>> = const { RefCell::new(None) };
}

/// Does `work`; `watcher` is called before each access that this thread makes meanwhile, and may unwind.
pub fn watching<R>(watcher: impl FnMut() + 'static, work: impl FnOnce() -> R) -> R {
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            WATCHER.with(|slot| *slot.borrow_mut() = None);
        }
    }
    WATCHER.with(|slot| *slot.borrow_mut() = Some(Box::new(watcher)));
    let _end = End;
    work()
}

fn tell() {
    let watcher = WATCHER.with(|slot| slot.borrow_mut().take());
    if let Some(mut watcher) = watcher {
        watcher();
        WATCHER.with(|slot| *slot.borrow_mut() = Some(watcher));
    }
}

/// As the standard library's.
#[repr(transparent)]
#[derive(Debug, Default)]
pub struct AtomicU64(atomic::AtomicU64);

/// What reads and writes at once.
macro_rules! updates {
    ($($name:ident),+) => {
        $(pub fn $name(&self, value: u64, order: Ordering) -> u64 {
            tell();
            match word_of(&self.0) {
                Some(word) => word.$name(value, unless_left_out(order, LeftOut::ReleaseOfUpdates)),
                None => self.0.$name(value, order),
            }
        })+
    };
}

impl AtomicU64 {
    pub fn load(&self, order: Ordering) -> u64 {
        tell();
        match word_of(&self.0) {
            Some(word) => word.load(unless_left_out(order, LeftOut::Acquire)),
            None => self.0.load(order),
        }
    }

    pub fn store(&self, value: u64, order: Ordering) {
        tell();
        match word_of(&self.0) {
            Some(word) => word.store(value, unless_left_out(order, LeftOut::Release)),
            None => self.0.store(value, order),
        }
    }

    updates!(swap, fetch_add, fetch_sub);
}

impl Deref for AtomicU64 {
    type Target = atomic::AtomicU64;

    fn deref(&self) -> &atomic::AtomicU64 {
        &self.0
    }
}
