//! One run from beginning to end: check the server, set the budget, play, restore the budget,
//! judge.

use std::fs::File;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use super::ReplayError;
use super::budget::BorrowedBudget;
use super::progress::Progress;
use crate::cli::say;
use crate::cli::shown::Shown;
use crate::clock::Clock;
use crate::simulate::client::{Client, PollError};
use crate::simulate::lines::{self, Run};
use crate::simulate::plot::{self, Event, PlotTexts};
use crate::simulate::{Play, Played, RunSummary, Verdict, play};

/// A run that is ready to start.
#[derive(Debug, Clone)]
pub struct Session {
    /// The server's client.
    pub client: Client,
    /// What is played.
    pub play: Play,
    /// Intervals at the beginning that are not judged.
    pub warm_up: usize,
    /// The files to write at the end.
    pub outputs: Outputs,
}

/// The files that a run writes.
#[derive(Debug, Clone, Default)]
pub struct Outputs {
    /// The plot's subtitle.
    pub subtitle: String,
    /// File for the plot.
    pub plot: Option<PathBuf>,
    /// File for the intervals.
    pub csv: Option<PathBuf>,
    /// What happens in the run, for the plot.
    pub events: Vec<Event>,
    /// How the result is printed.
    pub shown: Shown,
}

/// The result of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    /// The server did as well as it must.
    Passed,
    /// It did not.
    Failed,
    /// The run was stopped, or was too short to judge.
    Undecided,
}

impl Session {
    /// Plays until the end or until `stop`, prints and writes the results, and restores the
    /// server's budget.
    ///
    /// # Errors
    /// If the server cannot be asked, or a file cannot be written.
    pub async fn run(
        &self,
        clock: &dyn Clock,
        stop: &CancellationToken,
    ) -> Result<Conclusion, ReplayError> {
        self.outputs.check()?;
        self.check_server().await?;
        let budget = BorrowedBudget::take(&self.client, self.play.budget).await?;
        let playing = AssertUnwindSafe(self.play(clock, stop)).catch_unwind();
        tokio::pin!(playing);
        let (played, returned) = tokio::select! {
            played = &mut playing => (played, budget.put_back().await),
            // Whoever stops the run may not wait for the last reports.
            () = stop.cancelled() => tokio::join!(playing, budget.put_back()),
        };
        let played = played.unwrap_or_else(|panic| resume_unwind(panic));
        let conclusion = self.conclude(&played?, stop.is_cancelled())?;
        returned?;
        Ok(conclusion)
    }

    /// Checks that both listeners answer, and that the server's interval is ours.
    async fn check_server(&self) -> Result<(), ReplayError> {
        if let Some(service) = self.play.traffic.services().first() {
            match self.client.poll(service.name.as_str()).await {
                Err(PollError::Away(error)) => return Err(error.into()),
                // The verdict reports strategies that cannot be used, together with later ones.
                Ok(_) | Err(PollError::Violation(_)) => {}
            }
        }
        self.check_interval().await
    }

    /// Compares the window of the current plan with our interval. A plan that is too old says
    /// nothing: the server may have been restarted with another interval since.
    async fn check_interval(&self) -> Result<(), ReplayError> {
        match self.client.current_plan().await? {
            Some(plan) if !plan.stale && plan.window != self.play.interval => {
                Err(ReplayError::Interval {
                    server: plan.window,
                    asked: self.play.interval,
                })
            }
            _ => Ok(()),
        }
    }

    /// Returns only if the server runs with another interval.
    async fn watch_interval(&self) -> ReplayError {
        loop {
            tokio::time::sleep(self.play.interval).await;
            if let Err(error @ ReplayError::Interval { .. }) = self.check_interval().await {
                return error;
            }
        }
    }

