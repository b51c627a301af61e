//! Freezes and emergencies are ended: well, wrongly, and while something is wrong.

use serde_json::{Value, json};

use super::Given;
use super::rules::Asked;
use crate::support::app::TestApp;

const ENDED: [&str; 2] = ["/v1/freeze", "/v1/emergency"];

pub async fn in_operation(given: &mut Given, app: &TestApp) {
    let mut asked = Asked { given, app };
    for path in ENDED {
        asked.refused(("DELETE", path), &Value::Null).await;
        let unconditional = asked.request("DELETE", path, "");
        asked.ask(("DELETE", path), unconditional, 428).await;
        asked.write(("DELETE", path), &Value::Null, 200).await;
        asked.write(("DELETE", path), &Value::Null, 404).await;
    }
    let mode = json!({ "mode": "enforce" });
    asked.write(("PUT", "/v1/mode"), &mode, 200).await;
}

/// Everything fails in the same way.
pub async fn failing(given: &mut Given, app: &TestApp, expected: u16) {
    let mut asked = Asked { given, app };
    for path in ENDED {
        asked.write(("DELETE", path), &Value::Null, expected).await;
    }
}
