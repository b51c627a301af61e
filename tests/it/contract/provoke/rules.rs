//! Rules and boosts: written well, wrongly, and while something is wrong.

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use weir::store::sqlite::SqliteStore;
use weir::store::{Store, WriteFormat};

use super::{Answer, Given, too_large};
use crate::support::app::TestApp;

pub const RULES: &str = "/v1/rules";
pub const RULE: &str = "/v1/rules/{id}";
pub const BOOSTS: &str = "/v1/boosts";
const WHOLE: &str = "/v1/configuration";

/// A rule that uses every field but `start` and `expect`.
fn rule() -> Value {
    json!({
        "id": "a", "service": "checkout", "operation": "*", "owner": "ann", "reason": "a test",
        "expires": "never", "enabled": true, "extra_traces_per_second": 1,
        "set": {
            "weight": 2, "floor_traces_per_second": 1, "cap_traces_per_second": 5,
            "probability_min": 0.001, "probability_max": 0.9, "priority": 9,
            "coverage": { "probability": 0.5, "within_seconds": 60 },
        },
    })
}

fn boost() -> Value {
    json!({ "service": "checkout", "operation": "POST /cart", "probability": 0.001,
        "for_seconds": 60, "owner": "ann", "reason": "a test" })
}

pub struct Asked<'a> {
    pub given: &'a mut Given,
    pub app: &'a TestApp,
}

impl Asked<'_> {
    pub fn request(&self, method: &str, path: &str, query: &str) -> RequestBuilder {
        let url = format!("{}{}{query}", self.app.admin, path.replace("{id}", "a"));
        self.app.client.request(method.parse().unwrap(), url)
    }

    pub async fn ask(
        &mut self,
        (method, path): (&str, &str),
        request: RequestBuilder,
        expected: u16,
    ) -> Answer {
        let answer = Answer::of(request).await;
        self.given.note(method, path, expected, &answer);
        answer
    }

    /// Sends a body under any revision.
    pub async fn write(&mut self, (method, path): (&str, &str), body: &Value, expected: u16) {
        let request = self
            .request(method, path, "")
            .header("If-Match", "*")
            .json(body);
        self.ask((method, path), request, expected).await;
    }

    async fn get(&mut self, path: &str, query: &str, expected: u16) -> Answer {
        let request = self.request("GET", path, query);
        self.ask(("GET", path), request, expected).await
    }

    /// What is wrong with any body and condition.
    pub async fn refused(&mut self, (method, path): (&str, &str), fine: &Value) {
        let at = (method, path);
        let other = self.request(method, path, "").header("If-Match", "\"1\"");
        self.ask(at, other.json(fine), 412).await;
        let malformed = self.request(method, path, "").header("If-Match", "1");
        self.ask(at, malformed.json(fine), 400).await;
        let forced = self
            .request(method, path, "?force=yes")
            .header("If-Match", "*");
        self.ask(at, forced.json(fine), 400).await;
        if method == "DELETE" {
            return;
        }
        let large = self.request(method, path, "").header("If-Match", "*");
        self.ask(at, too_large(large, 16 << 10), 413).await;
        let text = self.request(method, path, "").header("If-Match", "*");
        self.ask(at, text.body("{}"), 415).await;
        self.write(at, &json!({}), 422).await;
    }

    /// The same answer to everything.
    async fn fails(&mut self, expected: u16) {
        self.get(RULES, "", expected).await;
        self.get(RULE, "", expected).await;
        self.write(("POST", RULES), &rule(), expected).await;
        self.write(("PUT", RULE), &rule(), expected).await;
        self.write(("DELETE", RULE), &Value::Null, expected).await;
        self.write(("POST", BOOSTS), &boost(), expected).await;
    }
}

pub async fn in_operation(given: &mut Given, app: &TestApp) {
    let mut asked = Asked { given, app };
    asked.write(("PUT", RULE), &rule(), 404).await;
    asked.write(("DELETE", RULE), &Value::Null, 404).await;
    asked.get(RULE, "", 404).await;
    asked.refused(("POST", RULES), &rule()).await;
    asked.write(("POST", RULES), &rule(), 201).await;
    asked.write(("POST", RULES), &rule(), 409).await;
    asked.write(("POST", BOOSTS), &boost(), 201).await;
    asked.refused(("POST", BOOSTS), &boost()).await;
    asked.refused(("PUT", RULE), &rule()).await;
    asked.refused(("DELETE", RULE), &Value::Null).await;
    let page = asked.get(RULES, "?limit=1", 200).await.json();
    assert_eq!(page["next"], "a");
    let rest = asked.get(RULES, "?after=a", 200).await.json();
    assert_eq!(rest["rules"].as_array().unwrap().len(), 1, "{rest}");
    asked.get(RULES, "?limit=0", 400).await;
    let shown = asked.get(RULE, "", 200).await.json();
    assert!(shown["effect"].is_object(), "{shown}");
    asked.get(RULE, "?made-up=1", 400).await;
    asked.write(("PUT", RULE), &shown, 200).await;
    for method in ["PUT", "DELETE"] {
        let request = asked.request(method, RULE, "").json(&rule());
        asked.ask((method, RULE), request, 428).await;
    }
    asked.write(("DELETE", RULE), &Value::Null, 200).await;
}

/// Everything fails in the same way.
pub async fn failing(given: &mut Given, app: &TestApp, expected: u16) {
    Asked { given, app }.fails(expected).await;
}

/// Replicas of the release before may still be there.
pub async fn before_the_end_of_an_upgrade(given: &mut Given) {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let file = directory.path().join("weir.db");
    let store = SqliteStore::open(&file).await.unwrap();
    store.set_write_format(WriteFormat::Previous).await.unwrap();
    let mut rule = rule();
    rule["expect"] = json!("later");
    rule.as_object_mut().unwrap().remove("id");
    let mut asked = Asked { given, app: &app };
    let whole = json!({ "rules": { "a": rule } });
    asked.write(("PUT", WHOLE), &whole, 409).await;
    app.stop().await;
}
