//! The Helm chart: its files without Helm, and what Helm renders of them (`make check-chart`).

mod agreement;
mod helm;
mod parts;
mod rendered;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use yaml_rust2::YamlLoader;

use crate::contract::document::value;

/// A file of the checkout.
fn path(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(of)
}

fn text(of: &str) -> String {
    let path = path(of);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The documents of a file or of what Helm printed.
fn documents(yaml: &str) -> Vec<Value> {
    let parsed = YamlLoader::load_from_str(yaml).unwrap();
    let documents = parsed.iter().map(value);
    documents.filter(|document| !document.is_null()).collect()
}

fn document(of: &str) -> Value {
    documents(&text(of)).remove(0)
}

/// The values that a value is made of, by their path. A map that operators fill is one value.
fn leaves(of: &Value, at: &str, found: &mut BTreeMap<String, Value>) {
    let is_filled_by_operators =
        |name: &str| ["labels", "resources", "annotations"].contains(&name);
    match of.as_object().filter(|map| !map.is_empty()) {
        Some(map) if !is_filled_by_operators(at.rsplit('.').next().expect("a part")) => {
            for (name, value) in map {
                let at = [at, name].into_iter().filter(|part| !part.is_empty());
                leaves(value, &at.collect::<Vec<_>>().join("."), found);
            }
        }
        _ => {
            found.insert(at.to_owned(), of.clone());
        }
    }
}

#[test]
fn it_takes_the_dashboard_and_the_rules_as_they_are() {
    for (copy, original) in [
        ("dashboard.json", "grafana/weir.json"),
        ("recording.rules.yaml", "prometheus/recording.rules.yaml"),
        ("alerts.rules.yaml", "prometheus/alerts.rules.yaml"),
    ] {
        let copy = text(&format!("deploy/helm/weir/files/{copy}"));
        assert!(copy == text(&format!("deploy/{original}")), "{original}");
    }
}

#[test]
fn it_is_of_this_release() {
    let chart = document("deploy/helm/weir/Chart.yaml");
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_readme_has_every_value_with_its_default() {
    let mut expected = BTreeMap::new();
    leaves(&document("deploy/helm/weir/values.yaml"), "", &mut expected);
    let readme = text("deploy/helm/weir/README.md");
    let (_, table) = readme.split_once("|---|---|---|\n").expect("the table");
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let row = |line: &str| -> (String, Value) {
        let mut cells = line.split('`').skip(1).step_by(2).take(2);
        let name = cells.next().expect("a value").to_owned();
        let default = cells.next().expect("its default");
        (name, serde_json::from_str(default).expect("JSON"))
    };
    let said: BTreeMap<_, _> = rows.map(row).collect();
    for (name, default) in &expected {
        assert_eq!(said.get(name), Some(default), "{name}");
    }
    let unknown: Vec<_> = said
        .keys()
        .filter(|&name| !expected.contains_key(name))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn the_schema_takes_the_defaults_and_refuses_what_it_does_not_know() {
    let schema: Value = serde_json::from_str(&text("deploy/helm/weir/values.schema.json")).unwrap();
    let validator = jsonschema::draft7::new(&schema).unwrap();
    let defaults = document("deploy/helm/weir/values.yaml");
    if let Err(error) = validator.validate(&defaults) {
        panic!("{}: {error}", error.instance_path());
    }
    let mut places = BTreeMap::new();
    leaves(&defaults, "", &mut places);
    for place in places.keys() {
        let (parent, name) = place.rsplit_once('.').unwrap_or(("", place));
        let parent = match parent {
            "" => String::new(),
            parent => format!("/{}", parent.replace('.', "/")),
        };
        let mut misspelt = defaults.clone();
        let map = misspelt
            .pointer_mut(&parent)
            .unwrap()
            .as_object_mut()
            .unwrap();
        let value = map.remove(name).expect("it is there");
        map.insert(format!("{name}s"), value);
        assert!(!validator.is_valid(&misspelt), "{place}s");
        let mut mistyped = defaults.clone();
        mistyped.pointer_mut(&parent).unwrap()[name] = Value::from(1.5);
        assert!(!validator.is_valid(&mistyped), "{place}: 1.5");
    }
    for variable in ["WEIR_LISTEN", "PATH"] {
        let mut twice = defaults.clone();
        twice["env"][variable] = Value::from("x");
        assert!(!validator.is_valid(&twice), "{variable}");
    }
}
