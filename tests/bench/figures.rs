//! How figures are taken, tested without taking any.
#![expect(dead_code, reason = "only the bench uses all of it")]

mod report;
mod results;
mod rounds;
mod statistics;

/// Apart from what they test: the bench itself is built as a test too, but runs none.
mod tests {
    pub(crate) mod report;
    mod rounds;
    mod statistics;
}
