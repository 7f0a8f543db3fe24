//! What a sweep varies: which flags can, and over which values. Pure: texts in, texts and numbers out.
//!
//! A list has commas: `10,100,1000`. A range is on a logarithmic scale, with both ends in it: `1..1e6` has a value for each
//! decade, a shorter one five, and `1..1e6:13` has thirteen. Nothing is a decade above 0, so a range from 0 is 0 itself and a
//! range of three decades below its other end: `0..1s` is 0 and `1ms..1s`. Counts and bytes are whole numbers from 1.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::draft::{self, Chunk, InFlight, StrategyDraft, Workers, WorkloadDraft, by_name};
use super::units::{Count, Length, Seconds, Size};
use crate::workload::Spread;

/// What one or more flags say, in the form in which a draft holds it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Flags {
    /// Those of the workload.
    pub workload: WorkloadDraft,
    /// Those of all strategies that have such a setting.
    pub strategy: StrategyDraft,
}

impl Flags {
    /// `self`, with what `over` says in place of what it says itself.
    pub fn overridden_by(self, over: &Self) -> Self {
        Self {
            workload: self.workload.overridden_by(&over.workload),
            strategy: self.strategy.overridden_by(&over.strategy),
        }
    }
}

/// What the values of a flag are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Whole numbers.
    Count,
    /// Times, in seconds.
    Seconds,
    /// Sizes, in bytes.
    Bytes,
    /// Names: they have no order, and so no range.
    Word,
}

/// A flag that can vary.
pub struct Key {
    /// Its name, as typed, without the hyphens in front of it.
    pub name: &'static str,
    /// What its values are.
    pub unit: Unit,
    set: fn(&mut Flags, &str) -> Result<(), String>,
    is_set: fn(&Flags) -> bool,
}

macro_rules! keys {
    ($($name:literal $unit:ident $part:ident.$field:ident = $parse:expr;)+) => {
        /// All flags that can vary.
        pub static KEYS: &[Key] = &[$(Key {
            name: $name,
            unit: Unit::$unit,
            set: |flags, text| {
                flags.$part.$field = Some($parse(text)?);
                Ok(())
            },
            is_set: |flags| flags.$part.$field.is_some(),
        }),+];
    };
}

keys! {
    "tasks" Count workload.tasks = Count::from_str;
    "cpu" Seconds workload.cpu = Length::from_str;
    "io-wait" Seconds workload.io_wait = Length::from_str;
    "io" Word workload.io = draft::parse_io;
    "io-size" Bytes workload.io_size = Size::from_str;
    "spread" Word workload.spread = Spread::from_str;
    "arg-size" Bytes workload.arg_size = Size::from_str;
    "result-size" Bytes workload.result_size = Size::from_str;
    "memory" Bytes workload.memory = Size::from_str;
    "shared" Bytes workload.shared = Size::from_str;
    "parent-memory" Bytes workload.parent_memory = Size::from_str;
    "init" Seconds workload.init = Seconds::from_str;
    "expression-args" Count workload.expression_args = Count::from_str;
    "workers" Count strategy.workers = Workers::from_str;
    "chunk" Count strategy.chunk = Chunk::from_str;
    "in-flight" Count strategy.in_flight = InFlight::from_str;
    "transport" Word strategy.transport = draft::parse_transport;
    "start" Word strategy.start = draft::parse_start;
    "api" Word strategy.api = draft::parse_api;
    "max-tasks-per-child" Count strategy.max_tasks_per_child = Count::from_str;
    "evaluator" Word strategy.evaluator = draft::parse_evaluator;
}

