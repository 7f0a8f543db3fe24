//! Evaluates Excel formulas with IronCalc.

use ironcalc_base::Model;
use ironcalc_base::cell::CellValue;
use ironcalc_base::expressions::parser::Node;
use ironcalc_base::types::CellType;
use thiserror::Error;

use super::formula::FORMULA_CHARACTERS;

/// The deepest nesting of calls, parentheses and braces: what Excel accepts for calls ("Excel
/// specifications and limits").
pub const NESTING: usize = 64;

/// The most operators and nested levels that may depend on one another: in `1+2+(3+4)` four, and of
/// the arguments of one call only the longest counts.
///
/// Excel has no such limit, but IronCalc recurses once per operator of `1+1+…` just as it does per
/// parenthesis, and an overflowing stack aborts the process. On a thread of 2 MiB, the standard
/// library's and rayon's default, a chain overflowed beyond some 1,250 operators and nested calls beyond 530
/// when IronCalc was compiled with `opt-level = 1`, and beyond 265 and 125 without optimisation. At
/// this limit a quarter of that stack is left even there.
pub const HEIGHT: usize = 128;

/// The sheet, row and column of the only cell that is ever written.
const CELL: (u32, i32, i32) = (0, 1, 1);

/// What a formula evaluates to.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number, unrounded: not what the cell would display.
    Number(f64),
    /// Text.
    Text(String),
    /// `TRUE` or `FALSE`.
    Boolean(bool),
    /// An error by its English name, such as `#DIV/0!`. `#N/IMPL!` is IronCalc's own: it knows the
    /// function but does not implement it.
    Error(String),
}

impl Value {
    /// Appends the bytes that checksums are made of: a tag and the value, with no terminator.
    ///
    /// | value   | tag | then                                              |
    /// |---------|-----|---------------------------------------------------|
    /// | number  | `n` | the IEEE 754 double, little-endian (8 bytes)      |
    /// | text    | `t` | UTF-8                                             |
    /// | boolean | `b` | one byte, 0 or 1                                  |
    /// | error   | `e` | its English name in ASCII                         |
    ///
    /// Excel has no negative zero, so it counts as zero. Python: `b"n" + struct.pack("<d", x + 0.0)`.
    pub fn bytes(&self, out: &mut Vec<u8>) {
        match self {
            Self::Number(number) => {
                out.push(b'n');
                // Adding zero turns -0.0 into 0.0 and leaves every other number as it is.
                out.extend_from_slice(&(number + 0.0).to_le_bytes());
            }
            Self::Text(text) => {
                out.push(b't');
                out.extend_from_slice(text.as_bytes());
            }
            Self::Boolean(boolean) => out.extend_from_slice(&[b'b', u8::from(*boolean)]),
            Self::Error(name) => {
                out.push(b'e');
                out.extend_from_slice(name.as_bytes());
            }
        }
    }
}

/// Why a formula has no value. An error *value* such as `#DIV/0!` is not among these: see
/// [`Value::Error`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FormulaError {
    /// The text does not begin with `=`, or has nothing after it.
    #[error("a formula is '=' and an expression")]
    NotAFormula,
    /// Longer than [`FORMULA_CHARACTERS`], which is Excel's limit.
    #[error("the formula has {characters} characters, but Excel accepts {FORMULA_CHARACTERS}")]
    TooLong {
        /// The characters of the text, `=` included.
        characters: usize,
    },
    /// Nested deeper than [`NESTING`].
    #[error("the formula nests more than {NESTING} levels deep")]
    TooDeep,
    /// More operators in a row than [`HEIGHT`] leaves room for.
    #[error("the formula chains {height} operators and levels, but at most {HEIGHT} are safe to evaluate")]
    TooHigh {
        /// What counts towards [`HEIGHT`]; never less than there is.
        height: usize,
    },
    /// The formula names `LAMBDA`.
    #[error("LAMBDA is not supported: nothing bounds its recursion")]
    Lambda,
    /// The formula names a range of cells.
    #[error("a range of cells is not supported: there are no cells, and whole columns take gigabytes")]
    Range,
    /// Not in Excel's grammar, as far as IronCalc knows it.
    #[error("the formula is not valid at character {position}: {message}")]
    Syntax {
        /// Where IronCalc stopped, counted without the `=`.
        position: usize,
        /// What IronCalc says about it.
        message: String,
    },
    /// IronCalc refused for another reason.
    #[error("the formula cannot be evaluated: {0}")]
    Engine(String),
}

