//! The `expression` workload: IronCalc against an independent evaluator of the generated formulas,
//! against values worked out by hand, and given what it must refuse.
#![cfg(feature = "excel")]

use procbench::workload::excel::{Evaluator, FormulaError, HEIGHT, NESTING, Value};
use procbench::workload::formula::{FORMULA_CHARACTERS, Formulas, MAX_ARGUMENTS};
use proptest::prelude::*;

/// The grammar in `procbench::workload::formula`, by recursive descent and exact integers.
struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn evaluate(formula: &str) -> i128 {
        let mut reader = Reader { rest: formula };
        assert!(reader.take("="));
        let mut sum = reader.term();
        while reader.take("+") {
            sum += reader.term();
        }
        assert_eq!(reader.rest, "", "left over of {formula}");
        sum
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest.strip_prefix(token);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn expect(&mut self, token: &str) {
        assert!(self.take(token), "no {token:?} at {:?}", self.rest);
    }

    fn term(&mut self) -> i128 {
        self.expect("SUM(");
        let sum: i128 = self.list().iter().sum();
        if !self.take("*") {
            return sum;
        }
        self.expect("IF(");
        let left = self.number();
        let comparison: fn(&i128, &i128) -> bool = if self.take("<=") {
            i128::le
        } else if self.take(">=") {
            i128::ge
        } else if self.take("<>") {
            i128::ne
        } else if self.take("<") {
            i128::lt
        } else if self.take(">") {
            i128::gt
        } else {
            self.expect("=");
            i128::eq
        };
        let right = self.number();
        self.expect(",");
        let then = self.branch();
        self.expect(",");
        let otherwise = self.branch();
        self.expect(")");
        sum * if comparison(&left, &right) { then } else { otherwise }
    }

    fn branch(&mut self) -> i128 {
        if self.take("MAX(") {
            self.list().into_iter().max().unwrap()
        } else if self.take("MIN(") {
            self.list().into_iter().min().unwrap()
        } else if self.take("PRODUCT(") {
            self.list().iter().product()
        } else {
            self.number()
        }
    }

    /// The numbers up to the parenthesis that closes the call.
    fn list(&mut self) -> Vec<i128> {
        let mut numbers = vec![self.number()];
        while self.take(",") {
            numbers.push(self.number());
        }
        self.expect(")");
        numbers
    }

    fn number(&mut self) -> i128 {
        let digits = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        number.parse().unwrap()
    }
}

fn assert_engines_agree(evaluator: &mut Evaluator, arguments: usize, seed: u64, task: u64) {
    let mut out = Vec::new();
    Formulas::new(arguments, seed).unwrap().write(task, &mut out);
    let formula = std::str::from_utf8(&out).unwrap();
    let expected = Reader::evaluate(formula);
    assert!((0..1 << 37).contains(&expected), "{formula} is {expected}");
    assert_eq!(evaluator.evaluate(formula), Ok(Value::Number(expected as f64)), "{formula}");
}

