//! What databases, Grafana and Prometheus export is played, or refused by a sentence that says what to
//! export instead.

use std::io::Write;

use weir::cli::simulate::simulate;

use super::Recorded;

/// Ten minutes from 2021-03-01 11:00 UTC, in seconds since 1970.
fn minutes() -> impl Iterator<Item = u64> {
    (0..10).map(|minute| 1_614_596_400 + 60 * minute)
}

/// Lines of two operations of a service: 100 and 7 requests a minute.
fn list(header: &str, line: impl Fn(u64, &str, u64) -> String) -> String {
    let mut text = header.to_owned();
    for time in minutes() {
        for (operation, count) in [("GET /", 100), ("POST /cart", 7)] {
            text.push('\n');
            text.push_str(&line(time, operation, count));
        }
    }
    text
}

fn minute(time: u64) -> u64 {
    (time - 1_614_596_400) / 60
}

/// The answer of Prometheus, with fractions that add up to whole requests.
fn answer() -> String {
    let series = |operation: &str, count: f64| {
        let value = |time: u64| {
            let fraction = if time.is_multiple_of(120) {
                0.25
            } else {
                -0.25
            };
            format!("[{time},\"{}\"]", count + fraction)
        };
        let values: Vec<String> = minutes().map(value).collect();
        format!(
            r#"{{"metric":{{"service_name":"cart","span_name":"{operation}"}},"values":[{}]}}"#,
            values.join(",")
        )
    };
    format!(
        r#"{{"status":"success","data":{{"resultType":"matrix","result":[{},{}]}}}}"#,
        series("GET /", 100.0),
        series("POST /cart", 7.0)
    )
}

/// The same traffic as databases export it.
fn databases() -> Vec<(&'static str, String)> {
    vec![
        (
            "OpenTelemetry in ClickHouse",
            list(
                "Timestamp,ServiceName,SpanName,count()",
                |time, of, count| {
                    format!(
                        "2021-03-01 11:{:02}:00.000000000,cart,{of},{count}",
                        minute(time)
                    )
                },
            ),
        ),
        (
            "BigQuery",
            list(
                "minute_start,service_name,span_name,request_count",
                |time, of, count| {
                    format!("2021-03-01 11:{:02}:00 UTC,cart,{of},{count}", minute(time))
                },
            ),
        ),
        (
            "PostgreSQL",
            list("ts|service|endpoint|count", |time, of, count| {
                format!("2021-03-01 11:{:02}:00+00|cart|{of}|{count}", minute(time))
            }),
        ),
        (
            "pandas",
            list(
                "timestamp,service_name,operation_name,requests",
                |time, of, count| format!("{time}.0,cart,{of},{count}.0"),
            ),
        ),
    ]
}

/// The same traffic as Grafana exports it.
fn grafana() -> Vec<(&'static str, String)> {
    let wide = |header: &str, separator: &str| {
        let mut text = header.to_owned();
        for time in minutes() {
            let cells = [
                format!("2021-03-01 11:{:02}:00", minute(time)),
                "100".into(),
                "7".into(),
            ];
            text.push_str(&format!("\r\n{}", cells.join(separator)));
        }
        text
    };
    vec![
        (
            "Grafana's table",
            list(
                "\"Time\",\"service_name\",\"span_name\",\"Value #A\"",
                |time, of, count| format!("{}000,cart,{of},{count}", time),
            ),
        ),
        (
            "Grafana, joined by time",
            wide(
                "\u{feff}sep=,\r\n\"Time\",\"{service_name=\"\"cart\"\", span_name=\"\"GET /\"\"}\",\"{service_name=\"\"cart\"\", span_name=\"\"POST /cart\"\"}\"",
                ",",
            ),
        ),
        (
            "Grafana with semicolons",
            wide(
                "Time;calls {service_name=\"cart\", span_name=\"GET /\"};calls {service_name=\"cart\", span_name=\"POST /cart\"}",
                ";",
            ),
        ),
        (
            "Grafana, series as rows",
            list("\"Series\";\"Time\";\"Value\"", |time, of, count| {
                format!(
                    "\"{{service_name=\"\"cart\"\", span_name=\"\"{of}\"\"}}\";2021-03-01T12:{:02}:00+01:00;{count}",
                    minute(time)
                )
            }),
        ),
    ]
}

