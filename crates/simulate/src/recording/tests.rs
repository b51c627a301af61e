//! Every format, as small files, and files that must be refused.

mod exports;

use super::*;
use weir_allocation::NameError;

fn read_text(text: &str) -> Recording {
    parse(text.as_bytes(), &ReadOptions::default())
        .0
        .unwrap_or_else(|at| panic!("{text:?}: {}:{} {}", at.line, at.column, at.fault))
}

fn fault(text: &str) -> (u64, usize, RecordingFault) {
    let at = parse(text.as_bytes(), &ReadOptions::default())
        .0
        .expect_err("is faulty");
    (at.line, at.column, at.fault)
}

/// The counts of an operation, which must exist.
fn counts<'a>(recording: &'a Recording, service: &str, operation: &str) -> &'a [u32] {
    let traffic = &recording.traffic;
    let found = traffic.operations().iter().find(|of| {
        of.name.as_str() == operation && traffic.services()[of.service].name.as_str() == service
    });
    &found
        .unwrap_or_else(|| panic!("no {service} {operation}"))
        .counts
}

#[test]
fn the_azure_format_makes_an_app_a_service_and_a_function_an_operation() {
    let text =
        "owner12,app12,function12,trigger,480,481\no,shop,buy,http,3,4\no,shop,look,timer,0,9\n";
    let recording = read_text(text);
    assert_eq!(recording.traffic.labels(), ["480", "481"]);
    assert_eq!(recording.row_seconds, 60.0);
    assert_eq!(counts(&recording, "shop", "look"), [0, 9]);
    assert_eq!(recording.notes, Vec::<String>::new());
}

#[test]
fn a_whole_day_under_the_data_sets_own_header_is_known_too() {
    let minutes: Vec<String> = (1..=1440).map(|minute| minute.to_string()).collect();
    let ones = vec!["1"; 1440].join(",");
    let header = format!(
        "HashOwner,HashApp,HashFunction,Trigger,{}",
        minutes.join(",")
    );
    let recording = read_text(&format!(
        "{header}\r\no,a,f,queue,{ones}\r\no,a,g,http,{ones}\r\n"
    ));
    assert_eq!(recording.traffic.rows(), 1440);
    assert_eq!(counts(&recording, "a", "g").len(), 1440);
}

#[test]
fn a_function_with_two_triggers_is_one_operation() {
    let header = "HashOwner,HashApp,HashFunction,Trigger,1,2\n";
    let recording = read_text(&format!("{header}o,a,f,queue,1,2\no,a,f,timer,10,20\n"));
    assert_eq!(counts(&recording, "a", "f"), [11, 22]);
    assert_eq!(recording.notes.len(), 1);
    let twice = fault(&format!("{header}o,a,f,queue,1,2\no,a,f,queue,1,2\n"));
    assert_eq!(twice, (3, 3, RecordingFault::Repeated(2)));
}

#[test]
fn the_own_format_is_service_operation_and_counts() {
    let recording = read_text("service,operation,09:00,09:05\nshop,\"GET /a,\"\"b\"\"\",1,2\n");
    assert_eq!(counts(&recording, "shop", "GET /a,\"b\""), [1, 2]);
    assert_eq!(recording.row_seconds, 300.0);
    let turned = read_text("Operation,Service,t0\nbuy,shop,7.0\n");
    assert_eq!(counts(&turned, "shop", "buy"), [7]);
    assert!(
        turned.notes[0].contains("are not times"),
        "{:?}",
        turned.notes
    );
}

#[test]
fn rows_that_the_own_format_lacks_are_closed_and_said() {
    let text = "service,operation,2022-08-22 03:53,2022-08-22 03:54,2022-08-22 04:02\ns,o,1,2,3\n";
    let recording = read_text(text);
    assert_eq!(counts(&recording, "s", "o"), [1, 2, 3]);
    assert_eq!(recording.row_seconds, 60.0);
    let note = &recording.notes[0];
    assert!(
        note.contains("7 rows") && note.contains("back to back"),
        "{note}"
    );
    let filled = ReadOptions {
        gaps: Some(Gaps::Zero),
        ..ReadOptions::default()
    };
    let recording = parse(text.as_bytes(), &filled).0.unwrap();
    assert_eq!(counts(&recording, "s", "o"), [1, 2, 0, 0, 0, 0, 0, 0, 0, 3]);
    assert_eq!(recording.traffic.labels()[2], "2022-08-22 03:55:00");
}

