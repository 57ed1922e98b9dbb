//! A table of a configuration file, key by key. A value of another kind than its key has is a
//! mistake, and so is a key that nobody asked for.

use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error as ValueError, StrDeserializer};
use toml::Spanned;
use toml::de::{DeInteger, DeString, DeTable, DeValue};

use super::error::{ConfigError, unknown};
use super::source::SourceFile;

type Key<'a> = Spanned<DeString<'a>>;
type Value<'a> = Spanned<DeValue<'a>>;

/// The keys that were not asked for yet, and what is wrong with those that were.
pub(super) struct Fields<'a, 'b> {
    source: &'b SourceFile<'a>,
    rest: Vec<(Key<'a>, Value<'a>)>,
    known: Vec<&'static str>,
    mistakes: &'b mut ConfigError,
}

impl<'a, 'b> Fields<'a, 'b> {
    pub(super) fn new(
        source: &'b SourceFile<'a>,
        table: DeTable<'a>,
        mistakes: &'b mut ConfigError,
    ) -> Self {
        Self { source, rest: table.into_iter().collect(), known: Vec::new(), mistakes }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.rest.iter().any(|(name, _)| name.get_ref() == key)
    }

    fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.push(key);
        let at = self.rest.iter().position(|(name, _)| name.get_ref() == key)?;
        Some(self.rest.swap_remove(at).1)
    }

    fn refuse(&mut self, key: &str, value: &Value<'_>, what: &str) {
        let message = format!("{} {what}", shown(value.get_ref()));
        self.mistakes.push(self.source.position(value.span()).invalid(key, message));
    }

    /// One of a few words.
    pub(super) fn word<T: for<'de> Deserialize<'de>>(&mut self, key: &'static str) -> Option<T> {
        let value = self.take(key)?;
        let given = match value.get_ref() {
            DeValue::String(text) => text.clone().into_owned(),
            other => shown(other),
        };
        let deserializer: StrDeserializer<'_, ValueError> = given.as_str().into_deserializer();
        let word = T::deserialize(deserializer).map_err(|error| {
            // "unknown variant `tc`, expected one of `auto`, `tcx`"
            let words = error.to_string();
            let known: Vec<&str> = words.split('`').skip(3).step_by(2).collect();
            let message = unknown("value", &given, &known);
            self.source.position(value.span()).invalid(key, message)
        });
        self.mistakes.note(word)
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let value = self.take(key)?;
        if let DeValue::Boolean(value) = value.get_ref() {
            return Some(*value);
        }
        self.refuse(key, &value, "is neither true nor false (without quotes)");
        None
    }

    pub(super) fn number(&mut self, key: &'static str) -> Option<Spanned<i64>> {
        let value = self.take(key)?;
        match value.get_ref() {
            DeValue::Integer(number) => {
                if let Some(number) = integer(number) {
                    return Some(Spanned::new(value.span(), number));
                }
                self.refuse(key, &value, "is too large a number");
            }
            DeValue::String(text) if text.trim().parse::<i64>().is_ok() => {
                self.refuse(key, &value, "is a text: write the number without quotes");
            }
            _ => self.refuse(key, &value, "is not a whole number"),
        }
        None
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<Spanned<String>> {
        let value = self.take(key)?;
        self.as_text(key, &value)
    }

    fn as_text(&mut self, key: &'static str, value: &Value<'a>) -> Option<Spanned<String>> {
        if let DeValue::String(text) = value.get_ref() {
            return Some(Spanned::new(value.span(), text.clone().into_owned()));
        }
        self.refuse(key, value, "is not a text in quotes");
        None
    }

    /// Those values of a list that are texts.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<Spanned<String>>> {
        let value = self.take(key)?;
        if !matches!(value.get_ref(), DeValue::Array(_)) {
            let what = format!("is not a list: write {key} = [{}]", shown(value.get_ref()));
            self.refuse(key, &value, &what);
            return None;
        }
        let DeValue::Array(values) = value.into_inner() else { return None };
        Some(values.into_iter().filter_map(|value| self.as_text(key, &value)).collect())
    }

    /// The tables that are written as `[[key]]`.
    pub(super) fn tables(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(Fields<'a, '_>, std::ops::Range<usize>),
    ) {
        const HOW: &str = "is not a table: write [[uplink]], and its keys on the lines below";
        let Some(value) = self.take(key) else { return };
        if matches!(value.get_ref(), DeValue::Table(_)) {
            self.refuse(key, &value, "has one pair of brackets: write [[uplink]]");
            return;
        }
        if !matches!(value.get_ref(), DeValue::Array(_)) {
            self.refuse(key, &value, HOW);
            return;
        }
        let DeValue::Array(values) = value.into_inner() else { return };
        for value in values {
            let span = value.span();
            if !matches!(value.get_ref(), DeValue::Table(_)) {
                self.refuse(key, &value, HOW);
                continue;
            }
            let DeValue::Table(table) = value.into_inner() else { continue };
            read(Fields::new(self.source, table, self.mistakes), span);
        }
    }

    /// Nobody asks for more keys.
    pub(super) fn finish(self) {
        for (key, _) in &self.rest {
            let message = unknown("key", key.get_ref(), &self.known);
            let position = self.source.position(key.span());
            self.mistakes.push(position.invalid(key.get_ref(), message));
        }
    }
}

fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// A value as it may be written on one line.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "the list".to_owned(),
        DeValue::Table(_) => "the table".to_owned(),
    }
}
