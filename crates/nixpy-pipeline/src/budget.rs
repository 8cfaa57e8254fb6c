//! How large an image may be, and may become.
//!
//! A gate before tags move, as the smoke test is: an image that is too large is at its
//! destination, and under no tag. Sizes are in powers of ten, as registries show them.

use std::fmt;
use std::str::FromStr;

use nixpy_oci::platform::Platform;
use serde::{Deserialize, Serialize};

use crate::changes::Changes;

/// A limit for every platform's image, in compressed bytes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Budget {
    /// It is no larger than this: `200MB`.
    Size(u64),
    /// It is no more than this larger than the one before: `+5MB`.
    Growth(u64),
}

/// A text that is no budget.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no size: write 200MB for the most that an image may have, or +5MB for the most that it may grow \
     (B, kB, MB, GB, KiB, MiB, GiB)"
)]
pub struct BudgetError(String);

/// An image that is over a budget.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct OverBudget {
    /// Which.
    pub platform: Platform,
    /// Which budget.
    pub budget: Budget,
    /// What there is in its place, in bytes: the size, or the growth.
    pub actual: u64,
}

/// Of one image and one budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// There is so much, and it is no more than is allowed.
    Within(i64),
    /// There is so much, and it is more.
    Over(u64),
    /// There is no image before that it could be held against.
    Unknown,
}

impl Budget {
    /// Whether an image of this size keeps it.
    pub fn kept(self, size: u64, changes: Option<&Changes>) -> Kept {
        let (actual, most) = match (self, changes) {
            (Self::Size(most), _) => (i64::try_from(size).unwrap_or(i64::MAX), most),
            (Self::Growth(most), Some(changes)) => (changes.growth(), most),
            (Self::Growth(_), None) => return Kept::Unknown,
        };
        match u64::try_from(actual) {
            Ok(actual) if actual > most => Kept::Over(actual),
            _ => Kept::Within(actual),
        }
    }
}

/// Every budget that is not kept, by images of these platforms and sizes.
pub fn over<'a>(
    budgets: &[Budget],
    images: impl Iterator<Item = (&'a Platform, u64)>,
    changes: &[Changes],
) -> Vec<OverBudget> {
    let mut over = Vec::new();
    for (platform, size) in images {
        let changes = changes.iter().find(|changes| changes.platform == *platform);
        for budget in budgets {
            if let Kept::Over(actual) = budget.kept(size, changes) {
                over.push(OverBudget {
                    platform: platform.clone(),
                    budget: *budget,
                    actual,
                });
            }
        }
    }
    over
}

impl FromStr for Budget {
    type Err = BudgetError;

    fn from_str(text: &str) -> Result<Self, BudgetError> {
        let trimmed = text.trim();
        let (growth, size) = match trimmed.strip_prefix('+') {
            Some(size) => (true, size),
            None => (false, trimmed),
        };
        let bytes = bytes(size).ok_or_else(|| BudgetError(text.to_owned()))?;
        Ok(match growth {
            true => Self::Growth(bytes),
            false => Self::Size(bytes),
        })
    }
}

impl fmt::Display for Budget {
    /// As it is written, in bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(bytes) => write!(f, "{bytes}B"),
            Self::Growth(bytes) => write!(f, "+{bytes}B"),
        }
    }
}

/// `1.5MB`, `1.5 MB`. A number without a unit is none: nobody means bytes.
fn bytes(text: &str) -> Option<u64> {
    let unit = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(unit);
    let unit: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || fraction.len() > 6 || fraction.contains('.') {
        return None;
    }
    let digits = u32::try_from(fraction.len()).ok()?;
    let part = fraction.parse::<u64>().ok()?.checked_mul(unit)? / 10_u64.pow(digits);
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(unit)?
        .checked_add(part)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_powers_of_ten_unless_they_say_otherwise() {
        for (text, budget) in [
            ("200MB", Budget::Size(200_000_000)),
            ("+5MB", Budget::Growth(5_000_000)),
            ("1.5 GB", Budget::Size(1_500_000_000)),
            ("+512KiB", Budget::Growth(512 << 10)),
            ("+0B", Budget::Growth(0)),
            ("90mb", Budget::Size(90_000_000)),
            ("0.25MiB", Budget::Size(256 << 10)),
        ] {
            assert_eq!(text.parse(), Ok(budget), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_told_with_what_one_looks_like() {
        for text in [
            "",
            "+",
            "5",
            "MB",
            "-5MB",
            "5XB",
            "5%",
            "1.MB",
            ".5MB",
            "1.2.3MB",
            "99999999999GB",
            "++5MB",
        ] {
            let error = text.parse::<Budget>().unwrap_err().to_string();
            assert!(
                error.contains("200MB") && error.contains("+5MB"),
                "{text}: {error}"
            );
        }
    }

    fn changes(before: u64, now: u64) -> Changes {
        Changes {
            platform: Platform::linux("amd64"),
            baseline: "r.test/a:main".to_owned(),
            digest: nixpy_oci::digest::Digest::of(b""),
            size_before: before,
            size: now,
            contents_known: false,
            python: Vec::new(),
            libraries: Vec::new(),
            rebuilt: 0,
            grown: Vec::new(),
        }
    }

    #[test]
    fn every_budget_that_is_not_kept_is_told() {
        let platform = Platform::linux("amd64");
        let budgets = ["100B", "+5B", "+50B"].map(|text| text.parse().unwrap());
        let over = over(
            &budgets,
            [(&platform, 120)].into_iter(),
            &[changes(100, 120)],
        );
        let told: Vec<(Budget, u64)> = over.iter().map(|over| (over.budget, over.actual)).collect();
        assert_eq!(told, [(Budget::Size(100), 120), (Budget::Growth(5), 20)]);
    }

    #[test]
    fn to_be_smaller_or_the_first_is_no_growth() {
        let growth = Budget::Growth(0);
        assert_eq!(growth.kept(90, Some(&changes(100, 90))), Kept::Within(-10));
        assert_eq!(growth.kept(90, None), Kept::Unknown);
        assert_eq!(Budget::Size(90).kept(90, None), Kept::Within(90));
    }
}
