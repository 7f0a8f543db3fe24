//! The bystander: somebody who only wants to wake up on time while a round runs.
//!
//! It is a thread of the controller that sleeps [`NAP`] at a time and notes how late it woke. Another program
//! with the same processors, and the same quota if there is one, would be kept waiting as long; beside the same figure on
//! the idle machine this is the disturbance that a strategy causes, as a number.
//!
//! Deadlines lie on a fixed grid, one every [`NAP`] from the start, and each counts once. A bystander that is kept from
//! running for 100 ms has missed ten of them: they are recorded as 100, 90, 80 … ms late, which is how long a
//! task due at that moment would have waited. Were the next deadline set from the moment of waking, the stall
//! would be one sample of 100 ms, and the quantiles would say less the worse it gets (coordinated omission).
//!
//! A nap costs 20 to 24 µs of CPU time (measured over 1200 naps in a virtual machine at 2.6 GHz, where setting a
//! timer leaves the guest), which is 0.24 % of one core. The bench `verdicts` measures it anew: on virtual machines it was 0.28 to 0.63 % (results/limits.md).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hdrhistogram::Histogram;
use nix::sys::signal::{SigSet, SigmaskHow};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stats::{self, in_seconds};
use crate::sys::{clock, fork, raw};

/// How long the bystander sleeps at a time.
pub const NAP: Duration = Duration::from_millis(10);

/// Lateness beyond this is counted as this much in the quantiles (not in the maximum).
const LONGEST: Duration = Duration::from_secs(3600);

/// The value of [`Bystander::stop_at`] while it runs.
const RUNNING: u64 = u64::MAX;

/// A thread that naps and notes how late it wakes. Dropping it ends it.
#[derive(Debug)]
pub struct Bystander {
    /// When it was told to stop, on the monotonic clock in nanoseconds.
    stop_at: Arc<AtomicU64>,
    thread: Option<JoinHandle<Lateness>>,
}

impl Bystander {
    /// Starts napping; the deadlines are `first` from now, which is [`NAP`] at most, and every [`NAP`] after that. Where rounds are
    /// shorter than a nap, one that is drawn anew for each has every moment of a round looked at, and no round more often for being
    /// an unusually long one than by as much as it is longer.
    ///
    /// # Errors
    /// Where a thread cannot be created.
    pub fn start(first: Duration) -> io::Result<Self> {
        let stop_at = Arc::new(AtomicU64::new(RUNNING));
        let first = clock::monotonic_nanoseconds() + nanoseconds(first);
        let seen = Arc::clone(&stop_at);
        // The thread inherits a mask that blocks everything. A SIGCHLD given to it instead of the thread that
        // waits for one would be lost.
        let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        let thread = thread::Builder::new().name("bystander".into()).spawn(move || nap(first, &seen));
        mask.thread_set_mask()?;
        Ok(Self { stop_at, thread: Some(thread?) })
    }

    /// Deadlines after this call do not count: they are no longer the round's. It goes on napping for one [`NAP`] at most.
    pub fn leave(&self) {
        let now = clock::monotonic_nanoseconds();
        let _ = self.stop_at.compare_exchange(RUNNING, now, Ordering::Release, Ordering::Relaxed);
    }

    /// Ends it, which takes one [`NAP`] at most, and returns what it saw until now, or until it was told to
    /// [`leave`](Self::leave).
    pub fn stop(mut self) -> Lateness {
        self.end().unwrap_or_default()
    }

    fn end(&mut self) -> Option<Lateness> {
        self.leave();
        self.thread.take().and_then(|thread| thread.join().ok())
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        self.end();
    }
}

/// What the thread does.
fn nap(first: u64, stop_at: &AtomicU64) -> Lateness {
    fork::minimise_timer_slack();
    let mut lateness = Lateness::default();
    let mut deadline = first;
    loop {
        raw::sleep_until(deadline);
        let until = stop_at.load(Ordering::Acquire);
        deadline = lateness.record_wake(deadline, clock::monotonic_nanoseconds(), until);
        if until != RUNNING {
            return lateness;
        }
    }
}

