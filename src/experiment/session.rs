//! Round after round: in which order, with what made ready, and whether they agree.

use super::leftovers::Room;
use super::stall::{Stall, Stalled};
use super::*;
use crate::measure::memory::{Choice, Method};
use crate::mode::Mode;
use crate::plan::SEVERAL_MEMORY_ROUNDS;
use crate::stats::MedianRanks;

/// Rounds before a precision is believed: who stops earlier stops when chance has made the interval narrow.
const LEAST_ROUNDS_FOR_PRECISION: u64 = 10;

/// What the results of a workload's tasks are, as the first strategy said.
pub(super) struct Agreed {
    strategy: String,
    digest: String,
    parts: Vec<u32>,
}

/// Which round of a row it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub(super) phase: Phase,
    /// Its number within its phase, from 1.
    pub(super) number: u64,
    /// Rounds of that phase, at most.
    pub(super) of: u64,
}

/// What all rounds of a run have in common.
pub(super) struct Session<'a> {
    pub(super) plan: &'a Plan,
    pub(super) setting: &'a Setting,
    pub(super) signals: &'a Signals,
    pub(super) observer: &'a mut dyn Observer,
    pub(super) janitor: &'a mut Janitor,
    pub(super) equipment: &'a Equipment,
    /// What all rounds must agree on, and who said it first: for the workload's tasks, and for empty ones.
    pub(super) digests: [Option<Agreed>; 2],
    /// Whether a task has failed, and nothing more is to be run after that.
    pub(super) stopped: bool,
    pub(super) own_forks: u64,
    pub(super) estimate: Option<Estimate>,
    /// The round in which somebody wanted an end.
    pub(super) cut_off: Option<CutOff>,
    /// Where the file is that tasks read from, and for how many: once for all rounds that need no more.
    pub(super) input: Option<(Folder, u64)>,
    /// By what memory is measured, if by anything; `None` until somebody asks.
    memory_method: Option<Option<Method>>,
    /// Opened to learn by what memory is measured, and not used yet.
    next_gauge: Option<Gauge>,
    /// Where what functions return is to be written: by one round, since all return the same.
    pub(super) returns: Option<PathBuf>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        setting: &'a Setting,
        signals: &'a Signals,
        observer: &'a mut dyn Observer,
        janitor: &'a mut Janitor,
        equipment: &'a Equipment,
    ) -> Self {
        let digests = [None, None];
        Self {
            plan,
            setting,
            signals,
            observer,
            janitor,
            equipment,
            digests,
            stopped: false,
            own_forks: 0,
            estimate: None,
            cut_off: None,
            input: None,
            memory_method: None,
            next_gauge: None,
            returns: setting.returns.clone(),
        }
    }

    pub(super) fn carry_out(&mut self, rows: &[Row], tables: &mut [Records]) -> Result<(), RoundFailure> {
        let run = &self.plan.run;
        let estimate = self.pilot(rows, tables)?;
        self.observer.notice(Event::Estimated {
            run_seconds: estimate.run_seconds,
            is_upper_bound: run.precision.is_some(),
        });
        self.estimate = Some(estimate);
        let memory_rounds: Vec<u64> = rows.iter().map(|row| self.memory_rounds(row)).collect();
        for number in 1..=memory_rounds.iter().copied().max().unwrap_or(0) {
            let mut places = schedule::order(rows.len(), run.seed, Phase::Memory, number);
            places.retain(|place| number <= memory_rounds[*place]);
            for place in places {
                let of = memory_rounds[place];
                let records = &mut tables[place];
                if let Some(completed) =
                    self.round_or_none(&rows[place], Turn { phase: Phase::Memory, number, of }, records)?
                {
                    records.memory.push(completed);
                }
            }
        }
        for number in 1..=run.warmup {
            let mut places = schedule::order(rows.len(), run.seed, Phase::WarmUp, number);
            // The rounds that measured memory have warmed up as well as any.
            places.retain(|place| number > memory_rounds[*place]);
            for place in places {
                let turn = Turn { phase: Phase::WarmUp, number, of: run.warmup };
                self.round_or_none(&rows[place], turn, &mut tables[place])?;
            }
        }
        let mut budgets: Vec<Budget> = rows.iter().map(|_| Budget::new(run)).collect();
        let mut order = 0;
        let mut ranks = None;
        for number in 1..=run.rounds {
            let mut places = schedule::order(rows.len(), run.seed, Phase::Timed, number);
            places.retain(|place| {
                let records = &tables[*place];
                records.given_up.is_none()
                    && budgets[*place].allows_another()
                    && !self.is_precise(number, records, &mut ranks)
            });
            if places.is_empty() {
                break;
            }
            for place in places {
                let records = &mut tables[place];
                let completed = self.round_or_none(
                    &rows[place],
                    Turn { phase: Phase::Timed, number, of: run.rounds },
                    records,
                )?;
                let Some(completed) = completed else { continue };
                order += 1;
                // With the start of a fresh runner, which the round's own time leaves out.
                let whole = records.expected.map(|whole| whole.as_secs_f64());
                budgets[place].spend(whole.unwrap_or(completed.outside_seconds));
                records.timed.push((number, order, completed));
            }
        }
        require_one(rows, tables)
    }

    /// The same as [`Self::round`]; but a strategy that cannot do what it is asked for, which the others can, is given up, and has no
    /// more rounds.
    fn round_or_none(
        &mut self,
        row: &Row,
        turn: Turn,
        records: &mut Records,
    ) -> Result<Option<Completed>, RoundFailure> {
        if records.given_up.is_some() {
            return Ok(None);
        }
        match self.round(row, turn, records) {
            Ok(completed) => Ok(Some(completed)),
            Err(failure) => {
                records.given_up = Some(failure.of_the_strategy()?);
                Ok(None)
            }
        }
    }

    /// Whether a row needs no round `number` for the precision that was asked for. Never a question of significance.
    ///
    /// `ranks` are those of the row before, which has had as many rounds, or nearly: they are not drawn again for each.
    fn is_precise(&self, number: u64, records: &Records, ranks: &mut Option<MedianRanks>) -> bool {
        let run = &self.plan.run;
        let Some(wanted) = run.precision.filter(|_| number > LEAST_ROUNDS_FOR_PRECISION) else {
            return false;
        };
        let rounds = records.timed.len();
        *ranks = ranks
            .filter(|drawn| drawn.rounds() == rounds)
            .or_else(|| MedianRanks::resample(rounds, run.seed));
        records.precision(*ranks).is_some_and(|reached| reached <= wanted)
    }

    pub(super) fn round(
        &mut self,
        row: &Row,
        turn: Turn,
        records: &mut Records,
    ) -> Result<Completed, RoundFailure> {
        let Turn { phase, number: round, of } = turn;
        if self.signals.stop_wanted() {
            return Err(RoundFailure::Interrupted);
        }
        if self.stopped {
            return Err(RoundFailure::Stopped);
        }
        let mut workload = row.workload.clone();
        let folder = match workload.kind {
            Kind::File => Some(self.janitor.folder()?),
            Kind::Synthetic | Kind::Expression | Kind::Command | Kind::Worker | Kind::Call => None,
        };
        if let Some(output) = workload.program.as_mut().and_then(|program| program.output.as_mut()) {
            output.push(safe_name(&row.strategy.name));
        }
        if phase == Phase::Memory
            && let Some(program) = &mut workload.program
        {
            program.returns = self.returns.clone();
        }
        if let Some(folder) = &folder {
            workload.folder = folder.path().to_owned();
        }
        let props = self.props(&mut workload)?;
        if row.strategy.engine == Engine::Python
            && let Some(python) = &self.equipment.python
        {
            python.forget_marks();
            workload.ready.shared = python.shared_of(&workload)?;
        }
        if row.strategy.engine == Engine::Python
            && let Some(python) = &self.equipment.python
            && let Some(folder) = python.arguments_of(&workload)?
        {
            workload.folder = folder;
        }
        let watch = match phase {
            Phase::Memory => Watch::Memory(self.take_gauge()?),
            Phase::Timed => Watch::Bystander { first_nap: schedule::first_nap(self.plan.run.seed, round) },
            Phase::Pilot | Phase::WarmUp => Watch::Nothing,
        };
        let name = row.name();
        let (tasks, expected) = (workload.tasks, records.expected);
        self.observer.notice(Event::RoundStarts { strategy: &name, phase, round, of, tasks, expected });
        let request = Request {
            protocol: VERSION,
            controller: std::process::id() as i32,
            workload,
            strategy: row.strategy.clone(),
            latency: self.plan.run.latency && phase == Phase::Timed,
            on_failure: self.plan.run.on_failure,
            // The first of all is the one that meets what the machine has not.
            verify: matches!(phase, Phase::Pilot | Phase::Memory),
        };
        let started = Instant::now();
        // What a tool has done nobody hears of.
        // Of longer tasks the next may take much longer than the last.
        const SHORT_ENOUGH: f64 = 10.0;
        let of_python =
            row.strategy.engine == Engine::Python && request.workload.expected_task_seconds() < SHORT_ENOUGH;
        let is_heard = (request.workload.kind.is_program() || of_python) && !row.strategy.engine.is_tool();
        let estimates = self.estimate.as_ref().map_or(&[][..], |estimate| &estimate.rounds);
        let estimated = estimates.iter().find(|round| round.strategy == name);
        let estimated = estimated.and_then(|round| Duration::try_from_secs_f64(round.round_seconds).ok());
        // Of tasks that are known, one may take so long that nothing is done meanwhile.
        let of_a_task = Duration::try_from_secs_f64(request.workload.expected_task_seconds()).ok();
        let expected = records.expected.max(estimated).max(of_a_task);
        let timeout = request.workload.any_timeout();
        let mut ear = Ear {
            observer: &mut *self.observer,
            python: self.equipment.python.as_ref().filter(|_| row.strategy.engine == Engine::Python),
            name: &name,
            phase,
            last_said: 0,
            is_ready: false,
            timeout,
            stall: is_heard.then(|| Stall::new(started, timeout, expected)),
        };
        let room = request.workload.kind.is_program().then(|| Room::beside(&row.strategy, tasks)).flatten();
        let command = row.strategy.engine.command(self.equipment)?;
        let completed = round::execute(
            command,
            &request,
            room.as_ref(),
            watch,
            (self.signals, &mut *self.janitor),
            &mut ear,
        );
        let last_said = ear.last_said;
        if matches!(completed, Err(RoundFailure::Interrupted)) {
            let seconds = started.elapsed().as_secs_f64();
            let tasks_done = Some(last_said).filter(|_| !row.strategy.engine.is_tool());
            let is_trial = phase == Phase::Pilot;
            self.cut_off = Some(CutOff { strategy: name, tasks, tasks_done, seconds, is_trial });
        }
        self.observer.notice(Event::RoundEnds);
        let peer_cpu_seconds = props.peer.and_then(Peer::stop).map(|cpu| cpu.total_seconds());
        let folders = [folder.as_ref(), props.folder.as_ref(), self.input.as_ref().map(|(folder, _)| folder)];
        let completed = completed.map_err(|failure| match failure {
            RoundFailure::Interrupted => failure,
            _ => self.gone_folder(&folders).unwrap_or_else(|| self.explain(row, failure)),
        })?;
        // Another may have what this one has not.
        if phase == Phase::Memory && completed.report.tasks_failed == 0 {
            self.returns = None;
        }
        let completed = Completed { peer_cpu_seconds, ..completed };
        records.expected = Some(started.elapsed());
        let failed = completed.report.tasks_failed > 0 || completed.report.tasks_not_tried > 0;
        self.stopped |= failed && self.plan.run.on_failure == OnFailure::Stop;
        if phase != Phase::Timed && completed.report.tasks_failed > 0 {
            records.untimed_tasks_failed += completed.report.tasks_failed;
            records.untimed_tasks_not_tried += completed.report.tasks_not_tried;
            records.untimed_failures.extend_from_slice(&completed.report.failures);
        }
        self.own_forks += created_by(&completed);
        if phase != Phase::Pilot {
            self.agree(row, &completed)?;
        }
        Ok(completed)
    }

    /// That somebody else has removed one of the `folders` that rounds need, if that is so: whatever failed, failed for that.
    fn gone_folder(&self, folders: &[Option<&Folder>]) -> Option<RoundFailure> {
        let of_engine = self.equipment.python.as_ref().map(Installed::folder);
        let mut needed = folders.iter().copied().flatten().map(Folder::path).chain(of_engine);
        let gone = needed.find(|folder| !folder.exists())?;
        Some(RoundFailure::Limit(format!(
            "{} is gone, which the run had made and needs: somebody has removed it",
            gone.display()
        )))
    }

    /// `failure`, with what the user's own function was doing when it took the round with it.
    fn explain(&self, row: &Row, failure: RoundFailure) -> RoundFailure {
        let in_hand = self.equipment.python.as_ref().and_then(|python| python.in_hand());
        match (failure, in_hand) {
            (RoundFailure::Silent(message), Some(doing)) if row.workload.kind == Kind::Call => {
                RoundFailure::Silent(format!("{message}, {doing}"))
            }
            (failure, _) => failure,
        }
    }

    /// Makes ready what the tasks of `workload` do I/O with, and tells them of it. It goes away with what is returned.
    fn props(&mut self, workload: &mut WorkloadSpec) -> Result<Props, RoundFailure> {
        let mut props = Props::default();
        match workload.io {
            Io::Sleep => {}
            Io::Echo => {
                workload.ready.peer = self.janitor.fresh_name();
                props.peer = Some(Peer::start(&workload.ready.peer, workload.io_size_bytes)?);
            }
            Io::Fsync => {
                let folder = self.janitor.folder_in(&workload.io_folder)?;
                workload.ready.io_folder = folder.path().to_owned();
                props.folder = Some(folder);
            }
            Io::Read => workload.ready.io_folder = self.input(workload)?.to_owned(),
        }
        Ok(props)
    }

    /// The folder with the file that the tasks of `workload` read from, which is written when there is none that is large
    /// enough.
    fn input(&mut self, workload: &WorkloadSpec) -> Result<&Path, RoundFailure> {
        let WorkloadSpec { tasks, io_size_bytes, seed, ref io_folder, .. } = *workload;
        let input = match self.input.take().filter(|(_, holds)| *holds >= tasks) {
            Some(input) => input,
            None => {
                let folder = self.janitor.folder_in(io_folder)?;
                let signals = self.signals;
                let made =
                    disk::make_input(folder.path(), tasks, io_size_bytes, seed, || !signals.stop_wanted());
                if !made
                    .with_context(|| format!("failed to write what tasks read to {}", io_folder.display()))?
                {
                    return Err(RoundFailure::Interrupted);
                }
                (folder, tasks)
            }
        };
        Ok(self.input.insert(input).0.path())
    }

    /// In how many rounds of `row` memory is measured: one, if the kernel keeps an account of the round alone and nobody ends in it;
    /// several, but no more than are timed, where memory is looked at from time to time, or where processes come and go: how many
    /// of the dead the kernel has not taken back yet when there is most differs from round to round.
    pub(super) fn memory_rounds(&mut self, row: &Row) -> u64 {
        // They have ended before all have been started, or nobody knows.
        const SHORT_SECONDS: f64 = 0.01;
        let come_and_go = row.strategy.mode == Mode::Process
            && (row.workload.kind.is_program() || row.workload.expected_task_seconds() < SHORT_SECONDS);
        let says_little = self.memory_method().is_some_and(Method::is_sampled) || come_and_go;
        if says_little { SEVERAL_MEMORY_ROUNDS.min(self.plan.run.rounds).max(1) } else { 1 }
    }

    /// How memory will be measured, if it can be.
    pub(super) fn memory_method(&mut self) -> Option<Method> {
        if let Some(known) = self.memory_method {
            return known;
        }
        // It stays for the first of these rounds; why there is none, that round says.
        self.next_gauge = self.open_gauge().ok();
        let method = self.next_gauge.as_ref().map(Gauge::method);
        *self.memory_method.insert(method)
    }

    fn take_gauge(&mut self) -> Result<Gauge, RoundFailure> {
        self.next_gauge.take().map_or_else(|| self.open_gauge(), Ok)
    }

    fn open_gauge(&mut self) -> Result<Gauge, RoundFailure> {
        let folder = Gauge::folder(&self.janitor.fresh_name());
        if let Some(folder) = &folder {
            self.janitor.expect(folder).context("failed to announce the round's cgroup")?;
        }
        let choice = self.plan.run.memory_method;
        let gauge = Gauge::open(choice, folder).map_err(|error| {
            let advice = match choice {
                Choice::Cgroup => " (a cgroup takes root, or one that is delegated; --memory-method auto takes what there is)",
                _ => "",
            };
            RoundFailure::Limit(format!("failed to measure memory by {}: {error}{advice}", choice.name()))
        })?;
        self.own_forks += gauge.processes_started();
        Ok(gauge)
    }

    /// All strategies give the same results, in every round. A failed task has none to agree on.
    fn agree(&mut self, row: &Row, completed: &Completed) -> Result<(), RoundFailure> {
        if completed.report.tasks_failed > 0 {
            return Ok(());
        }
        let RoundReport { digest: Some(digest), parts, .. } = &completed.report else { return Ok(()) };
        match &mut self.digests[usize::from(row.empty)] {
            Some(agreed) if agreed.digest != *digest => {
                let (ours, theirs) = (row.name(), &agreed.strategy);
                let both = match ours == *theirs {
                    true => format!("two rounds of {ours}"),
                    false => format!("{ours} and {theirs}"),
                };
                let message = match where_they_differ(row.workload.tasks, &agreed.parts, parts) {
                    Some(tasks) if row.workload.kind == Kind::Call => format!(
                        "{both} returned different values for the same arguments, first for {tasks}, by their \
                         pickled bytes: a function has to return the same each time it is given the same (what its module counts or keeps \
                         from earlier calls is another in each process; a list that is made of a set of strings has another order in each \
                         interpreter: sort it; --ignore-answers if yours cannot)"
                    ),
                    Some(tasks) => format!(
                        "{both} got different answers to the same lines, first to {tasks}: a worker has to \
                         answer the same each time it is asked the same (--ignore-answers if it cannot)"
                    ),
                    None => format!(
                        "{both} give different results for the same tasks: digest {digest} and {}",
                        agreed.digest
                    ),
                };
                Err(Invalid { message, of_results: true }.into())
            }
            Some(_) => Ok(()),
            nothing => {
                let (digest, parts) = (digest.clone(), parts.clone());
                *nothing = Some(Agreed { strategy: row.name(), digest, parts });
                Ok(())
            }
        }
    }
}

