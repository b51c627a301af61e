//! What Helm makes of the chart, beside what deploy/kubernetes says.

use clap::{CommandFactory, Parser};
use serde_json::{Value, json};
use tempfile::TempDir;
use weir::settings::Settings;

use super::agreement::differences;
use super::helm::{CHART, EVERYTHING, container, helm, object, render, rendered, set};
use super::{document, documents, path};

/// `weir serve`.
#[derive(Parser)]
struct Serve {
    #[command(flatten)]
    settings: Settings,
}

fn kubernetes(file: &str) -> Value {
    document(&format!("deploy/kubernetes/{file}"))
}

/// What a key has in each element of a list.
fn each<'a>(list: &'a Value, key: &str) -> Vec<&'a Value> {
    list.as_array()
        .map_or_else(Vec::new, |list| list.iter().map(|of| &of[key]).collect())
}

#[test]
#[ignore = "needs Helm: make check-chart"]
fn helm_finds_nothing_to_complain_of() {
    for values in [&[][..], EVERYTHING] {
        let chart = path(CHART);
        let arguments = ["lint", "--strict", chart.to_str().unwrap()];
        let output = helm(&[&arguments[..], &set(values)].concat());
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
    }
}

#[test]
#[ignore = "needs Helm: make check-chart"]
fn it_says_what_the_manifests_of_kubernetes_say() {
    let all = rendered(&[]);
    for (file, kind) in [
        ("deployment.yaml", "Deployment"),
        ("service.yaml", "Service"),
        ("service-account.yaml", "ServiceAccount"),
        ("pod-disruption-budget.yaml", "PodDisruptionBudget"),
        ("network-policy.yaml", "NetworkPolicy"),
    ] {
        let mut theirs = kubernetes(file);
        if kind == "Deployment" {
            let container = &mut theirs["spec"]["template"]["spec"]["containers"][0];
            // The chart mounts the URL as a file. The tag of the image is in kustomization.yaml.
            let environment = container["env"].as_array_mut().unwrap();
            environment.retain(|of| of["name"] != "WEIR_DATABASE_URL");
            let tag = &kubernetes("kustomization.yaml")["images"][0]["newTag"];
            container["image"] = json!(format!("weir:{}", tag.as_str().unwrap()));
        }
        let mine = object(&all, kind, "weir");
        assert_eq!(differences(mine, &theirs), [""; 0], "{file}");
        // Not a port more either.
        for list in ["ports", "ingress", "egress"] {
            assert_eq!(mine["spec"][list], theirs["spec"][list], "{file}: {list}");
        }
    }
}

/// Names, secrets and the size differ: those of the chart are values.
#[test]
#[ignore = "needs Helm: make check-chart"]
fn edges_are_what_the_manifests_of_kubernetes_say() {
    for (kind, folder, file, object_kind, values) in [
        (
            "gateway",
            "gateway",
            "deployment.yaml",
            "Deployment",
            &[][..],
        ),
        (
            "daemon-set",
            "daemon-set",
            "daemon-set.yaml",
            "DaemonSet",
            &[
                "edge.memory=192MiB",
                "edge.resources.requests.cpu=100m",
                "edge.resources.requests.memory=128Mi",
                "edge.resources.limits.memory=256Mi",
            ][..],
        ),
    ] {
        let kind = format!("edge.kind={kind}");
        let backend = "edge.backends[0]=http://jaeger-collector.observability.svc:4318";
        let secret = "edge.peersSecret=weir-edge-peers";
        let common = ["edge.enabled=true", &kind, backend, secret];
        let all = rendered(&[&common[..], values].concat());
        let folder = format!("edge/{folder}");
        let mut theirs = kubernetes(&format!("{folder}/{file}"));
        let pod = &mut theirs["spec"]["template"]["spec"];
        pod["serviceAccountName"] = json!("weir");
        let tag = &kubernetes(&format!("{folder}/kustomization.yaml"))["images"][0]["newTag"];
        pod["containers"][0]["image"] = json!(format!("weir:{}", tag.as_str().unwrap()));
        let mine = object(&all, object_kind, "weir-edge");
        assert_eq!(differences(mine, &theirs), [""; 0], "{file}");
        for theirs in super::documents(&super::text(&format!(
            "deploy/kubernetes/{folder}/service.yaml"
        ))) {
            let name = theirs["metadata"]["name"].as_str().unwrap();
            let mine = object(&all, "Service", name);
            assert_eq!(differences(mine, &theirs), [""; 0], "{name}");
        }
        let mine = object(&all, "NetworkPolicy", "weir-edge");
        let theirs = kubernetes(&format!("{folder}/network-policy.yaml"));
        assert_eq!(
            differences(&mine["spec"]["ingress"][0], &theirs["spec"]["ingress"][0]),
            [""; 0]
        );
    }
}