#[test]
fn ironcalc_agrees_with_an_independent_evaluator_for_every_size() {
    let mut evaluator = Evaluator::new();
    for (arguments, tasks) in
        [(1, 50), (2, 50), (3, 50), (4, 50), (5, 200), (6, 200), (10, 300), (100, 50), (250, 20), (255, 20)]
    {
        for task in 0..tasks {
            assert_engines_agree(&mut evaluator, arguments, 42, task);
        }
    }
    for arguments in [256, 511, 1000, MAX_ARGUMENTS] {
        assert_engines_agree(&mut evaluator, arguments, 42, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ironcalc_agrees_with_an_independent_evaluator(
        arguments in 1_usize..300,
        seed: u64,
        task: u64,
    ) {
        assert_engines_agree(&mut Evaluator::new(), arguments, seed, task);
    }

    // Without the colon: a range such as `1:11111` is a formula too, and spills over all the cells that it names, for hours.
    #[test]
    fn no_text_of_formula_characters_panics(text in "=?[-+*/^&%<>=,;(){}!#@$.\"'A1 eSUMIFé😀\\[\\]]{0,40}") {
        let _ = Evaluator::new().evaluate(&text);
    }
}

fn number(number: f64) -> Value {
    Value::Number(number)
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn boolean(boolean: bool) -> Value {
    Value::Boolean(boolean)
}

fn error(name: &str) -> Value {
    Value::Error(name.to_owned())
}

/// Worked out by hand. Where a function is named, the value or the rule is that of its page in
/// Microsoft's "Excel functions (alphabetical)"; "operators" is "Calculation operators and precedence
/// in Excel".
#[test]
fn forty_expressions_have_the_values_excel_documents() {
    let cases: [(&str, Value); 40] = [
        // Arithmetic.
        ("=1+2*3", number(7.0)),               // operators: * before +
        ("=-2^2", number(4.0)),                // operators: the sign before ^, so (-2)^2
        ("=2^3^2", number(64.0)),              // operators: left to right, so 8^2 and not 2^9
        ("=5-3-1", number(1.0)),               // left to right: 2-1
        ("=200*5%", number(10.0)),             // operators: % before *, 200*0.05
        ("=2--3", number(5.0)),                // 2-(-3)
        ("=1/3", number(1.0 / 3.0)),           // the raw double, where the cell would show 0.333333333
        ("=MOD(-3,2)", number(1.0)),           // MOD: the sign is the divisor's
        ("=MOD(3,-2)", number(-1.0)),          // MOD: likewise
        ("=INT(-8.9)", number(-9.0)),          // INT: rounds down, away from zero
        ("=TRUNC(-8.9)", number(-8.0)),        // TRUNC: drops the fraction
        ("=ROUND(2.5,0)", number(3.0)),        // ROUND: a half away from zero, not to even
        ("=ROUND(-2.5,0)", number(-3.0)),      // likewise, away from zero
        ("=QUOTIENT(-10,3)", number(-3.0)),    // QUOTIENT: the integer part of -3.33
        ("=MEDIAN(1,2,3,4,5,6)", number(3.5)), // MEDIAN: the mean of the two in the middle, 3 and 4
        ("=COMBIN(8,2)", number(28.0)),        // COMBIN: 8*7/2
        ("=DATE(2008,1,1)", number(39448.0)),  // DATE: days, 1 January 1900 being 1
        ("=SUM(1,,3)", number(4.0)),           // an omitted argument counts as 0
        // Text.
        ("=\"a\"&1", text("a1")),  // operators: & turns a number into its text
        ("=1&2+3", text("15")),    // operators: + before &
        ("=\"5\"+1", number(6.0)), // arithmetic turns text that is a number into it
        ("=\"say \"\"hi\"\"\"", text("say \"hi\"")), // two quotation marks inside a string are one
        ("=MID(\"Fluid Flow\",7,20)", text("Flow")), // MID: up to the end if there is less than asked for
        ("=TRIM(\" First   Quarter \")", text("First Quarter")), // TRIM: one space between words
        ("=SEARCH(\"e\",\"Statements\",6)", number(7.0)), // SEARCH: S-t-a-t-e-m-e, from the sixth on
        ("=SUBSTITUTE(\"a-a-a\",\"a\",\"b\",2)", text("a-b-a")), // SUBSTITUTE: the second one only
        ("=REPT(\"*-\",3)", text("*-*-*-")), // REPT: three times
        ("=LEN(\"é€\")", number(2.0)), // LEN: characters, where UTF-8 has five bytes
        // Logic.
        ("=\"Word\"=\"word\"", boolean(true)), // comparing ignores case …
        ("=EXACT(\"Word\",\"word\")", boolean(false)), // … but EXACT does not
        ("=1<2<3", boolean(false)),            // TRUE<3, and any boolean is greater than any number
        ("=XOR(3>0,2<9)", boolean(false)),     // XOR: an even number of TRUE
        ("=TRUE+TRUE", number(2.0)),           // TRUE counts as 1 in arithmetic
        ("=IF(1>2,\"a\")", boolean(false)),    // IF: FALSE where the third argument is left out
        // Errors.
        ("=1/0", error("#DIV/0!")),      // #DIV/0!: a number divided by zero
        ("=\"a\"+1", error("#VALUE!")),  // #VALUE!: text that is no number, in arithmetic
        ("=SQRT(-1)", error("#NUM!")),   // SQRT: of a negative number
        ("=NOSUCH(1)", error("#NAME?")), // #NAME?: no function of this name
        // Nesting.
        ("=IF(1,2,1/0)", number(2.0)), // the branch not taken is not evaluated
        ("=IFERROR(SUM(1,IF(0,1,IF(\"x\"=\"X\",1/0,2))),MAX(3,9,4))", number(9.0)), // 1/0 passes SUM
    ];
    let mut evaluator = Evaluator::new();
    for (formula, expected) in cases {
        assert_eq!(evaluator.evaluate(formula), Ok(expected), "{formula}");
    }
}

/// Where IronCalc 0.9.1 does not do what Excel does: the formula, Excel's value, IronCalc's. A release
/// that changes one of these fails here, so that nobody has to find out from a changed checksum.
#[test]
fn known_differences_between_ironcalc_and_excel() {
    let differences = [
        // Excel counts a 29 February 1900 for the sake of Lotus 1-2-3; IronCalc goes on to 1 March.
        ("=DATE(1900,2,29)", number(60.0), number(61.0)),
        // TEXTJOIN: a second argument of TRUE leaves out empty texts.
        ("=TEXTJOIN(\"-\",TRUE,\"a\",\"\",\"b\")", text("a-b"), text("a--b")),
        // XLOOKUP takes arrays; IronCalc looks up in ranges of cells only.
        ("=XLOOKUP(2,{1,2},{\"a\",\"b\"})", text("b"), error("#N/A")),
        // "Floating-point arithmetic may give inaccurate results in Excel": a final sum or difference
        // very close to zero is made zero.
        ("=1.333+1.225-1.333-1.225", number(0.0), number(1.333 + 1.225 - 1.333 - 1.225)),
    ];
    let mut evaluator = Evaluator::new();
    for (formula, excel, ironcalc) in differences {
        assert_ne!(excel, ironcalc);
        assert_eq!(evaluator.evaluate(formula), Ok(ironcalc), "{formula}");
    }
}

/// Excel does not let anyone enter these; IronCalc 0.9.1 closes parentheses and ignores what follows an
/// expression. A typing mistake in a formula can therefore go unnoticed.
#[test]
fn known_formulas_that_ironcalc_evaluates_and_excel_refuses() {
    let mut evaluator = Evaluator::new();
    for formula in ["=SUM(1", "=((1)", "=SUM(1))", "=1 2", "=MAX(1)\"rest\"", "=SUM(1,MAX())"] {
        assert_eq!(evaluator.evaluate(formula), Ok(number(1.0)), "{formula}");
    }
}

#[test]
fn nesting_is_accepted_up_to_excels_limit_and_refused_beyond() {
    let mut evaluator = Evaluator::new();
    for (open, close) in [("SUM(", ")"), ("(", ")"), ("IF(1,", ")"), ("{", "}")] {
        let nested = |levels: usize| format!("={}1{}", open.repeat(levels), close.repeat(levels));
        assert_ne!(evaluator.evaluate(&nested(NESTING)), Err(FormulaError::TooDeep), "{open}");
        for levels in [NESTING + 1, 1000] {
            assert_eq!(evaluator.evaluate(&nested(levels)), Err(FormulaError::TooDeep), "{open}");
        }
    }
}

#[test]
fn chains_that_would_overflow_the_stack_are_refused() {
    let mut evaluator = Evaluator::new();
    for operator in ["+1", "-1", "*1", "/1", "^1", "&1", "=1", "%"] {
        let chain = format!("=1{}", operator.repeat(4000));
        assert_eq!(evaluator.evaluate(&chain), Err(FormulaError::TooHigh { height: 4000 }), "{operator}");
    }
    let signs = format!("={}1", "-".repeat(8000));
    assert_eq!(evaluator.evaluate(&signs), Err(FormulaError::TooHigh { height: 8000 }));
}

#[test]
fn what_is_accepted_fits_the_stack_of_a_default_thread() {
    let operators = HEIGHT - NESTING;
    let nested = |open: &str, inner: &str| format!("={}{inner}{}", open.repeat(NESTING), ")".repeat(NESTING));
    let signs = "-".repeat(operators);
    let formulas = [
        format!("={}1", "-".repeat(HEIGHT)),
        format!("=1{}", "&1".repeat(HEIGHT)),
        format!("=1{}", "%".repeat(HEIGHT)),
        nested("-(", "1"),
        nested("IF(1,", &format!("1{}", "=1".repeat(operators))),
        nested("SUM(", &format!("{signs}1")),
        nested("LET(a,1,", &format!("{signs}a")),
        nested("IFERROR(1+", "1"),
    ];
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
        let mut evaluator = Evaluator::new();
        for formula in formulas {
            assert!(evaluator.evaluate(&formula).is_ok(), "{formula}");
        }
    });
    thread.unwrap().join().unwrap();
}

#[test]
fn recursion_that_nothing_bounds_is_refused() {
    let mut evaluator = Evaluator::new();
    for formula in ["=LET(f,LAMBDA(g,g(g)),f(f))", "=lambda(g,g(g))(Lambda(g,g(g)))"] {
        assert_eq!(evaluator.evaluate(formula), Err(FormulaError::Lambda));
    }
    assert_eq!(evaluator.evaluate("=\"LAMBDA\""), Ok(text("LAMBDA")));
}

#[test]
fn a_formula_longer_than_excels_limit_is_refused() {
    let mut evaluator = Evaluator::new();
    // Two-byte characters: the limit counts characters, of which '=' and the quotation marks are three.
    let of_characters = |characters: usize| format!("=\"{}\"", "é".repeat(characters - 3));
    assert!(evaluator.evaluate(&of_characters(FORMULA_CHARACTERS)).is_ok());
    let characters = FORMULA_CHARACTERS + 1;
    assert_eq!(evaluator.evaluate(&of_characters(characters)), Err(FormulaError::TooLong { characters }));
}

#[test]
fn text_that_is_no_formula_is_refused() {
    let mut evaluator = Evaluator::new();
    for text in ["", "=", "1+1", " =1", "+1", "{=1}", "é"] {
        assert_eq!(evaluator.evaluate(text), Err(FormulaError::NotAFormula), "{text:?}");
    }
}

#[test]
fn broken_syntax_is_refused_and_leaves_the_evaluator_usable() {
    let mut evaluator = Evaluator::new();
    for formula in ["=1+", "=)", "==1", "=\"open", "=é+", "=🙂", "={1;", "= ", "=,", "=+", "=(", "=SUM(/"]
    {
        let refusal = evaluator.evaluate(formula);
        assert!(matches!(refusal, Err(FormulaError::Syntax { .. })), "{formula}: {refusal:?}");
        assert_eq!(evaluator.evaluate("=1+1"), Ok(number(2.0)));
    }
}

#[test]
fn a_formula_sees_nothing_of_the_one_before() {
    let mut evaluator = Evaluator::new();
    // Fills A1:B2 of its own sheet; A2 of the next one is empty.
    assert_eq!(evaluator.evaluate("={1,2;3,4}"), Ok(number(1.0)));
    assert_eq!(evaluator.evaluate("=A2+B1"), Ok(number(0.0)));
}

#[test]
fn each_thread_can_have_its_own_evaluator() {
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || assert_engines_agree(&mut Evaluator::new(), 10, 1, thread));
        }
    });
}