    async fn play(
        &self,
        clock: &dyn Clock,
        stop: &CancellationToken,
    ) -> Result<Played, ReplayError> {
        let progress = Progress::new(self.play.schedule.intervals(), self.play.budget);
        // A token of our own, so that a wrong interval ends the run in the same order as a signal.
        let stop = stop.child_token();
        let playing = play(
            &self.play,
            self.client.clone(),
            clock.now(),
            &stop,
            |number, interval| progress.show(number, interval),
        );
        tokio::pin!(playing);
        let played = tokio::select! {
            played = &mut playing => Ok(played),
            error = self.watch_interval() => {
                stop.cancel();
                playing.await;
                Err(error)
            }
        };
        progress.end();
        played
    }

    /// Plays the same traffic again and again, until `stop`, for people who want to look. Whatever they
    /// set stays as it is.
    pub(in crate::cli) async fn go_on(&self, clock: &dyn Clock, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let client = self.client.clone();
            play(&self.play, client, clock.now(), stop, |_, _| {}).await;
        }
    }

    /// Sets the budget of the run for good.
    pub(in crate::cli) async fn keep_budget(&self) -> Result<(), ReplayError> {
        let former = self.client.budget().await?;
        self.client
            .set_budget(self.play.budget, &former.tag)
            .await?;
        Ok(())
    }

    fn conclude(&self, played: &Played, stopped: bool) -> Result<Conclusion, ReplayError> {
        let budget = self.play.budget;
        let intervals = &played.intervals;
        let verdict = Verdict::of(intervals, &played.wire, budget, self.warm_up);
        let run = Run {
            intervals,
            budget,
            verdict: verdict.as_ref(),
        };
        let summary = RunSummary::of(&run, self.warm_up);
        if stopped {
            let (played, all) = (intervals.len(), self.play.schedule.intervals());
            say(&format!("stopped after {played} of {all} intervals"));
        }
        self.outputs.shown.run(&run, &summary, Some(&played.wire));
        warn_if_late(played.latest_tick, self.play.interval);
        if !intervals.is_empty() {
            self.outputs.write(&run, &summary)?;
        }
        Ok(match (stopped, summary.passes) {
            (true, _) | (_, None) => Conclusion::Undecided,
            (false, Some(true)) => Conclusion::Passed,
            (false, Some(false)) => Conclusion::Failed,
        })
    }
}

/// Warns if the results may be about this machine instead of the server.
fn warn_if_late(latest_tick: Duration, interval: Duration) {
    if latest_tick > interval / 4 {
        say(&format!(
            "this machine is too slow for this fleet: a tick came {} ms late; play fewer operations or a longer interval",
            latest_tick.as_millis()
        ));
    }
}

impl Outputs {
    /// Checks before the run that the files can be written.
    pub(in crate::cli) fn check(&self) -> Result<(), ReplayError> {
        for file in [&self.plot, &self.csv].into_iter().flatten() {
            File::options()
                .append(true)
                .create(true)
                .open(file)
                .map_err(|source| cannot_write(file, source))?;
        }
        Ok(())
    }

    pub(in crate::cli) fn write(
        &self,
        run: &Run<'_>,
        summary: &RunSummary,
    ) -> Result<(), ReplayError> {
        if let Some(file) = &self.csv {
            File::create(file)
                .and_then(|to| lines::write_csv(to, [*run]).map_err(std::io::Error::other))
                .map_err(|source| cannot_write(file, source))?;
            self.wrote("intervals", file);
        }
        if let Some(file) = &self.plot {
            let texts = PlotTexts {
                title: format!(
                    "Sampled traces per second against a budget of {}",
                    run.budget
                ),
                subtitle: self.subtitle.clone(),
                description: summary.sentence.clone(),
                events: self.events.clone(),
            };
            let picture = plot::svg(&texts, run.intervals, run.budget, run.verdict)?;
            std::fs::write(file, picture).map_err(|source| cannot_write(file, source))?;
            self.wrote("plot", file);
        }
        Ok(())
    }

    /// Says where a file is.
    pub(in crate::cli) fn wrote(&self, what: &str, file: &Path) {
        if self.shown.for_people() {
            weir_terminal::say(&format!("{what}: {}", file.display()));
        }
    }
}

fn cannot_write(file: &Path, source: std::io::Error) -> ReplayError {
    ReplayError::Write {
        file: file.display().to_string(),
        source,
    }
}
