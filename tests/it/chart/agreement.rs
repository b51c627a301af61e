//! Whether an object says all that another one says.

use serde_json::Value;

/// Where `mine` does not say what `theirs` says. It may say more, also in lists, but must not leave out an element.
pub fn differences(mine: &Value, theirs: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(mine, theirs, "", &mut found);
    found
}

fn compare(mine: &Value, theirs: &Value, at: &str, found: &mut Vec<String>) {
    match (mine, theirs) {
        (Value::Object(mine), Value::Object(theirs)) => {
            for (name, theirs) in theirs {
                let at = format!("{at}/{name}");
                compare(mine.get(name).unwrap_or(&Value::Null), theirs, &at, found);
            }
        }
        (Value::Array(mine), Value::Array(theirs)) => {
            for (place, theirs) in theirs.iter().enumerate() {
                let of_this = |mine: &Value| differences(mine, theirs);
                match mine.iter().find(|mine| is_namesake(mine, theirs)) {
                    Some(mine) => compare(mine, theirs, &format!("{at}/{place}"), found),
                    None if mine.iter().any(|mine| of_this(mine).is_empty()) => {}
                    None => found.push(format!("{at}/{place}: no element says {theirs}")),
                }
            }
        }
        _ if mine == theirs => {}
        _ => found.push(format!("{at}: {mine} in place of {theirs}")),
    }
}

/// Whether two elements of a list are one to Kubernetes: containers, ports, volumes have names.
fn is_namesake(mine: &Value, theirs: &Value) -> bool {
    theirs["name"].is_string() && mine["name"] == theirs["name"]
}
