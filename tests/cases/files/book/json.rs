//! Names in what `--json` prints are, on every page, those of the examples that the program is compared with.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::page::{Page, read};

/// Has a list of names.
const EXPLAINED: &str = "docs/explain.md";

const HEADING: &str = "\n## JSON\n";

/// What the program prints as `prroute.NAME/NUMBER`.
fn example(schema: &str) -> Result<Value> {
    let name = schema.strip_prefix("prroute.").and_then(|rest| rest.split('/').next());
    let path = format!("prroute/tests/formats/{}.json", name.context("no schema of prroute's")?);
    Ok(serde_json::from_str(&read(&path)?)?)
}

fn names(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(fields) => {
            let below = fields.values().flat_map(names);
            fields.keys().cloned().chain(below).collect()
        }
        Value::Array(values) => values.iter().flat_map(names).collect(),
        _ => BTreeSet::new(),
    }
}

/// The names of a sample that its schema's example has not.
fn unknown(sample: &str) -> Result<Vec<String>> {
    let sample: Value = serde_json::from_str(sample)?;
    let schema = sample["schema"].as_str().context("a sample without its schema")?;
    let example = example(schema)?;
    ensure!(example["schema"] == schema, "{schema} is {} now", example["schema"]);
    Ok(names(&sample).difference(&names(&example)).cloned().collect())
}

#[test]
fn a_name_that_a_page_explains_is_one_that_is_printed() -> Result<()> {
    let text = read(EXPLAINED)?;
    let (_, section) = text.split_once(HEADING).context("no section")?;
    let mut explained = section.split('`').skip(1).step_by(2);
    let schema = explained.next().context("no schema")?;
    let example = example(schema)?;
    assert_eq!(example["schema"], schema);
    let printed = names(&example);
    // What has a slash is the example's file.
    let explained: Vec<&str> = explained.filter(|name| !name.contains('/')).collect();
    assert!(explained.len() > 10, "{explained:?}");
    for name in explained {
        assert!(printed.contains(name), "{EXPLAINED} explains {name}, which {schema} has not");
    }
    Ok(())
}

#[test]
fn samples_have_the_names_that_are_printed() -> Result<()> {
    for page in Page::all()? {
        for block in page.blocks.iter().filter(|block| block.language == "json") {
            let unknown = unknown(&block.text).with_context(|| page.path.clone())?;
            assert!(unknown.is_empty(), "{}: {unknown:?} in\n{}", page.path, block.text);
        }
    }
    Ok(())
}

#[test]
fn a_sample_of_another_form_is_told() -> Result<()> {
    let of = |text: &str| unknown(text);
    assert_eq!(of(r#"{"schema": "prroute.explain/1", "ways": [{"verdict": "x"}]}"#)?, [""; 0]);
    assert_eq!(of(r#"{"schema": "prroute.explain/1", "ways": [{"veto": 1}]}"#)?, ["veto"]);
    assert!(of(r#"{"schema": "prroute.explain/0"}"#).is_err());
    assert!(of(r#"{"ways": []}"#).is_err());
    Ok(())
}
