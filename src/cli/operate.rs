//! What the operators' commands need of the service: how a configuration is read, and its schema.

use clap::CommandFactory;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use weir_operate::{Service, Wrong};
use yaml_rust2::{Yaml, YamlLoader};

use super::Cli;
use crate::api::admin::docs::OPENAPI;
use crate::clock::{Clock, SystemClock};
use crate::configuration::{Configuration, ConfigurationError, Kind, Outline, Owns};

/// Where openapi.yaml keeps its schemas.
const SCHEMAS: &str = "#/components/schemas/";

/// The service's own code, for the commands.
pub(super) const SERVICE: Service = Service {
    complete,
    overlap,
    extract,
    schema,
    now: || SystemClock.now(),
    command_line: Cli::command,
};

/// Reads a configuration as the API does, and returns it as the service would store it over the running
/// one.
fn complete(document: Value, running: Option<&Value>) -> Result<Value, Wrong> {
    let outline: Outline = parse(&document)?;
    let read: Configuration = parse(document)?;
    let part = outline.part(&read).map_err(wrong)?;
    // One that this release cannot read has nothing that could stay.
    let held = running.and_then(|running| Configuration::deserialize(running).ok());
    let mut next = match (&part, &held) {
        (None, _) => read,
        (Some(part), Some(held)) => part.over(held),
        (Some(part), None) => part.over(&part.surroundings()),
    };
    next.complete(&held.unwrap_or_default(), SystemClock.now());
    next.check().map_err(wrong)?;
    serde_json::to_value(&next).map_err(|error| Wrong {
        field: ".".into(),
        problem: error.to_string(),
    })
}

fn parse<'de, T: Deserialize<'de>>(from: impl Deserializer<'de>) -> Result<T, Wrong> {
    serde_path_to_error::deserialize(from).map_err(|error| Wrong {
        field: error.path().to_string(),
        problem: format!("is wrong: {}", error.inner()),
    })
}

fn wrong(error: ConfigurationError) -> Wrong {
    Wrong {
        field: error.field,
        problem: error.problem,
    }
}

/// Says which names two files own both.
fn overlap(one: &Value, other: &Value) -> Option<String> {
    let owns = |document: &Value| Owns::deserialize(&document["owns"]).ok();
    let (one, other) = (owns(one)?, owns(other)?);
    if one.name == other.name {
        return Some(format!("both are the part {:?}", one.name));
    }
    let (kind, here, there) = one.overlap(&other)?;
    let kind = kind.name();
    Some(format!(
        "the part {:?} owns the {kind} {here:?}, and the part {:?} {there:?}",
        one.name, other.name
    ))
}

/// What the part of a file owns of a configuration, as a file.
fn extract(owns: &Value, running: &Value) -> Result<Value, Wrong> {
    let owns: Owns = parse(owns)?;
    owns.check().map_err(wrong)?;
    let owned = |kind: Kind, name: &str| owns.has(kind, name);
    let mut document = Map::new();
    document.insert("owns".into(), json!(owns));
    for (field, value) in running.as_object().into_iter().flatten() {
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == field);
        match (kind, value) {
            (None, value) if owned(Kind::Settings, field) => {
                document.insert(field.clone(), value.clone());
            }
            (Some(kind), Value::Object(named)) => {
                let named = named.iter().filter(|(name, _)| owned(kind, name));
                let named: Map<String, Value> =
                    named.map(|(name, of)| (name.clone(), of.clone())).collect();
                if !named.is_empty() {
                    document.insert(field.clone(), Value::Object(named));
                }
            }
            _ => {}
        }
    }
    Ok(Value::Object(document))
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
