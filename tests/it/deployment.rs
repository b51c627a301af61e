//! The deployment files match Weir: its settings, its probes, its ports.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use serde_json::Value;
use weir::api::health::ROUTES;
use weir::api::metrics;
use weir::cli::Cli;
use yaml_rust2::YamlLoader;

use crate::contract::document::value;
use crate::support::app::config;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn kubernetes(file: &str) -> Value {
    let path = root().join("deploy/kubernetes").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    value(&YamlLoader::load_from_str(&text).unwrap()[0])
}

#[test]
fn every_setting_they_name_is_one_of_weirs() {
    let command = Cli::command();
    let known: BTreeSet<&str> = ["serve", "health", "edge"]
        .iter()
        .filter_map(|name| command.find_subcommand(name))
        .flat_map(Command::get_arguments)
        .filter_map(|argument| argument.get_env()?.to_str())
        .collect();
    let mut named = BTreeSet::new();
    let mut all = vec![root().join("Dockerfile")];
    files(&root().join("deploy"), &mut all);
    for file in all {
        let text = std::fs::read_to_string(&file).unwrap();
        let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
        let words = text
            .split(|c| !is_part(c))
            .filter(|word| word.len() > "WEIR_".len());
        named.extend(
            words
                .filter(|word| word.starts_with("WEIR_"))
                .map(String::from),
        );
    }
    // Compose's own variable, from which it makes the URL.
    assert!(named.remove("WEIR_DATABASE_PASSWORD"));
    assert!(named.contains("WEIR_DATABASE_URL"));
    let unknown: Vec<_> = named
        .iter()
        .filter(|name| !known.contains(&***name))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// The first layer of the image is built from the manifest and an empty program. cargo accepts that
/// a target's file is missing if it does not have to search for it.
#[test]
fn the_manifest_says_where_its_targets_are() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    // Sections in double brackets: after the split, each begins with the second one.
    let sections = manifest.split("\n[").skip(1);
    let targets: Vec<&str> = sections.filter(|part| part.starts_with('[')).collect();
    assert!(targets.len() >= 2, "{targets:?}");
    for target in targets {
        assert!(target.contains("\npath = \""), "{target}");
    }
}

