//! The ring's protocol, gone through completely: every order in which the steps of the parent and of workers can follow each
//! other, with naps that end by themselves or never, and with a worker dying at any step, and so with tasks that were claimed
//! and that nobody holds, without which the others cannot go on. From everything that can happen, all can still be done. The steps are those of
//! [`super::ArgumentRing`], one access to what others see at a time, as if memory had one order for all; what it takes besides
//! (which accesses are sequentially consistent, and where fences stand) is argued where it is done. That the search would find a
//! mistake is shown by making some.

use std::collections::HashMap;
use std::ops::Range;

use crate::mode::pool::ledger;

/// What is to be gone through.
#[derive(Debug, Clone, Copy)]
struct Scope {
    tasks: u8,
    slots: u8,
    workers: usize,
    chunk: u8,
    announce_every: u8,
    deaths: u8,
    /// Whether sleepers may wake by themselves. If they never do, a wake-up that is lost is the end.
    naps: bool,
    mistake: Option<Mistake>,
}

/// What could have been done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    /// Half of the ring being free is taken for the next slot being free.
    HalfIsEnough,
    /// Whoever waits for a slot says nothing of the arguments that he has made.
    FullInSilence,
    /// The parent says what it waits for after it has looked.
    WantsTooLate,
    /// A worker looks whether it is waited for before its task is published.
    ReleasesTooEarly,
    /// A worker sleeps whatever has been announced since it looked.
    SleepsOverNews,
    /// The last arguments are announced only if their number is round.
    NoLastWord,
    /// Nobody looks for tasks that were claimed and that nobody holds before all workers are gone.
    NoGap,
    /// Whoever is started for such tasks goes on with others, and there is nobody for the next ones.
    SpareStays,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Parent {
    /// Is the task before it in its slot done?
    Look,
    /// Announces, and goes on.
    Announce(After),
    /// Wakes those that sleep, and goes on.
    WakeAll(After),
    Want(Aim),
    LookAgain(Aim),
    /// About to sleep if nothing has changed.
    Doze(Aim),
    Asleep(Aim),
    WantNothing(Aim),
    LookLast(Aim),
    Fill,
    /// The ring has been full for a nap: it looks for what nobody holds.
    Back,
    Gone,
}

/// What the parent does after it has announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum After {
    Wait,
    Next,
    Leave,
}

/// Which task the parent waits for: the one that makes half of the ring free, or the one before it in the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Aim {
    Half,
    Slot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Worker {
    Claim,
    /// With what it has claimed.
    Note,
    Wait,
    CountIn,
    LookAgain,
    /// With what was read.
    Doze(u8),
    Asleep,
    CountOut,
    Read,
    Publish,
    Release,
    Wake,
    Dead,
    Gone,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    parent: Parent,
    /// The task whose argument is made next.
    task: u8,
    count: u8,
    sleepers: u8,
    wanted: u8,
    next: u8,
    published: u8,
    /// 1 + the task whose argument is there.
    slots: Vec<u8>,
    /// Each with what it holds, without what it has done of it. The last one is for what nobody holds.
    workers: Vec<(Worker, u8, u8)>,
    deaths_left: u8,
    wrong: Option<&'static str>,
}

impl State {
    fn new(scope: &Scope) -> Self {
        Self {
            parent: Parent::Look,
            task: 0,
            count: 0,
            sleepers: 0,
            wanted: 0,
            next: 0,
            published: 0,
            slots: vec![0; scope.slots.into()],
            workers: std::iter::repeat_n((Worker::Claim, 0, 0), scope.workers)
                .chain([(Worker::Gone, 0, 0)])
                .collect(),
            deaths_left: scope.deaths,
            wrong: None,
        }
    }

    fn is_done(&self, task: u8) -> bool {
        self.published & 1 << task != 0
    }

    fn aim(&self, scope: &Scope, aim: Aim) -> u8 {
        let before = self.task - scope.slots;
        if aim == Aim::Half { before + scope.slots / 2 } else { before }
    }