/// The same traffic as other systems export it.
fn others() -> Vec<(&'static str, String)> {
    vec![
        (
            "span metrics by status",
            list(
                "timestamp,service.name,span.name,status.code,traces_span_metrics_calls_total",
                |time, of, count| {
                    format!(
                        "{time},cart,{of},OK,{}\n{time},cart,{of},ERROR,3",
                        count - 3
                    )
                },
            ),
        ),
        (
            "Kibana",
            list(
                "\"@timestamp per minute\",\"Top values of service.name\",\"Top values of transaction.name\",\"Count of records\"",
                |time, of, count| {
                    format!(
                        "\"Mar 1, 2021 @ 11:{:02}:00.000\",cart,{of},{count}",
                        minute(time)
                    )
                },
            ),
        ),
        (
            "Datadog",
            list("timestamp,service,resource_name,hits", |time, of, count| {
                format!("{time}000000,cart,{of},{count}")
            }),
        ),
        (
            "nothing where nothing came",
            list("time,service,operation,count", |time, of, count| {
                format!("{time}000000000,cart,{of},{count}\n{time}000000000,cart,GET /none,NaN")
            }),
        ),
        ("Prometheus", answer()),
    ]
}

#[test]
fn what_systems_export_plays_the_same_traffic() {
    let exports = [databases(), grafana(), others()];
    for (system, text) in exports.into_iter().flatten() {
        let recorded = Recorded::file(&text);
        let offered = &recorded.played(&[])["offered"];
        assert_eq!(offered.iter().sum::<f64>(), 1070.0, "{system}");
        if system != "Prometheus" {
            assert_eq!(*offered, vec![107.0; 10], "{system}");
        }
        let runs = recorded.args(&[]).prepare().unwrap().runs;
        let traffic = &runs[0].traffic;
        let operations: Vec<&str> = traffic
            .operations()
            .iter()
            .map(|of| of.name.as_str())
            .collect();
        for operation in ["GET /", "POST /cart"] {
            assert!(operations.contains(&operation), "{system}: {operations:?}");
        }
        assert_eq!(traffic.services().len(), 1, "{system}");
        assert_eq!(traffic.services()[0].name.as_str(), "cart", "{system}");
    }
}

#[test]
fn a_compressed_export_is_played() {
    let recorded = Recorded::file("");
    let file = std::fs::File::create(recorded.path("traffic.csv")).unwrap();
    let mut to = flate2::write::GzEncoder::new(file, flate2::Compression::default());
    to.write_all(answer().as_bytes()).unwrap();
    to.finish().unwrap();
    let offered = &recorded.played(&[])["offered"];
    assert_eq!(offered.iter().sum::<f64>(), 1070.0);
}

#[test]
fn rare_requests_are_not_rounded_away() {
    let mut text = "timestamp,service,operation,count".to_owned();
    (0..20).for_each(|minute| text.push_str(&format!("\n10:{minute:02},a,x,0.3")));
    let offered = &Recorded::file(&text).played(&[])["offered"];
    assert_eq!(offered.iter().sum::<f64>(), 6.0);
}

#[test]
fn what_is_assumed_is_said() {
    for (text, said) in [
        (
            "time,app,handler,Value\n10:00,a,/,1\n10:01,a,/,1\n",
            "app is read as the service",
        ),
        (
            "time,app,handler,Value\n10:00,a,/,1\n10:01,a,/,1\n",
            "Value is read as the count",
        ),
        (
            "time,service,weird,operation\n10:00,a,1,x\n10:01,a,1,x\n",
            "weird is read as the count",
        ),
        (
            "time,service,count\n10:00,a,1\n10:01,a,1\n",
            "nothing names the operations",
        ),
        (
            "time,route,count\n10:00,a,1\n10:01,a,1\n",
            "nothing names the services",
        ),
        (
            "time,service,operation,count\n1,a,x,1\n2,a,x,1\n",
            "numbers without a unit",
        ),
        (
            "time,service,operation,count\n10:00,a,x,1\n",
            "one row of time only",
        ),
        (
            "time,service,operation,count\n10:00,a,x,1.5\n10:01,a,x,\n",
            "have a fraction",
        ),
        (
            "time,service,operation,count\n10:00,a,x,1.5\n10:01,a,x,\n",
            "without a number",
        ),
        (
            "time,service,operation,pod,count\n10:00,a,x,p,1\n10:01,a,x,q,1\n",
            "only pod",
        ),
        (
            "time,service,span_name,calls_total\n10:00,a,x,1\n10:01,a,x,1\n",
            "not a rate",
        ),
        (
            "time,GET /,POST /\n10:00,1,2\n10:01,1,2\n",
            "operations of one service",
        ),
    ] {
        let notes = Recorded::file(text).args(&[]).prepare().unwrap().notes;
        assert!(
            notes.iter().any(|note| note.contains(said)),
            "{said}: {notes:?}"
        );
    }
}