/// Evaluates formulas that refer to no cells.
///
/// Every formula gets a `Model` (a workbook) of its own. IronCalc keeps each distinct formula it was
/// ever given, with its text, for as long as the model lives: 100,000 formulas of ten arguments in one
/// model would be 200 MB, where with a model for each the whole process stayed below 9 MB. A new model
/// has nothing of earlier tasks in it, neither memory nor spilled arrays, and costs little. Measured
/// for one formula of 10 and 250 arguments, with `opt-level = 1`:
///
/// | strategy                                  | 10      | 250    | memory                        |
/// |-------------------------------------------|---------|--------|-------------------------------|
/// | a model for each formula                  | 20 µs   | 264 µs | constant                      |
/// | one model, its lists of formulas cleared  | 16 µs   | 255 µs | constant                      |
/// | a new model every 100 formulas            | 17 µs   | 268 µs | 100 formulas                  |
/// | one model                                 | 17 µs   | 284 µs | 2 or 17 KB more per formula   |
///
/// Clearing the lists is quicker only because it reaches into fields that IronCalc happens to make
/// public, and it would still carry styles, links and names from task to task.
///
/// An evaluator holds no threads, locks or files: it works in a process forked after it was made. A
/// panic inside IronCalc passes through to the caller and leaves the evaluator usable.
#[derive(Debug)]
pub struct Evaluator {
    _made_by_new: (),
}

impl Evaluator {
    /// An evaluator whose first formula costs no more than the later ones.
    ///
    /// IronCalc decodes its tables of locales and languages with the first model of a process, which
    /// takes 0.4 ms. Made before a fork, the evaluator spares every child that.
    pub fn new() -> Self {
        let mut evaluator = Self { _made_by_new: () };
        // For its side effect on those tables; the value is of no interest.
        let _ = evaluator.evaluate("=SUM(1)*IF(1<2,3,4)");
        evaluator
    }

    /// The value of `formula`, which begins with `=` and is written as in English Excel: a comma
    /// separates arguments, a point decimals.
    ///
    /// How long it takes is up to the formula: `=FACT(1E9)` takes a second, 64 levels of `TEXTSPLIT`
    /// take longer than minutes, and an array takes memory for each of its cells.
    ///
    /// # Errors
    ///
    /// If the text is not a formula, or one that IronCalc cannot safely be given: see [`FormulaError`].
    /// A formula whose value is an error is no error here.
    pub fn evaluate(&mut self, formula: &str) -> Result<Value, FormulaError> {
        check(formula)?;
        let (sheet, row, column) = CELL;
        let mut model = Model::new_empty("expression", "en", "UTC", "en").map_err(FormulaError::Engine)?;
        model
            .update_cell_with_formula(sheet, row, column, formula.to_owned())
            .map_err(FormulaError::Engine)?;
        if let Some((node, _)) = model.parsed_formulas.first().and_then(|formulas| formulas.first())
            && let Node::ParseErrorKind { message, position, .. } = node.as_ref()
        {
            return Err(FormulaError::Syntax { position: *position, message: message.clone() });
        }
        model.evaluate();
        // The formatted value would be rounded for display.
        let value = model.get_cell_value_by_index(sheet, row, column).map_err(FormulaError::Engine)?;
        let kind = model.get_cell_type(sheet, row, column).map_err(FormulaError::Engine)?;
        match (value, kind) {
            (CellValue::String(name), CellType::ErrorValue) => Ok(Value::Error(name)),
            (CellValue::String(text), _) => Ok(Value::Text(text)),
            (CellValue::Number(number), _) => Ok(Value::Number(number)),
            (CellValue::Boolean(boolean), _) => Ok(Value::Boolean(boolean)),
            (CellValue::None, _) => Err(FormulaError::Engine("the cell has no value".to_owned())),
        }
    }
}

impl Default for Evaluator {
    fn default() -> Self {
        Self::new()
    }
}

/// Refuses what IronCalc would overflow the stack on, and what Excel would not accept.
fn check(formula: &str) -> Result<(), FormulaError> {
    let characters = formula.chars().count();
    if characters > FORMULA_CHARACTERS {
        return Err(FormulaError::TooLong { characters });
    }
    let Some(expression) = formula.strip_prefix('=').filter(|expression| !expression.is_empty()) else {
        return Err(FormulaError::NotAFormula);
    };
    let Extent { height, lambda, range } = extent(expression).ok_or(FormulaError::TooDeep)?;
    if height > HEIGHT {
        return Err(FormulaError::TooHigh { height });
    }
    if lambda {
        return Err(FormulaError::Lambda);
    }
    if range {
        return Err(FormulaError::Range);
    }
    Ok(())
}

