//! Load from wrk, which speaks for itself.

use std::process::Command;

/// What wrk found.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub requests_per_second: f64,
    pub p99_milliseconds: f64,
}

/// Asks for one service after the other.
const EVERY_SERVICE: &str = r#"
local at = math.random(SERVICES)
request = function()
    at = at % SERVICES + 1
    return wrk.format("GET", "/sampling?service=service-" .. (at - 1))
end
"#;

/// Connections that keep two cores busy, wrk's own thread included.
const ALL: u64 = 32;

/// Connections that leave the cores some room. With all of them, who waits is up to the scheduler: the
/// same server's 99th percentile is half a millisecond in one run and four in the next.
const FEW: u64 = 4;

/// Polls over `services` services for some seconds: as many as can be, for the rate.
pub fn poll(url: &str, services: usize, seconds: u32) -> Load {
    run(url, &every(services), ALL, seconds)
}

/// The same over a few connections, for how long an answer takes.
pub fn poll_few(url: &str, services: usize, seconds: u32) -> Load {
    run(url, &every(services), FEW, seconds)
}

fn every(services: usize) -> String {
    EVERY_SERVICE.replace("SERVICES", &services.to_string())
}

/// Runs a script for some seconds.
pub fn run(url: &str, script: &str, connections: u64, seconds: u32) -> Load {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script).unwrap();
    let output = Command::new("wrk")
        .args(["-t1", "-c", &connections.to_string()])
        .args(["-d", &format!("{seconds}s"), "--latency", "-s"])
        .args([file.path(), url.as_ref()])
        .output()
        .expect("wrk is installed (make bench does it)");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(!printed.contains("Non-2xx"), "{printed}");
    let after = |start: &str| {
        let line = printed.lines().find(|line| line.trim().starts_with(start));
        let word = line.and_then(|line| line.split_whitespace().last());
        word.unwrap_or_else(|| panic!("no {start}: {printed}"))
            .to_owned()
    };
    Load {
        requests_per_second: after("Requests/sec:").parse().unwrap(),
        p99_milliseconds: milliseconds(&after("99%")),
    }
}

fn milliseconds(text: &str) -> f64 {
    let (number, factor) = match text {
        _ if text.ends_with("us") => (&text[..text.len() - 2], 1e-3),
        _ if text.ends_with("ms") => (&text[..text.len() - 2], 1.0),
        _ => (text.trim_end_matches('s'), 1e3),
    };
    number.parse::<f64>().unwrap() * factor
}
