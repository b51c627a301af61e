//! The files that Compose mounts fit together: Grafana finds Prometheus, and the dashboard.

use serde_json::Value;
use yaml_rust2::YamlLoader;

use crate::contract::document::value;

use super::document::root;

fn yaml(file: &str) -> Value {
    let text = std::fs::read_to_string(root().join("deploy").join(file)).unwrap();
    value(&YamlLoader::load_from_str(&text).unwrap()[0])
}

fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap().iter();
    list.map(|item| item.as_str().unwrap()).collect()
}

/// The file or folder of deploy/ that is mounted into a service at a path.
fn mounted(service: &Value, path: &str) -> Option<String> {
    texts(&service["volumes"]).into_iter().find_map(|volume| {
        let (from, to) = volume.split_once(':')?;
        let to = to.strip_suffix(":ro")?;
        let rest = path.strip_prefix(to)?;
        Some(format!("{}{rest}", from.strip_prefix("./")?))
    })
}

#[test]
fn grafana_asks_prometheus_which_scrapes_weir() {
    let compose = yaml("compose.yaml");
    let services = &compose["services"];
    let sources = yaml("grafana/provisioning/datasources/prometheus.yaml");
    let source = &sources["datasources"][0];
    assert_eq!(source["type"], "prometheus");
    assert_eq!(source["url"], "http://prometheus:9090");
    assert_eq!(services["grafana"]["networks"][0], "watching");
    assert!(texts(&services["prometheus"]["networks"]).contains(&"watching"));

    let command = texts(&services["prometheus"]["command"]);
    let config = command
        .iter()
        .find_map(|argument| argument.strip_prefix("--config.file="));
    let config = mounted(&services["prometheus"], config.unwrap()).unwrap();
    let config = yaml(&config);
    let scrape = &config["scrape_configs"][0];
    assert_eq!(scrape["static_configs"][0]["targets"][0], "weir:8778");
    assert_eq!(
        services["weir"]["environment"]["WEIR_ADMIN_LISTEN"],
        "0.0.0.0:8778"
    );
    assert!(texts(&services["prometheus"]["networks"]).contains(&"weir"));
    let interval = &config["global"]["scrape_interval"];
    assert_eq!(source["jsonData"]["timeInterval"], *interval);
    for file in texts(&config["rule_files"]) {
        let file = file.rsplit('/').next().unwrap();
        let there = std::fs::read_dir(root().join("deploy/prometheus")).unwrap();
        let mut names = there.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let fits = |name: String| match file.split_once('*') {
            Some((before, after)) => name.starts_with(before) && name.ends_with(after),
            None => name == file,
        };
        assert!(names.any(fits), "{file}");
    }
}

#[test]
fn grafana_finds_the_dashboard() {
    let compose = yaml("compose.yaml");
    let grafana = &compose["services"]["grafana"];
    let providers = yaml("grafana/provisioning/dashboards/weir.yaml");
    let folder = providers["providers"][0]["options"]["path"].as_str();
    let file = format!("{}/weir.json", folder.unwrap());
    assert_eq!(
        grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"],
        *file
    );
    assert_eq!(
        mounted(grafana, &file).as_deref(),
        Some("grafana/weir.json")
    );
    let settings = mounted(grafana, "/etc/grafana/provisioning");
    assert_eq!(settings.as_deref(), Some("grafana/provisioning"));
}

#[test]
fn the_types_are_those_of_the_grafana_that_runs() {
    let text = std::fs::read_to_string(root().join("tests/grafana/package.json")).unwrap();
    let package: Value = serde_json::from_str(&text).unwrap();
    let version = package["dependencies"]["@grafana/schema"].as_str().unwrap();
    let image = format!("grafana/grafana:{version}");
    assert_eq!(yaml("compose.yaml")["services"]["grafana"]["image"], *image);
}

#[test]
fn what_watches_is_locked_up_and_heard_on_this_machine_alone() {
    let compose = yaml("compose.yaml");
    for (name, service) in compose["services"].as_object().unwrap() {
        for port in service.get("ports").map(texts).unwrap_or_default() {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
        if name == "postgres" {
            continue;
        }
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(texts(&service["security_opt"]), ["no-new-privileges:true"]);
    }
    let password = &compose["services"]["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"];
    assert!(
        password
            .as_str()
            .unwrap()
            .starts_with("${GRAFANA_PASSWORD:?")
    );
}
