//! Memory as the memory model has it, not as this machine does: loads may return what was overwritten long ago, unless an order
//! forbids it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::Ordering::{self, Relaxed};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};

use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicU64 as Word;

/// An order that is left out, to see whether it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// Of loads.
    Acquire,
    /// Of stores.
    Release,
    /// Of what reads and writes at once.
    ReleaseOfUpdates,
}

struct Memory {
    words: Vec<Arc<Word>>,
    words_taken: u64,
    bytes: Vec<Rc<UnsafeCell<()>>>,
    /// By file and slot: which of them.
    bytes_taken: HashMap<(u64, usize), usize>,
    left_out: Option<LeftOut>,
}

impl Memory {
    /// All at once, before there are threads: that something is made is an access like others.
    fn new(left_out: Option<LeftOut>) -> Self {
        const WORDS: usize = 100;
        const SLOTS: usize = 20;
        Self {
            words: (0..WORDS).map(|_| Arc::new(Word::new(0))).collect(),
            words_taken: 0,
            bytes: (0..SLOTS).map(|_| Rc::new(UnsafeCell::new(()))).collect(),
            bytes_taken: HashMap::new(),
            left_out,
        }
    }
}

thread_local! {
    // All threads of an execution are one to the system: they take turns.
    static MEMORY: RefCell<Option<Memory>> = const { RefCell::new(None) };
}

/// Does `work` again and again, until every order of its threads' accesses with up to `preemptions` changes of thread
/// where none was needed, and every value that loads may return, has been had. Returns how many executions that took.
///
/// # Errors
/// What an execution panicked with.
pub fn in_every_order(
    preemptions: usize,
    left_out: Option<LeftOut>,
    work: impl Fn() + Send + Sync + 'static,
) -> Result<usize, String> {
    let executions = Arc::new(AtomicUsize::new(0));
    let (counter, work) = (Arc::clone(&executions), Arc::new(work));
    let wrong = Arc::new(Mutex::new(None));
    let told = Arc::clone(&wrong);
    let execution = move || {
        counter.fetch_add(1, Relaxed);
        MEMORY.set(Some(Memory::new(left_out)));
        let work = Arc::clone(&work);
        // The first thread has but little room.
        let ended = spawn(move || work()).join();
        MEMORY.set(None);
        if let Err(wrong) = ended {
            *told.lock().expect("nobody panics with it") = Some(text_of(&*wrong));
            panic!("an execution went wrong");
        }
    };
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.max_branches = 100_000;
    let ended = catch_unwind(AssertUnwindSafe(|| model.check(execution)));
    // What an execution that went wrong has left is of no use to anybody, and can be dropped by nobody.
    std::mem::forget(MEMORY.take());
    let wrong = wrong.lock().expect("nobody panics with it").take();
    match ended {
        Ok(()) => Ok(executions.load(Relaxed)),
        Err(other) => Err(wrong.unwrap_or_else(|| text_of(&*other))),
    }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// Another thread of such an execution.
pub fn spawn<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> loom::thread::JoinHandle<R> {
    const STACK_BYTES: usize = 1 << 20;
    let roomy = loom::thread::Builder::new().stack_size(STACK_BYTES / size_of::<usize>());
    roomy.spawn(work).expect("a thread")
}

/// Whether this is such an execution.
pub fn is_on() -> bool {
    MEMORY.with_borrow(Option::is_some)
}

/// Lets others go on, where a wait for them would not end by itself.
pub fn give_way() {
    loom::thread::yield_now();
}

/// What stands for `place` in an execution. Its number is kept in the place itself: the same memory may be seen at several
/// addresses.
pub(super) fn word_of(place: &AtomicU64) -> Option<Arc<Word>> {
    MEMORY.with_borrow_mut(|memory| {
        let memory = memory.as_mut()?;
        if place.load(Relaxed) == 0 {
            memory.words_taken += 1;
            place.store(memory.words_taken, Relaxed);
        }
        Some(Arc::clone(&memory.words[place.load(Relaxed) as usize - 1]))
    })
}

/// `order`, unless it is the one that is left out here.
pub(super) fn unless_left_out(order: Ordering, which: LeftOut) -> Ordering {
    let left_out = MEMORY.with_borrow(|memory| memory.as_ref().and_then(|memory| memory.left_out));
    if left_out == Some(which) { Relaxed } else { order }
}

fn bytes_of(file: u64, slot: usize) -> Option<Rc<UnsafeCell<()>>> {
    MEMORY.with_borrow_mut(|memory| {
        let memory = memory.as_mut()?;
        let next = memory.bytes_taken.len();
        let place = *memory.bytes_taken.entry((file, slot)).or_insert(next);
        Some(Rc::clone(&memory.bytes[place]))
    })
}

/// Panics if somebody may be writing the bytes of this slot.
pub fn read(file: u64, slot: usize) {
    if let Some(bytes) = bytes_of(file, slot) {
        bytes.with(|_| ());
    }
}

/// Panics if somebody may be reading or writing the bytes of this slot.
pub fn written(file: u64, slot: usize) {
    if let Some(bytes) = bytes_of(file, slot) {
        bytes.with_mut(|_| ());
    }
}

/// As the standard library's.
pub fn fence(order: Ordering) {
    if is_on() { loom::sync::atomic::fence(order) } else { std::sync::atomic::fence(order) }
}