/// So much later than its timeout a task is ended by the controller, if nobody who is nearer to it has.
const BEYOND_TIMEOUT: Duration = Duration::from_secs(3);

/// Where tasks have a timeout, nobody has none in hand for so long who has still something to do.
const LONG_IDLE: Duration = Duration::from_secs(30);

/// What is heard of a round while it goes on.
struct Ear<'a> {
    observer: &'a mut dyn Observer,
    python: Option<&'a Installed>,
    name: &'a str,
    phase: Phase,
    last_said: u64,
    /// Whether the clock has started.
    is_ready: bool,
    /// How long a task may take, if somebody has said so.
    timeout: Option<Duration>,
    /// Only where tasks are somebody else's work, or somebody else executes them: of all others it is known how long they take.
    stall: Option<Stall>,
}

impl round::Listener for Ear<'_> {
    fn ready(&mut self) {
        self.is_ready = true;
        self.stall.iter_mut().for_each(|stall| stall.begin(Instant::now()));
    }

    fn progress(&mut self, tasks_done: u64, alive: u64) {
        self.last_said = tasks_done;
        self.stall.iter_mut().for_each(|stall| stall.note(Instant::now(), tasks_done));
        self.observer.notice(Event::Progress { tasks_done, alive });
    }

    fn look(&mut self) -> Result<(), RoundFailure> {
        let Some(stall) = &mut self.stall else { return Ok(()) };
        let (now, python) = (Instant::now(), self.python);
        let in_hand = || python.and_then(Installed::in_hand);
        // Of what comes before the clock starts only an import is anybody's function; `--prepare` takes as long as it takes.
        if !self.is_ready && python.is_none_or(|python| python.marks().is_none()) {
            stall.begin(now);
            return Ok(());
        }
        let said = stall.look(now, || python.and_then(Installed::marks));
        // The engine sees to that itself, as long as the interpreter listens: a function that computes in C does not.
        if let Some(timeout) = self.timeout.filter(|_| self.is_ready && stall.has_looked_at(now))
            && let Some(task) = python.and_then(|python| python.overdue(timeout + BEYOND_TIMEOUT))
        {
            return Err(RoundFailure::Failed(format!(
                "{}: task {task} took longer than {}, and it cannot be interrupted: its interpreter has not listened since",
                self.name,
                humantime::format_duration(timeout)
            )));
        }
        // Nor does it see that a pool waits for workers which cannot end.
        let idle = stall.waited(now);
        if self.timeout.is_some_and(|timeout| self.is_ready && idle > timeout.max(LONG_IDLE))
            && stall.has_looked_at(now)
            && python.is_some_and(|python| python.marks().is_some() && python.in_hand().is_none())
        {
            return Err(RoundFailure::Failed(format!(
                "{}: no task was done in {} s, and none was in hand: workers do not end, as they do not while a thread runs that the function has \
                 left, unless it is a daemon",
                self.name,
                idle.as_secs()
            )));
        }
        match said {
            Stalled::No => Ok(()),
            Stalled::Tell(waited) => {
                let (strategy, doing) = (self.name, in_hand());
                let would_end = self.is_ready && self.timeout.is_none();
                self.observer.notice(Event::Stalled { strategy, waited, doing: doing.as_deref(), would_end });
                Ok(())
            }
            Stalled::End(waited) => {
                let meanwhile = in_hand().map_or_else(String::new, |doing| format!(", {doing}"));
                // Of Python's own tasks only a function's may have one.
                let remedy = match python.is_none_or(|python| python.marks().is_some()) {
                    true => ": --timeout 30s ends a task that takes longer, and --timeout 2h waits that long",
                    false => "",
                };
                let why = format!(
                    "{}: no task was done in {} s{meanwhile}, so it is not waited for any longer{remedy}",
                    self.name,
                    waited.as_secs()
                );
                // Before there is anything to lose nothing else is tried.
                Err(match self.phase {
                    Phase::Pilot => RoundFailure::Other(anyhow::anyhow!(why)),
                    Phase::Memory | Phase::WarmUp | Phase::Timed => RoundFailure::Failed(why),
                })
            }
        }
    }
}

