//! From values to places on an axis.

/// Which numbers are round: those of tens, or those of sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steps {
    /// 1, 2, 5, 10, …
    Decimal,
    /// 1, 2, 4, 8, …
    Binary,
}

/// An axis. Places on it are percents of its width.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    is_logarithmic: bool,
    steps: Steps,
}

/// Values that differ by more than this factor are shown on a logarithmic axis: on another, the smallest would lie on
/// top of each other.
const LINEAR_UP_TO: f64 = 30.0;

/// Left and right of the outermost values, so that their marks are not cut.
const MARGIN_PERCENT: f64 = 1.5;

/// An axis from 0 has no more labels than this besides 0: they must fit side by side on a phone.
const MOST_TICKS: usize = 5;

/// The same for other axes, as a distance.
const LEAST_GAP_PERCENT: f64 = 16.0;

impl Scale {
    /// An axis for `values`, from 0 unless they differ too much. `None` if none of them is above 0.
    pub fn new(values: impl IntoIterator<Item = f64>, steps: Steps) -> Option<Self> {
        let (low, high) = extremes(values)?;
        let is_logarithmic = high > low * LINEAR_UP_TO;
        let low = if is_logarithmic { low } else { 0.0 };
        Some(Self { low, high, is_logarithmic, steps })
    }

    /// An axis from 0, however much `values` differ: for bars, whose lengths are compared.
    pub fn from_zero(values: impl IntoIterator<Item = f64>, steps: Steps) -> Option<Self> {
        let (_, high) = extremes(values)?;
        Some(Self { low: 0.0, high, is_logarithmic: false, steps })
    }

    /// An axis on which twice and half are equally far from one.
    pub fn of_ratios(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let (low, high) = extremes(values)?;
        // Never so narrow that noise looks like a difference.
        let (low, high) = (low.min(0.9) / 1.05, high.max(1.0 / 0.9) * 1.05);
        Some(Self { low, high, is_logarithmic: true, steps: Steps::Decimal })
    }

    /// Whether equal distances are equal ratios.
    pub fn is_logarithmic(&self) -> bool {
        self.is_logarithmic
    }

    /// Where `value` lies, in percent; what is not on the axis at its end.
    pub fn place(&self, value: f64) -> f64 {
        let part = if self.is_logarithmic {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            value / self.high
        };
        let part = if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 };
        MARGIN_PERCENT + part * (100.0 - 2.0 * MARGIN_PERCENT)
    }

    /// Round values on the axis.
    pub fn ticks(&self) -> Vec<f64> {
        if self.is_logarithmic { self.logarithmic_ticks() } else { self.linear_ticks() }
    }

    fn linear_ticks(&self) -> Vec<f64> {
        let step = self.step_of(self.high / MOST_TICKS as f64);
        (0..=MOST_TICKS).map(|number| number as f64 * step).take_while(|tick| *tick <= self.high).collect()
    }

    /// The smallest round number that is not below `least`.
    fn step_of(&self, least: f64) -> f64 {
        match self.steps {
            Steps::Binary => least.log2().ceil().exp2(),
            Steps::Decimal => {
                let decade = power_of_ten(least.log10().floor());
                [1.0, 2.0, 5.0]
                    .map(|digit| digit * decade)
                    .into_iter()
                    .find(|step| *step >= least)
                    .unwrap_or(10.0 * decade)
            }
        }
    }

    fn logarithmic_ticks(&self) -> Vec<f64> {
        let within = |tick: &f64| (self.low..=self.high).contains(tick);
        let candidates: Vec<Vec<f64>> = match self.steps {
            Steps::Decimal => {
                let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
                let of = |digits: &[f64]| {
                    let decade =
                        |exponent| digits.iter().map(move |digit| digit * power_of_ten(f64::from(exponent)));
                    decades.clone().flat_map(decade).filter(within).collect::<Vec<_>>()
                };
                vec![
                    of(&[1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 7.0]),
                    of(&[1.0, 2.0, 5.0]),
                    of(&[1.0, 3.0]),
                    of(&[1.0]),
                ]
            }
            Steps::Binary => {
                let powers = self.low.log2().floor() as i32..=self.high.log2().ceil() as i32;
                let of = |every: i32| {
                    let chosen = powers.clone().filter(|power| power.rem_euclid(every) == 0);
                    chosen.map(|power| f64::from(power).exp2()).filter(within).collect::<Vec<_>>()
                };
                vec![of(1), of(2), of(5)]
            }
        };
        let fits = candidates.iter().find(|ticks| self.are_apart(ticks));
        let ticks = fits.or(candidates.last()).cloned().unwrap_or_default();
        // Many decades: every so many.
        let every_so_many = (1..).map(|every| ticks.iter().copied().step_by(every).collect::<Vec<_>>());
        every_so_many.into_iter().find(|ticks| self.are_apart(ticks)).unwrap_or_default()
    }

    /// Whether the labels of `ticks` fit side by side.
    fn are_apart(&self, ticks: &[f64]) -> bool {
        ticks.windows(2).all(|pair| self.place(pair[1]) - self.place(pair[0]) >= LEAST_GAP_PERCENT)
    }
}