/// How late the bystander woke, every time. Of bounded size however long it runs; those of several rounds add up.
#[derive(Debug, Clone, PartialEq)]
pub struct Lateness {
    /// In nanoseconds, exact to 0.1 %.
    histogram: Histogram<u64>,
    /// The largest, exactly.
    max: u64,
}

impl Default for Lateness {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, nanoseconds(LONGEST), 3).expect("the bounds are valid");
        Self { histogram, max: 0 }
    }
}

impl Lateness {
    /// Records one deadline that was met `nanoseconds` late.
    pub fn record(&mut self, nanoseconds: u64) {
        self.histogram.saturating_record(nanoseconds);
        self.max = self.max.max(nanoseconds);
    }

    /// Records every deadline from `deadline` on that has passed `now`, but none after `until`, and returns the
    /// next one to sleep to. All in nanoseconds on one clock.
    fn record_wake(&mut self, deadline: u64, now: u64, until: u64) -> u64 {
        let mut next = deadline;
        while next <= now {
            if next <= until {
                self.record(now - next);
            }
            next += nanoseconds(NAP);
        }
        next
    }

    /// Adds what was seen during another round.
    pub fn add(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("all have the same bounds");
        self.max = self.max.max(other.max);
    }

    /// How often it woke, or should have.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// All of it, as often as it was seen.
    pub fn histogram(&self) -> stats::Histogram {
        stats::Histogram::of(&self.histogram, self.max)
    }

    /// All of it in a few numbers.
    pub fn disturbance(&self) -> Disturbance {
        let count = self.count();
        // The histogram answers with the upper end of a bucket.
        let quantile = |q| in_seconds(self.histogram.value_at_quantile(q).min(self.max));
        Disturbance {
            p50_seconds: (count >= MIN_FOR_P50).then(|| quantile(0.50)),
            p99_seconds: (count >= MIN_FOR_P99).then(|| quantile(0.99)),
            max_seconds: (count > 0).then(|| in_seconds(self.max)),
            count,
        }
    }
}

/// With fewer naps the one in the middle is hardly more typical than any other.
pub const MIN_FOR_P50: u64 = 5;

/// With fewer naps there is none in the last hundredth. These are naps of 10 ms: the ten beyond the percentile that are
/// asked of tasks would take ten seconds, of the idle machine too.
pub const MIN_FOR_P99: u64 = 100;

/// How late a bystander woke while something ran.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Disturbance {
    /// The median. `None` below [`MIN_FOR_P50`] deadlines.
    pub p50_seconds: Option<f64>,
    /// The 99th percentile. `None` below [`MIN_FOR_P99`] deadlines.
    pub p99_seconds: Option<f64>,
    /// The latest. `None` if there was no deadline.
    pub max_seconds: Option<f64>,
    /// Deadlines, met or missed.
    pub count: u64,
}

impl Disturbance {
    /// Why some of it is `None`, if it is.
    pub fn reason(&self) -> Option<String> {
        match self.count {
            0 => Some(format!("it was over within the bystander's first nap of {NAP:?} or less")),
            count if count < MIN_FOR_P50 => Some(format!(
                "a p50 takes {MIN_FOR_P50} naps of {NAP:?}, a p99 {MIN_FOR_P99}, and there were {count}"
            )),
            count if count < MIN_FOR_P99 => {
                Some(format!("a p99 takes {MIN_FOR_P99} naps of {NAP:?}, and there were {count}"))
            }
            _ => None,
        }
    }
}

const fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn lateness_of(samples: impl IntoIterator<Item = u64>) -> Lateness {
        let mut lateness = Lateness::default();
        samples.into_iter().for_each(|sample| lateness.record(sample));
        lateness
    }

    fn about(value: Option<f64>, expected: f64) -> bool {
        value.is_some_and(|value| (value / expected - 1.0).abs() < 0.002)
    }

    #[test]
    fn nothing_seen_is_null_and_not_zero() {
        let nothing = Lateness::default().disturbance();
        assert_eq!(
            nothing,
            Disturbance { p50_seconds: None, p99_seconds: None, max_seconds: None, count: 0 }
        );
        assert!(nothing.reason().is_some());
    }

    #[test]
    fn the_p99_needs_a_sample_beyond_it() {
        let few = lateness_of((1..=99).map(|late| late * MS)).disturbance();
        assert_eq!(few.p99_seconds, None);
        assert!(few.reason().unwrap().contains("there were 99"));
        assert!(about(few.p50_seconds, 0.05));

        let enough = lateness_of((1..=100).map(|late| late * MS)).disturbance();
        assert!(about(enough.p99_seconds, 0.099), "{enough:?}");
        assert_eq!(enough.max_seconds, Some(0.1));
        assert_eq!(enough.reason(), None);
    }

    #[test]
    fn no_quantile_is_above_the_maximum() {
        let alike = lateness_of([12_345_678; MIN_FOR_P50 as usize]).disturbance();
        assert_eq!(alike.p50_seconds, alike.max_seconds);
        assert_eq!(alike.max_seconds, Some(0.012_345_678));
    }

    #[test]
    fn of_a_few_naps_the_longest_is_told_alone() {
        let few = lateness_of([MS; MIN_FOR_P50 as usize - 1]).disturbance();
        assert_eq!((few.p50_seconds, few.p99_seconds, few.max_seconds), (None, None, Some(0.001)));
        assert!(few.reason().is_some_and(|reason| reason.starts_with("a p50 takes 5 naps")), "{few:?}");
    }

    #[test]
    fn a_wake_on_time_is_one_sample_and_the_next_deadline_a_nap_later() {
        let mut lateness = Lateness::default();
        assert_eq!(lateness.record_wake(100 * MS, 100 * MS + 60_000, RUNNING), 110 * MS);
        let seen = lateness.disturbance();
        assert_eq!((seen.count, seen.max_seconds), (1, Some(60e-6)));
    }

    #[test]
    fn a_stall_makes_every_deadline_it_covers_late() {
        let mut lateness = Lateness::default();
        assert_eq!(lateness.record_wake(100 * MS, 205 * MS, RUNNING), 210 * MS);
        let expected = (0..=10).map(|missed| (105 - 10 * missed) * MS);
        assert_eq!(lateness, lateness_of(expected));
        assert_eq!(lateness.disturbance().max_seconds, Some(0.105));
    }

    #[test]
    fn deadlines_after_the_stop_do_not_count() {
        let mut lateness = Lateness::default();
        lateness.record_wake(100 * MS, 205 * MS, 125 * MS);
        assert_eq!(lateness, lateness_of([105 * MS, 95 * MS, 85 * MS]));
        let mut none = Lateness::default();
        none.record_wake(100 * MS, 101 * MS, 99 * MS);
        assert_eq!(none.disturbance().count, 0);
    }

    #[test]
    fn lateness_beyond_the_histogram_is_still_the_maximum() {
        let day = 24 * 3600 * 1000 * MS;
        let seen = lateness_of([day]).disturbance();
        assert_eq!((seen.count, seen.max_seconds), (1, Some(86_400.0)));
    }

    #[test]
    fn rounds_add_up() {
        let mut both = lateness_of([MS, 2 * MS]);
        both.add(&lateness_of([30 * MS]));
        assert_eq!(both, lateness_of([MS, 2 * MS, 30 * MS]));
    }

    #[test]
    fn it_naps_until_it_is_stopped() {
        let bystander = Bystander::start(NAP).unwrap();
        // The first deadline lies within this sleep, so it counts even if the thread has not begun yet.
        thread::sleep(NAP);
        let seen = bystander.stop().disturbance();
        assert!(seen.count >= 1, "{seen:?}");
        assert!(seen.p50_seconds <= seen.max_seconds);
    }

    #[test]
    fn one_that_is_dropped_ends() {
        let bystander = Bystander::start(NAP).unwrap();
        let shared = Arc::downgrade(&bystander.stop_at);
        drop(bystander);
        assert!(shared.upgrade().is_none(), "the thread still holds its half");
    }

    #[test]
    fn signals_reach_the_callers_thread_as_before() {
        let before = SigSet::thread_get_mask().unwrap();
        let _bystander = Bystander::start(NAP).unwrap();
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
    }
}
