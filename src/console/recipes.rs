//! How each SDK is made to count and to follow: what people copy. docs/connect.md has the whole recipes.

use maud::{Markup, html};

/// What an SDK needs.
pub struct Recipe {
    /// Its name in addresses.
    pub id: &'static str,
    /// What people call it.
    pub name: &'static str,
    /// How its requests are counted, without touching a sampler.
    pub counts: &'static str,
    /// How it follows what is served.
    pub follows: &'static str,
    /// The families of clients that it polls as, as `weir pollers` names them.
    pub clients: &'static [&'static str],
}

/// Those that are in docs/connect.md. `weir` stands for the host of a replica or of a load balancer.
pub const RECIPES: &[Recipe] = &[
    Recipe {
        id: "java",
        name: "Java (agent)",
        counts: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://weir:5778/v1/metrics\n\
                 OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=http/protobuf\n\
                 OTEL_EXPERIMENTAL_SDK_TELEMETRY_VERSION=latest",
        follows: "OTEL_TRACES_SAMPLER=parentbased_jaeger_remote\n\
                  OTEL_TRACES_SAMPLER_ARG=endpoint=http://weir:14250,pollingIntervalMs=60000,initialSamplingRate=0.01",
        clients: &["java", "grpc-java", "okhttp"],
    },
    Recipe {
        id: "javascript",
        name: "JavaScript",
        counts: "OTEL_METRICS_EXPORTER=otlp\n\
                 OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://weir:5778/v1/metrics\n\
                 OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=http/protobuf\n\
                 OTEL_NODE_EXPERIMENTAL_SDK_METRICS=true",
        follows: "const sampler = new ParentBasedSampler({\n  root: new JaegerRemoteSampler({\n    \
                  endpoint: 'http://weir:5778', serviceName: process.env.OTEL_SERVICE_NAME, poolingInterval: 60000,\n    \
                  initialSampler: new TraceIdRatioBasedSampler(0.01),\n  }),\n});",
        clients: &["node"],
    },
    Recipe {
        id: "go",
        name: "Go",
        counts: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://weir:5778/v1/metrics\n\
                 OTEL_GO_X_OBSERVABILITY=true",
        follows: "sampler := trace.ParentBased(jaegerremote.New(\"SERVICE\",\n    \
                  jaegerremote.WithSamplingServerURL(\"http://weir:5778/sampling\"),\n    \
                  jaegerremote.WithSamplingRefreshInterval(time.Minute),\n    \
                  jaegerremote.WithInitialSampler(trace.TraceIDRatioBased(0.01))))",
        clients: &["go", "grpc-go", "jaeger"],
    },
    Recipe {
        id: "python",
        name: "Python",
        counts: "pip install aws-opentelemetry-distro\n\n\
                 OTEL_PYTHON_DISTRO=aws_distro\n\
                 OTEL_PYTHON_CONFIGURATOR=aws_configurator",
        follows: "# weir serve --xray-listen 0.0.0.0:2000\n\
                  OTEL_TRACES_SAMPLER=xray\n\
                  OTEL_TRACES_SAMPLER_ARG=endpoint=http://weir:2000/s/SERVICE",
        clients: &["python", "grpc-python"],
    },
    Recipe {
        id: "rust",
        name: "Rust",
        counts: "# Its SDK does not count: send root spans, or report from the program (POST /v1/reports).\n\
                 OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://weir:5778/v1/traces",
        follows: "Sampler::jaeger_remote(runtime, client, default, \"SERVICE\")\n    \
                  .with_endpoint(\"http://weir:5778/sampling\")",
        clients: &["rust", "tonic"],
    },
    Recipe {
        id: "collector",
        name: "Through a Collector",
        counts: "exporters:\n  otlphttp/weir:\n    metrics_endpoint: http://weir:5778/v1/metrics\n\
                 service:\n  pipelines:\n    metrics:\n      exporters: [otlphttp/weir]",
        follows: "extensions:\n  jaegerremotesampling:\n    source: {remote: {endpoint: weir:14250}}",
        clients: &[],
    },
];

/// The recipe for a family of clients; the first one for a family that is not known.
#[must_use]
pub fn of_client(client: &str) -> &'static Recipe {
    let fits = |of: &&Recipe| of.clients.contains(&client);
    RECIPES.iter().find(fits).unwrap_or(&RECIPES[0])
}

/// The recipe that an address names; the first one otherwise.
#[must_use]
pub fn of_id(id: &str) -> &'static Recipe {
    let found = RECIPES.iter().find(|of| of.id == id);
    found.unwrap_or(&RECIPES[0])
}

/// Something to copy, with what it is for.
#[must_use]
pub fn snippet(title: &str, text: &str) -> Markup {
    html! {
        h3 { (title) }
        div.call {
            pre tabindex="0" aria-label=(title) { code { (text) } }
            button.copy type="button" hidden { "Copy" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_is_that_of_the_documents() {
        let documents = [
            include_str!("../../docs/connect.md"),
            include_str!("../../README.md"),
            include_str!("../../docs/opentelemetry.md"),
        ]
        .concat();
        for recipe in RECIPES {
            for line in [recipe.counts, recipe.follows]
                .iter()
                .flat_map(|it| it.lines())
            {
                let setting = line.split('=').next().unwrap_or_default();
                if setting.starts_with("OTEL_") {
                    assert!(documents.contains(setting), "{}: {setting}", recipe.name);
                }
            }
        }
        assert_eq!(of_client("grpc-java").id, "java");
        assert_eq!(of_id("<script>").id, "java");
    }
}
