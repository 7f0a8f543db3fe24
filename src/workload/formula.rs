//! The formulas of the `expression` workload: a different one for each task, with a given number of
//! literal arguments.
//!
//! They read like the formulas of a spreadsheet, `=SUM(…)*IF(…)`, and keep to a grammar small enough
//! that another language needs only a few lines to evaluate them. There are no spaces, and a number
//! has neither sign nor leading zero:
//!
//! ```text
//! formula ::= "=" term { "+" term }
//! term    ::= sum [ "*" if ]
//! sum     ::= "SUM(" list ")"
//! if      ::= "IF(" number op number "," branch "," branch ")"
//! op      ::= "<" | ">" | "<=" | ">=" | "=" | "<>"
//! branch  ::= number | ( "MAX" | "MIN" | "PRODUCT" ) "(" list ")"
//! list    ::= number { "," number }
//! number  ::= digit { digit }
//! ```
//!
//! `SUM`, `MAX`, `MIN` and `PRODUCT` fold their list; `IF(a op b,x,y)` is `x` where the comparison holds
//! and `y` where it does not; `*` binds tighter than `+`.
//!
//! Every value on the way is a non-negative integer below 2^37, which an `f64` holds exactly. The result
//! is therefore the same bits in every engine, in whatever order it sums.

use thiserror::Error;

use crate::seed::Rng;

/// The longest formula Excel accepts, in characters, `=` included ("Excel specifications and limits").
pub const FORMULA_CHARACTERS: usize = 8192;

/// The most arguments Excel accepts in one call, and so the most literals of one term here.
pub const CALL_ARGUMENTS: usize = 255;

/// The most literal arguments with which no formula can be longer than [`FORMULA_CHARACTERS`].
pub const MAX_ARGUMENTS: usize = largest_that_fits();

/// With fewer literals than this a term is a plain `SUM`: an `IF` alone needs four, and `SUM` one.
const SHORTEST_PRODUCT: usize = 5;

/// Literals are drawn from `1..=LARGEST_LITERAL`, except for the first one and the digits of `PRODUCT`.
const LARGEST_LITERAL: u64 = 999;

/// The first literal of a formula takes each value below this once before one comes again. It is what
/// makes the formulas of two tasks differ even where there is only one argument to differ in.
const FIRST_LITERALS: u64 = 100_000_000;

/// `PRODUCT` gets at most this many digits, to stay as small as the other branches.
const LONGEST_PRODUCT: usize = 3;

/// A number of arguments no formula can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a formula takes 1 to {MAX_ARGUMENTS} arguments, not {arguments}: \
     Excel accepts no more than {FORMULA_CHARACTERS} characters"
)]
pub struct ArgumentsError {
    /// The number asked for.
    pub arguments: usize,
}

/// A formula for each task, all with the same number of literal arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Formulas {
    arguments: usize,
    seed: u64,
}

impl Formulas {
    /// Formulas of exactly `arguments` literals, drawn from `seed`.
    ///
    /// # Errors
    ///
    /// If `arguments` is 0 or above [`MAX_ARGUMENTS`].
    pub const fn new(arguments: usize, seed: u64) -> Result<Self, ArgumentsError> {
        if arguments == 0 || arguments > MAX_ARGUMENTS {
            return Err(ArgumentsError { arguments });
        }
        Ok(Self { arguments, seed })
    }

    /// No formula is longer than this many bytes.
    pub const fn max_len(&self) -> usize {
        longest(self.arguments)
    }

    /// Replaces `out` with the formula of `task`, as ASCII that begins with `=`.
    ///
    /// The same seed and task always give the same text; tasks less than 100 million apart never share
    /// one. Allocates only if `out` has a smaller capacity than the text needs.
    pub fn write(&self, task: u64, out: &mut Vec<u8>) {
        let mut rng = Rng::for_item(self.seed, task);
        let terms = terms(self.arguments);
        out.clear();
        for term in 0..terms {
            out.push(if term == 0 { b'=' } else { b'+' });
            // The first terms take what does not divide evenly.
            let literals = self.arguments / terms + usize::from(term < self.arguments % terms);
            let first = if term == 0 { self.first_literal(task) } else { literal(&mut rng) };
            write_term(literals, first, &mut rng, out);
        }
    }

    /// Counts up with the task from a value that depends on the seed, so that one task's formula
    /// differs between seeds as well.
    fn first_literal(&self, task: u64) -> u64 {
        let start = Rng::new(self.seed).below(FIRST_LITERALS);
        (start + task % FIRST_LITERALS) % FIRST_LITERALS
    }
}

/// How many terms hold `arguments` literals, none of them more than one call may have.
const fn terms(arguments: usize) -> usize {
    arguments.div_ceil(CALL_ARGUMENTS)
}

/// An upper bound of a formula's bytes.
///
/// A literal takes at most three digits and a separator, but five digits more if it is the first. Beyond
/// its literals a term has at most 20 bytes, when both branches are `MAX` or `MIN` and the comparison
/// takes two: `+SUM()*IF(<=,MAX(),MAX())` without the separators counted before.
const fn longest(arguments: usize) -> usize {
    4 * arguments + 20 * terms(arguments) + 5
}

const fn largest_that_fits() -> usize {
    let mut arguments = 0;
    while longest(arguments + 1) <= FORMULA_CHARACTERS {
        arguments += 1;
    }
    arguments
}

