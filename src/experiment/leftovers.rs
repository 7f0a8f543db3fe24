//! What tasks that are programs of the user's own leave running: no more of it than there is room for.

use crate::engine::Strategy;
use crate::measure::limits::Limits;
use crate::mode::Mode;
use crate::plan::guard::{self, ProcessCost};
use crate::report::numbers::count;
use crate::sys::strays::{children_of, is_running};

/// What there is room for besides the processes of a round itself.
#[derive(Debug, Clone)]
pub struct Room {
    /// How many processes its tasks may leave running that nobody waits for.
    left_running: u64,
    /// How many processes of the round itself its runner waits for, at most.
    awaited: u64,
    /// The limit that there is, in words.
    limit: String,
}

impl Room {
    /// Beside `strategy` with so many `tasks`, as of now: half of what the tightest limit leaves, since it may be looked at too late. `None`
    /// where no limit is known.
    pub fn beside(strategy: &Strategy, tasks: u64) -> Option<Self> {
        const ANY: u64 = u64::MAX / 2;
        // Of these an interpreter has some that help it.
        const FEW: u64 = 16;
        // A shell, for one, has so much of its own.
        const BYTES: u64 = 256 << 10;
        let cost =
            ProcessCost { processes: 1, parked_bytes: BYTES, task_bytes: 0, peer_files: 0, held_bytes: 0 };
        let verdict = guard::judge(ANY, &Limits::read(), cost);
        let binding = verdict.binding?;
        let settings = &strategy.settings;
        let awaited = match strategy.mode {
            Mode::Process => settings.in_flight.unwrap_or(tasks),
            Mode::Serial | Mode::Threads | Mode::Pool => settings.workers.unwrap_or(1),
        };
        // Below each worker there may be a program.
        let own = awaited.saturating_mul(2);
        let limit = format!(
            "{}, of which {} are in use or set aside",
            binding.limit_in_words(),
            binding.amount(binding.in_use)
        );
        Some(Self { left_running: (verdict.allowed.saturating_sub(own) / 2).max(FEW), awaited, limit })
    }

    /// Refuses to go on where tasks have left too many processes running. Each is given to the nearest subreaper: the runner below the
    /// `guardian`, or the guardian itself.
    ///
    /// # Errors
    /// How many there are, and which limit they are near.
    pub fn require(&self, guardian: i32) -> Result<(), String> {
        let mut below = children_of(guardian).unwrap_or_default();
        // The runner came first.
        below.extend(below.first().and_then(|runner| children_of(*runner)).unwrap_or_default());
        let left_of = |all: usize| (all as u64).saturating_sub(1 + self.awaited);
        if left_of(below.len()) <= self.left_running {
            return Ok(());
        }
        // Some may have ended, and nobody has taken notice yet.
        let left = left_of(below.iter().filter(|pid| is_running(**pid)).count());
        if left <= self.left_running {
            return Ok(());
        }
        Err(format!(
            "tasks have left {} processes running that the round does not wait for, and more than {} are not to be left: {}. Have each task wait \
             for what it starts, or end it",
            count(left),
            count(self.left_running),
            self.limit
        ))
    }
}