    fn successors(&self, scope: &Scope) -> Vec<Self> {
        let mut all = Vec::new();
        let mut then = |change: &dyn Fn(&mut Self)| {
            let mut state = self.clone();
            change(&mut state);
            all.push(state);
        };
        if !matches!(self.parent, Parent::Asleep(_) | Parent::Gone) {
            then(&|state| state.parent_step(scope));
        }
        if let Parent::Asleep(aim) = self.parent
            && scope.naps
        {
            then(&|state| state.parent = Parent::WantNothing(aim));
        }
        if self.parent == Parent::Gone && self.all_are_gone() && self.first_missing(scope).is_some() {
            then(&|state| state.hand_out_what_is_missing(scope));
        }
        for place in 0..=scope.workers {
            let (worker, task, end) = self.workers[place];
            match worker {
                Worker::Dead => {
                    // A nap of the parent's is over, it buries, and looks for the slot once more. What was held is handed on.
                    then(&|state| {
                        if state.parent != Parent::Gone {
                            (state.parent, state.wanted) = (Parent::Look, 0);
                        }
                        state.workers[place].0 = match task < end {
                            true => Worker::Wait,
                            false => scope.after_all(place),
                        };
                    });
                }
                Worker::Gone => {}
                _ => {
                    if worker != Worker::Asleep {
                        then(&|state| state.worker_step(scope, place));
                    } else if scope.naps {
                        then(&|state| state.workers[place].0 = Worker::CountOut);
                    }
                    if self.deaths_left > 0 {
                        then(&|state| {
                            state.deaths_left -= 1;
                            // What is not noted is held by nobody then.
                            let left = if worker == Worker::Note { end } else { task };
                            state.workers[place] = (Worker::Dead, left, end);
                        });
                    }
                }
            }
        }
        all
    }

    fn parent_step(&mut self, scope: &Scope) {
        let mistake = |this: Mistake| scope.mistake == Some(this);
        self.parent = match self.parent {
            Parent::Look if self.task == scope.tasks => {
                if mistake(Mistake::NoLastWord) {
                    Parent::Gone
                } else {
                    Parent::Announce(After::Leave)
                }
            }
            Parent::Look if self.task < scope.slots || self.is_done(self.task - scope.slots) => Parent::Fill,
            Parent::Look if mistake(Mistake::FullInSilence) => Parent::Want(Aim::Half),
            Parent::Look => Parent::Announce(After::Wait),
            Parent::Announce(after) => {
                self.count = self.task;
                Parent::WakeAll(after)
            }
            Parent::WakeAll(after) => {
                if self.sleepers > 0 {
                    for (worker, ..) in &mut self.workers {
                        if *worker == Worker::Asleep {
                            *worker = Worker::CountOut;
                        }
                    }
                }
                match after {
                    After::Wait => Parent::Want(Aim::Half),
                    After::Next => Parent::Look,
                    After::Leave => Parent::Gone,
                }
            }
            Parent::Want(aim) if mistake(Mistake::WantsTooLate) => {
                // The two steps the other way round.
                if self.is_done(self.aim(scope, aim)) {
                    Parent::WantNothing(aim)
                } else {
                    Parent::LookAgain(aim)
                }
            }
            Parent::Want(aim) => {
                self.wanted = self.aim(scope, aim) + 1;
                Parent::LookAgain(aim)
            }
            Parent::LookAgain(aim) if mistake(Mistake::WantsTooLate) => {
                self.wanted = self.aim(scope, aim) + 1;
                Parent::Doze(aim)
            }
            Parent::LookAgain(aim) => {
                if self.is_done(self.aim(scope, aim)) {
                    Parent::WantNothing(aim)
                } else {
                    Parent::Doze(aim)
                }
            }
            Parent::Doze(aim) => {
                let unchanged = self.wanted == self.aim(scope, aim) + 1;
                if unchanged { Parent::Asleep(aim) } else { Parent::WantNothing(aim) }
            }
            Parent::WantNothing(aim) => {
                self.wanted = 0;
                Parent::LookLast(aim)
            }
            Parent::LookLast(Aim::Half) if mistake(Mistake::HalfIsEnough) => {
                if self.is_done(self.aim(scope, Aim::Half)) { Parent::Fill } else { Parent::Look }
            }
            Parent::LookLast(aim) => match (self.is_done(self.aim(scope, Aim::Slot)), aim) {
                (true, _) => Parent::Fill,
                (false, Aim::Half) => Parent::Want(Aim::Slot),
                (false, Aim::Slot) => Parent::Back,
            },
            Parent::Back => {
                if self.all_are_gone() {
                    self.hand_out_what_is_missing(scope);
                } else if self.deaths_left < scope.deaths && !mistake(Mistake::NoGap) {
                    self.fill_gap(scope);
                }
                Parent::Look
            }
            Parent::Fill => {
                let place = usize::from(self.task % scope.slots);
                if self.task >= scope.slots && !self.is_done(self.task - scope.slots) {
                    self.wrong = Some("an argument is overwritten before its task is done");
                }
                self.slots[place] = self.task + 1;
                self.task += 1;
                let is_round = self.task.is_multiple_of(scope.announce_every);
                if is_round || self.sleepers > 0 { Parent::Announce(After::Next) } else { Parent::Look }
            }
            Parent::Asleep(_) | Parent::Gone => unreachable!("it takes no step"),
        };
    }

