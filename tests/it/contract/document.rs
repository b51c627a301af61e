//! `openapi.yaml`, parsed to compare it with Weir's answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use weir::api::admin::docs::OPENAPI;
use yaml_rust2::{Yaml, YamlLoader};

/// The methods that an OpenAPI path can have.
pub const METHODS: [&str; 7] = ["GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS"];

/// The document.
pub struct Document {
    pub whole: Value,
    /// Its components, with every object closed: everything in an answer must be documented.
    closed: Value,
}

/// One method of one path.
#[derive(Clone)]
pub struct Operation {
    pub is_admin: bool,
    pub method: String,
    pub path: String,
    pub parameters: Vec<Value>,
    /// By status.
    pub responses: BTreeMap<u16, Value>,
}

impl Document {
    /// What is documented. It is read once: it is long.
    pub fn read() -> &'static Self {
        static DOCUMENT: LazyLock<Document> = LazyLock::new(|| {
            let parsed = YamlLoader::load_from_str(OPENAPI).expect("YAML");
            let whole = value(&parsed[0]);
            let mut closed = whole["components"].clone();
            close(&mut closed);
            Document { whole, closed }
        });
        &DOCUMENT
    }

    /// Everything that is documented.
    pub fn operations(&self) -> Vec<Operation> {
        let mut found = Vec::new();
        for (path, item) in object(&self.whole["paths"]) {
            for (method, operation) in object(item) {
                if METHODS.contains(&&*method.to_uppercase()) {
                    found.extend(listeners(item).into_iter().map(|is_admin| Operation {
                        is_admin,
                        method: method.to_uppercase(),
                        path: path.clone(),
                        parameters: self.parameters(operation),
                        responses: self.responses(operation),
                    }));
                }
            }
        }
        found
    }

    /// One operation.
    pub fn operation(&self, method: &str, path: &str) -> Operation {
        let mut all = self.operations().into_iter();
        all.find(|one| one.method == method && one.path == path)
            .unwrap_or_else(|| panic!("{method} {path} is not documented"))
    }

    fn parameters(&self, operation: &Value) -> Vec<Value> {
        let list = operation["parameters"].as_array();
        let all = list.into_iter().flatten();
        all.map(|parameter| self.resolved(parameter).clone())
            .collect()
    }

    fn responses(&self, operation: &Value) -> BTreeMap<u16, Value> {
        let all = object(&operation["responses"]);
        all.map(|(status, response)| {
            let status = status.parse().expect("a status is a number");
            (status, self.resolved(response).clone())
        })
        .collect()
    }

    /// The value that a reference leads to.
    pub fn resolved<'a>(&'a self, at: &'a Value) -> &'a Value {
        match at["$ref"].as_str() {
            Some(path) => self
                .whole
                .pointer(path.trim_start_matches('#'))
                .unwrap_or_else(|| panic!("{path} is not there")),
            None => at,
        }
    }

    /// The errors of a value by the schema of an answer.
    pub fn errors(&self, schema: &Value, value: &Value) -> Vec<String> {
        let mut schema = schema.clone();
        close(&mut schema);
        let whole = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "allOf": [schema],
            "components": self.closed,
        });
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(&whole)
            .expect("a schema");
        let errors = validator.iter_errors(value);
        errors
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect()
    }
}

/// The listeners that have a path, and whether each is the admin listener. If the path names none,
/// it is the SDK listener.
fn listeners(path: &Value) -> Vec<bool> {
    let named = path["servers"].as_array().into_iter().flatten();
    let named: Vec<bool> = named
        .filter_map(|server| Some(server["url"].as_str()?.ends_with(":8778")))
        .collect();
    if named.is_empty() { vec![false] } else { named }
}

impl Operation {
    /// Whether SDKs or probes ask for it.
    pub fn is_polled(&self) -> bool {
        let is_probed = ["/livez", "/readyz"].contains(&&*self.path);
        (is_probed || !self.is_admin) && self.method == "GET"
    }

    pub fn label(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The names of its parameters in one place: `query`, `header`, `path`.
    pub fn names(&self, place: &str) -> BTreeSet<&str> {
        self.parameters
            .iter()
            .filter(|parameter| parameter["in"] == place)
            .filter_map(|parameter| parameter["name"].as_str())
            .collect()
    }
}

/// The entries of an object.
pub fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// Refuses properties that a schema does not name, if it names any.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.values_mut().for_each(close);
            let names_some = map.get("properties").is_some_and(Value::is_object);
            if names_some && !map.contains_key("additionalProperties") {
                map.insert("additionalProperties".into(), Value::Bool(false));
            }
        }
        Value::Array(list) => list.iter_mut().for_each(close),
        _ => {}
    }
}

/// YAML as JSON.
pub fn value(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::String(text) => Value::from(text.as_str()),
        Yaml::Integer(number) => Value::from(*number),
        Yaml::Real(_) => Value::from(yaml.as_f64().expect("a number")),
        Yaml::Boolean(is) => Value::from(*is),
        Yaml::Array(list) => list.iter().map(value).collect(),
        Yaml::Hash(map) => {
            let entry = |(key, at): (&Yaml, &Yaml)| {
                let key = key.as_str().expect("keys are strings").to_owned();
                (key, value(at))
            };
            Value::Object(map.iter().map(entry).collect::<Map<_, _>>())
        }
        Yaml::Null => Value::Null,
        Yaml::Alias(_) | Yaml::BadValue => panic!("{yaml:?} in the document"),
    }
}
