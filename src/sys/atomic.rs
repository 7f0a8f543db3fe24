//! The atomic number that workers and their parent share.
//!
//! It is the standard library's. In this crate's own tests it is one that tells of each access before it is made, so that a
//! test can let whoever makes it die, or be overtaken, there and at every other access.

#[cfg(not(test))]
pub use std::sync::atomic::AtomicU64;

#[cfg(test)]
pub use watched::{AtomicU64, watching};

#[cfg(test)]
mod watched {
    use std::cell::RefCell;
    use std::ops::Deref;
    use std::sync::atomic::{self, Ordering};

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

    impl AtomicU64 {
        pub fn load(&self, order: Ordering) -> u64 {
            tell();
            self.0.load(order)
        }

        pub fn store(&self, value: u64, order: Ordering) {
            tell();
            self.0.store(value, order);
        }

        pub fn swap(&self, value: u64, order: Ordering) -> u64 {
            tell();
            self.0.swap(value, order)
        }

        pub fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
            tell();
            self.0.fetch_add(value, order)
        }

        pub fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
            tell();
            self.0.fetch_sub(value, order)
        }
    }

    impl Deref for AtomicU64 {
        type Target = atomic::AtomicU64;

        fn deref(&self) -> &atomic::AtomicU64 {
            &self.0
        }
    }
}
