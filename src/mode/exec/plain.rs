//! A handover as a row of numbers.
//!
//! A child that lives for one small task pays for every page of the program that it executes from: to understand JSON takes
//! some twenty of them, more than the task and all else. What most handovers say are numbers, so those are written as they
//! are in memory, for the same program on the same machine. One that says more, a path or a program, is JSON as before.

use std::os::fd::RawFd;
use std::path::PathBuf;

use super::Handover;
use crate::workload::spec::Ready;
use crate::workload::{Io, Kind, Spread, WorkloadSpec};

/// Numbers in a row: a few more than there are now.
const NUMBERS: usize = 40;
/// Bytes of a row.
pub(super) const BYTES: usize = NUMBERS * size_of::<u64>();
/// The first number: as bytes, it begins no JSON.
const MARK: u64 = 0x0070_6c61_696e_0001;

/// `handover` as bytes; `None` if it says more than numbers.
pub(super) fn written(handover: &Handover) -> Option<[u8; BYTES]> {
    let Handover { workload, workers, chunk, in_flight, stamp_stride, policed: None, descriptors } = handover
    else {
        return None;
    };
    // All fields by name: a new one has to be seen to here.
    let WorkloadSpec {
        kind,
        tasks,
        arg_size_bytes,
        result_size_bytes,
        cpu_seconds,
        io_wait_seconds,
        io,
        io_size_bytes,
        io_folder,
        spread,
        trace: None,
        shared_bytes,
        memory_bytes,
        parent_memory_bytes,
        init_seconds,
        expression_args,
        full_fork,
        seed,
        units_per_second,
        folder,
        program: None,
        timeout_seconds,
        ready,
    } = workload
    else {
        return None;
    };
    let says_more = [io_folder, folder].into_iter().any(|path| !path.as_os_str().is_empty());
    if says_more || *ready != Ready::default() {
        return None;
    }
    let (spread, shape) = match spread {
        Spread::Constant => (0, 0.0),
        Spread::Uniform(width) => (1, *width),
        Spread::Exponential => (2, 0.0),
        Spread::Lognormal(sigma) => (3, *sigma),
        Spread::Trace(_) => return None,
    };
    let mut row = Row { numbers: [0; NUMBERS], next: 0 };
    row.put(MARK)?;
    for number in [*workers, *chunk, *in_flight] {
        row.put(number)?;
    }
    row.put_optional(*stamp_stride)?;
    row.put(place(&Kind::ALL, kind)?)?;
    row.put(place(&Io::ALL, io)?)?;
    row.put(spread)?;
    for number in [tasks, arg_size_bytes, result_size_bytes, io_size_bytes, shared_bytes, memory_bytes] {
        row.put(*number)?;
    }
    for number in [*parent_memory_bytes, *expression_args, u64::from(*full_fork), *seed] {
        row.put(number)?;
    }
    for number in [shape, *cpu_seconds, *io_wait_seconds, *init_seconds, *units_per_second] {
        row.put(number.to_bits())?;
    }
    row.put_optional(timeout_seconds.map(f64::to_bits))?;
    row.put(descriptors.len() as u64)?;
    for descriptor in descriptors {
        row.put(u64::try_from(*descriptor).ok()?)?;
    }
    let mut bytes = [0; BYTES];
    for (to, number) in bytes.chunks_exact_mut(size_of::<u64>()).zip(row.numbers) {
        to.copy_from_slice(&number.to_ne_bytes());
    }
    Some(bytes)
}

/// What [`written`] made `bytes` of; `None` if it did not.
pub(super) fn read(bytes: &[u8; BYTES]) -> Option<Handover> {
    let mut row = Row { numbers: [0; NUMBERS], next: 0 };
    for (number, from) in row.numbers.iter_mut().zip(bytes.chunks_exact(size_of::<u64>())) {
        *number = u64::from_ne_bytes(from.try_into().ok()?);
    }
    if row.take()? != MARK {
        return None;
    }
    let (workers, chunk, in_flight) = (row.take()?, row.take()?, row.take()?);
    let stamp_stride = row.take_optional()?;
    let kind = *Kind::ALL.get(row.take()? as usize)?;
    let io = *Io::ALL.get(row.take()? as usize)?;
    let spread = row.take()?;
    let workload = WorkloadSpec {
        kind,
        io,
        tasks: row.take()?,
        arg_size_bytes: row.take()?,
        result_size_bytes: row.take()?,
        io_size_bytes: row.take()?,
        shared_bytes: row.take()?,
        memory_bytes: row.take()?,
        parent_memory_bytes: row.take()?,
        expression_args: row.take()?,
        full_fork: row.take()? != 0,
        seed: row.take()?,
        spread: {
            let shape = f64::from_bits(row.take()?);
            match spread {
                0 => Spread::Constant,
                1 => Spread::Uniform(shape),
                2 => Spread::Exponential,
                3 => Spread::Lognormal(shape),
                _ => return None,
            }
        },
        cpu_seconds: f64::from_bits(row.take()?),
        io_wait_seconds: f64::from_bits(row.take()?),
        init_seconds: f64::from_bits(row.take()?),
        units_per_second: f64::from_bits(row.take()?),
        timeout_seconds: row.take_optional()?.map(f64::from_bits),
        io_folder: PathBuf::new(),
        trace: None,
        folder: PathBuf::new(),
        program: None,
        ready: Ready::default(),
    };
    let count = row.take()? as usize;
    let end = row.next.checked_add(count)?;
    let descriptors = row.numbers.get(row.next..end)?.iter().map(|number| *number as RawFd);
    let descriptors = descriptors.collect();
    Some(Handover { workload, workers, chunk, in_flight, stamp_stride, policed: None, descriptors })
}

