//! How figures are taken, tested without taking any.
#![expect(dead_code, reason = "only the bench uses all of it")]

mod results;
mod rounds;
mod statistics;
