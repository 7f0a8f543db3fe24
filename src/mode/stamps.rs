//! When tasks started and ended: of all of them, or of an even sample where looking at the clock would show.

use std::io;
use std::num::NonZeroU64;
use std::sync::atomic::Ordering::Relaxed;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::start_order::{StartOrder, start_order};
use crate::sys::atomic::AtomicU64;
use crate::sys::memory::{SharedSlice, Sharing, Visibility};

/// Two readings of the clock (24 ns each where the kernel lets programs read it themselves) and what they keep the
/// processor from doing meanwhile: 1 µs tasks took 1.8 % longer with one in seven stamped.
const STAMPING_SECONDS: f64 = 120e-9;
/// Part of a task's time that stamping may take.
const ALLOWED_PART: f64 = 0.01;
/// The same once there are [`ENOUGH_SAMPLES`] in a round.
const SMALL_PART: f64 = 0.0025;
/// As many as have forty beyond their 99th percentile.
const ENOUGH_SAMPLES: u64 = 1 << 12;
/// Samples in one round, at most.
const MOST_SAMPLES: u64 = 1 << 16;
/// Of a value, in histograms: 1 %.
const SIGNIFICANT_DIGITS: u8 = 2;

/// A place for start and end of every `stride`-th task.
#[derive(Debug)]
pub struct Stamps {
    /// Start and end, in nanoseconds on `CLOCK_MONOTONIC`; 0 where nothing was stamped.
    places: SharedSlice<AtomicU64>,
    stride: u64,
}

/// Knows the next task that is stamped, for the price of a comparison where a division would cost as much as the task.
#[derive(Debug, Clone, Copy)]
pub struct Cursor {
    next: u64,
    stride: u64,
}

impl Cursor {
    /// The first task at or after `task` that is stamped: beyond all tasks if none is. Tasks asked for must not descend.
    #[inline]
    pub fn at_or_after(&mut self, task: u64) -> u64 {
        if task > self.next {
            self.advance(task);
        }
        self.next
    }

    #[cold]
    fn advance(&mut self, task: u64) {
        let first = first_stamped(self.stride);
        self.next = first + (task - first).next_multiple_of(self.stride);
    }
}

/// The first task that is stamped, where every `stride`-th is: not the very first, which has waited for nobody. Of as few as make a
/// sample of one it is the one in the middle.
pub const fn first_stamped(stride: u64) -> u64 {
    stride / 2
}

/// Whether `task` is stamped, where every `stride`-th is.
#[inline]
pub const fn is_stamped(task: u64, stride: NonZeroU64) -> bool {
    task % stride.get() == first_stamped(stride.get())
}

/// How many of `tasks` are stamped, where every `stride`-th is.
pub const fn stamped_of(tasks: u64, stride: u64) -> u64 {
    (tasks + stride - 1 - first_stamped(stride)) / stride
}

/// Which tasks are stamped: every so many-th, so that stamping takes at most 1 % of tasks of `task_seconds`, or a quarter of that where
/// 4,096 are, and at most 65,536 are; one is at least. An odd number: chunks are often powers of two, and their first tasks alone would be no fair sample.
pub fn stride_for(tasks: u64, task_seconds: f64) -> u64 {
    let at = |part: f64| (STAMPING_SECONDS / (part * task_seconds)).ceil().max(1.0) as u64;
    let for_cost = at(ALLOWED_PART).max(tasks.div_ceil(ENOUGH_SAMPLES).min(at(SMALL_PART)));
    let for_room = tasks.div_ceil(MOST_SAMPLES).max(1);
    for_cost.max(for_room).min(tasks) | 1
}

/// Two for each task that is stamped, and no fewer if there is one.
fn places_for(tasks: u64, stride: Option<u64>) -> usize {
    2 * stride.map_or(0, |stride| tasks.div_ceil(stride)) as usize
}

