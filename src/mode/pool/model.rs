//! The pool's protocol, gone through completely: every order in which the steps of workers and parent can follow each other, with a
//! worker dying at every one of them. What the parent concludes from what it reads is the real code ([`super::ledger`],
//! [`super::casualties`]); the steps of a worker are those of [`super::worker`], each of which [`super::crashes`] lets the real
//! one die at. That the search would find a mistake is shown by making some.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use super::casualties::Casualties;
use super::ledger::{self, Note};
use crate::sys::wait::Exit;
use crate::workload::OnFailure;

/// What is to be gone through.
#[derive(Debug, Clone, Copy)]
struct Scope {
    tasks: u64,
    workers: usize,
    chunk: u64,
    deaths: u32,
    policy: OnFailure,
    mistake: Option<Mistake>,
}

/// What could have been done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    /// A task is marked done before its result is written.
    DoneBeforeWritten,
    /// The range that is held is noted end first, so that for a moment it reaches back over what others hold.
    EndBeforeStart,
    /// The counter is read and written, not added to.
    ClaimInTwoSteps,
    /// A successor takes all that was held, done or not.
    InheritsWhatIsDone,
    /// Nobody looks whether a task is missing when all workers are gone.
    NoSweep,
    /// What nobody holds is handed out although a living worker may be about to note it.
    HastyGap,
    /// Tasks executed before are counted when their range is left, not when it is taken.
    CountsLate,
}

/// What a worker does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Next {
    NoteBefore(Purpose),
    NoteStart(Purpose),
    NoteEnd(Purpose),
    GetReady,
    Publish,
    Write,
    Claim,
    /// With what was read of the counter.
    ClaimAt(u64),
}

/// What a range is noted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Purpose {
    Inherited,
    Claimed,
    End,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Life {
    Alive(Next),
    /// Not reaped yet: killed, or gone by itself.
    Dead(bool),
    Nobody,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Worker {
    life: Life,
    range: Range<u64>,
    inherits: bool,
    executed: u64,
}

/// How far the parent is with looking for a gap: it reads the counter, then each note, start before end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Look {
    claimed: u64,
    place: usize,
    start: Option<u64>,
    held: Vec<Range<u64>>,
}

const MOST_TASKS: usize = 4;
/// One more than there are workers, as in the pool.
const MOST_PLACES: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    next: u64,
    /// A bit for each task, as in the next two.
    published: u8,
    written: u8,
    given_up: u8,
    executions: [u8; MOST_TASKS],
    notes: [Note; MOST_PLACES],
    workers: [Worker; MOST_PLACES],
    look: Option<Look>,
    casualties: Casualties,
    deaths_left: u32,
    /// Sum over those who have been buried.
    executed: u64,
}

impl Worker {
    /// On to the first task of its range: it looks whether those that were handed down to it are done. Nobody else could do
    /// them meanwhile, so looking is no step of its own.
    fn next_task(&mut self, published: u8, first: Next) -> Next {
        while self.inherits && !self.range.is_empty() && published & 1 << self.range.start != 0 {
            self.range.start += 1;
        }
        if self.range.is_empty() { Next::Claim } else { first }
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.next, self.published, self.written, self.given_up, self.executions, &self.notes, &self.workers)
            .hash(hasher);
        (&self.look, self.deaths_left, self.executed, self.casualties.retries, self.casualties.lost)
            .hash(hasher);
        self.casualties.so_far().hash(hasher);
    }
}