#[test]
#[ignore = "needs Helm: make check-chart"]
fn with_tls_it_says_what_the_component_of_kubernetes_says() {
    let all = rendered(&["tls.secret=weir-tls"]);
    let mine = object(&all, "Deployment", "weir");
    assert_eq!(
        differences(mine, &kubernetes("tls/deployment.yaml")),
        [""; 0]
    );
    let mine = object(&all, "Service", "weir");
    assert_eq!(differences(mine, &kubernetes("tls/service.yaml")), [""; 0]);
}

/// The component of Kubernetes adds one element to each list.
#[test]
#[ignore = "needs Helm: make check-chart"]
fn with_prometheus_it_says_what_the_component_of_kubernetes_says() {
    let from =
        "metrics.from[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name=monitoring";
    let all = rendered(&[from, "metrics.podMonitor.enabled=true"]);
    let component = kubernetes("prometheus/kustomization.yaml");
    let mut compared = 0;
    for patch in component["patches"].as_array().unwrap() {
        let kind = patch["target"]["kind"].as_str().unwrap();
        let mine = object(&all, kind, "weir");
        for operation in documents(patch["patch"].as_str().unwrap())[0]
            .as_array()
            .unwrap()
        {
            let list = operation["path"].as_str().unwrap().trim_end_matches("/-");
            let list = mine.pointer(list).expect("the list is there");
            assert_eq!(differences(list, &json!([operation["value"]])), [""; 0]);
            compared += 1;
        }
    }
    assert_eq!(compared, 3);
    let mine = object(&all, "PodMonitor", "weir");
    let theirs = kubernetes("prometheus/pod-monitor.yaml");
    assert_eq!(differences(mine, &theirs), [""; 0]);
}

#[test]
#[ignore = "needs Helm: make check-chart"]
fn a_listener_is_open_everywhere_or_nowhere() {
    let ports = ["sdk", "grpc", "xray"];
    for number in 0..1 << ports.len() {
        let is_open = |place: &usize| number >> place & 1 == 1;
        let values: Vec<String> = (0..ports.len())
            .map(|place| format!("listeners.{}.enabled={}", ports[place], is_open(&place)))
            .collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let open: Vec<_> = (0..ports.len())
            .filter(is_open)
            .map(|place| ports[place])
            .collect();
        let all = rendered(&values);
        let of_pod = each(&container(&all)["ports"], "name");
        assert_eq!(of_pod, [&open[..], &["admin"]].concat());
        let service = all.iter().find(|of| of["kind"] == "Service");
        let service = service.map_or(&Value::Null, |of| &of["spec"]["ports"]);
        assert_eq!(each(service, "targetPort"), open);
        let rules = &object(&all, "NetworkPolicy", "weir")["spec"]["ingress"];
        let lists = each(rules, "ports");
        let allowed: Vec<_> = lists
            .into_iter()
            .flat_map(|list| each(list, "port"))
            .collect();
        assert_eq!(allowed, open);
    }
}

