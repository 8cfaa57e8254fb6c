//! How large an image may be, and may become.

use nixpy_oci::platform::Platform;
use serde::{Deserialize, Serialize};

/// A limit for every platform's image, in compressed bytes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Budget {
    /// It is no larger than this: `200MB`.
    Size(u64),
    /// It is no more than this larger than the one before: `+5MB`.
    Growth(u64),
}

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