impl Key {
    /// The key called `name`, with hyphens as on the command line or with underscores as in a spec.
    ///
    /// # Errors
    /// If there is none, or it cannot vary: then with those that can.
    pub fn find(name: &str) -> Result<&'static Self, String> {
        let all: Vec<&Self> = KEYS.iter().collect();
        let typed = name.trim().trim_start_matches('-').replace('_', "-");
        by_name("flag, or one that cannot vary,", &typed, &all, |key| key.name)
    }

    /// Whether `flags` say something of it.
    pub fn is_set(&self, flags: &Flags) -> bool {
        (self.is_set)(flags)
    }

    /// Has `flags` say `text` of it.
    ///
    /// # Errors
    /// What the flag itself would say of such a value.
    pub fn set(&self, flags: &mut Flags, text: &str) -> Result<(), String> {
        (self.set)(flags, text)
    }

    /// What `text` is as a number: a count, seconds or bytes. Nothing for names, and for words such as `auto`.
    pub fn number(&self, text: &str) -> Option<f64> {
        match self.unit {
            Unit::Count => text.parse::<Count>().ok().map(|Count(count)| count as f64),
            Unit::Seconds => text.parse::<Seconds>().ok().map(|Seconds(seconds)| seconds),
            Unit::Bytes => text.parse::<Size>().ok().map(|Size(bytes)| bytes as f64),
            Unit::Word => None,
        }
    }

    /// The value `number`, as it would be typed, rounded to what can be typed.
    pub fn text(&self, number: f64) -> String {
        let rounded = self.rounded(number);
        let is_same =
            |text: &str| self.number(text).is_some_and(|value| (value - number).abs() <= 1e-12 * number);
        if is_same(&rounded) {
            return rounded;
        }
        match self.unit {
            Unit::Seconds => {
                let (scaled, unit) = scaled(number);
                format!("{scaled}{unit}")
            }
            Unit::Bytes | Unit::Count | Unit::Word => format!("{number:.0}"),
        }
    }

    /// The same, rounded to three digits.
    pub fn rounded(&self, number: f64) -> String {
        match self.unit {
            Unit::Seconds => duration(number),
            Unit::Bytes => size(number),
            Unit::Count | Unit::Word => format!("{:.0}", three_digits(number)),
        }
    }
}

/// A flag and the values that it takes, one after another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// The flag, without the hyphens in front of it.
    pub key: String,
    /// What its values are, and what their numbers count.
    pub unit: Unit,
    /// Its values, in the order in which they are shown.
    pub values: Vec<Value>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Value {
    /// As it would be typed.
    pub text: String,
    /// As a number of the unit; null where it is a word.
    pub number: Option<f64>,
}

/// The most values that a variable may have.
pub const MOST_VALUES: usize = 100;

/// Two ends on a logarithmic scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// The smaller end, which may be 0.
    pub low: f64,
    /// The larger end.
    pub high: f64,
}

/// Decades between the other end of a range from 0 and its first value that is not 0.
const DECADES_ABOVE_ZERO: i32 = 3;

impl Range {
    /// Reads `LOW..HIGH` of `key`.
    ///
    /// # Errors
    /// If an end is no number, or the range is empty or backwards.
    pub fn parse(key: &Key, text: &str) -> Result<Self, String> {
        let Some((low, high)) = text.split_once("..") else {
            return Err(format!("'{text}' is not a range: expected LOW..HIGH"));
        };
        if key.unit == Unit::Word {
            return Err(format!("{} has no range: expected a list", key.name));
        }
        // One dot more would belong to a number: `1ms...1s` would end at a tenth of a second.
        if high.starts_with('.') {
            return Err(format!("'{text}' has three dots: expected two between its ends, LOW..HIGH"));
        }
        let end = |text: &str| {
            key.set(&mut Flags::default(), text)?;
            key.number(text).ok_or_else(|| format!("'{text}' is no number, so it ends no range"))
        };
        let range = Self { low: end(low.trim())?, high: end(high.trim())? };
        if range.low > range.high {
            return Err(format!("'{text}' is backwards: expected the smaller value first"));
        }
        if range.low == range.high {
            return Err(format!("'{text}' is a single value: expected a larger one at its end"));
        }
        Ok(range)
    }

    /// Its smallest value above 0, for values of `unit`.
    pub fn least_above_zero(self, unit: Unit) -> f64 {
        let least = if self.low > 0.0 { self.low } else { self.high / 10_f64.powi(DECADES_ABOVE_ZERO) };
        if unit == Unit::Seconds { least } else { least.max(1.0) }
    }

    /// `points` values, evenly apart on the logarithmic scale, both ends among them, and 0 where the range begins there.
    pub fn spread_out(self, key: &Key, points: Option<usize>) -> Vec<f64> {
        let least = self.least_above_zero(key.unit);
        let zero = (self.low == 0.0).then_some(0.0);
        let decades = (self.high / least).log10();
        let points = match points {
            Some(points) => points - usize::from(zero.is_some()),
            None => (decades + 1e-9).floor().max(4.0) as usize + 1,
        };
        let last = (points - 1).max(1) as f64;
        let above = (0..points).map(|place| match place {
            // Exactly: powers are not.
            _ if place + 1 == points => self.high,
            0 => least,
            _ => least * (self.high / least).powf(place as f64 / last),
        });
        zero.into_iter().chain(above).collect()
    }
}