#[test]
fn operations_that_begin_no_trace_are_left_out() {
    let recording = read_text("service,operation,root_spans,t0\nshop,db,0,500\nshop,buy,7,7\n");
    assert_eq!(recording.traffic.operations().len(), 1);
    assert_eq!(recording.traffic.labels(), ["t0"]);
    assert!(recording.notes[0].starts_with("1 operations begin no trace"));
}

#[test]
fn a_column_says_the_class_of_traces() {
    let entry = |class: weir_allocation::Class| class.entry("buy");
    let (error, rest) = (
        entry(weir_allocation::Class::Error),
        entry(weir_allocation::Class::Rest),
    );
    for text in [
        "service,operation,class,t0,t1\nshop,buy,error,1,2\nshop,buy,rest,70,80\nshop,look,,5,6\n",
        "service,operation,class,root_spans,t0,t1\nshop,buy,error,9,1,2\nshop,buy,rest,9,70,80\nshop,look,,9,5,6\n",
        "minute,class,operation,service,count\n1,error,buy,shop,1\n2,error,buy,shop,2\n1,rest,buy,shop,70\n2,rest,buy,shop,80\n1,,look,shop,5\n2,,look,shop,6\n",
    ] {
        let recording = read_text(text);
        assert_eq!(counts(&recording, "shop", &error), [1, 2], "{text}");
        assert_eq!(counts(&recording, "shop", &rest), [70, 80], "{text}");
        assert_eq!(counts(&recording, "shop", "look"), [5, 6], "{text}");
        let mut notes = recording.notes.iter();
        assert!(!notes.any(|note| note.contains("class")), "{text}");
    }
    let class = |found: &str| RecordingFault::Class(found.into());
    for (text, at) in [
        (
            "service,operation,class,t0\na,x,error,1\na,x,failed,1\n",
            (3, 3),
        ),
        (
            "minute,service,operation,count,class\n1,a,x,5,failed\n",
            (2, 5),
        ),
    ] {
        let (line, column, found) = fault(text);
        assert_eq!((line, column), at, "{text}");
        assert_eq!(found, class("failed"));
        assert!(
            found
                .to_string()
                .contains("write error, slow, tagged or rest")
        );
    }
    let smuggled = format!("service,operation,t0\na,{error},1\n");
    assert_eq!(fault(&smuggled), (2, 2, RecordingFault::Reserved));
    let long = format!(
        "service,operation,class,t0\na,{},error,1\n",
        "x".repeat(512)
    );
    assert_eq!((fault(&long).0, fault(&long).1), (2, 3));
    let repeated = "service,operation,class,t0\na,x,error,1\na,x,error,1\n";
    assert_eq!(fault(repeated).2, RecordingFault::Repeated(2));
}

#[test]
fn a_list_may_have_its_columns_in_any_order() {
    for text in [
        "timestamp,service,operation,count\n2024-05-01 10:01,a,x,5\n2024-05-01 10:00,a,x,1\n2024-05-01 10:01,b,y,2\n",
        "service,operation,time,count\na,x,2024-05-01T10:01:00Z,5\na,x,2024-05-01T10:00:00Z,1\nb,y,2024-05-01T10:01:00Z,2\n",
        "requests,operation_name,minute,service_name\n5,x,11,a\n1,x,10,a\n2,y,11,b\n",
        "count\toperation\tservice\ttime\n5\tx\ta\t10:01\n1\tx\ta\t10:00\n2\ty\tb\t10:01\n",
    ] {
        let recording = read_text(text);
        assert_eq!(counts(&recording, "a", "x"), [1, 5], "{text}");
        assert_eq!(counts(&recording, "b", "y"), [0, 2], "{text}");
        assert_eq!(recording.row_seconds, 60.0, "{text}");
    }
}

#[test]
fn a_list_adds_up_what_it_tells_apart_otherwise_and_fills_its_gaps() {
    let text = "second,endpoint,status,requests\n5,/a,200,1\n5,/a,500,2\n6,/a,200,1\n9,/a,200,4\n";
    let recording = read_text(text);
    assert_eq!(counts(&recording, "recorded", "/a"), [3, 1, 0, 0, 4]);
    assert_eq!(recording.row_seconds, 1.0);
    assert!(recording.notes.iter().any(|note| note.contains("status")));
}

