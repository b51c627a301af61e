//! What asks for strategies: families of clients, by the `User-Agent` that they send.
//!
//! A program sends what its HTTP or gRPC library calls itself, so a family is mostly a language. There are few of
//! them, so that each service can count each without a lock and without memory for names.

/// A family of clients, as a place in the list of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PollClient(u8);

/// A family: its name, over what it asks, and how what it calls itself begins.
type ClientFamily = (&'static str, &'static str, &'static [&'static str]);

const HTTP: &str = "http";
const GRPC: &str = "grpc";

/// All families. The first that fits counts. The last of a protocol is all others, the one before it says nothing.
const FAMILIES: [ClientFamily; PollClient::COUNT] = [
    ("opentelemetry", HTTP, &["OTel", "OpenTelemetry"]),
    ("go", HTTP, &["Go-http-client"]),
    ("okhttp", HTTP, &["okhttp"]),
    ("java", HTTP, &["Java", "Apache-HttpClient"]),
    (
        "python",
        HTTP,
        &["python", "Python", "Tornado", "aiohttp", "urllib3"],
    ),
    (
        "node",
        HTTP,
        &["node", "undici", "axios", "Node", "got ", "superagent"],
    ),
    ("rust", HTTP, &["reqwest", "hyper"]),
    ("ruby", HTTP, &["Ruby", "Faraday"]),
    ("php", HTTP, &["GuzzleHttp", "PHP", "Symfony"]),
    ("cpp", HTTP, &["libcurl", "cpp-httplib", "Boost.Beast"]),
    ("dotnet", HTTP, &[".NET"]),
    ("curl", HTTP, &["curl", "Wget", "HTTPie"]),
    ("browser", HTTP, &["Mozilla"]),
    (
        "probe",
        HTTP,
        &["kube-probe", "ELB-HealthChecker", "GoogleHC", "Prometheus"],
    ),
    ("none", HTTP, &[]),
    ("other", HTTP, &[]),
    ("opentelemetry", GRPC, &["OTel", "OpenTelemetry"]),
    ("jaeger", GRPC, &["jaeger", "Jaeger"]),
    ("grpc-go", GRPC, &["grpc-go"]),
    ("grpc-java", GRPC, &["grpc-java"]),
    ("grpc-python", GRPC, &["grpc-python"]),
    ("grpc-node", GRPC, &["grpc-node"]),
    ("grpc-c++", GRPC, &["grpc-c++", "grpc-c/"]),
    ("grpc-dotnet", GRPC, &["grpc-dotnet"]),
    ("grpc-ruby", GRPC, &["grpc-ruby"]),
    ("grpc-php", GRPC, &["grpc-php"]),
    ("grpc-swift", GRPC, &["grpc-swift"]),
    ("tonic", GRPC, &["tonic"]),
    ("connect", GRPC, &["connect"]),
    ("okhttp", GRPC, &["okhttp"]),
    ("none", GRPC, &[]),
    ("other", GRPC, &[]),
];

/// The families over HTTP come first.
const OVER_HTTP: usize = 16;

/// The bytes of a `User-Agent` that are looked at.
const LOOKED_AT: usize = 256;

impl PollClient {
    /// How many families there are.
    pub const COUNT: usize = 32;

    /// The family of a client that asks over HTTP, by its `User-Agent`.
    #[must_use]
    pub fn over_http(user_agent: Option<&[u8]>) -> Self {
        Self::among(0, OVER_HTTP, user_agent)
    }

    /// The family of a client that asks over gRPC. Programs may put their own name in front.
    #[must_use]
    pub fn over_grpc(user_agent: Option<&[u8]>) -> Self {
        Self::among(OVER_HTTP, Self::COUNT, user_agent)
    }

    fn among(from: usize, to: usize, user_agent: Option<&[u8]>) -> Self {
        let Some(sent) = user_agent.filter(|sent| !sent.is_empty()) else {
            return Self((to - 2) as u8);
        };
        let sent = &sent[..sent.len().min(LOOKED_AT)];
        // From the start of each word on, to the end.
        let starts = || (0..sent.len()).filter(|at| *at == 0 || sent[at - 1] == b' ');
        let families = FAMILIES[from..to].iter();
        let mut begins = families.map(|(_, _, begins)| begins);
        let found = begins.position(|begins| {
            let begins_so = |part: &[u8]| begins.iter().any(|of| part.starts_with(of.as_bytes()));
            starts().any(|at| begins_so(&sent[at..]))
        });
        Self(found.map_or(to - 1, |found| from + found) as u8)
    }

    /// Its place in counters.
    #[must_use]
    pub fn place(self) -> usize {
        usize::from(self.0)
    }

    /// All families, by their places.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT as u8).map(Self)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        FAMILIES[self.place()].0
    }

    /// Over what it asks: `http` or `grpc`.
    #[must_use]
    pub fn protocol(self) -> &'static str {
        FAMILIES[self.place()].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_known_by_what_it_calls_itself() {
        for (sent, family) in [
            ("Go-http-client/1.1", "go"),
            ("okhttp/4.12.0", "okhttp"),
            ("python-requests/2.32.3", "python"),
            ("OTel-OTLP-Exporter-Python/1.27", "opentelemetry"),
            ("my-app/1 undici", "node"),
            ("got (https://github.com/sindresorhus/got)", "node"),
            ("gotify/2.5", "other"),
            ("curl/8.5.0", "curl"),
            ("something", "other"),
        ] {
            let found = PollClient::over_http(Some(sent.as_bytes()));
            assert_eq!((found.name(), found.protocol()), (family, HTTP), "{sent}");
        }
        for (sent, family) in [
            ("grpc-java-netty/1.68.1", "grpc-java"),
            ("checkout/1.0 grpc-go/1.67.1", "grpc-go"),
            (
                "OpenTelemetry Collector/0.111.0 (linux/amd64) grpc-go/1.67.1",
                "opentelemetry",
            ),
            (
                "grpc-python/1.66.1 grpc-c/43.0.0 (linux; chttp2)",
                "grpc-python",
            ),
            ("Go-http-client/2.0", "other"),
        ] {
            let found = PollClient::over_grpc(Some(sent.as_bytes()));
            assert_eq!((found.name(), found.protocol()), (family, GRPC), "{sent}");
        }
        for nothing in [None, Some(&b""[..])] {
            assert_eq!(PollClient::over_http(nothing).name(), "none");
            assert_eq!(PollClient::over_grpc(nothing).name(), "none");
        }
        let long = vec![b'a'; 1 << 20];
        assert_eq!(PollClient::over_grpc(Some(&long)).name(), "other");
        assert_eq!(PollClient::over_http(Some(&[0xff; 9])).name(), "other");
    }
}