struct Row {
    numbers: [u64; NUMBERS],
    next: usize,
}

impl Row {
    fn put(&mut self, number: u64) -> Option<()> {
        *self.numbers.get_mut(self.next)? = number;
        self.next += 1;
        Some(())
    }

    fn put_optional(&mut self, number: Option<u64>) -> Option<()> {
        self.put(u64::from(number.is_some()))?;
        self.put(number.unwrap_or(0))
    }

    fn take(&mut self) -> Option<u64> {
        let number = *self.numbers.get(self.next)?;
        self.next += 1;
        Some(number)
    }

    fn take_optional(&mut self) -> Option<Option<u64>> {
        let (is_some, number) = (self.take()?, self.take()?);
        Some((is_some != 0).then_some(number))
    }
}

fn place<T: PartialEq>(all: &[T], one: &T) -> Option<u64> {
    all.iter().position(|other| other == one).map(|place| place as u64)
}

#[cfg(test)]
mod tests {
    use super::super::PolicedBy;
    use super::*;
    use crate::workload::OnFailure;

    fn handover(workload: WorkloadSpec) -> Handover {
        Handover {
            workload,
            workers: 3,
            chunk: 64,
            in_flight: u64::MAX,
            stamp_stride: Some(7),
            policed: None,
            descriptors: vec![3, 9, 1021],
        }
    }

    /// No two fields alike, so that swapped ones are seen.
    fn numbers() -> WorkloadSpec {
        WorkloadSpec {
            kind: Kind::Expression,
            tasks: 11,
            arg_size_bytes: 12,
            result_size_bytes: 13,
            cpu_seconds: 1.25,
            io_wait_seconds: 2.5,
            io: Io::Fsync,
            io_size_bytes: 14,
            io_folder: PathBuf::new(),
            spread: Spread::Lognormal(1.5),
            trace: None,
            shared_bytes: 15,
            memory_bytes: 16,
            parent_memory_bytes: 17,
            init_seconds: 3.5,
            expression_args: 18,
            full_fork: true,
            seed: u64::MAX - 1,
            units_per_second: 5.8e8,
            folder: PathBuf::new(),
            program: None,
            timeout_seconds: Some(0.125),
            ready: Ready::default(),
        }
    }

    fn comes_back(handover: &Handover) -> bool {
        let back = read(&written(handover).expect("numbers only")).expect("a row of numbers");
        let others = |of: &Handover| (of.workers, of.chunk, of.in_flight, of.stamp_stride);
        back.workload == handover.workload
            && others(&back) == others(handover)
            && back.descriptors == handover.descriptors
    }

    #[test]
    fn what_is_written_in_numbers_comes_back_as_it_was() {
        assert!(comes_back(&handover(numbers())));
        for spread in [Spread::Constant, Spread::Uniform(0.5), Spread::Exponential] {
            assert!(comes_back(&handover(WorkloadSpec { spread, timeout_seconds: None, ..numbers() })));
        }
        for (kind, io) in Kind::ALL.into_iter().zip(Io::ALL.into_iter().cycle()) {
            assert!(comes_back(&handover(WorkloadSpec { kind, io, ..numbers() })));
        }
        assert!(comes_back(&Handover { stamp_stride: None, ..handover(numbers()) }));
    }

    #[test]
    fn a_path_is_not_lost_but_left_to_json() {
        let somewhere = || PathBuf::from("/somewhere");
        let ready = Ready { shared: somewhere(), ..Ready::default() };
        for workload in [
            WorkloadSpec { folder: somewhere(), ..numbers() },
            WorkloadSpec { io_folder: somewhere(), ..numbers() },
            WorkloadSpec { spread: Spread::Trace(somewhere()), ..numbers() },
            WorkloadSpec { ready, ..numbers() },
        ] {
            assert!(written(&handover(workload)).is_none());
        }
        let policed = Some(PolicedBy { policy: OnFailure::Stop, counts: 9 });
        assert!(
            written(&Handover { policed, ..handover(numbers()) }).is_none(),
            "a policy is not lost either"
        );
        let many = Handover { descriptors: (3..100).collect(), ..handover(numbers()) };
        assert!(written(&many).is_none(), "nor is a file that there is no room for");
    }

    #[test]
    fn json_is_no_row_of_numbers() {
        let mut bytes = [b' '; BYTES];
        bytes[..10].copy_from_slice(b"{\"workload");
        assert!(read(&bytes).is_none());
    }
}