/// Fails where every strategy has been given up, with why each was. That empty tasks go on is of no use to anybody then.
pub(super) fn require_one(rows: &[Row], tables: &[Records]) -> Result<(), RoundFailure> {
    let own = rows.iter().zip(tables).filter(|(row, _)| !row.empty);
    match own.map(|(_, records)| records.given_up.as_ref()).collect::<Option<Vec<_>>>() {
        Some(all) if !all.is_empty() => {
            Err(RoundFailure::Failed(all.into_iter().map(String::as_str).collect::<Vec<_>>().join("; ")))
        }
        _ => Ok(()),
    }
}

/// The first of `tasks` tasks, or the first few, whose results are not the same: see [`PARTS`].
fn where_they_differ(tasks: u64, ours: &[u32], theirs: &[u32]) -> Option<String> {
    let part = ours.iter().zip(theirs).position(|(ours, theirs)| ours != theirs)? as u64;
    let stretch = tasks.div_ceil(PARTS).max(1);
    let (first, last) = (part * stretch, tasks.min((part + 1) * stretch) - 1);
    Some(if first == last { format!("task {first}") } else { format!("one of tasks {first} to {last}") })
}

/// What the tasks of one round do I/O with. Dropped, it is gone.
#[derive(Default)]
struct Props {
    peer: Option<Peer>,
    folder: Option<Folder>,
}

/// Processes and threads that a round created, as the kernel counts them: the runner, all that it started, and the bystander.
fn created_by(completed: &Completed) -> u64 {
    let runner = 1;
    // A round that is not timed has none, and what was counted too often would be missed among those of others.
    let bystander = u64::from(completed.lateness.is_some());
    let peer = u64::from(completed.peer_cpu_seconds.is_some());
    runner + bystander + peer + completed.report.helpers_started + completed.report.processes_started
}