#[test]
fn a_table_has_an_operation_a_column() {
    let text = "timestamp,AAPL,AMZN\n2015-02-26 21:42:53,104,57\n2015-02-26 21:47:53,100,\n";
    let recording = read_text(text);
    assert_eq!(counts(&recording, "recorded", "AMZN"), [57, 0]);
    assert_eq!(recording.row_seconds, 300.0);
    let notes = recording.notes.join("\n");
    assert!(notes.contains("1 cells without a number"), "{notes}");
    assert!(notes.contains("operations of one service"), "{notes}");
}

#[test]
fn a_series_without_some_seconds_had_no_requests_in_them() {
    let text =
        "second,requests\n2023-11-16 18:15:46,1\n2023-11-16 18:15:50,3\n2023-11-16 18:15:51,2\n";
    let recording = read_text(text);
    assert_eq!(
        counts(&recording, "recorded", "requests"),
        [1, 0, 0, 0, 3, 2]
    );
    assert_eq!(recording.row_seconds, 1.0);
    let minutes = read_text("minute_gmt,requests\n1998-06-29 00:00:00,5\n1998-06-29 00:01:00,6\n");
    assert_eq!(minutes.row_seconds, 60.0);
    let turned = read_text("requests,minute\n5,480\n4,481\n6,483\n");
    assert_eq!(counts(&turned, "recorded", "requests"), [5, 4, 0, 6]);
}

#[test]
fn asked_row_seconds_win_over_times() {
    let reading = ReadOptions {
        row_seconds: Some(10.0),
        ..ReadOptions::default()
    };
    let text = "service,operation,t0,t1\na,b,1,2\n";
    assert_eq!(
        parse(text.as_bytes(), &reading).0.unwrap().row_seconds,
        10.0
    );
}

#[test]
fn a_fault_is_named_with_line_and_column() {
    let header = "service,operation,t0,t1\n";
    let name = |what, why| RecordingFault::Name { what, why };
    let cells = |found, expected| RecordingFault::Cells { found, expected };
    for (lines, expected) in [
        ("a,b,1,-2\n", (2, 4, RecordingFault::count("-2"))),
        (
            "a,b,1,1000000001\n",
            (2, 4, RecordingFault::count("1000000001")),
        ),
        ("a,b,1,2\na,c,1k,0\n", (3, 3, RecordingFault::count("1k"))),
        ("a,b,1,+Inf\n", (2, 4, RecordingFault::count("+Inf"))),
        ("a,b,1\n", (2, 4, cells(3, 4))),
        ("a,b,1,2,3\n", (2, 5, cells(5, 4))),
        (",b,1,2\n", (2, 1, name("service", NameError::Empty))),
        (
            "a,b\u{7}c,1,2\n",
            (2, 2, name("operation", NameError::ControlCharacter)),
        ),
        ("a,\"b,1,2\nc,d,1,2\n", (2, 2, RecordingFault::Quotes)),
        (
            "a,b,1,2\n\nc,d,1,2\na,b,0,0\n",
            (5, 2, RecordingFault::Repeated(2)),
        ),
        ("", (1, 1, RecordingFault::NoOperations)),
    ] {
        assert_eq!(fault(&format!("{header}{lines}")), expected, "{lines:?}");
    }
}

/// A time that differs in kind from the first.
fn time(found: &str, first: &str) -> RecordingFault {
    RecordingFault::Time {
        found: found.to_owned(),
        first: first.to_owned(),
    }
}

