//! Helm, as a command. `make check-chart` brings it along.

use std::process::{Command, Output};

use serde_json::Value;

use super::{documents, path};

pub const CHART: &str = "deploy/helm/weir";

/// Everything that can be switched on.
pub const EVERYTHING: &[&str] = &[
    "postgresql.enabled=true",
    "listeners.xray.enabled=true",
    "listeners.admin.from[0].podSelector.matchLabels.app=proxy",
    "access.bootstrapTokenSecret=weir-bootstrap",
    "access.requireAgentToken=true",
    "access.oidc.issuer=https://id.example.org",
    "access.oidc.clientId=weir",
    "access.oidc.clientSecret=weir-oidc",
    "access.oidc.publicUrl=https://admin.example.org",
    "access.oidc.audience=weir",
    "access.oidc.scopes[0]=groups",
    "access.oidc.roles.platform=operator",
    "access.oidc.to[0].namespaceSelector.matchLabels.name=dex",
    "tls.secret=weir-tls",
    "tls.clients.sdk.secret=clients",
    "tls.clients.grpc.secret=clients",
    "ingress.sdk.enabled=true",
    "ingress.sdk.host=weir.example.org",
    "ingress.sdk.tlsSecret=weir-example-org",
    "ingress.admin.enabled=true",
    "ingress.admin.host=admin.example.org",
    "metrics.from[0].podSelector.matchLabels.app=prometheus",
    "metrics.podMonitor.enabled=true",
    "metrics.rules.enabled=true",
    "metrics.dashboard.enabled=true",
    "env.WEIR_INTERVAL=30s",
    "edge.enabled=true",
    "edge.backends[0]=http://jaeger:4318",
    "edge.peersSecret=weir-edge-peers",
    "edge.tokenSecret=weir-edge-token",
    "edge.env.WEIR_EDGE_CA=/ca/ca.crt",
];

pub fn helm(arguments: &[&str]) -> Output {
    let helm = std::env::var_os("WEIR_HELM").expect("WEIR_HELM names Helm: run `make check-chart`");
    let mut helm = Command::new(helm);
    helm.args(arguments).output().expect("Helm runs")
}

pub fn set<'a>(values: &[&'a str]) -> Vec<&'a str> {
    values.iter().flat_map(|value| ["--set", value]).collect()
}

/// Renders a chart as the release `weir` in the namespace `weir`.
pub fn render(chart: &str, values: &[&str]) -> Result<Vec<Value>, String> {
    let arguments = [
        "template",
        "weir",
        chart,
        "--namespace",
        "weir",
        "--kube-version",
        "1.30",
    ];
    let output = helm(&[&arguments[..], &set(values)].concat());
    if output.status.success() {
        Ok(documents(&String::from_utf8(output.stdout).unwrap()))
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

pub fn rendered(values: &[&str]) -> Vec<Value> {
    render(path(CHART).to_str().unwrap(), values).unwrap_or_else(|error| panic!("{error}"))
}

pub fn object<'a>(all: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = all
        .iter()
        .find(|of| of["kind"] == kind && of["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("there is no {kind} {name}"))
}

pub fn container(all: &[Value]) -> &Value {
    &object(all, "Deployment", "weir")["spec"]["template"]["spec"]["containers"][0]
}