impl Variable {
    /// Reads `KEY=LIST`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((key, values)) = text.split_once('=') else {
            return Err(format!("'{text}' is not a variable: expected KEY=LIST, such as tasks=10,100,1000"));
        };
        Self::of(key, values)
    }

    /// `key` over `values`, a list or a range.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of(key: &str, values: &str) -> Result<Self, String> {
        let key = Key::find(key)?;
        let at = |error: String| format!("{error} (in {}={values})", key.name);
        if values.trim().is_empty() {
            return Err(format!(
                "{} has an empty list: expected values, such as {}=10,100",
                key.name, key.name
            ));
        }
        let mut all: Vec<Value> = Vec::new();
        for item in values.split(',').map(str::trim) {
            if item.is_empty() {
                return Err(at("there is nothing between two commas".into()));
            }
            let is_range = item.contains("..") && key.unit != Unit::Word;
            let texts = if is_range { range(key, item).map_err(at)? } else { vec![item.to_owned()] };
            for text in texts {
                key.set(&mut Flags::default(), &text).map_err(at)?;
                let value = Value { number: key.number(&text), text };
                if all.iter().any(|other| {
                    other.text == value.text || (value.number.is_some() && other.number == value.number)
                }) {
                    return Err(at(format!("{} is there twice", value.text)));
                }
                all.push(value);
            }
        }
        if all.len() > MOST_VALUES {
            return Err(at(format!("{} values: expected at most {MOST_VALUES}", all.len())));
        }
        Ok(Self { key: key.name.into(), unit: key.unit, values: all })
    }

    /// The key, which was found before.
    pub fn key(&self) -> Result<&'static Key, String> {
        Key::find(&self.key)
    }
}

/// The values of `LOW..HIGH` or `LOW..HIGH:POINTS`, as they would be typed.
fn range(key: &Key, item: &str) -> Result<Vec<String>, String> {
    let (ends, points) = match item.rsplit_once(':') {
        Some((ends, points)) => (ends, Some(points)),
        None => (item, None),
    };
    let range = Range::parse(key, ends)?;
    let least = if range.low == 0.0 { 3 } else { 2 };
    let points = points.map(|points| match points.parse::<usize>() {
        Ok(points) if (least..=MOST_VALUES).contains(&points) => Ok(points),
        _ => Err(format!("'{points}' is not a number of values: expected {least} to {MOST_VALUES}")),
    });
    let (low, high) = ends.split_once("..").unwrap_or_default();
    let all = range.spread_out(key, points.transpose()?);
    let inner = all.get(1..all.len() - 1).unwrap_or_default();
    let rounded = inner.iter().map(|number| key.rounded(*number));
    // The ends are what was typed, not what rounding makes of them; it may take others beyond them.
    let is_between =
        |text: &String| key.number(text).is_some_and(|number| range.low < number && number < range.high);
    let end = |text: &str| std::iter::once(text.trim().to_owned());
    let mut texts: Vec<String> = end(low).chain(rounded.filter(is_between)).chain(end(high)).collect();
    // Whole numbers that are close together may be the same.
    texts.dedup_by_key(|text| key.number(text).map(f64::to_bits));
    Ok(texts)
}

fn three_digits(number: f64) -> f64 {
    if number < 1000.0 {
        return number.round();
    }
    let unit = 10_f64.powf(number.log10().floor() - 2.0);
    (number / unit).round() * unit
}

fn duration(seconds: f64) -> String {
    if seconds == 0.0 {
        return "0".into();
    }
    let (scaled, unit) = scaled(seconds);
    with_three_digits(scaled, unit)
}