#[test]
fn faults_of_lists_and_tables_are_placed_too() {
    let list = "timestamp,service,operation,count\n2024-01-01 00:00,a,x,1\n";
    let table = "timestamp,A,B\n00:00,1,2\n";
    for (text, expected) in [
        (
            format!("{list}yesterday,a,x,1\n"),
            (3, 1, time("yesterday", "2024-01-01 00:00")),
        ),
        (
            format!("{list}2024-01-01 00:01,a,x,many\n"),
            (3, 4, RecordingFault::count("many")),
        ),
        (
            format!("{list}2024-01-01 00:01,a,x\n"),
            (
                3,
                4,
                RecordingFault::Cells {
                    found: 3,
                    expected: 4,
                },
            ),
        ),
        (
            format!("{table}00:01,1,x\n"),
            (3, 3, RecordingFault::count("x")),
        ),
        (
            format!("{table}25:01,1,2\n"),
            (3, 1, time("25:01", "00:00")),
        ),
        (
            format!("{table}00:01,1\n"),
            (
                3,
                3,
                RecordingFault::Cells {
                    found: 2,
                    expected: 3,
                },
            ),
        ),
        (
            "timestamp,A,\n00:00,1,2\n".into(),
            (
                1,
                3,
                RecordingFault::Name {
                    what: "operation",
                    why: NameError::Empty,
                },
            ),
        ),
        ("timestamp,A\n".into(), (1, 1, RecordingFault::NoOperations)),
        (
            "service,operation,00:00,t1\na,b,1,2\n".into(),
            (1, 4, time("t1", "00:00")),
        ),
        (
            "service,operation,00:00,total\na,b,1,1\n".into(),
            (1, 4, time("total", "00:00")),
        ),
        (
            "app,route,00:00,00:01\na,b,1,1\n".into(),
            (
                1,
                1,
                RecordingFault::Perhaps {
                    what: "service",
                    name: "app".into(),
                },
            ),
        ),
    ] {
        assert_eq!(fault(&text), expected, "{text:?}");
    }
}

#[test]
fn a_faulty_header_is_refused() {
    for text in [
        "",
        "AAPL,AMZN\n1,2\n",
        "HashOwner,HashApp,HashFunction,Average,Count\no,a,f,1,2\n",
    ] {
        assert_eq!(
            fault(text),
            (1, 1, RecordingFault::UnknownHeader),
            "{text:?}"
        );
    }
    assert_eq!(
        fault("service,operation\na,b\n"),
        (1, 3, RecordingFault::NoRows)
    );
    assert_eq!(fault("timestamp\n10:00\n"), (1, 2, RecordingFault::NoRows));
    assert_eq!(
        fault("service,operation,t,t\na,b,1,2\n"),
        (1, 4, RecordingFault::RepeatedLabel("t".into()))
    );
}

#[test]
fn bytes_that_are_not_text_are_refused() {
    let bytes: &[u8] = b"service,operation,t\na,\xff\xfe,1\n";
    let at = parse(bytes, &ReadOptions::default())
        .0
        .expect_err("is faulty");
    assert_eq!(
        (at.line, at.column, at.fault),
        (2, 2, RecordingFault::NotText)
    );
}

#[test]
fn a_long_cell_is_cut_short_in_the_message() {
    let (.., fault) = fault(&format!("service,operation,t\na,b,{}\n", "9".repeat(5000)));
    assert!(fault.to_string().len() < 200, "{fault}");
}

#[test]
fn hostile_sizes_are_refused_before_they_cost_anything() {
    let commas = ",".repeat(MOST_CELLS);
    let (.., wide) = fault(&format!("service,operation{commas}\n"));
    assert!(matches!(wide, RecordingFault::TooMany { .. }), "{wide}");
    let line = "x".repeat(LONGEST_LINE as usize + 2);
    assert_eq!(fault(&line), (1, 1, RecordingFault::LongLine));
    let (line, column, far) = fault("second,requests\n0,1\n1,1\n1000000000000,1\n");
    assert_eq!((line, column), (4, 1), "{far}");
    let (line, column, far) = fault(
        "timestamp,requests\n0001-01-01 00:00:00,1\n0001-01-01 00:00:01,1\n9999-01-01 00:00:00,1\n",
    );
    assert_eq!((line, column), (4, 1), "{far}");
    assert!(matches!(far, RecordingFault::TooMany { .. }), "{far}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = read_traffic(Path::new("no/such/file.csv")).expect_err("is not there");
    assert!(
        error
            .to_string()
            .starts_with("cannot read no/such/file.csv")
    );
    let error = read_traffic(Path::new(env!("CARGO_MANIFEST_DIR"))).expect_err("is a folder");
    assert!(error.to_string().starts_with("cannot read "), "{error}");
}
