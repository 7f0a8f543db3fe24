//! In which order tasks started, beside the order of their numbers, in which they are handed out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far tasks started from their turn. First in, first out by one executor is 0 and 0.
///
/// With W executors that each take the next task, two that were handed out one after the other may begin the other way
/// round: whoever took the second may get a processor first. As long as no executor is kept from running for longer than a
/// task takes, no task starts W or more places from its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StartOrder {
    /// Every how many-th task was looked at: the others are not known.
    pub one_in: u64,
    /// Tasks that were looked at.
    pub count: u64,
    /// Those that started after a task with a larger number.
    pub overtaken: u64,
    /// The farthest that a task's place among all starts was from its number, in tasks, to within `one_in`.
    pub largest_displacement: u64,
}

/// The order of `starts`: (task, when it started), where every `one_in`-th task was looked at. `None` if there are none.
pub fn start_order(starts: impl Iterator<Item = (u64, u64)>, one_in: u64) -> Option<StartOrder> {
    let mut by_start: Vec<(u64, u64)> = starts.map(|(task, started)| (started, task)).collect();
    by_start.sort_unstable();
    let (mut overtaken, mut largest, mut last) = (0, 0, 0);
    for (place, &(_, task)) in by_start.iter().enumerate() {
        overtaken += u64::from(task < last);
        last = last.max(task);
        largest = largest.max((task / one_in).abs_diff(place as u64));
    }
    let count = by_start.len() as u64;
    (count > 0).then_some(StartOrder { one_in, count, overtaken, largest_displacement: largest * one_in })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(starts: &[(u64, u64)], one_in: u64) -> StartOrder {
        start_order(starts.iter().copied(), one_in).unwrap()
    }

    #[test]
    fn tasks_that_start_in_the_order_of_their_numbers_are_where_they_belong() {
        let order = order(&[(0, 5), (1, 6), (2, 6), (3, 9)], 1);
        assert_eq!(order, StartOrder { one_in: 1, count: 4, overtaken: 0, largest_displacement: 0 });
    }

    #[test]
    fn one_that_is_late_has_been_overtaken_by_all_that_started_before_it() {
        let order = order(&[(0, 90), (1, 10), (2, 20), (3, 30)], 1);
        assert_eq!((order.overtaken, order.largest_displacement), (1, 3));
    }

    #[test]
    fn chunks_that_start_side_by_side_are_far_from_the_order_of_tasks() {
        // Two workers, a hundred tasks each.
        let starts: Vec<_> = (0..200).map(|task| (task, task % 100 * 10)).collect();
        let order = order(&starts, 1);
        assert_eq!((order.overtaken, order.largest_displacement), (99, 99));
    }

    #[test]
    fn of_an_even_sample_places_are_counted_in_tasks() {
        let order = order(&[(0, 20), (3, 10), (6, 30)], 3);
        assert_eq!(order, StartOrder { one_in: 3, count: 3, overtaken: 1, largest_displacement: 3 });
        assert_eq!(start_order([].into_iter(), 3), None);
    }
}
