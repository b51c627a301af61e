//! Answers of Prometheus, compressed files, and readings of counters.

use super::*;

/// An answer to `query_range` with these series.
fn answer(series: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}}}}"#)
}

#[test]
fn an_answer_of_prometheus_is_read_whole_or_in_part() {
    let series = r#"{"metric":{"service_name":"shop","span_name":"GET /","status":"a"},"values":[[1614596400,"3.25"],[1614596460.0,"4"]]},
        {"values":[[1614596460,"2"],[1614596520,"NaN"],[1614596580,"1.75"]],"metric":{"service_name":"shop","span_name":"GET /","status":"b"}}"#;
    for text in [
        answer(series),
        format!("\n [{series}]"),
        format!(r#"{{"resultType":"matrix","result":[{series}]}}"#),
    ] {
        let recording = read_text(&text);
        assert_eq!(counts(&recording, "shop", "GET /"), [3, 6, 0, 2], "{text}");
        assert_eq!(recording.row_seconds, 60.0);
        assert_eq!(recording.traffic.labels()[0], "2021-03-01 11:00:00Z");
        let notes = recording.notes.join("\n");
        for said in [
            "fraction",
            "only status",
            "an increase() over that time",
            "without a number",
        ] {
            assert!(notes.contains(said), "{notes}");
        }
    }
}

#[test]
fn other_json_is_refused_by_what_it_is() {
    let one = |values: &str| answer(&format!(r#"{{"metric":{{"job":"a"}},{values}}}"#));
    let growing: Vec<String> = (0..12)
        .map(|row| format!(r#"[{},"{}"]"#, 1_614_596_400 + 60 * row, 9000 + 5 * row))
        .collect();
    for (text, expected) in [
        (
            r#"{"resourceSpans":[]}"#.to_owned(),
            RecordingFault::OtherJson,
        ),
        (
            r#"{"data":[{"traceID":"a"}]}"#.to_owned(),
            RecordingFault::OtherJson,
        ),
        (
            r#"[{"timestamp":1,"count":2}]"#.to_owned(),
            RecordingFault::OtherJson,
        ),
        ("{\"a\":1}\n{\"a\":2}".to_owned(), RecordingFault::OtherJson),
        (answer(r#"{"metric":{"#), RecordingFault::OtherJson),
        (
            r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#.to_owned(),
            RecordingFault::NotARange("vector".into()),
        ),
        (
            one(r#""value":[1614596400,"1"]"#),
            RecordingFault::NotARange("vector".into()),
        ),
        (
            r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#.to_owned(),
            RecordingFault::FailedQuery("parse error".into()),
        ),
        (one(r#""histograms":[]"#), RecordingFault::NativeHistogram),
        (
            r#"{"metric":{"job":"a"},"values":[1],"timestamps":[1614596400000]}"#.to_owned(),
            RecordingFault::Samples,
        ),
        (
            one(r#""values":[1,2],"timestamps":[3,4]"#),
            RecordingFault::OtherJson,
        ),
        (
            one(r#""values":[[1614596400,"-1"]]"#),
            RecordingFault::count("-1"),
        ),
        (
            one(&format!(r#""values":[{}]"#, growing.join(","))),
            RecordingFault::Counter("the series".into()),
        ),
        (one(r#""values":[]"#), RecordingFault::NoOperations),
        (
            one(r#""values":[[12,"1"]]"#),
            RecordingFault::UnknownTime {
                found: "12".into(),
                advice: "it must be in seconds since 1970",
            },
        ),
    ] {
        assert_eq!(fault(&text).2, expected, "{text}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(fault(&deep).2, RecordingFault::OtherJson);
}

#[test]
fn a_compressed_file_is_read_like_a_plain_one() {
    use std::io::Write;
    let packed = |text: &[u8]| {
        let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        to.write_all(text).unwrap();
        to.finish().unwrap()
    };
    let text = "timestamp,service,operation,count\n10:00,a,x,1\n10:01,a,x,2\n";
    let plain = read_text(text);
    let (read, _) = parse(packed(text.as_bytes()).as_slice(), &ReadOptions::default());
    assert_eq!(read.unwrap_or_else(|at| panic!("{}", at.fault)), plain);
    let mut halves = packed(&text.as_bytes()[..40]);
    halves.extend(packed(&text.as_bytes()[40..]));
    let (read, _) = parse(halves.as_slice(), &ReadOptions::default());
    assert_eq!(read.unwrap_or_else(|at| panic!("{}", at.fault)), plain);

    let whole = packed(text.as_bytes());
    let (cut, _) = parse(&whole[..whole.len() - 9], &ReadOptions::default());
    assert!(matches!(cut.unwrap_err().fault, RecordingFault::Unread(_)));
    let (twice, _) = parse(packed(&whole).as_slice(), &ReadOptions::default());
    assert_eq!(twice.unwrap_err().fault, RecordingFault::COMPRESSED_TWICE);
}

#[test]
fn readings_of_a_counter_are_refused_if_they_are_called_a_total_else_said() {
    let lines = |name: &str| {
        let mut text = format!("timestamp,service,operation,{name}\n");
        for minute in 0..30 {
            text.push_str(&format!("10:{minute:02},a,x,{}\n", 5000 + 7 * minute));
        }
        text
    };
    let (.., counter) = fault(&lines("calls_total"));
    assert!(matches!(counter, RecordingFault::Counter(_)), "{counter}");
    let notes = read_text(&lines("count")).notes;
    assert!(
        notes.iter().any(|note| note.contains("only grow")),
        "{notes:?}"
    );
    let table = "time,calls_total\n10:00,7\n10:01,9\n10:02,14\n10:03,15\n";
    assert!(matches!(fault(table).2, RecordingFault::Counter(_)));
    read_text("time,calls_total\n10:00,7\n10:01,9\n10:02,8\n10:03,15\n");
    let rows: String = (0..12)
        .map(|row| format!("10:{row:02},{}\n", 40 + row))
        .collect();
    let (.., counter) = fault(&format!("Time,\"{{service_name=\"\"a\"\"}}\"\n{rows}"));
    assert!(matches!(counter, RecordingFault::Counter(_)), "{counter}");
}
