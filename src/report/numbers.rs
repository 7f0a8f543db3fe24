//! Numbers as people read them: three or four digits that mean something, and a unit.

pub use crate::plan::units::count;

/// `figure` behind the sign of a bound, if it is one: `≥ 12.3 MiB`.
pub fn marked(sign: Option<&str>, figure: &str) -> String {
    sign.map_or_else(|| figure.to_owned(), |sign| format!("{sign} {figure}"))
}

/// A time: `12.3 ms`, `1.02 s`, `3 min 20 s`.
pub fn seconds(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 120.0 {
        let whole = magnitude.round() as u64;
        let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60);
        return if hours > 0 {
            format!("{hours} h {minutes:02} min")
        } else {
            format!("{minutes} min {rest:02} s")
        };
    }
    let (scaled, unit) = match magnitude {
        m if m >= 1.0 => (value, "s"),
        m if m >= 1e-3 => (value * 1e3, "ms"),
        m if m >= 1e-6 => (value * 1e6, "µs"),
        0.0 => return "0 s".into(),
        _ => (value * 1e9, "ns"),
    };
    format!("{} {unit}", significant(scaled))
}

/// Two times with the unit of the second: `411 … 415 ms`.
pub fn seconds_range(low: f64, high: f64) -> String {
    let (low, high) = (seconds(low), seconds(high));
    match (low.rsplit_once(' '), high.rsplit_once(' ')) {
        (Some((number, unit)), Some((_, same))) if unit == same && !number.contains(' ') => {
            format!("{number} … {high}")
        }
        _ => format!("{low} … {high}"),
    }
}

/// Three significant digits.
pub fn significant(value: f64) -> String {
    match value.abs() {
        magnitude if magnitude >= 99.95 => format!("{value:.0}"),
        magnitude if magnitude >= 9.995 => format!("{value:.1}"),
        // Nothing is not less than nothing.
        magnitude if magnitude < 0.005 => "0.00".into(),
        _ => format!("{value:.2}"),
    }
}

/// How many times: `1.93 ×`.
pub fn times(value: f64) -> String {
    format!("{} ×", factor(value))
}

/// How many times, where others say so: `1.93`.
pub fn factor(value: f64) -> String {
    match value > 0.0 && value < 0.0995 {
        true if value < 0.0005 => "<0.001".into(),
        true => format!("{value:.3}"),
        false => significant(value),
    }
}

/// Between what a factor lies: `1.05 … 1.29`.
pub fn factors(low: f64, high: f64) -> String {
    format!("{} … {}", factor(low), factor(high))
}

/// A rate or a count, with a metric prefix: `48.5 k`.
pub fn metric(value: f64) -> String {
    match value.abs() {
        magnitude if magnitude >= 999.5e6 => format!("{} G", significant(value / 1e9)),
        magnitude if magnitude >= 999.5e3 => format!("{} M", significant(value / 1e6)),
        magnitude if magnitude >= 999.5 => format!("{} k", significant(value / 1e3)),
        _ => significant(value),
    }
}

/// A size: `12.3 MiB`.
pub fn bytes(value: u64) -> String {
    let scaled = value as f64;
    match value {
        0..1024 => format!("{value} B"),
        1024..0x10_0000 => format!("{} KiB", significant(scaled / 1024.0)),
        0x10_0000..0x4000_0000 => format!("{} MiB", significant(scaled / 1048576.0)),
        _ => format!("{} GiB", significant(scaled / 1073741824.0)),
    }
}

/// A part of one: `12 %`.
pub fn percent(value: f64) -> String {
    match value * 100.0 {
        part if part > 0.0 && part < 0.95 => "<1 %".into(),
        part => format!("{part:.0} %"),
    }
}

/// A percentage that somebody has asked for: `0.5 %`, however small.
pub fn exact_percent(value: f64) -> String {
    format!("{} %", (value * 1e6).round() / 1e4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_the_right_unit() {
        for (value, text) in [
            (0.0, "0 s"),
            (3e-9, "3.00 ns"),
            (0.000_020_4, "20.4 µs"),
            (0.5304, "530 ms"),
            (78.25, "78.2 s"),
            (200.0, "3 min 20 s"),
            (7260.0, "2 h 01 min"),
        ] {
            assert_eq!(seconds(value), text);
        }
        assert_eq!(seconds_range(0.411, 0.4151), "411 … 415 ms");
        assert_eq!(seconds_range(0.9, 1.1), "900 ms … 1.10 s");
    }

    #[test]
    fn counts_and_sizes_are_readable() {
        assert_eq!(count(1_000_000), "1,000,000");
        assert_eq!(count(999), "999");
        assert_eq!(bytes(96 * 1024), "96.0 KiB");
        assert_eq!(metric(48_512.0), "48.5 k");
        assert_eq!(percent(0.004), "<1 %");
        assert_eq!(times(0.0123), "0.012 ×");
    }
}
