//! Hostile exports of OTLP.

use tokio::task::JoinSet;

use super::bodies::{Hostile, MIB, gzip, start};
use super::{Poller, agents, assert_memory_bounded, serves_a_plan};

/// A message of protobuf as the field `number` of another, which is shorter than 2 MiB.
fn field(number: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    let bits = |shift: u32| (length >> shift & 0x7f) as u8;
    let head = [number << 3 | 2, bits(0) | 0x80, bits(7) | 0x80, bits(14)];
    [&head[..], message].concat()
}

/// An export of protobuf with these points of a histogram.
fn histogram(points: &[u8]) -> Vec<u8> {
    let name = field(1, b"http.server.request.duration");
    // The points, and that they are cumulative.
    let histogram = field(9, &[points, &[0x10, 2]].concat());
    field(1, &field(2, &field(2, &[name, histogram].concat())))
}

/// A point of one request with this method.
fn point(method: &str) -> Vec<u8> {
    let value = field(2, &field(1, method.as_bytes()));
    let attribute = field(9, &[field(1, b"http.request.method"), value].concat());
    // From the time 1 to the time 2, of 1 request.
    let fixed = |number: u8, value: u8| [number << 3 | 1, value, 0, 0, 0, 0, 0, 0, 0];
    let fixed = [fixed(2, 1), fixed(3, 2), fixed(4, 1)].concat();
    field(1, &[attribute, fixed].concat())
}

/// Exports that take their reader's memory or time, if it lets them.
fn hostile_exports() -> Vec<(&'static str, Hostile)> {
    let json = |what, body: String, status| ("json", Hostile::plain(what, body, status));
    let protobuf = |what, body, status| ("x-protobuf", Hostile::plain(what, body, status));
    let resources = |one: &str, times| {
        let all = vec![one; times].join(",");
        format!("{{\"resourceMetrics\":[{all}]}}")
    };
    let scopes = vec!["{}"; 60_000].join(",");
    let methods: Vec<u8> = (0..15_000)
        .flat_map(|number| point(&number.to_string()))
        .collect();
    let attributes = [0x4a, 0].repeat(1024);
    let attributes = field(1, &attributes).repeat(900);
    let nested = format!("{}1{}", "[".repeat(MIB), "]".repeat(MIB));
    let unknown = format!("{{\"resourceMetrics\":[],\"x\":{nested}}}");
    vec![
        json("60,000 resources", resources("{}", 60_000), 200),
        json("a million resources", resources("{}", 1_000_000), 400),
        json(
            "resources of 60,000 scopes",
            resources(&format!("{{\"scopeMetrics\":[{scopes}]}}"), 20),
            200,
        ),
        json("lists in lists", "[".repeat(4 * MIB), 400),
        json("lists in lists, unknown", unknown, 200),
        json(
            "resources in resources",
            "{\"resourceMetrics\":[".repeat(100_000),
            400,
        ),
        json("nothing but spaces", " ".repeat(4 * MIB), 400),
        protobuf("two million resources", [0x0a, 0].repeat(2_000_000), 200),
        protobuf(
            "a million attributes",
            field(1, &field(1, &[0x0a, 0].repeat(900_000))),
            400,
        ),
        protobuf(
            "a million points",
            histogram(&[0x0a, 0].repeat(900_000)),
            200,
        ),
        protobuf("15,000 streams of one source", histogram(&methods), 200),
        protobuf(
            "900 points of 1,024 attributes",
            histogram(&attributes),
            200,
        ),
        protobuf(
            "a length of 4 GiB",
            vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
            400,
        ),
        (
            "x-protobuf",
            Hostile::encoded("a gzip bomb", "gzip", gzip(&vec![0; MIB], 256), 413),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_exports_are_answered_in_bounded_memory() {
    let (weir, _folder) = start(&[]).await;
    let mut agents = agents(&weir);
    serves_a_plan(&weir).await;
    let poller = Poller::start(&weir);
    let client = reqwest::Client::builder()
        .timeout(super::DEADLINE)
        .build()
        .unwrap();
    let mut sending = JoinSet::new();
    for (kind, hostile) in hostile_exports() {
        let request = client
            .post(format!("{}/v1/metrics", weir.sdk_url()))
            .header("Content-Type", format!("application/{kind}"))
            .header("Content-Encoding", hostile.encoding)
            .body(hostile.body);
        sending.spawn(async move {
            let answer = request.send().await.expect("an answer");
            (hostile.what, hostile.status, answer.status().as_u16())
        });
        // Two at a time.
        if sending.len() > 1 {
            let (what, expected, status) = sending.join_next().await.unwrap().unwrap();
            assert_eq!(status, expected, "{what}");
        }
    }
    while let Some(sent) = sending.join_next().await {
        let (what, expected, status) = sent.unwrap();
        assert_eq!(status, expected, "{what}");
    }
    agents.finish().await;
    poller.all_answered().await;
    assert_memory_bounded(&weir, "hostile exports");
}
