//! JSON Schemas of what commands print with `--json`, and of the configuration.

use clap::ValueEnum;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::{
    CheckJson, DoctorJson, EventsJson, ExplainJson, FlowsJson, MonitorJson, PlanJson, StatusJson,
    VersionJson,
};
use crate::config;

/// What there is a schema of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A configuration file, TOML's values taken as JSON's.
    Config,
    /// What `status --json` prints.
    Status,
    /// What `doctor --json` prints.
    Doctor,
    /// What `flows --json` prints.
    Flows,
    /// What `explain --json` prints.
    Explain,
    /// What `events --json` prints; with `-f` each line is one of `events`.
    Events,
    /// Each line that `monitor --json` prints.
    Monitor,
    /// What `plan --json` prints.
    Plan,
    /// What `check --json` prints.
    Check,
    /// What `version --json` prints.
    Version,
}

impl Format {
    /// What the field `schema` says. The number rises when a field loses its name or its meaning. A
    /// configuration file has none.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Config => "",
            Self::Status => "prroute.status/2",
            Self::Doctor => "prroute.doctor/1",
            Self::Flows => "prroute.flows/2",
            Self::Explain => "prroute.explain/1",
            Self::Events => "prroute.events/1",
            Self::Monitor => "prroute.event/1",
            Self::Plan => "prroute.plan/2",
            Self::Check => "prroute.check/1",
            Self::Version => "prroute.version/1",
        }
    }

    pub fn schema(self) -> Value {
        let schema = match self {
            Self::Config => return config::schema(),
            Self::Status => of::<StatusJson>(),
            Self::Doctor => of::<DoctorJson>(),
            Self::Flows => of::<FlowsJson<'_>>(),
            Self::Explain => of::<ExplainJson>(),
            Self::Events => of::<EventsJson>(),
            Self::Monitor => of::<MonitorJson>(),
            Self::Plan => of::<PlanJson>(),
            Self::Check => of::<CheckJson>(),
            Self::Version => of::<VersionJson>(),
        };
        self.named(schema)
    }

    fn named(self, mut schema: Value) -> Value {
        schema["title"] = self.id().into();
        if let Some(field) = schema.pointer_mut("/properties/schema") {
            field["const"] = self.id().into();
        }
        schema
    }
}

fn of<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    generator.into_root_schema_for::<T>().to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A committed example of each.
    const EXAMPLES: [(Format, &str); 9] = [
        (Format::Status, "status"),
        (Format::Doctor, "doctor"),
        (Format::Flows, "flows"),
        (Format::Explain, "explain"),
        (Format::Events, "events"),
        (Format::Monitor, "monitor"),
        (Format::Plan, "plan"),
        (Format::Check, "check"),
        (Format::Version, "version"),
    ];

    fn example(name: &str) -> Value {
        let path = format!("{}/tests/formats/{name}.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn the_examples_are_valid_and_nothing_else_is() {
        assert_eq!(EXAMPLES.len() + 1, Format::value_variants().len());
        for (format, name) in EXAMPLES {
            let validator = jsonschema::validator_for(&format.schema()).unwrap();
            let example = example(name);
            let mistakes: Vec<_> =
                validator.iter_errors(&example).map(|it| it.to_string()).collect();
            assert!(mistakes.is_empty(), "{name}: {mistakes:?}");
            assert_eq!(example["schema"], format.id());
            assert!(!validator.is_valid(&serde_json::json!({})), "{name}");
            let mut other = example.clone();
            other["schema"] = 1.into();
            assert!(!validator.is_valid(&other), "{name}");
        }
    }

    /// `[path]` of what has no description.
    fn silent(schema: &Value, path: &str, found: &mut Vec<String>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            // Of a value that is one of several kinds, the kind is explained.
            let is_kind = schema["properties"].as_object().is_some_and(|all| all.len() == 1);
            let explained = if is_kind { schema } else { property };
            let is_said = [explained, property]
                .iter()
                .any(|it| it["description"].is_string() || it["const"].is_string());
            if !is_said {
                found.push(format!("{path}.{name}"));
            }
        }
        let nested = schema.as_object().into_iter().flatten().flat_map(|(_, value)| match value {
            Value::Array(all) => all.iter().collect::<Vec<_>>(),
            Value::Object(all) => all.values().collect(),
            _ => Vec::new(),
        });
        for value in nested.filter(|value| value.is_object()) {
            silent(value, path, found);
        }
    }

    #[test]
    fn every_field_is_explained() {
        for format in Format::value_variants() {
            let mut found = Vec::new();
            silent(&format.schema(), format.id(), &mut found);
            assert!(found.is_empty(), "{found:?}");
        }
    }
}
