use std::collections::BTreeSet;
use std::path::Path;

use super::super::SAMPLE;
use super::super::load::Draft;
use super::*;

fn complaint(text: &str) -> Option<String> {
    let mut draft = Draft::default();
    draft.overlay(Path::new("f"), text);
    draft.finish().err().map(|error| error.to_string())
}

/// The keys or values that a file may have here, as the reader itself tells them.
fn known(text: &str) -> BTreeSet<String> {
    let complaint = complaint(text).unwrap();
    let (_, keys) = complaint.split_once("known are ").unwrap();
    keys.split(", ").map(str::to_owned).collect()
}

fn keys(properties: &Value) -> BTreeSet<String> {
    properties.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_schema_has_the_keys_that_are_read() {
    let schema = schema();
    assert_eq!(keys(&schema["properties"]), known("zzzzzzzzzzzz = 1\n"));
    let uplink = &schema["properties"]["uplink"]["items"]["properties"];
    assert_eq!(keys(uplink), known("[[uplink]]\nzzzzzzzzzzzz = 1\n"));
}

/// Each value of an enumeration, and each bound, is read; what is beyond is not.
#[test]
fn the_schema_has_the_values_that_are_read() {
    let schema = schema();
    let uplink = &schema["properties"]["uplink"]["items"]["properties"];
    let levels = [(&schema["properties"], ""), (uplink, "[[uplink]]\nname = \"eth0\"\n")];
    let mut checked = 0;
    for (properties, before) in levels {
        for (key, property) in properties.as_object().unwrap() {
            let says = |value: &str| complaint(&format!("{before}{key} = {value}\n"));
            for value in property["enum"].as_array().into_iter().flatten() {
                assert_eq!(says(&value.to_string()), None);
                checked += 1;
            }
            if let Some(values) = property["enum"].as_array() {
                let values: BTreeSet<_> =
                    values.iter().map(|v| v.as_str().unwrap().to_owned()).collect();
                assert_eq!(values, known(&format!("{before}{key} = \"zzzzzzzz\"\n")), "{key}");
            } else if property["type"] == "string" {
                assert!(says("\"zzzzzzzz\"").is_some() || key == "name");
            }
            // The bounds of an uplink's table depend on the range of tables.
            if let (Some(min), Some(max), "") =
                (property["minimum"].as_i64(), property["maximum"].as_i64(), before)
            {
                assert_eq!(says(&min.to_string()), None);
                assert_eq!(says(&max.to_string()), None);
                assert!(says(&(min - 1).to_string()).is_some());
                assert!(says(&(max + 1).to_string()).is_some());
                checked += 1;
            }
        }
    }
    assert!(checked >= 16, "{checked}");
}

#[test]
fn the_sample_has_every_key_of_the_schema() {
    let schema = schema();
    let uplink = &schema["properties"]["uplink"]["items"]["properties"];
    for key in keys(&schema["properties"]).iter().filter(|key| *key != "uplink") {
        let default = &schema["properties"][key]["default"];
        if default.is_null() {
            assert!(SAMPLE.contains(&format!("\n#{key} = ")), "{key}, which the host decides");
            continue;
        }
        let sign = if key == "rule-priority" { "#" } else { "" };
        let line = format!("\n{sign}{key} = {default}\n");
        assert!(SAMPLE.contains(&line), "{key} with its default");
    }
    for key in keys(uplink) {
        assert!(SAMPLE.contains(&format!("\n#{key} = ")), "{key}");
    }
}
