//! Every format of traffic file is simulated, and what is not valid is refused.

use weir::cli::simulate::simulate;

use super::Recorded;

/// Ten minutes of two operations in every format; 100 and 7 requests a minute.
fn formats() -> Vec<(&'static str, String)> {
    let minute = |minute: usize| format!("2024-05-01 23:{:02}", 50 + minute);
    let cells = |count: usize| vec![count.to_string(); 10].join(",");
    let numbers: Vec<String> = (1..=10).map(|minute| minute.to_string()).collect();
    let times: Vec<String> = (0..10).map(minute).collect();
    let azure = format!(
        "HashOwner,HashApp,HashFunction,Trigger,{}\no,a,f,http,{}\no,a,g,timer,{}\n",
        numbers.join(","),
        cells(100),
        cells(7)
    );
    let own = format!(
        "service,operation,{}\na,f,{}\na,g,{}\n",
        times.join(","),
        cells(100),
        cells(7)
    );
    let mut list = "timestamp,service,operation,count\n".to_owned();
    let mut table = "timestamp,f,g\n".to_owned();
    let mut series = "minute_gmt,requests\n".to_owned();
    let mut seconds = "second,requests\n".to_owned();
    for (number, time) in times.iter().enumerate() {
        list.push_str(&format!("{time},a,f,100\n{time},a,g,7\n"));
        table.push_str(&format!("{time}:00,100,7\n"));
        series.push_str(&format!("{time}:00,107\n"));
        // Two seconds of the minute, and the very last, so that the span is whole.
        let last = if number == 9 { 59 } else { 41 };
        seconds.push_str(&format!("{time}:00,100\n{time}:{last},7\n"));
    }
    vec![
        ("azure", azure),
        ("own", own),
        ("list", list),
        ("table", table),
        ("series", series),
        ("seconds", seconds),
    ]
}

#[test]
fn every_format_plays_the_same_traffic() {
    for (format, text) in formats() {
        let recorded = Recorded::file(&text);
        let columns = recorded.played(&[]);
        assert_eq!(columns["offered"], vec![107.0; 10], "{format}");
        // Twice the speed gives half the intervals; half the interval gives twice as many.
        let fast = recorded.played(&["--time-scale=2"]);
        assert_eq!(fast["offered"], vec![214.0; 5], "{format}");
        let fine = recorded.played(&["--interval=30s"]);
        assert_eq!(fine["offered"].len(), 20, "{format}");
        assert_eq!(fine["offered"].iter().sum::<f64>(), 1070.0, "{format}");
    }
}

#[test]
fn a_long_row_is_spread_over_its_intervals_in_whole_requests() {
    let text = "timestamp,a,b\n2015-02-26 21:42:53,104,3\n2015-02-26 21:47:53,99,0\n";
    let offered = &Recorded::file(text).played(&[])["offered"];
    assert_eq!(offered.len(), 10);
    assert_eq!(offered[..5].iter().sum::<f64>(), 107.0);
    assert_eq!(offered[5..].iter().sum::<f64>(), 99.0);
    // Requests arrive at random: whole numbers, which differ between intervals.
    assert!(offered.iter().all(|count| count.fract() == 0.0));
    assert!(offered[5..].iter().any(|count| *count != offered[5]));
}

#[test]
fn rows_without_times_last_as_long_as_asked() {
    let recorded = Recorded::file("service,operation,t0,t1\na,x,60,120\n");
    assert_eq!(recorded.played(&[])["offered"], [60.0, 120.0]);
    let spread = recorded.played(&["--row-seconds=120"]);
    let offered = &spread["offered"];
    assert_eq!(offered.len(), 4);
    assert_eq!(
        (offered[0] + offered[1], offered[2] + offered[3]),
        (60.0, 120.0)
    );
}

#[test]
fn a_missing_minute_is_left_out_or_played_as_silence() {
    let recorded = Recorded::file("service,operation,10:00,10:01,10:03\na,x,5,6,7\n");
    assert_eq!(recorded.played(&[])["offered"], [5.0, 6.0, 7.0]);
    let silent = recorded.played(&["--gaps=zero"]);
    assert_eq!(silent["offered"], [5.0, 6.0, 0.0, 7.0]);
}

#[test]
fn hostile_files_are_refused_with_the_place() {
    let name = "n".repeat(5000);
    for (text, place) in [
        ("\0\0\0\0\n", ":1:1:"),
        ("service,operation,t0\na,b,18446744073709551616\n", ":2:3:"),
        ("service,operation,t0\na,b,-0\n", ":2:3:"),
        (
            "timestamp,a\n2024-01-01 00:00,1\n2024-02-30 00:00,1\n",
            ":3:1:",
        ),
        ("timestamp,service,operation,count\n1,a,b,∞\n", ":2:4:"),
        ("timestamp,requests\n0,1\n1,1\n99999999,1\n", ":4:1:"),
        (&format!("service,operation,t0\n{name},b,1\n"), ":2:1:"),
        (
            &format!("timestamp,{}\n", vec!["a"; 200_000].join(",")),
            ":1:",
        ),
        ("second,requests\n\"1,2\n", ":2:1:"),
    ] {
        let error = simulate(&Recorded::file(text).args(&[]))
            .unwrap_err()
            .to_string();
        assert!(error.contains(&format!("traffic.csv{place}")), "{error}");
        assert!(error.len() < 500, "{error}");
    }
}
