//! YAML as a tree in which every node knows its line.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser};

/// Nested so deep, and with so many nodes in all, nothing is that people write.
const DEEPEST: usize = 64;
const MOST: usize = 100_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Scalar(String),
    Sequence(Vec<Node>),
    Mapping(Vec<(Node, Node)>),
}

impl Node {
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// The entries of a mapping whose keys are texts.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &Self)> {
        let entries = match &self.value {
            Value::Mapping(entries) => &entries[..],
            _ => &[],
        };
        entries.iter().filter_map(|(key, value)| Some((key.text()?, value)))
    }

    /// The last one counts.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().filter(|(name, _)| *name == key).map(|(_, value)| value).last()
    }

    pub(super) fn items(&self) -> &[Self] {
        match &self.value {
            Value::Sequence(items) => items,
            _ => &[],
        }
    }

    fn size(&self) -> usize {
        1 + match &self.value {
            Value::Scalar(_) => 0,
            Value::Sequence(items) => items.iter().map(Self::size).sum(),
            Value::Mapping(entries) => {
                entries.iter().map(|(key, value)| key.size() + value.size()).sum()
            }
        }
    }
}

/// What is wrong, and in which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotYaml {
    pub(super) line: usize,
    pub(super) why: String,
}

/// A container that is not at its end yet.
struct Open {
    node: Node,
    anchor: usize,
    key: Option<Node>,
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    count: usize,
}

/// The documents of a text.
pub(super) fn read(text: &str) -> Result<Vec<Node>, NotYaml> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| NotYaml {
            line: error.marker().line(),
            why: format!("not valid YAML: {}", error.info()),
        })?;
        let line = span.start.line();
        builder.event(event, line).map_err(|why| NotYaml { line, why: why.to_owned() })?;
    }
    Ok(builder.documents)
}

impl Builder {
    fn event(&mut self, event: Event<'_>, line: usize) -> Result<(), &'static str> {
        match event {
            Event::Scalar(text, _, anchor, _) => {
                self.add(Node { line, value: Value::Scalar(text.into_owned()) }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.open(line, Value::Sequence(Vec::new()), anchor),
            Event::MappingStart(anchor, _) => self.open(line, Value::Mapping(Vec::new()), anchor),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open { node, anchor, .. }) => {
                    // It is counted already.
                    self.count -= node.size().min(self.count);
                    self.add(node, anchor)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(node) => self.add(node.clone(), 0),
                None => Err("an alias of something that is not there"),
            },
            _ => Ok(()),
        }
    }

    fn open(&mut self, line: usize, value: Value, anchor: usize) -> Result<(), &'static str> {
        if self.open.len() == DEEPEST {
            return Err("it is nested too deep");
        }
        self.open.push(Open { node: Node { line, value }, anchor, key: None });
        Ok(())
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), &'static str> {
        self.count += node.size();
        if self.count > MOST {
            return Err("it is too large");
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(Open { node: container, key, .. }) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        match &mut container.value {
            Value::Sequence(items) => items.push(node),
            Value::Mapping(entries) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => *key = Some(node),
            },
            Value::Scalar(_) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_know_their_lines() {
        let text = "network:\n  ethernets:\n    ens5:\n      routes:\n      - to: default\n        via: 10.0.0.1\n";
        let documents = read(text).unwrap();
        let routes = documents[0].get("network").unwrap().get("ethernets").unwrap();
        let routes = routes.get("ens5").unwrap().get("routes").unwrap().items();
        assert_eq!(routes[0].line, 5);
        assert_eq!(routes[0].get("via").unwrap().text(), Some("10.0.0.1"));
        assert_eq!(routes[0].get("via").unwrap().line, 6);
    }

    #[test]
    fn aliases_stand_for_what_they_name() {
        let documents = read("a: &x {b: 1}\nc: *x\n").unwrap();
        assert_eq!(documents[0].get("c").unwrap().get("b").unwrap().text(), Some("1"));
    }

    #[test]
    fn a_text_that_grows_by_itself_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..10 {
            let before = format!("*a{}, ", n - 1).repeat(10);
            text.push_str(&format!("a{n}: &a{n} [{}]\n", before.trim_end_matches(", ")));
        }
        assert_eq!(read(&text).unwrap_err().why, "it is too large");
        let deep = "[".repeat(100) + &"]".repeat(100);
        assert!(read(&deep).is_err());
    }

    #[test]
    fn what_is_no_yaml_is_told_with_its_line() {
        let error = read("a: 1\nb: [1, 2\nc: }\n").unwrap_err();
        assert!(error.line >= 2 && error.why.starts_with("not valid YAML: "), "{error:?}");
    }
}
