//! How figures are taken, tested without taking any.
#![expect(dead_code, reason = "only the bench uses all of it")]

mod results;
mod rounds;
mod statistics;

/// Apart from what they test: the bench itself is built as a test too, but runs none.
mod tests {
    mod rounds;
    mod statistics;
}
