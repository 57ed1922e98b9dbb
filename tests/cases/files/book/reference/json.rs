//! `docs/reference/json.md`: the fields of what `--json` prints, from its JSON Schemas.

use std::collections::BTreeMap;

use ::prroute::cli::Format;
use anyhow::{Context as _, Result};
use clap::ValueEnum as _;
use serde_json::Value;

use super::{expect_page, row};

const BEGIN: &str = "\
# Every field of JSON

What commands print with `--json`, from `prroute schema COMMAND`, which prints it as a JSON Schema; this page is written from
the program. `[]` stands behind a list, whose elements have the fields. Fields may be added; what is here keeps its name
and meaning as long as `schema` has the same number ([what stays](../stability.md)).
";

const HEAD: &str = "\n| field | kind | |\n|---|---|---|\n";

struct Field {
    path: String,
    kinds: Vec<String>,
    meaning: String,
}

/// A schema, and where what it refers to is.
#[derive(Clone, Copy)]
struct Schema<'a> {
    root: &'a Value,
    value: &'a Value,
}

impl<'a> Schema<'a> {
    fn at(self, value: &'a Value) -> Self {
        Self { value, ..self }
    }

    /// Itself, or what it refers to.
    fn resolved(self) -> Self {
        let refers = self.value["$ref"].as_str();
        let found = refers.and_then(|it| self.root.pointer(it.trim_start_matches('#')));
        found.map_or(self, |found| self.at(found))
    }

    /// What it is one of, or all of.
    fn parts(self) -> impl Iterator<Item = Self> {
        let lists = ["oneOf", "anyOf", "allOf"].into_iter();
        let values = lists.flat_map(move |key| self.value[key].as_array().into_iter().flatten());
        values.map(move |value| self.at(value).resolved())
    }

    fn kinds(self) -> Vec<String> {
        let here = self.resolved();
        let value = here.value;
        if let Some(only) = value.get("const") {
            return vec![format!("`{only}`")];
        }
        if let Some(words) = value["enum"].as_array() {
            return words.iter().map(|word| format!("`{word}`")).collect();
        }
        let types = match &value["type"] {
            Value::String(name) => vec![name.as_str()],
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let mut kinds: Vec<String> = Vec::new();
        for name in types {
            kinds.push(match name {
                "array" => format!("list of {}", here.at(&value["items"]).kinds().join(" or ")),
                name => name.to_owned(),
            });
        }
        if kinds.is_empty() {
            for kind in here.parts().flat_map(Self::kinds) {
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
        }
        kinds
    }

    fn has_fields(self) -> bool {
        self.resolved().value["properties"].is_object()
    }

    /// What it means as a property of another one. Where it says which kind that is, the kind is explained.
    fn meaning_in(self, other: Self) -> String {
        let said = |value: &Value| value["description"].as_str().map(|it| it.replace('\n', " "));
        let of_kind = said(other.value).filter(|_| other.value["type"] == "object");
        match &self.value["const"] {
            Value::String(word) if said(self.value).is_none() => {
                of_kind.map(|text| format!("`{word}`: {text}")).unwrap_or_default()
            }
            _ => said(self.value)
                .or(of_kind)
                .or_else(|| said(self.resolved().value))
                .unwrap_or_default(),
        }
    }

    /// All fields below `path`. Those of what was `seen` are not listed again.
    fn fields(self, path: &str, fields: &mut Vec<Field>, seen: &mut BTreeMap<String, String>) {
        let here = self.resolved();
        for (name, property) in here.value["properties"].as_object().into_iter().flatten() {
            let property = here.at(property);
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let kinds = property.kinds();
            let meaning = property.meaning_in(here);
            let listed = property.value["$ref"].as_str().and_then(|it| seen.get(it).cloned());
            if let Some(known) = fields.iter_mut().find(|field| field.path == path) {
                known.kinds.extend(kinds);
                known.meaning += &format!(" {meaning}");
            } else {
                let meaning = match &listed {
                    Some(other) => format!("{meaning} Its fields are those of `{other}`."),
                    None => meaning,
                };
                fields.push(Field { path: path.clone(), kinds, meaning });
            }
            if let Some(name) = property.value["$ref"].as_str().filter(|_| property.has_fields()) {
                seen.entry(name.to_owned()).or_insert_with(|| path.clone());
            }
            if listed.is_none() {
                property.fields(&path, fields, seen);
            }
        }
        if let Some(items) = here.value.get("items") {
            here.at(items).fields(&format!("{path}[]"), fields, seen);
        }
        for part in here.parts() {
            part.fields(path, fields, seen);
        }
    }
}

fn section(format: Format) -> Result<String> {
    let value = format.to_possible_value().context("no name")?;
    let schema = format.schema();
    let mut fields = Vec::new();
    Schema { root: &schema, value: &schema }.fields("", &mut fields, &mut BTreeMap::new());
    let what = value.get_help().context("no help")?;
    let mut text = format!("\n## {}\n\n{what}. `{}`\n{HEAD}", value.get_name(), format.id());
    for Field { path, kinds, meaning } in &fields {
        text += &row(&[&format!("`{path}`"), &kinds.join(", "), meaning]);
    }
    Ok(text)
}

#[test]
fn the_page_of_json_is_what_its_schemas_say() -> Result<()> {
    let mut page = BEGIN.to_owned();
    for format in Format::value_variants().iter().filter(|format| **format != Format::Config) {
        page += &section(*format)?;
    }
    expect_page("json.md", &page)
}