impl Stamps {
    /// For tasks `0..tasks`; without a `stride` nothing is stamped.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new(tasks: u64, stride: Option<u64>, visibility: Visibility) -> io::Result<Self> {
        let places = SharedSlice::new(places_for(tasks, stride), visibility)?;
        Ok(Self { places, stride: stride.unwrap_or(1) })
    }

    /// The same in memory that is shared as `sharing` says.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn shared(tasks: u64, stride: Option<u64>, sharing: &mut Sharing) -> io::Result<Self> {
        let places = SharedSlice::shared(places_for(tasks, stride), sharing)?;
        Ok(Self { places, stride: stride.unwrap_or(1) })
    }

    /// Whether `task` is stamped. Divides: whoever goes through many tasks has a [`Cursor`].
    #[inline]
    pub fn includes(&self, task: u64) -> bool {
        !self.places.is_empty() && task % self.stride == first_stamped(self.stride)
    }

    /// For somebody who goes through tasks in ascending order.
    pub fn cursor(&self) -> Cursor {
        if self.places.is_empty() {
            Cursor { next: u64::MAX, stride: 1 }
        } else {
            Cursor { next: first_stamped(self.stride), stride: self.stride }
        }
    }

    /// Every how many-th task is stamped; `None` if none is.
    pub fn stride(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.stride).filter(|_| !self.places.is_empty())
    }

    /// Notes that `task`, which is stamped, started and ended then.
    #[inline]
    pub fn note(&self, task: u64, started: u64, ended: u64) {
        let place = (task / self.stride) as usize * 2;
        if let [start, end] = &self.places[place..place + 2] {
            start.store(started, Relaxed);
            end.store(ended, Relaxed);
        }
    }

    /// What was stamped, in a round that began at `begin`. `None` if nothing was.
    pub fn latency(&self, begin: u64) -> Option<RoundLatency> {
        let mut wait = new_histogram();
        let mut service = new_histogram();
        let mut longest = [0; 2];
        for pair in self.places.chunks_exact(2) {
            let (started, ended) = (pair[0].load(Relaxed), pair[1].load(Relaxed));
            if started != 0 {
                let [waited, took] = [started.saturating_sub(begin), ended.saturating_sub(started)];
                wait.saturating_record(waited);
                service.saturating_record(took);
                longest = [longest[0].max(waited), longest[1].max(took)];
            }
        }
        let [longest_wait, longest_service] = longest;
        (!wait.is_empty()).then(|| RoundLatency {
            one_in: self.stride,
            wait: Buckets::of(&wait, longest_wait),
            service: Buckets::of(&service, longest_service),
        })
    }

    /// In which order what was stamped started. `None` if nothing was.
    pub fn start_order(&self) -> Option<StartOrder> {
        let tasks = (first_stamped(self.stride)..).step_by(self.stride as usize);
        let starts = tasks.zip(self.places.chunks_exact(2).map(|pair| pair[0].load(Relaxed)));
        start_order(starts.filter(|(_, started)| *started != 0), self.stride)
    }
}

/// How long the tasks of a round waited and took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundLatency {
    /// Every how many-th task was stamped.
    pub one_in: u64,
    /// From t0 to the start of the task, in nanoseconds.
    pub wait: Buckets,
    /// From its start to its end, in nanoseconds.
    pub service: Buckets,
}

/// A histogram as pairs of a value in nanoseconds (good to 1 %, the last one exact) and how many tasks had it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Buckets(pub Vec<(u64, u64)>);

impl Buckets {
    /// Of `histogram`, whose largest value is exactly `longest`.
    fn of(histogram: &Histogram<u64>, longest: u64) -> Self {
        let recorded = histogram.iter_recorded();
        let values =
            recorded.map(|bucket| (bucket.value_iterated_to().min(longest), bucket.count_at_value()));
        Self(values.collect())
    }

    /// The largest value, exactly.
    pub fn longest(&self) -> Option<u64> {
        self.0.iter().map(|(value, _)| *value).max()
    }

    /// All of `rounds` in one histogram.
    pub fn merge<'a>(rounds: impl IntoIterator<Item = &'a Self>) -> Histogram<u64> {
        let mut merged = new_histogram();
        for (value, count) in rounds.into_iter().flat_map(|buckets| &buckets.0) {
            merged.saturating_record_n(*value, *count);
        }
        merged
    }
}

