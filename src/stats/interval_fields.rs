//! Writes an `Option<Interval>` as the two fields `ci_low` and `ci_high`, which are null together.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bootstrap::Interval;

#[derive(Serialize, Deserialize, JsonSchema)]
pub(super) struct Fields {
    /// The lower end of the median's 95 % interval; null with fewer than five rounds.
    ci_low: Option<f64>,
    /// Its upper end.
    ci_high: Option<f64>,
}

pub(super) fn serialize<S: Serializer>(
    interval: &Option<Interval>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    Fields { ci_low: interval.map(|ci| ci.low), ci_high: interval.map(|ci| ci.high) }.serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Interval>, D::Error> {
    let Fields { ci_low, ci_high } = Fields::deserialize(deserializer)?;
    Ok(ci_low.zip(ci_high).map(|(low, high)| Interval { low, high }))
}
