//! Readings of counters.

use super::*;

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
