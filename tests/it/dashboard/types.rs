//! The dashboard has the type that Grafana defines for a dashboard, strictly.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::document::{Dashboard, root};

/// Mistakes that must be found: a place in the document, and the value there. `-` after a name
/// removes it; otherwise it is added or replaced.
fn mistakes() -> Vec<(&'static str, Value)> {
    vec![
        ("/schemaVersion", json!("42")),
        ("/templating/list/1/refresh", json!(7)),
        ("/templating/list/1/datasource/uid", json!("prometheus")),
        ("/annotations/list/0/tittleFormat", json!("started")),
        ("/panels/1/type", json!("singlestat")),
        ("/panels/1/gridPos/height", json!(4)),
        ("/panels/1/options/graphMode", json!("areas")),
        ("/panels/1/fieldConfig/defaults/unit-", Value::Null),
        ("/panels/1/fieldConfig/defaults/decimal", json!(1)),
        ("/panels/1/targets/0/expression", json!("up")),
        ("/panels/1/targets/0/datasource/uid", json!("prometheus")),
        ("/panels/11/fieldConfig/defaults/custom/lineWith", json!(1)),
        (
            "/panels/11/fieldConfig/overrides/0/properties/0/id",
            json!("custom.lineStile"),
        ),
        (
            "/panels/11/fieldConfig/overrides/0/properties/1/value/fill",
            json!("dashed"),
        ),
        ("/panels/11/options/legend/placement", json!("left")),
    ]
}

fn with_mistake(mut document: Value, place: &str, value: Value) -> Value {
    let (parent, name) = place.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent);
    let parent = parent.unwrap_or_else(|| panic!("{place} is nowhere"));
    let parent = parent.as_object_mut().unwrap();
    match name.strip_suffix('-') {
        Some(name) => assert!(parent.remove(name).is_some(), "{place}"),
        None => assert_ne!(parent.insert(name.into(), value.clone()), Some(value)),
    }
    document
}

/// Writes a document as an expression that must have the dashboard's type.
fn write(directory: &Path, name: &str, document: &Value) {
    let types = root().join("tests/grafana/dashboard");
    let text = format!(
        "import type {{ WeirDashboard }} from {types:?};\n\
         export const {name} = ({document:#}) satisfies WeirDashboard;\n"
    );
    std::fs::write(directory.join(format!("{name}.ts")), text).unwrap();
}

#[test]
fn it_is_what_grafana_takes_for_a_dashboard() {
    let compiler = root().join("tests/grafana/node_modules/typescript/bin/tsc");
    assert!(
        compiler.exists(),
        "Grafana's types are missing: run `make setup`"
    );
    let directory = TempDir::new().unwrap();
    let document = Dashboard::read().0;
    write(directory.path(), "right", &document);
    let mistakes = mistakes();
    for (number, (place, value)) in mistakes.iter().enumerate() {
        let wrong = with_mistake(document.clone(), place, value.clone());
        write(directory.path(), &format!("wrong_{number}"), &wrong);
    }
    let settings = root().join("tests/grafana/tsconfig.json");
    let settings = json!({ "extends": settings, "include": ["*.ts"] });
    let project = directory.path().join("tsconfig.json");
    std::fs::write(&project, settings.to_string()).unwrap();

    let ended = Command::new("node")
        .arg(compiler)
        .args(["--pretty", "false", "--project"])
        .arg(&project)
        .output()
        .expect("Node.js is installed: `make setup` does it");
    let said = String::from_utf8_lossy(&ended.stdout);
    let of = |file: &str| said.lines().filter(|line| line.contains(file)).collect();
    let found: Vec<&str> = of("right.ts(");
    assert!(found.is_empty(), "{}", found.join("\n"));
    for (number, (place, value)) in mistakes.iter().enumerate() {
        let found: Vec<&str> = of(&format!("wrong_{number}.ts("));
        assert!(!found.is_empty(), "{value} at {place} passes");
    }
}