/// The seconds of a key in a file of the folder.
fn seconds(file: &str, key: &str) -> u64 {
    let text = std::fs::read_to_string(root().join("deploy").join(file)).unwrap();
    let at = text.find(key).unwrap_or_else(|| panic!("{key} in {file}"));
    let rest = text[at + key.len()..].trim_start_matches([':', '=', ' ']);
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[test]
fn platforms_wait_longer_than_a_stop_may_take() {
    let stop = config(&[]).listeners.stop_timeout.as_secs();
    assert!(seconds("systemd/weir.service", "\nTimeoutStopSec") > stop);
    assert!(seconds("compose.yaml", "stop_grace_period") > stop);
    let deployment = "kubernetes/deployment.yaml";
    let grace = seconds(deployment, "terminationGracePeriodSeconds");
    let before = seconds(deployment, "sleep:\n                seconds");
    assert!(
        grace > before + stop,
        "{grace} s for {before} s and {stop} s"
    );
}

#[test]
fn platforms_wait_longer_than_the_stop_of_an_edge_may_take() {
    let command = Cli::command();
    let edge = command.find_subcommand("edge").expect("there are edges");
    let stop = edge
        .get_arguments()
        .find(|argument| argument.get_long() == Some("stop-timeout"));
    let stop = stop.expect("it has a limit").get_default_values()[0].to_str();
    let stop: u64 = stop.unwrap().trim_end_matches('s').parse().unwrap();
    assert!(seconds("compose.edge.yaml", "stop_grace_period") > stop);
    for file in ["gateway/deployment.yaml", "daemon-set/daemon-set.yaml"] {
        let file = format!("kubernetes/edge/{file}");
        let grace = seconds(&file, "terminationGracePeriodSeconds");
        let before = seconds(&file, "WEIR_EDGE_STOP_DELAY\n              value");
        assert!(
            grace > before + stop,
            "{file}: {grace} s for {before} s and {stop} s"
        );
    }
}

/// What the optional component adds to an object of this kind.
fn added(component: &Value, kind: &str) -> Vec<Value> {
    let patches = component["patches"].as_array().unwrap().iter();
    let mut patches = patches.filter(|patch| patch["target"]["kind"] == kind);
    let patch = patches.next().expect("there is a patch");
    let operations = YamlLoader::load_from_str(patch["patch"].as_str().unwrap()).unwrap();
    let operations = value(&operations[0]);
    let operations = operations.as_array().unwrap().iter();
    operations.map(|of| of["value"].clone()).collect()
}

#[test]
fn kubernetes_opens_the_port_of_xray_everywhere_or_nowhere() {
    let component = kubernetes("xray/kustomization.yaml");
    let container = added(&component, "Deployment");
    assert_eq!(container[0]["name"], "WEIR_XRAY_LISTEN");
    assert_eq!(container[0]["value"], "0.0.0.0:2000");
    assert_eq!(container[1]["containerPort"], 2000);
    let port = &container[1]["name"];
    assert_eq!(added(&component, "Service")[0]["targetPort"], *port);
    assert_eq!(added(&component, "NetworkPolicy")[0]["port"], *port);
}

#[test]
fn kubernetes_lets_prometheus_reach_metrics_and_nothing_else() {
    let component = kubernetes("prometheus/kustomization.yaml");
    let container = added(&component, "Deployment");
    assert_eq!(container[0]["name"], "WEIR_OBSERVE_LISTEN");
    assert_eq!(container[0]["value"], "0.0.0.0:8779");
    assert_eq!(container[1]["containerPort"], 8779);
    let port = &container[1]["name"];
    let ingress = &added(&component, "NetworkPolicy")[0];
    assert_eq!(ingress["ports"][0]["port"], *port);
    assert!(ingress["from"][0]["namespaceSelector"].is_object());
    let monitor = kubernetes("prometheus/pod-monitor.yaml");
    let scraped = &monitor["spec"]["podMetricsEndpoints"][0];
    assert_eq!(scraped["port"], *port);
    assert_eq!(scraped["path"], metrics::ROUTES[0].path);
    let deployment = kubernetes("deployment.yaml");
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert_eq!(monitor["spec"]["selector"]["matchLabels"], *labels);
}

#[test]
fn tls_is_a_component_that_reads_whole_folders() {
    let deployment = kubernetes("tls/deployment.yaml");
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let mount = &container["volumeMounts"][0];
    assert_eq!(mount["name"], pod["volumes"][0]["name"]);
    // A link to a new folder replaces the files: a file that is mounted by itself stays the old one.
    assert!(mount.get("subPath").is_none());
    let folder = mount["mountPath"].as_str().unwrap();
    let environment = container["env"].as_array().unwrap();
    for (name, file) in [("WEIR_TLS_CERT", "tls.crt"), ("WEIR_TLS_KEY", "tls.key")] {
        let given = environment.iter().find(|given| given["name"] == name);
        assert_eq!(given.unwrap()["value"], format!("{folder}/{file}"));
    }
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        assert_eq!(container[probe]["httpGet"]["scheme"], "HTTPS");
    }
}

#[test]
fn kubernetes_probes_what_there_is_and_shows_the_admin_port_to_nobody() {
    let deployment = kubernetes("deployment.yaml");
    let pod = &deployment["spec"]["template"];
    let container = &pod["spec"]["containers"][0];
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let asked = &container[probe]["httpGet"];
        assert_eq!(asked["port"], "admin");
        let path = asked["path"].as_str().unwrap();
        assert!(ROUTES.iter().any(|route| route.path == path), "{path}");
    }
    let ports = |of: &Value| -> BTreeSet<String> {
        let all = of.as_array().unwrap().iter();
        all.filter_map(|port| {
            Some(
                port["targetPort"]
                    .as_str()
                    .or(port["port"].as_str())?
                    .into(),
            )
        })
        .collect()
    };
    let service = kubernetes("service.yaml");
    let open = BTreeSet::from(["sdk", "grpc"].map(str::to_owned));
    assert_eq!(ports(&service["spec"]["ports"]), open);
    let policy = kubernetes("network-policy.yaml");
    let ingress = policy["spec"]["ingress"].as_array().unwrap();
    assert_eq!(ingress.len(), 1);
    assert_eq!(ports(&ingress[0]["ports"]), open);
    assert_eq!(policy["spec"]["policyTypes"][0], "Ingress");

    let labels = &pod["metadata"]["labels"];
    let budget = kubernetes("pod-disruption-budget.yaml");
    for selector in [
        &deployment["spec"]["selector"]["matchLabels"],
        &service["spec"]["selector"],
        &policy["spec"]["podSelector"]["matchLabels"],
        &budget["spec"]["selector"]["matchLabels"],
    ] {
        assert_eq!(selector, labels);
    }
    let secret = kubernetes("secret.example.yaml");
    let read = &container["env"][0]["valueFrom"]["secretKeyRef"];
    assert_eq!(read["name"], secret["metadata"]["name"]);
    assert!(
        secret["stringData"]
            .get(read["key"].as_str().unwrap())
            .is_some()
    );
}