/// What IronCalc's recursion on an expression depends on.
#[derive(Debug, PartialEq, Eq)]
struct Extent {
    /// What [`HEIGHT`] limits; at least the height of the expression's tree.
    height: usize,
    /// Whether the expression names `LAMBDA`, which can call itself.
    lambda: bool,
    /// Whether it has a range such as `A:F`, which IronCalc would spell out cell by cell: six million here.
    range: bool,
}

/// `None` if the expression nests deeper than [`NESTING`].
///
/// This reads bytes, not tokens, and errs on the side of more: `<=` counts as two operators.
fn extent(expression: &str) -> Option<Extent> {
    #[derive(Clone, Copy, Default)]
    struct Level {
        argument: usize,
        highest: usize,
    }
    impl Level {
        fn end_argument(&mut self) {
            self.highest = self.highest.max(self.argument);
            self.argument = 0;
        }
    }

    // Between quotes nothing counts. Apostrophes and brackets quote by other rules, in names of sheets
    // and columns, and could make this take the outside of a string for its inside: then all counts.
    let has_strings = !expression.contains(['\'', '[']);
    let bytes = expression.as_bytes();
    let mut levels = [Level::default(); NESTING + 1];
    let mut depth = 0;
    let mut in_string = false;
    let (mut lambda, mut range) = (false, false);
    for (index, &byte) in bytes.iter().enumerate() {
        if byte == b'"' && has_strings {
            in_string = !in_string;
        }
        if in_string {
            continue;
        }
        match byte {
            b'(' | b'{' => {
                depth += 1;
                *levels.get_mut(depth)? = Level::default();
            }
            // More closed than opened is for the parser to refuse.
            b')' | b'}' if depth > 0 => {
                levels[depth].end_argument();
                let height = levels[depth].highest;
                depth -= 1;
                levels[depth].argument += 1 + height;
            }
            b',' | b';' => levels[depth].end_argument(),
            b'+' | b'-' | b'*' | b'/' | b'^' | b'&' | b'%' | b'<' | b'=' | b'>' | b'@' | b':' | b'#' => {
                levels[depth].argument += 1;
                range |= byte == b':';
            }
            b'l' | b'L' => {
                lambda |= bytes[index..].get(..6).is_some_and(|name| name.eq_ignore_ascii_case(b"LAMBDA"))
            }
            _ => {}
        }
    }
    // What was never closed is as high as if it were closed at the end.
    let height =
        levels[..=depth].iter().map(|level| 1 + level.highest.max(level.argument)).sum::<usize>() - 1;
    Some(Extent { height, lambda, range })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn height(expression: &str) -> usize {
        extent(expression).unwrap().height
    }

    #[test]
    fn operators_and_levels_add_up_along_one_argument_only() {
        assert_eq!(height("1"), 0);
        assert_eq!(height("1+2+3"), 2);
        assert_eq!(height("1+2+(3+4)"), 4);
        assert_eq!(height("SUM(1+2,3,4+5+6)"), 3);
        assert_eq!(height("SUM(1,2)*IF(1>2,3,4)"), 4);
        assert_eq!(height("{1,2;-3,4}"), 2);
        assert_eq!(height("-(-(1"), 4);
        assert_eq!(height("1)))+2"), 1);
    }

    #[test]
    fn nothing_counts_inside_a_string() {
        assert_eq!(height("\"((+LAMBDA\"\"(+\"&1"), 1);
        assert!(!extent("\"LAMBDA\"").unwrap().lambda);
        assert!(extent("\"\"&lambda(a,a)(1)").unwrap().lambda);
    }

    #[test]
    fn a_range_is_refused_before_it_takes_memory() {
        for formula in ["=A:F", "=-A:A", "=1:1000000", "=SUM(A1:B2)"] {
            assert_eq!(Evaluator::new().evaluate(formula), Err(FormulaError::Range), "{formula}");
        }
        assert!(!extent("\"a:b\"").unwrap().range);
    }

    #[test]
    fn what_an_apostrophe_could_hide_counts() {
        // Taken for the start of a string, the quotation mark would hide the rest.
        assert_eq!(height("'\"'!A1+(1+1)"), 3);
    }

    #[test]
    fn bytes_tell_the_types_apart() {
        let bytes = |value: Value| {
            let mut out = Vec::new();
            value.bytes(&mut out);
            out
        };
        assert_eq!(bytes(Value::Number(1.0)), b"n\0\0\0\0\0\0\xf0\x3f");
        assert_eq!(bytes(Value::Number(-0.0)), bytes(Value::Number(0.0)));
        assert_eq!(bytes(Value::Text("é".to_owned())), b"t\xc3\xa9");
        assert_eq!(bytes(Value::Boolean(true)), b"b\x01");
        assert_eq!(bytes(Value::Error("#N/A".to_owned())), b"e#N/A");
    }
}