#[test]
#[ignore = "needs Helm: make check-chart"]
fn who_may_connect_is_whom_the_values_name() {
    let all = rendered(&[
        "listeners.sdk.from[0].podSelector.matchLabels.app=agent",
        "metrics.from[0].namespaceSelector.matchLabels.name=monitoring",
        "database.to[0].ipBlock.cidr=10.0.0.7/32",
    ]);
    let policy = &object(&all, "NetworkPolicy", "weir")["spec"];
    let tcp = |name: &str| json!({ "port": name, "protocol": "TCP" });
    let expected = json!([
        { "ports": [tcp("grpc")] },
        { "from": [{ "podSelector": { "matchLabels": { "app": "agent" } } }], "ports": [tcp("sdk")] },
        {
            "from": [{ "namespaceSelector": { "matchLabels": { "name": "monitoring" } } }],
            "ports": [tcp("observe")],
        },
    ]);
    assert_eq!(policy["ingress"], expected);
    assert_eq!(
        policy["egress"][0]["to"],
        json!([{ "ipBlock": { "cidr": "10.0.0.7/32" } }])
    );
}

/// Without its port open, the admin listener is on loopback, and the program itself probes it.
#[test]
#[ignore = "needs Helm: make check-chart"]
fn a_closed_admin_listener_is_on_loopback() {
    let all = rendered(&[
        "listeners.admin.enabled=false",
        "networkPolicy.enabled=false",
    ]);
    let container = container(&all);
    let environment = container["env"].as_array().unwrap();
    let listen = environment
        .iter()
        .find(|of| of["name"] == "WEIR_ADMIN_LISTEN");
    assert_eq!(listen.unwrap()["value"], "127.0.0.1:8778");
    for choice in ["WEIR_INSECURE_ADMIN", "WEIR_ADMIN_WITHOUT_TLS"] {
        assert!(environment.iter().all(|of| of["name"] != choice));
    }
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        assert_eq!(
            container[probe]["exec"]["command"],
            json!(["/usr/local/bin/weir", "health"])
        );
    }
}

#[test]
#[ignore = "needs Helm: make check-chart"]
fn values_that_would_show_tokens_or_contradict_each_other_are_refused() {
    for (values, said) in [
        (
            &["networkPolicy.enabled=false"][..],
            "listeners.admin.enabled=false",
        ),
        (
            &["ingress.admin.enabled=true", "ingress.admin.host=a"],
            "listeners.admin.from",
        ),
        (&["metrics.podMonitor.enabled=true"], "metrics.from"),
        (&["tls.clients.grpc.secret=a"], "set tls.secret"),
        (&["ingress.sdk.enabled=true"], "/ingress/sdk/host"),
        (&["replica=3"], "replica"),
    ] {
        let refused = render(path(CHART).to_str().unwrap(), values);
        let error = refused.expect_err("it is refused");
        assert!(error.contains(said), "{values:?}: {error}");
    }
}

/// Each is one of its flags, with a value that it takes.
#[test]
#[ignore = "needs Helm: make check-chart"]
fn weir_takes_the_settings() {
    let folder = TempDir::new().unwrap();
    let url = folder.path().join("url");
    std::fs::write(&url, "postgres://weir:secret@127.0.0.1/weir").unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, format!("weir_{}", "a1".repeat(32))).unwrap();
    let serve = Serve::command();
    for values in [&[][..], EVERYTHING, &["listeners.admin.enabled=false"]] {
        let all = rendered(values);
        let mut line = vec!["serve".to_owned()];
        for given in container(&all)["env"].as_array().unwrap() {
            let [name, value] = ["name", "value"].map(|key| given[key].as_str().unwrap());
            let mut known = serve.get_arguments();
            let known = known.find(|of| of.get_env().is_some_and(|env| env == name));
            let Some(known) = known else {
                assert_eq!(name, "WEIR_ADMIN_URL", "it is for `weir health`");
                continue;
            };
            let flag = format!("--{}", known.get_long().unwrap());
            line.push(match (name, known.get_action().takes_values()) {
                ("WEIR_DATABASE_URL_FILE", _) => format!("{flag}={}", url.display()),
                // Any file that holds something will do.
                ("WEIR_OIDC_CLIENT_SECRET_FILE", _) => format!("{flag}={}", url.display()),
                ("WEIR_BOOTSTRAP_TOKEN_FILE", _) => format!("{flag}={}", token.display()),
                (_, true) => format!("{flag}={value}"),
                (_, false) => flag,
            });
        }
        let serve = Serve::try_parse_from(line).unwrap_or_else(|error| panic!("{error}"));
        serve.settings.check().unwrap();
    }
}
