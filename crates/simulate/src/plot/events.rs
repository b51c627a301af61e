//! Marks where something happened: a line through the curves, and a few words above them.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Time;
use super::{Area, Drawn, FONT, HEAD, INK, LEFT, RIGHT, SIZE};
use crate::verdict::Interval;

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The interval in which it began, from 0 on.
    pub interval: usize,
    /// What it was, in a few words.
    pub what: String,
}

/// The most lines of words. What finds no room has its line through the curves alone.
const MOST_LINES: usize = 3;
/// Pixels of a line of words.
const LINE: u32 = 17;
/// Pixels of a character at this size, as wide as they come in the mean.
const CHARACTER: i32 = 7;

/// Words above the curves.
#[derive(Debug, PartialEq, Eq)]
struct Words {
    line: usize,
    /// Where they begin, in pixels.
    left: i32,
    what: String,
}

/// The events of a run on its axis.
pub(super) struct Marks {
    /// Where they are on the axis.
    pub at: Vec<f64>,
    words: Vec<Words>,
}

impl Marks {
    /// Finds room for the words of each event, from left to right.
    pub fn of(events: &[Event], time: &Time, intervals: &[Interval]) -> Self {
        let width = (SIZE.0 - LEFT - RIGHT) as f64;
        let mut events: Vec<_> = events
            .iter()
            .filter(|event| event.interval < intervals.len())
            .map(|event| (time.part(intervals, event.interval), &event.what))
            .collect();
        events.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut free = [0; MOST_LINES];
        let mut words = Vec::new();
        for (part, what) in &events {
            let length = CHARACTER * what.chars().count() as i32;
            let mark = LEFT as i32 + (part * width) as i32;
            let left = mark.min((SIZE.0 - RIGHT) as i32 - length).max(0);
            if let Some(line) = free.iter().position(|from| *from <= left) {
                free[line] = left + length + 2 * CHARACTER;
                words.push(Words {
                    line,
                    left,
                    what: (*what).clone(),
                });
            }
        }
        Self {
            at: events.iter().map(|(part, _)| part * time.end).collect(),
            words,
        }
    }

    /// Pixels that the words take above the curves.
    pub fn height(&self) -> u32 {
        let lines = self.words.iter().map(|words| words.line + 1).max();
        LINE * lines.unwrap_or(0) as u32
    }

    /// Writes the words.
    pub fn draw(&self, root: &Area<'_>) -> Drawn {
        for words in &self.words {
            let top = HEAD as i32 + LINE as i32 * words.line as i32 + 6;
            let style = (FONT, 13)
                .into_font()
                .color(&INK)
                .pos(Pos::new(HPos::Left, VPos::Center));
            let place = (words.left, top);
            root.draw(&Text::new(words.what.clone(), place, style))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Tally;

    fn intervals() -> Vec<Interval> {
        let interval = Interval {
            label: String::new(),
            seconds: 60.0,
            budget_factor: 1.0,
            tally: Tally::default(),
        };
        vec![interval; 100]
    }

    #[test]
    fn words_that_would_touch_are_on_different_lines() {
        let intervals = intervals();
        let event = |interval: usize| Event {
            interval,
            what: format!("ten times the traffic from {interval} on"),
        };
        let events = [
            event(10),
            event(11),
            event(60),
            event(12),
            event(13),
            event(99),
            event(500),
        ];
        let marks = Marks::of(&events, &Time::of(&intervals), &intervals);
        assert_eq!(marks.at.len(), 6, "what is after the end is left out");
        let lines: Vec<usize> = marks.words.iter().map(|words| words.line).collect();
        assert_eq!(lines, [0, 1, 2, 0, 1]);
        let last = marks.words.last().unwrap();
        assert!(last.left + CHARACTER * last.what.len() as i32 <= (SIZE.0 - RIGHT) as i32);
        assert_eq!(marks.height(), 3 * LINE);
    }
}