/// A term of exactly `literals` literals.
///
/// A quarter of them at most goes to each branch of the `IF`: only one of the branches is evaluated, so
/// the rest of the formula has to carry the work.
fn write_term(literals: usize, first: u64, rng: &mut Rng, out: &mut Vec<u8>) {
    if literals < SHORTEST_PRODUCT {
        write_call(b"SUM(", literals, first, literal, rng, out);
        return;
    }
    let longest_branch = (literals as u64 / 4).max(1);
    let then_literals = 1 + rng.below(longest_branch) as usize;
    let else_literals = 1 + rng.below(longest_branch) as usize;
    write_call(b"SUM(", literals - 2 - then_literals - else_literals, first, literal, rng, out);
    out.extend_from_slice(b"*IF(");
    write_number(literal(rng), out);
    const COMPARISONS: [&[u8]; 6] = [b"<", b">", b"<=", b">=", b"=", b"<>"];
    out.extend_from_slice(COMPARISONS[rng.below(COMPARISONS.len() as u64) as usize]);
    write_number(literal(rng), out);
    out.push(b',');
    write_branch(then_literals, rng, out);
    out.push(b',');
    write_branch(else_literals, rng, out);
    out.push(b')');
}

fn write_branch(literals: usize, rng: &mut Rng, out: &mut Vec<u8>) {
    if literals == 1 {
        write_number(literal(rng), out);
        return;
    }
    let functions = if literals <= LONGEST_PRODUCT { 3 } else { 2 };
    let (name, draw): (&[u8], fn(&mut Rng) -> u64) = match rng.below(functions) {
        0 => (b"MAX(", literal),
        1 => (b"MIN(", literal),
        _ => (b"PRODUCT(", digit),
    };
    let first = draw(rng);
    write_call(name, literals, first, draw, rng, out);
}

/// `name`, which ends in its parenthesis, of `first` and of as many more as make `literals`.
fn write_call(
    name: &[u8],
    literals: usize,
    first: u64,
    draw: fn(&mut Rng) -> u64,
    rng: &mut Rng,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(name);
    write_number(first, out);
    for _ in 1..literals {
        out.push(b',');
        write_number(draw(rng), out);
    }
    out.push(b')');
}

fn literal(rng: &mut Rng) -> u64 {
    1 + rng.below(LARGEST_LITERAL)
}

fn digit(rng: &mut Rng) -> u64 {
    1 + rng.below(9)
}

/// Decimal digits without the machinery of `fmt`, which would cost more than drawing the number.
fn write_number(mut number: u64, out: &mut Vec<u8>) {
    let start = out.len();
    loop {
        out.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out[start..].reverse();
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const COUNTS: [usize; 13] = [1, 2, 3, 4, 5, 6, 10, 100, 250, 255, 256, 1000, MAX_ARGUMENTS];

    fn formula(arguments: usize, seed: u64, task: u64) -> String {
        let mut out = Vec::new();
        Formulas::new(arguments, seed).unwrap().write(task, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn literals(formula: &str) -> usize {
        formula.split(|c: char| !c.is_ascii_digit()).filter(|number| !number.is_empty()).count()
    }

    #[test]
    fn every_formula_has_exactly_the_arguments_asked_for() {
        for arguments in COUNTS {
            for task in 0..200 {
                let formula = formula(arguments, 1, task);
                assert_eq!(literals(&formula), arguments, "{formula}");
            }
        }
    }

    #[test]
    fn no_call_has_more_arguments_than_excel_accepts() {
        for arguments in [255, 256, 510, 511, 1000, MAX_ARGUMENTS] {
            for task in 0..200 {
                let formula = formula(arguments, 1, task);
                for list in formula.split(['(', ')']) {
                    assert!(list.split(',').count() <= CALL_ARGUMENTS, "{formula}");
                }
            }
        }
    }

    #[test]
    fn tasks_have_different_formulas_even_with_one_argument() {
        for arguments in [1, 2, 3, 10] {
            let distinct: HashSet<String> = (0..10_000).map(|task| formula(arguments, 9, task)).collect();
            assert_eq!(distinct.len(), 10_000);
        }
    }

    #[test]
    fn a_seed_and_a_task_always_give_the_same_formula() {
        // Recorded formulas and checksums rely on these very texts.
        assert_eq!(formula(3, 42, 0), "=SUM(74156487,790,53)");
        assert_eq!(formula(10, 42, 7), "=SUM(74156494,336,561,436)*IF(691<>169,PRODUCT(9,2),PRODUCT(8,8))");
        assert_ne!(formula(1, 42, 0), formula(1, 43, 0));
    }

    #[test]
    fn writing_replaces_what_the_buffer_held_and_never_outgrows_max_len() {
        for arguments in COUNTS {
            let formulas = Formulas::new(arguments, 3).unwrap();
            let mut out = Vec::with_capacity(formulas.max_len());
            let buffer = out.as_ptr();
            for task in (0..300).chain([u64::MAX - 1, u64::MAX]) {
                formulas.write(task, &mut out);
                assert!(out.starts_with(b"=SUM("));
            }
            assert_eq!(out.as_ptr(), buffer, "{arguments} arguments made the buffer grow");
        }
    }

    #[test]
    fn the_most_arguments_are_the_most_that_fit() {
        assert_eq!(MAX_ARGUMENTS, 2006);
        assert!(longest(MAX_ARGUMENTS) <= FORMULA_CHARACTERS);
        assert!(longest(MAX_ARGUMENTS + 1) > FORMULA_CHARACTERS);
    }

    #[test]
    fn a_number_of_arguments_no_formula_can_have_is_refused_with_the_largest_one() {
        for arguments in [0, MAX_ARGUMENTS + 1, usize::MAX] {
            let error = Formulas::new(arguments, 0).unwrap_err();
            assert!(error.to_string().contains("1 to 2006 arguments"), "{error}");
        }
    }
}
