//! The README, the book and all other pages, against the repository and the program: what a page refers to exists.

mod cases;
mod commands;
mod configuration;
mod contents;
mod figures;
mod findings;
mod guarantees;
mod json;
mod links;
mod metrics;
mod packaged;
mod page;
mod paths;
mod reference;
mod systems;

pub(super) use self::page::Page;
