//! What a value adds to Weir's own objects, and what comes with the chart beside them.

use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use super::agreement::differences;
use super::helm::{CHART, EVERYTHING, container, helm, object, render, rendered};
use super::{document, path, text};

/// What Prometheus and Grafana get is what the files say.
#[test]
#[ignore = "needs Helm: make check-chart"]
fn the_rules_and_the_dashboard_are_rendered_as_they_are() {
    let all = rendered(EVERYTHING);
    let mut groups = Vec::new();
    for file in ["recording", "alerts"] {
        let rules = document(&format!("deploy/prometheus/{file}.rules.yaml"));
        groups.extend(rules["groups"].as_array().unwrap().clone());
    }
    let rule = object(&all, "PrometheusRule", "weir");
    assert!(
        rule["spec"]["groups"] == json!(groups),
        "{:#}",
        rule["spec"]["groups"]
    );
    let dashboard = object(&all, "ConfigMap", "weir-dashboard");
    assert!(dashboard["data"]["weir.json"] == text("deploy/grafana/weir.json").trim());
}

/// The rules look for the job by its name, and for the metrics of every replica.
#[test]
#[ignore = "needs Helm: make check-chart"]
fn prometheus_scrapes_each_replica_as_one_job() {
    let all = rendered(EVERYTHING);
    let monitor = &object(&all, "PodMonitor", "weir")["spec"];
    let endpoint = &monitor["podMetricsEndpoints"][0];
    // In plain HTTP, whatever the others speak.
    assert_eq!(endpoint["port"], "observe");
    assert!(endpoint["scheme"].is_null(), "{endpoint}");
    assert_eq!(endpoint["relabelings"][0]["targetLabel"], "job");
    assert_eq!(endpoint["relabelings"][0]["replacement"], "weir");
    let pods = &object(&all, "Deployment", "weir")["spec"]["template"]["metadata"]["labels"];
    assert_eq!(
        differences(pods, &monitor["selector"]["matchLabels"]),
        [""; 0]
    );
}

/// Of Weir's services and policies none is about the pods of PostgreSQL.
#[test]
#[ignore = "needs Helm: make check-chart"]
fn the_bundled_database_is_reached_by_weir_alone() {
    let all = rendered(&["postgresql.enabled=true"]);
    let name = "weir-postgresql";
    let database = &object(&all, "StatefulSet", name)["spec"];
    let of_database = &database["template"]["metadata"]["labels"];
    let of_weir = &object(&all, "Deployment", "weir")["spec"]["template"]["metadata"]["labels"];
    assert_ne!(
        of_database["app.kubernetes.io/name"],
        of_weir["app.kubernetes.io/name"]
    );
    let policy = &object(&all, "NetworkPolicy", name)["spec"];
    assert_eq!(
        differences(of_database, &policy["podSelector"]["matchLabels"]),
        [""; 0]
    );
    let from = &policy["ingress"][0]["from"][0]["podSelector"]["matchLabels"];
    assert_eq!(differences(of_weir, from), [""; 0]);
    let to = &object(&all, "NetworkPolicy", "weir")["spec"]["egress"][0]["to"][0];
    assert_eq!(
        differences(of_database, &to["podSelector"]["matchLabels"]),
        [""; 0]
    );
    let secret = &object(&all, "Secret", name)["stringData"];
    let password = secret["password"].as_str().unwrap();
    assert_eq!(password.len(), 32);
    let url = format!("postgres://weir:{password}@{name}:5432/weir");
    assert_eq!(secret["url"], url);
    let volumes = &object(&all, "Deployment", "weir")["spec"]["template"]["spec"]["volumes"];
    assert_eq!(volumes[0]["secret"]["secretName"], name);
}