impl State {
    fn new(scope: &Scope) -> Self {
        let mut state = Self {
            next: 0,
            published: 0,
            written: 0,
            given_up: 0,
            executions: [0; MOST_TASKS],
            notes: [Note::default(); MOST_PLACES],
            workers: std::array::from_fn(|_| Worker {
                life: Life::Nobody,
                range: 0..0,
                inherits: false,
                executed: 0,
            }),
            look: None,
            casualties: Casualties::new(scope.policy, None),
            deaths_left: scope.deaths,
            executed: 0,
        };
        (0..scope.workers).for_each(|place| state.start(place, None));
        state
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    fn start(&mut self, place: usize, inherited: Option<Range<u64>>) {
        let next = if inherited.is_some() { Next::NoteBefore(Purpose::Inherited) } else { Next::GetReady };
        let inherits = inherited.is_some();
        let range = inherited.unwrap_or(0..0);
        self.workers[place] = Worker { life: Life::Alive(next), range, inherits, executed: 0 };
    }

    fn is_published(&self, task: u64) -> bool {
        self.published & 1 << task != 0
    }

    /// All that may happen next.
    fn successors(&self, scope: &Scope) -> Vec<Self> {
        let mut all = Vec::new();
        for (place, worker) in self.workers.iter().enumerate() {
            match &worker.life {
                Life::Alive(next) => {
                    let mut goes_on = self.clone();
                    goes_on.step(scope, place, *next);
                    all.push(goes_on);
                    if self.deaths_left > 0 {
                        let mut dies = self.clone();
                        dies.deaths_left -= 1;
                        dies.workers[place].life = Life::Dead(true);
                        all.push(dies);
                    }
                }
                Life::Dead(killed) if self.look.is_none() => {
                    let mut buried = self.clone();
                    buried.bury(scope, place, *killed);
                    all.push(buried);
                }
                Life::Dead(_) | Life::Nobody => {}
            }
        }
        all.extend(self.after_a_look(scope));
        all
    }

    /// What the parent may do besides burying.
    fn after_a_look(&self, scope: &Scope) -> Option<Self> {
        let mut after = self.clone();
        let spare = scope.workers;
        let nobody = self.workers.iter().all(|worker| worker.life == Life::Nobody);
        match &mut after.look {
            None if nobody => {
                let tasks = 0..scope.tasks;
                let start = ledger::first_unpublished(&tasks, |task| self.is_published(task))?;
                if scope.mistake == Some(Mistake::NoSweep) {
                    return None;
                }
                let end = (start..scope.tasks).find(|task| self.is_published(*task)).unwrap_or(scope.tasks);
                after.casualties.retries += 1;
                after.start(0, Some(start..end));
            }
            None if self.casualties.lost == 0 || self.workers[spare].life != Life::Nobody => return None,
            None => {
                let claimed = self.next.min(scope.tasks);
                after.look = Some(Look { claimed, place: 0, start: None, held: Vec::new() });
            }
            Some(look) if look.place < spare => {
                let note = self.notes[look.place];
                match look.start.take() {
                    _ if self.workers[look.place].life == Life::Nobody => look.place += 1,
                    None => look.start = Some(note.held().start),
                    Some(start) => {
                        look.held.push(start..note.held().end);
                        look.place += 1;
                    }
                }
            }
            Some(look) => {
                let (claimed, mut held) = (look.claimed, std::mem::take(&mut look.held));
                after.look = None;
                if scope.mistake == Some(Mistake::HastyGap) {
                    held.retain(|range| range.clone().any(|task| !self.is_published(task)));
                }
                if let Some(gap) = ledger::gap(claimed, &held, |task| self.is_published(task)) {
                    after.casualties.retries += 1;
                    after.start(spare, Some(gap));
                }
            }
        }
        Some(after)
    }

    fn bury(&mut self, scope: &Scope, place: usize, killed: bool) {
        let note = std::mem::take(&mut self.notes[place]);
        self.workers[place].life = Life::Nobody;
        let mut estate = note.settle(|task| self.is_published(task), |_| true);
        self.executed += estate.executed;
        if scope.mistake == Some(Mistake::InheritsWhatIsDone) && !estate.held.is_empty() {
            estate.first_left = Some(estate.held.start);
        }
        let exit = if killed { Exit::Signal(9) } else { Exit::Code(0) };
        let succession = estate.succeed(exit, None, &mut self.casualties).expect("not so many deaths");
        let Some(succession) = succession else { return };
        if let Some((task, _)) = succession.given_up {
            self.published |= 1 << task;
            self.given_up |= 1 << task;
        }
        if place != scope.workers || succession.inherited.is_some() {
            self.start(place, succession.inherited);
        }
    }

    /// One step of the worker at `place`: at most one access to what others see.
    fn step(&mut self, scope: &Scope, place: usize, next: Next) {
        let mistake = |this: Mistake| scope.mistake == Some(this);
        let first = if mistake(Mistake::DoneBeforeWritten) { Next::Publish } else { Next::Write };
        // One that takes over all that was held does not look either.
        let published = if mistake(Mistake::InheritsWhatIsDone) { 0 } else { self.published };
        let (worker, note) = (&mut self.workers[place], &mut self.notes[place]);
        let (noted, before) = match next {
            Next::NoteBefore(Purpose::End) | Next::NoteStart(Purpose::End) | Next::NoteEnd(Purpose::End) => {
                (scope.tasks..scope.tasks, worker.executed)
            }
            _ => (worker.range.clone(), worker.executed),
        };
        let after_notes = |purpose: Purpose| match purpose {
            Purpose::Inherited => Some(Next::GetReady),
            Purpose::Claimed => Some(first),
            Purpose::End => None,
        };
        let task = worker.range.start;
        // Beyond all tasks where there is none in hand.
        let bit = 1_u8.checked_shl(task as u32).unwrap_or(0);
        let then = match next {
            Next::NoteBefore(purpose) => {
                let side = 1 - note.held_start_and_side % 2;
                note.executed_before[if mistake(Mistake::CountsLate) { 0 } else { side as usize }] = before;
                let end_first = mistake(Mistake::EndBeforeStart);
                Some(if end_first { Next::NoteEnd(purpose) } else { Next::NoteStart(purpose) })
            }
            Next::NoteStart(purpose) => {
                let side = if mistake(Mistake::CountsLate) { 0 } else { 1 - note.held_start_and_side % 2 };
                note.held_start_and_side = noted.start * 2 + side;
                if mistake(Mistake::EndBeforeStart) {
                    after_notes(purpose)
                } else {
                    Some(Next::NoteEnd(purpose))
                }
            }
            Next::NoteEnd(purpose) => {
                note.held_end = noted.end;
                if mistake(Mistake::EndBeforeStart) {
                    Some(Next::NoteStart(purpose))
                } else {
                    after_notes(purpose)
                }
            }
            Next::GetReady => {
                note.ready = true;
                Some(if worker.inherits { worker.next_task(published, first) } else { Next::Claim })
            }
            Next::Write => {
                self.executions[task as usize] += 1;
                self.written |= bit;
                if mistake(Mistake::DoneBeforeWritten) {
                    worker.range.start += 1;
                    Some(worker.next_task(published, first))
                } else {
                    Some(Next::Publish)
                }
            }
            Next::Publish => {
                self.published |= bit;
                worker.executed += 1;
                if mistake(Mistake::DoneBeforeWritten) {
                    Some(Next::Write)
                } else {
                    worker.range.start += 1;
                    Some(worker.next_task(published, first))
                }
            }
            Next::Claim if mistake(Mistake::ClaimInTwoSteps) => Some(Next::ClaimAt(self.next)),
            Next::Claim | Next::ClaimAt(_) => {
                let start = if let Next::ClaimAt(read) = next { read } else { self.next };
                self.next = start + scope.chunk;
                worker.inherits = false;
                worker.range = start..scope.tasks.min(start + scope.chunk);
                let purpose = if start < scope.tasks { Purpose::Claimed } else { Purpose::End };
                Some(Next::NoteBefore(purpose))
            }
        };
        // The spare one claims nothing.
        let then = then.map(|next| match next {
            Next::Claim if place == scope.workers => Next::NoteBefore(Purpose::End),
            next => next,
        });
        worker.life = then.map_or(Life::Dead(false), Life::Alive);
    }

    /// What is wrong with it, seen at any time.
    fn wrong(&self) -> Option<String> {
        let read_early = self.published & !self.written & !self.given_up;
        // The parent reads a result as soon as it is marked done and nobody is left who could still write it.
        let nobody = self.workers.iter().all(|worker| !matches!(worker.life, Life::Alive(_)));
        (nobody && read_early != 0)
            .then(|| format!("task {} is marked done and has no result", read_early.trailing_zeros()))
    }

    /// What is wrong with it when nothing more can happen.
    fn wrong_at_the_end(&self, scope: &Scope) -> Option<String> {
        if let Some(task) = (0..scope.tasks).find(|task| !self.is_published(*task)) {
            return Some(format!("task {task} is lost"));
        }
        let executions: u64 = self.executions.iter().map(|times| u64::from(*times)).sum();
        let most = scope.tasks + self.casualties.retries;
        if executions > most {
            return Some(format!("{executions} executions, {} retries", self.casualties.retries));
        }
        if self.given_up == 0 && !(scope.tasks..=most).contains(&self.executed) {
            return Some(format!("{} of {} tasks are counted as executed", self.executed, scope.tasks));
        }
        None
    }
}

/// Goes through everything that can happen in `scope`. Returns how many states there are.
///
/// # Errors
/// What is wrong with one of them.
fn go_through(scope: &Scope) -> Result<usize, String> {
    let start = State::new(scope);
    // What is kept of a state is 64 bits of it: among ten million states, the chance that two look the same is one in 400,000.
    let mut seen = HashSet::from([start.digest()]);
    let mut open = vec![start];
    while let Some(state) = open.pop() {
        let successors = state.successors(scope);
        let wrong =
            state.wrong().or_else(|| successors.is_empty().then(|| state.wrong_at_the_end(scope)).flatten());
        if let Some(wrong) = wrong {
            return Err(format!("{wrong}: {state:?}"));
        }
        for successor in successors {
            if seen.insert(successor.digest()) {
                open.push(successor);
            }
        }
    }
    Ok(seen.len())
}

const SCOPE: Scope =
    Scope { tasks: 2, workers: 2, chunk: 1, deaths: 1, policy: OnFailure::Continue, mistake: None };

#[test]
fn every_task_is_done_once_or_again_and_counted_whoever_dies_wherever() {
    let full = super::crashes::is_full();
    let mut scopes = vec![
        SCOPE,
        Scope { tasks: 3, chunk: 2, ..SCOPE },
        // The second death of a task's worker is the last that is borne.
        Scope { workers: 1, deaths: 3, policy: OnFailure::Retry(1), ..SCOPE },
    ];
    if full {
        scopes.extend([
            Scope { tasks: 3, ..SCOPE },
            Scope { deaths: 2, ..SCOPE },
            Scope { deaths: 2, policy: OnFailure::Retry(1), ..SCOPE },
            Scope { tasks: 4, chunk: 2, deaths: 2, ..SCOPE },
            Scope { tasks: 3, chunk: 3, workers: 3, ..SCOPE },
        ]);
    }
    for scope in scopes {
        let states = go_through(&scope).unwrap_or_else(|wrong| panic!("{scope:?}: {wrong}"));
        use std::io::Write;
        // Past the capture of the test harness, as all tests of faults say what they have tried.
        let _ = writeln!(
            std::io::stderr(),
            "FAULTS: model of {} workers, {} tasks by {}, up to {} deaths: {states} states, all right",
            scope.workers,
            scope.tasks,
            scope.chunk,
            scope.deaths
        );
    }
}

#[test]
fn mistakes_would_be_found() {
    for mistake in [
        Mistake::DoneBeforeWritten,
        Mistake::EndBeforeStart,
        Mistake::ClaimInTwoSteps,
        Mistake::InheritsWhatIsDone,
        Mistake::NoSweep,
        Mistake::HastyGap,
        Mistake::CountsLate,
    ] {
        let scopes = [SCOPE, Scope { tasks: 3, chunk: 2, ..SCOPE }];
        let found =
            scopes.iter().any(|scope| go_through(&Scope { mistake: Some(mistake), ..*scope }).is_err());
        assert!(found, "{mistake:?} is not found");
    }
}