    fn worker_step(&mut self, scope: &Scope, place: usize) {
        let mistake = |this: Mistake| scope.mistake == Some(this);
        let (worker, task, end) = self.workers[place];
        let after = |task: u8| if task < end { Worker::Wait } else { scope.after_all(place) };
        self.workers[place] = match worker {
            Worker::Claim => {
                let start = self.next;
                self.next = scope.tasks.min(start + scope.chunk);
                if start < scope.tasks {
                    (Worker::Note, start, self.next)
                } else {
                    (Worker::Gone, start, start)
                }
            }
            Worker::Note => (Worker::Wait, task, end),
            // What is handed on to a successor may be done already.
            Worker::Wait if self.is_done(task) => (after(task + 1), task + 1, end),
            Worker::Wait => (if self.count > task { Worker::Read } else { Worker::CountIn }, task, end),
            Worker::CountIn => {
                self.sleepers += 1;
                (Worker::LookAgain, task, end)
            }
            Worker::LookAgain => {
                (if self.count <= task { Worker::Doze(self.count) } else { Worker::CountOut }, task, end)
            }
            Worker::Doze(seen) => {
                let sleeps = self.count == seen || mistake(Mistake::SleepsOverNews);
                (if sleeps { Worker::Asleep } else { Worker::CountOut }, task, end)
            }
            Worker::CountOut => {
                self.sleepers -= 1;
                (Worker::Wait, task, end)
            }
            Worker::Read => {
                if self.slots[usize::from(task % scope.slots)] != task + 1 {
                    self.wrong = Some("a worker reads the argument of another task");
                }
                let early = mistake(Mistake::ReleasesTooEarly);
                (if early { Worker::Release } else { Worker::Publish }, task, end)
            }
            Worker::Publish => {
                self.published |= 1 << task;
                match mistake(Mistake::ReleasesTooEarly) {
                    true => (after(task + 1), task + 1, end),
                    false => (Worker::Release, task, end),
                }
            }
            Worker::Release if self.wanted == task + 1 => {
                self.wanted = 0;
                (Worker::Wake, task, end)
            }
            Worker::Wake => {
                if let Parent::Asleep(aim) = self.parent {
                    self.parent = Parent::WantNothing(aim);
                }
                self.after_release(scope, place)
            }
            Worker::Release => self.after_release(scope, place),
            Worker::Asleep | Worker::Dead | Worker::Gone => unreachable!("it takes no step"),
        };
    }

    fn after_release(&self, scope: &Scope, place: usize) -> (Worker, u8, u8) {
        let (_, task, end) = self.workers[place];
        if scope.mistake == Some(Mistake::ReleasesTooEarly) {
            return (Worker::Publish, task, end);
        }
        (if task + 1 < end { Worker::Wait } else { scope.after_all(place) }, task + 1, end)
    }

    fn all_are_gone(&self) -> bool {
        self.workers.iter().all(|(worker, ..)| *worker == Worker::Gone)
    }

    fn first_missing(&self, scope: &Scope) -> Option<u8> {
        (0..scope.tasks).find(|task| !self.is_done(*task))
    }

    fn hand_out_what_is_missing(&mut self, scope: &Scope) {
        let Some(start) = self.first_missing(scope) else { return };
        let end = (start..scope.tasks).find(|task| self.is_done(*task)).unwrap_or(scope.tasks);
        self.workers[0] = (Worker::Wait, start, end);
    }

    /// What it concludes is the real code. That it reads one thing after the other is the other model's.
    fn fill_gap(&mut self, scope: &Scope) {
        if self.workers[scope.workers].0 != Worker::Gone {
            return;
        }
        let living = self.workers.iter().filter(|(worker, ..)| *worker != Worker::Gone);
        let held: Vec<Range<u64>> = living
            .map(
                |(worker, task, end)| {
                    if *worker == Worker::Note { 0..0 } else { (*task).into()..(*end).into() }
                },
            )
            .collect();
        if let Some(gap) = ledger::gap(self.next.into(), &held, |task| self.is_done(task as u8)) {
            self.workers[scope.workers] = (Worker::Wait, gap.start as u8, gap.end as u8);
        }
    }
}