/// Checks that a file is refused with its place and with these words.
fn assert_refused(text: &str, said: &str) {
    let error = simulate(&Recorded::file(text).args(&[]))
        .unwrap_err()
        .to_string();
    assert!(error.contains(said), "{text}: {error}");
    assert!(error.contains("traffic.csv:"), "{text}: {error}");
    assert!(error.len() < 500, "{error}");
}

#[test]
fn times_and_numbers_that_could_be_two_are_refused() {
    for (line, said) in [
        ("03/01/2021 11:00,a,x,1", "day and the month"),
        ("2021-03-01 11:00 CET,a,x,1", "write UTC or an offset"),
        ("1.61E+09,a,x,1", "write all digits"),
        ("2021030111,a,x,1", "may be a date"),
        ("soon,a,x,1", "write times like"),
        ("0,a,x,1\n300,a,x,1", "--row-seconds"),
        ("44256,a,x,1\n44257,a,x,1", "--row-seconds"),
        (
            "2021-03-01T11:00:00Z,a,x,1\n2021-03-01 11:01:00,a,x,1",
            "is not a time like",
        ),
        ("10:00,a,x,3.03 K", "without a sign or a unit"),
        ("10:00,a,x,-3", "is not a count"),
        ("10:00,a,x,\"3,000\"\n10:01,a,x,\"2,5\"", "thousands"),
    ] {
        assert_refused(
            &format!("timestamp,service,operation,count\n{line}\n"),
            said,
        );
    }
    assert_refused("time;service;count\n10:00;a;3.000\n", "thousands");
    assert_refused(
        "date,time,service,count\n2021-03-01,11:00,a,1\n",
        "may both be the time",
    );
}

#[test]
fn columns_that_could_be_misread_are_refused() {
    for (header, said) in [
        (
            "time,operation_name,resource_name,count",
            "may both be the operation",
        ),
        ("time,ServiceName,Foo,count", "rename it operation"),
        ("service_name,span_name,status,Value", "has times"),
        ("Timestamp,TraceId,SpanName,Duration", "line for every span"),
        ("time,service,operation,p99", "count the requests"),
        ("time,service,operation,rps", "is a rate"),
        ("time,service,operation,req/s", "is a rate"),
        ("time,\"rate(calls_total[5m])\",b,c", "is a rate"),
        ("time,calls,errors,c", "not the name of an operation"),
        (
            "time,\"{status_code=\"\"200\"\"}\",b,c",
            "sum by (service_name, span_name)",
        ),
        (
            "time,\"calls{service_name=\"\"a\"\", le=\"\"5\"\"}\",b,c",
            "buckets",
        ),
        (
            "2021-03-01 11:00:00,a,x,5",
            "first line must name the columns",
        ),
    ] {
        assert_refused(&format!("{header}\n10:00,1,2,3\n"), said);
    }
    assert_refused(
        "Series;Time;Value\n200;10:00;1\n500;10:00;1\n",
        "named by a number",
    );
    let counter: String = (0..9)
        .map(|at| format!("10:0{at},a,x,{}\n", 90 + at))
        .collect();
    assert_refused(
        &format!("time,service,operation,calls_total\n{counter}"),
        "only grow",
    );
}

#[test]
fn other_formats_are_refused_by_what_they_are() {
    for (text, said) in [
        ("{\"resourceSpans\":[]}", "query_range"),
        (&answer().replace("matrix", "vector"), "query_range"),
        (
            "{\"status\":\"error\",\"error\":\"parse error\"}",
            "parse error",
        ),
        (
            "{\"a\":1}\n{\"a\":2}\n",
            "timestamp,service,operation,count",
        ),
        ("PK\u{3}\u{4}workbook", "save it as CSV"),
        ("# HELP calls_total Calls.\n", "query a range"),
        ("<html>sign in</html>", "web page"),
    ] {
        assert_refused(text, said);
    }
}
