//! `docs/reference/configuration.md`: the keys of a configuration file, from its JSON Schema.

use ::prroute::cli::Format;
use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{expect_page, row};

const BEGIN: &str = "\
# Every key of the configuration

From `prroute schema config`; this page is written from the program. How files are read, and a sample with all keys, are
in [the configuration](../configuration.md).
";

const HEAD: &str = "\n| key | values | default | |\n|---|---|---|---|\n";

fn code(value: &Value) -> String {
    format!("`{value}`")
}

fn values(property: &Value) -> Result<String> {
    if let Some(values) = property["enum"].as_array() {
        return Ok(values.iter().map(code).collect::<Vec<_>>().join(", "));
    }
    Ok(match property["type"].as_str().context("no type")? {
        "boolean" => "`true`, `false`".to_owned(),
        "integer" => format!("{} to {}", property["minimum"], property["maximum"]),
        "string" => "a string".to_owned(),
        "array" if property["items"]["type"] == "object" => {
            format!("tables, at most {}", property["maxItems"])
        }
        "array" => format!("a list of strings, at most {}", property["maxItems"]),
        other => other.to_owned(),
    })
}

fn table(properties: &Value) -> Result<String> {
    let mut text = HEAD.to_owned();
    for (key, property) in properties.as_object().context("no properties")? {
        let default = property.get("default").map(code).unwrap_or_default();
        let description = property["description"].as_str().context("no description")?;
        text += &row(&[&format!("`{key}`"), &values(property)?, &default, description]);
    }
    Ok(text)
}

#[test]
fn the_page_of_the_configuration_is_what_its_schema_says() -> Result<()> {
    let schema = Format::Config.schema();
    let properties = &schema["properties"];
    let mut page = BEGIN.to_owned();
    page += &table(properties)?;
    page += "\n## \\[\\[uplink\\]\\]\n\nEither `name` or `mac` says which interface it is about.\n";
    page += &table(&properties["uplink"]["items"]["properties"])?;
    expect_page("configuration.md", &page)
}
