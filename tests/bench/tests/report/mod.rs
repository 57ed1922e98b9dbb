//! The report, of invented results.

mod axis;
mod contestant;
pub(crate) mod fixture;
mod number;
mod page;
mod series;