/// `1.5s` for 1.5 and s.
fn with_three_digits(scaled: f64, unit: &str) -> String {
    let digits = (2 - scaled.log10().floor() as i32).max(0) as usize;
    let text = format!("{scaled:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// In the unit in which it is at least 1, but for nanoseconds.
fn scaled(seconds: f64) -> (f64, &'static str) {
    let (scale, unit) = match seconds {
        s if s >= 0.9995 => (1.0, "s"),
        s if s >= 0.9995e-3 => (1e3, "ms"),
        s if s >= 0.9995e-6 => (1e6, "us"),
        _ => (1e9, "ns"),
    };
    (seconds * scale, unit)
}

fn size(bytes: f64) -> String {
    let whole = bytes.round() as u64;
    match whole {
        0 => "0".into(),
        _ if whole.is_multiple_of(1 << 30) => format!("{}GiB", whole >> 30),
        _ if whole.is_multiple_of(1 << 20) => format!("{}MiB", whole >> 20),
        _ if whole.is_multiple_of(1 << 10) => format!("{}KiB", whole >> 10),
        1..1024 => whole.to_string(),
        1024..0x10_0000 => with_three_digits(bytes / 1024.0, "KiB"),
        0x10_0000..0x4000_0000 => with_three_digits(bytes / 1_048_576.0, "MiB"),
        _ => with_three_digits(bytes / 1_073_741_824.0, "GiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(text: &str) -> Vec<String> {
        Variable::parse(text).unwrap().values.into_iter().map(|value| value.text).collect()
    }

    #[test]
    fn a_range_has_a_value_for_each_decade_and_both_ends() {
        assert_eq!(texts("tasks=1..1e6"), ["1", "10", "100", "1000", "10000", "100000", "1e6"]);
        assert_eq!(texts("io-wait=1ms..1s"), ["1ms", "5.62ms", "31.6ms", "178ms", "1s"]);
        assert_eq!(texts("tasks=1..64:7"), ["1", "2", "4", "8", "16", "32", "64"]);
        assert_eq!(texts("arg_size=1KiB..1MiB:3"), ["1KiB", "32KiB", "1MiB"]);
        assert_eq!(texts("arg-size=1KiB..1MiB"), ["1KiB", "5.66KiB", "32KiB", "181KiB", "1MiB"]);
        assert_eq!(texts("workers=1..4"), ["1", "2", "3", "4"], "whole numbers are there once");
        assert_eq!(texts("tasks=1001..1010:5"), ["1001", "1010"], "three digits lie beyond both");
        assert_eq!(texts("arg-size=1025..1100:4"), ["1025", "1.02KiB", "1.05KiB", "1100"]);
    }

    #[test]
    fn a_range_from_zero_is_zero_and_three_decades() {
        assert_eq!(texts("io-wait=0..1s:5"), ["0", "1ms", "10ms", "100ms", "1s"]);
        assert_eq!(texts("arg-size=0..100:4"), ["0", "1", "10", "100"]);
    }

    #[test]
    fn lists_and_ranges_may_be_mixed_and_words_stay_words() {
        assert_eq!(texts("io-wait=0,1ms..100ms:3"), ["0", "1ms", "10ms", "100ms"]);
        assert_eq!(texts("chunk=auto,1,python"), ["auto", "1", "python"]);
        assert_eq!(texts("spread=constant,lognormal:1.5"), ["constant", "lognormal:1.5"]);
        let workers = Variable::parse("workers=2,4x").unwrap();
        assert_eq!(workers.values[0].number, Some(2.0));
        assert_eq!(workers.values[1].number, None);
    }

    #[test]
    fn a_value_is_written_as_it_was_typed_and_three_digits_of_it_if_that_is_wanted() {
        for (key, text, rounded) in [
            ("tasks", "1024", "1020"),
            ("tasks", "1001", "1000"),
            ("io-wait", "0", "0"),
            ("io-wait", "12.3ms", "12.3ms"),
            ("io-wait", "1.2345s", "1.23s"),
            ("io-wait", "12345us", "12.3ms"),
            ("memory", "10MiB", "10MiB"),
            ("memory", "1234567", "1.18MiB"),
        ] {
            let key = Key::find(key).unwrap();
            let number = key.number(text).unwrap();
            assert_eq!(key.number(&key.text(number)), Some(number), "{text}: {}", key.text(number));
            assert_eq!(key.rounded(number), rounded);
        }
    }

    #[test]
    fn what_makes_no_list_is_refused_by_name() {
        for (text, part) in [
            ("tasks", "expected KEY=LIST"),
            ("tasks=", "empty list"),
            ("tasks=1,,2", "nothing between two commas"),
            ("tasks=1000..10", "backwards"),
            ("tasks=10..10", "single value"),
            ("tasks=10..many", "'many'"),
            ("tasks=-1..10", "'-1' is negative"),
            ("tasks=10,1e1", "1e1 is there twice"),
            ("tasks=1..10:1", "'1' is not a number of values"),
            ("tasks=10,ten", "'ten' is not a number"),
            ("io-wait=5", "'5' has no unit"),
            ("seed=1,2", "tasks, cpu"),
            ("task=1,2", "did you mean tasks?"),
            ("chunk=auto..10", "'auto' is no number"),
        ] {
            let error = Variable::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(key in "(tasks|cpu|memory|workers)", values in "[0-9a-z.,:]{0,20}") {
            let _ = Variable::of(&key, &values);
        }

        #[test]
        fn values_of_a_range_rise_from_end_to_end(low in 1_u64..100_000, more in 1_u64..10_000_000, points in 2_usize..30) {
            let variable = Variable::parse(&format!("tasks={low}..{}:{points}", low + more)).unwrap();
            let numbers: Vec<f64> = variable.values.iter().filter_map(|value| value.number).collect();
            prop_assert!(numbers.len() <= points && numbers.len() == variable.values.len());
            prop_assert_eq!(numbers[0], low as f64);
            prop_assert_eq!(numbers[numbers.len() - 1], (low + more) as f64);
            prop_assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
        }
    }
}