/// The tables are brought up to date before a replica starts, as the role that owns them.
#[test]
#[ignore = "needs Helm: make check-chart"]
fn the_tables_are_migrated_before_an_upgrade() {
    let without = rendered(&[]);
    assert!(
        without.iter().all(|of| of["kind"] != "Job"),
        "only if asked for"
    );
    let all = rendered(&["migrate.enabled=true", "migrate.secret=weir-owner"]);
    let job = object(&all, "Job", "weir-migrate");
    let hook = &job["metadata"]["annotations"]["helm.sh/hook"];
    assert_eq!(hook, "pre-install,pre-upgrade");
    let pod = &job["spec"]["template"];
    let (mine, serves) = (&pod["spec"]["containers"][0], container(&all));
    assert_eq!(mine["args"], json!(["migrate"]));
    for same in [
        "image",
        "imagePullPolicy",
        "securityContext",
        "volumeMounts",
    ] {
        assert_eq!(mine[same], serves[same], "{same}");
    }
    let url = &mine["env"][0];
    assert_eq!(
        (&url["name"], &url["value"]),
        (&serves["env"][0]["name"], &serves["env"][0]["value"])
    );
    assert_eq!(
        pod["spec"]["volumes"][0]["secret"]["secretName"],
        "weir-owner"
    );
    assert!(
        pod["spec"]["serviceAccountName"].is_null(),
        "it is not there before the installation"
    );
    let of_weir = &object(&all, "Service", "weir")["spec"]["selector"];
    let labels = &pod["metadata"]["labels"];
    assert_ne!(
        labels["app.kubernetes.io/name"],
        of_weir["app.kubernetes.io/name"]
    );
    for (values, said) in [
        (&["migrate.enabled=true"][..], "name in migrate.secret"),
        (
            &[
                "migrate.enabled=true",
                "migrate.secret=a",
                "postgresql.enabled=true",
            ],
            "brings them up to date itself",
        ),
    ] {
        let refused = render(path(CHART).to_str().unwrap(), values).unwrap_err();
        assert!(refused.contains(said), "{refused}");
    }
}

#[test]
#[ignore = "needs Helm: make check-chart"]
fn the_package_renders_what_the_folder_does() {
    let folder = TempDir::new().unwrap();
    let destination = folder.path().to_str().unwrap();
    let packed = helm(&[
        "package",
        path(CHART).to_str().unwrap(),
        "--destination",
        destination,
    ]);
    assert!(packed.status.success(), "{packed:?}");
    let package = folder
        .path()
        .join(format!("weir-{}.tgz", env!("CARGO_PKG_VERSION")));
    // Without the random password.
    let values = [EVERYTHING, &["postgresql.secret=weir-postgresql"]].concat();
    let of_package = render(package.to_str().unwrap(), &values).unwrap();
    assert!(of_package == rendered(&values));
}

/// What people read after an installation, which names where SDKs find Weir and what to do next.
#[test]
#[ignore = "needs Helm: make check-chart"]
fn the_notes_say_what_to_do_next() {
    let folder = TempDir::new().unwrap();
    copy(&path(CHART), folder.path());
    // Without a cluster Helm shows no notes, but a template may take them in.
    let template = r#"{{ dict "kind" "Notes" "metadata" (dict "name" "weir") "notes"
        (include (print $.Template.BasePath "/NOTES.txt") .) | toJson }}"#;
    std::fs::write(folder.path().join("templates/notes.yaml"), template).unwrap();
    let notes = |values: &[&str]| {
        let all = render(folder.path().to_str().unwrap(), values).unwrap();
        object(&all, "Notes", "weir")["notes"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let plain = notes(&[]);
    for said in [
        "create secret generic weir-database",
        "http://weir.weir.svc:5778/v1/metrics",
        "http://weir.weir.svc:14250\n",
        "weir token create --name anna --role admin",
        "curl -X PUT http://127.0.0.1:8778/v1/budget",
        "docs/connect.md",
    ] {
        assert!(plain.contains(said), "{said}: {plain}");
    }
    assert!(!plain.contains(":2000"), "{plain}");
    let everything = notes(EVERYTHING);
    for said in [
        "https://weir.weir.svc:2000/s/SERVICE",
        "curl --insecure -X PUT https://127.0.0.1:8778/v1/budget",
        "no standby and no backup",
    ] {
        assert!(everything.contains(said), "{said}: {everything}");
    }
    assert!(!everything.contains("create secret"), "{everything}");
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        if from.is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).unwrap();
        }
    }
}
