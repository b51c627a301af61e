//! Sums a day from its steps of ten minutes.

use super::Downsample;
use super::steps::{StepSums, row_window, rows};
use crate::allocation::Timestamp;
use crate::store::{SeriesAsked, SeriesOf, SeriesRow, SeriesStep, StoreError, series_codec};
use crate::telemetry::logging::chain;
use crate::worker::blocking;

impl Downsample {
    /// The rows of the day that ends at an instant, by the hour and of the day; none if nothing was counted.
    pub(super) async fn day_before(&self, end: Timestamp) -> Result<Vec<SeriesRow>, StoreError> {
        let start = Timestamp(end.0.saturating_sub(super::DAY));
        let asked = SeriesAsked {
            step: SeriesStep::TenMinutes,
            from: start,
            until: end,
            of: SeriesOf::All,
            class: None,
        };
        let stored = self.stored(asked).await?;
        Ok(blocking(move || day(start, &stored)).await)
    }
}

fn day(start: Timestamp, stored: &[SeriesRow]) -> Vec<SeriesRow> {
    let mut hours = vec![StepSums::default(); SeriesStep::Hour.in_row()];
    for row in stored {
        let place = (row.window.start.0 - start.0) / SeriesStep::Hour.milliseconds();
        let hour = usize::try_from(place).ok().and_then(|at| hours.get_mut(at));
        let Some(hour) = hour else { continue };
        match series_codec::decode(&row.payload) {
            Ok(block) => {
                for step in 0..SeriesStep::TenMinutes.in_row() {
                    hour.add_stored(row.part, &block, step);
                }
            }
            Err(error) => tracing::warn!(
                error = chain(&error),
                start_ms = row.window.start.0,
                part = row.part.0,
                "an hour of sums is damaged: it is missing in those of its day"
            ),
        }
    }
    let mut whole = StepSums::default();
    for hour in &hours {
        whole.add(hour);
    }
    let mut new = rows(
        SeriesStep::Hour,
        row_window(SeriesStep::Hour, start),
        &hours,
    );
    let day = row_window(SeriesStep::Day, start);
    new.extend(rows(SeriesStep::Day, day, &[whole]));
    new
}