/// Exact where a `powf` need not be.
fn power_of_ten(exponent: f64) -> f64 {
    format!("1e{exponent:.0}").parse().unwrap_or(1.0)
}

fn extremes(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    // Beyond these, quotients are no numbers any more.
    let sensible = |value: &f64| (1e-100..1e100).contains(value);
    let mut extremes = None;
    for value in values.into_iter().filter(sensible) {
        let (low, high) = extremes.unwrap_or((value, value));
        extremes = Some((value.min(low), value.max(high)));
    }
    extremes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_starts_at_zero_unless_values_differ_too_much() {
        let linear = Scale::new([0.2, 0.9], Steps::Decimal).unwrap();
        assert!(!linear.is_logarithmic());
        assert_eq!(linear.ticks(), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8]);
        let logarithmic = Scale::new([0.001, 0.9], Steps::Decimal).unwrap();
        assert!(logarithmic.is_logarithmic());
        assert_eq!(logarithmic.ticks(), [0.001, 0.01, 0.1]);
        assert!((logarithmic.place(0.03) - 50.0).abs() < 1.0, "{}", logarithmic.place(0.03));
    }

    #[test]
    fn sizes_have_ticks_at_powers_of_two() {
        let scale = Scale::from_zero([3.0 * 1048576.0], Steps::Binary).unwrap();
        assert_eq!(scale.ticks(), [0.0, 1048576.0, 2097152.0, 3145728.0]);
    }

    #[test]
    fn ratios_are_symmetric_around_one() {
        let scale = Scale::of_ratios([0.5, 2.0]).unwrap();
        assert!((scale.place(1.0) - 50.0).abs() < 1e-9);
        assert!(scale.ticks().contains(&1.0));
    }

    #[test]
    fn nothing_and_nonsense_have_no_axis_and_no_axis_has_many_ticks() {
        assert_eq!(Scale::new([0.0, -1.0, f64::NAN, f64::INFINITY, 1e300], Steps::Decimal), None);
        for low in -12..6 {
            for high in low..9 {
                let values = [10_f64.powi(low) * 1.3, 10_f64.powi(high) * 2.7];
                for steps in [Steps::Decimal, Steps::Binary] {
                    let scale = Scale::new(values, steps).unwrap();
                    let ticks = scale.ticks();
                    assert!((1..=MOST_TICKS + 1).contains(&ticks.len()), "{values:?}: {ticks:?}");
                    let places = ticks.iter().map(|tick| scale.place(*tick));
                    assert!(places.clone().all(|place| (0.0..=100.0).contains(&place)));
                    assert!(places.is_sorted(), "{values:?}: {ticks:?}");
                }
            }
        }
    }
}
