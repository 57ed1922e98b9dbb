//! What is logged: a message, and fields beside it.

use std::fmt;

use tracing::Event;
use tracing::field::{Field, Visit};

use super::printable;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) message: String,
    pub(super) fields: Vec<(&'static str, String)>,
}

impl From<&Event<'_>> for Line {
    fn from(event: &Event<'_>) -> Self {
        let mut line = Self::default();
        event.record(&mut line);
        line
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field.name(), value.to_owned());
    }
}

impl Line {
    fn take(&mut self, name: &'static str, value: String) {
        match name {
            "message" => self.message = printable(&value).into_owned(),
            // Of those who log by another library.
            name if name.contains('.') => {}
            name => self.fields.push((name, value)),
        }
    }
}