impl Scope {
    /// What a worker does when it has done all that it holds.
    fn after_all(&self, place: usize) -> Worker {
        let is_spare = place == self.workers && self.mistake != Some(Mistake::SpareStays);
        if is_spare { Worker::Gone } else { Worker::Claim }
    }
}

/// Goes through everything that can happen in `scope`. Returns how many states there are.
///
/// # Errors
/// What is wrong with one of them.
fn go_through(scope: &Scope) -> Result<usize, String> {
    let mut states = vec![State::new(scope)];
    let mut numbers = HashMap::from([(states[0].clone(), 0)]);
    // Of each, from which it follows.
    let mut origins: Vec<Vec<usize>> = vec![Vec::new()];
    let mut over = Vec::new();
    let mut number = 0;
    while number < states.len() {
        let state = states[number].clone();
        if let Some(wrong) = state.wrong {
            return Err(format!("{wrong}: {state:?}"));
        }
        let successors = state.successors(scope);
        if state.parent == Parent::Gone && state.all_are_gone() && state.first_missing(scope).is_none() {
            over.push(number);
        } else if successors.is_empty() {
            return Err(format!("nobody goes on: {state:?}"));
        }
        for successor in successors {
            let next = *numbers.entry(successor).or_insert_with_key(|successor| {
                states.push(successor.clone());
                origins.push(Vec::new());
                states.len() - 1
            });
            origins[next].push(number);
        }
        number += 1;
    }
    // Who only wakes and sleeps again goes on too, but gets nowhere.
    let mut ends = vec![false; states.len()];
    while let Some(number) = over.pop() {
        if !std::mem::replace(&mut ends[number], true) {
            over.extend(&origins[number]);
        }
    }
    match ends.iter().position(|ends| !ends) {
        None => Ok(states.len()),
        Some(number) => Err(format!("it never ends: {:?}", states[number])),
    }
}

const SCOPE: Scope = Scope {
    tasks: 5,
    slots: 2,
    workers: 2,
    chunk: 1,
    announce_every: 1,
    deaths: 0,
    naps: false,
    mistake: None,
};

/// Where somebody may die, twice, whose task all others wait for.
const NARROW: Scope = Scope { workers: 1, slots: 1, tasks: 4, deaths: 2, naps: true, ..SCOPE };

#[test]
fn every_argument_is_read_by_its_own_task_and_nobody_sleeps_for_ever() {
    use std::io::Write;
    let full = crate::mode::pool::crashes::is_full();
    let mut scopes = vec![
        SCOPE,
        Scope { announce_every: 3, ..SCOPE },
        Scope { slots: 4, tasks: 7, announce_every: 2, ..SCOPE },
        Scope { slots: 3, chunk: 2, announce_every: 2, ..SCOPE },
        Scope { naps: true, ..SCOPE },
        Scope { naps: true, deaths: 1, ..SCOPE },
        NARROW,
        Scope { slots: 1, ..SCOPE },
    ];
    if full {
        scopes.extend([
            Scope { naps: true, deaths: 2, tasks: 4, ..SCOPE },
            Scope { naps: true, deaths: 1, slots: 4, tasks: 6, chunk: 2, announce_every: 4, ..SCOPE },
        ]);
    }
    for scope in scopes {
        let states = go_through(&scope).unwrap_or_else(|wrong| panic!("{scope:?}: {wrong}"));
        // Past the capture of the test harness, as all tests of faults say what they have tried.
        let _ = writeln!(
            std::io::stderr(),
            "FAULTS: model of a ring of {} slots for {} tasks, up to {} deaths, naps {}: {states} states, all right",
            scope.slots,
            scope.tasks,
            scope.deaths,
            if scope.naps { "end" } else { "never end" },
        );
    }
}

#[test]
fn mistakes_would_be_found() {
    for mistake in [
        Mistake::HalfIsEnough,
        Mistake::FullInSilence,
        Mistake::WantsTooLate,
        Mistake::ReleasesTooEarly,
        Mistake::SleepsOverNews,
        Mistake::NoLastWord,
        Mistake::NoGap,
        Mistake::SpareStays,
    ] {
        let scopes = [
            SCOPE,
            NARROW,
            Scope { announce_every: 3, ..SCOPE },
            Scope { slots: 4, tasks: 7, announce_every: 2, ..SCOPE },
        ];
        let found =
            scopes.iter().any(|scope| go_through(&Scope { mistake: Some(mistake), ..*scope }).is_err());
        assert!(found, "{mistake:?} is not found");
    }
}