fn new_histogram() -> Histogram<u64> {
    const LONGEST_NANOSECONDS: u64 = 1_000_000_000 * 3600 * 24;
    Histogram::new_with_bounds(1, LONGEST_NANOSECONDS, SIGNIFICANT_DIGITS).expect("these bounds are valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_sample_begins_in_the_middle_of_its_first_stretch() {
        for (tasks, stride, expected) in [
            (10, 1, (0..10).collect()),
            (10, 3, vec![1, 4, 7]),
            (8, 5, vec![2, 7]),
            (7, 5, vec![2]),
            (2, 5, vec![]),
        ] {
            let stamped = |task: &u64| is_stamped(*task, NonZeroU64::new(stride).unwrap());
            assert_eq!((0..tasks).filter(stamped).collect::<Vec<u64>>(), expected, "{stride} of {tasks}");
            assert_eq!(stamped_of(tasks, stride), expected.len() as u64, "{stride} of {tasks}");
            let stamps = Stamps::new(tasks, Some(stride), Visibility::Private).unwrap();
            assert_eq!((0..tasks).filter(|task| stamps.includes(*task)).collect::<Vec<_>>(), expected);
            let (mut cursor, mut found, mut from) = (stamps.cursor(), Vec::new(), 0);
            while cursor.at_or_after(from) < tasks {
                found.push(cursor.at_or_after(from));
                from = cursor.at_or_after(from) + 1;
            }
            assert_eq!(found, expected, "{stride} of {tasks}");
            found.iter().for_each(|task| stamps.note(*task, 1 + task, 2 + task));
            let count = stamps.latency(0).map_or(0, |latency| Buckets::merge([&latency.wait]).len());
            assert_eq!(count, expected.len() as u64);
        }
    }

    #[test]
    fn of_few_tasks_the_one_in_the_middle_speaks() {
        for tasks in 1..50 {
            let stride = stride_for(tasks, 5e-9);
            assert_eq!(stamped_of(tasks, stride), 1, "{tasks}");
            assert_eq!(first_stamped(stride), tasks / 2);
        }
    }

    #[test]
    fn long_tasks_are_all_stamped_and_short_ones_sampled() {
        assert_eq!(stride_for(1000, 1e-3), 1);
        assert_eq!(stride_for(1000, 1e-6), 13, "120 ns are 12 % of 1 µs, so about one in twelve");
        assert_eq!(stride_for(1 << 20, 1e-3), 17, "a million does not fit");
        assert_eq!(stride_for(200_000, 1e-6), 49, "4,096 are enough at that price");
        assert_eq!(stride_for(20_000, 20e-6), 3, "or as many as take a quarter of it");
    }

    #[test]
    fn wait_and_service_are_told_apart() {
        let stamps = Stamps::new(10, Some(3), Visibility::Private).unwrap();
        let mut cursor = stamps.cursor();
        assert_eq!([0, 1, 2, 3, 9].map(|task| cursor.at_or_after(task)), [1, 1, 4, 4, 10]);
        stamps.note(1, 1_000, 1_500);
        stamps.note(4, 2_000, 2_500);
        let latency = stamps.latency(900).unwrap();
        assert_eq!(latency.one_in, 3);
        let service = Buckets::merge([&latency.service]);
        assert!(service.max().abs_diff(500) <= 5, "good to 1 %, not {}", service.max());
        assert_eq!(latency.service.longest(), Some(500), "exactly");
        assert_eq!(latency.wait.longest(), Some(1100));
        assert_eq!(Buckets::merge([&latency.wait]).len(), 2);
    }

    #[test]
    fn without_stamps_there_is_no_latency() {
        let stamps = Stamps::new(10, None, Visibility::Private).unwrap();
        assert!(!stamps.includes(0));
        assert_eq!(stamps.cursor().at_or_after(0), u64::MAX);
        assert_eq!(stamps.latency(0), None);
    }
}
