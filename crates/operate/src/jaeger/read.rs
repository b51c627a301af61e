//! Jaeger's file, as Jaeger reads it.

use serde::Deserialize;

/// The most traces per second that are taken for meant; the service's own limit.
const LIMIT_MAX: f64 = 1e9;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// For services that are not listed.
    pub default_strategy: Option<Strategy>,
    /// The listed services.
    #[serde(default)]
    pub service_strategies: Vec<Strategy>,
}

/// The strategy of a service or an operation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strategy {
    pub service: Option<String>,
    pub operation: Option<String>,
    #[serde(rename = "type", default)]
    name: String,
    param: Option<f64>,
    #[serde(default)]
    pub operation_strategies: Vec<Strategy>,
}

/// What a strategy asks for.
#[derive(Debug, PartialEq)]
pub enum Kind {
    /// A probability.
    Probability(f64),
    /// Traces per second, of each process.
    Limit(f64),
}

impl File {
    /// Reads the file.
    pub fn read(text: &str) -> Result<Self, String> {
        let file: Self = serde_json::from_str(text)
            .map_err(|error| format!("is no file of Jaeger's strategies: {error}"))?;
        match (&file.default_strategy, file.service_strategies.is_empty()) {
            (None, true) => Err("holds neither default_strategy nor service_strategies".into()),
            _ => Ok(file),
        }
    }
}

impl Strategy {
    /// What it asks for, or why that cannot be kept.
    pub fn kind(&self) -> Result<Kind, String> {
        let param = self.param.ok_or("it has no param")?;
        match self.name.as_str() {
            "probabilistic" if (0.0..=1.0).contains(&param) => Ok(Kind::Probability(param)),
            "probabilistic" => Err(format!("the probability {param} is not between 0 and 1")),
            "ratelimiting" if (0.0..=LIMIT_MAX).contains(&param) => Ok(Kind::Limit(param)),
            "ratelimiting" => Err(format!(
                "the limit {param} is not between 0 and {LIMIT_MAX}"
            )),
            other => Err(format!(
                "its type {other:?} is neither probabilistic nor ratelimiting"
            )),
        }
    }
}
