//! # prroute-man
//!
//! prroute's manual pages, made from what the program itself has: prroute(8) and a page for each command
//! from the command line's definition, prroute.toml(5) from the sample configuration.

mod command;
mod configuration;
mod text;

/// One page, in the language of man(7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// e.g. `prroute-status.8`.
    pub file: String,
    pub text: String,
}

/// Every page. `date`, as 2026-01-31, stands in their footers.
pub fn pages(date: &str) -> Vec<Page> {
    let mut pages = command::pages(date);
    pages.push(configuration::page(date));
    pages
}
