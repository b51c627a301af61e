//! What the operators' commands need of the service: how a configuration is read, and its schema.

use clap::CommandFactory;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use weir_operate::{Service, Wrong};
use yaml_rust2::{Yaml, YamlLoader};

use super::Cli;
use crate::api::admin::docs::OPENAPI;
use crate::clock::{Clock, SystemClock};
use crate::configuration::Configuration;

/// Where openapi.yaml keeps its schemas.
const SCHEMAS: &str = "#/components/schemas/";

/// The service's own code, for the commands.
pub(super) const SERVICE: Service = Service {
    complete,
    schema,
    now: || SystemClock.now(),
    command_line: Cli::command,
};

/// Reads a configuration as the API does, and returns it as the service would store it over the running
/// one.
fn complete(document: Value, running: Option<&Value>) -> Result<Value, Wrong> {
    let mut read: Configuration =
        serde_path_to_error::deserialize(document).map_err(|error| Wrong {
            field: error.path().to_string(),
            problem: format!("is wrong: {}", error.inner()),
        })?;
    // One that this release cannot read has nothing that could stay.
    let held = running.and_then(|running| Configuration::deserialize(running).ok());
    read.complete(&held.unwrap_or_default(), SystemClock.now());
    read.check().map_err(|error| Wrong {
        field: error.field,
        problem: error.problem,
    })?;
    serde_json::to_value(&read).map_err(|error| Wrong {
        field: ".".into(),
        problem: error.to_string(),
    })
}

/// The JSON Schema of a configuration: that of openapi.yaml, with all that it refers to.
fn schema() -> Value {
    let documents = YamlLoader::load_from_str(OPENAPI).expect("the document is checked by tests");
    let schemas = &documents[0]["components"]["schemas"];
    let mut schema = json(&schemas["Configuration"]);
    let mut definitions = Map::new();
    let mut wanted = moved(&mut schema);
    while let Some(name) = wanted.pop() {
        if !definitions.contains_key(&name) {
            let mut definition = json(&schemas[name.as_str()]);
            wanted.extend(moved(&mut definition));
            definitions.insert(name, definition);
        }
    }
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("The configuration of a Weir");
    schema["$defs"] = Value::Object(definitions);
    schema
}

/// Points the references of a schema to its own definitions, and returns their names.
fn moved(schema: &mut Value) -> Vec<String> {
    let mut names = Vec::new();
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get_mut("$ref")
                && let Some(name) = reference.strip_prefix(SCHEMAS)
            {
                let name = name.to_owned();
                *reference = format!("#/$defs/{name}");
                names.push(name);
            }
            names.extend(fields.values_mut().flat_map(moved));
        }
        Value::Array(entries) => names.extend(entries.iter_mut().flat_map(moved)),
        _ => {}
    }
    names
}

fn json(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Hash(fields) => fields
            .iter()
            .filter_map(|(name, value)| Some((name.as_str()?.to_owned(), json(value))))
            .collect(),
        Yaml::Array(entries) => entries.iter().map(json).collect(),
        Yaml::String(text) => json!(text),
        Yaml::Integer(number) => json!(number),
        Yaml::Real(_) => json!(yaml.as_f64()),
        Yaml::Boolean(value) => json!(value),
        _ => Value::Null,
    }
}
