//! Renders metrics in the text format of Prometheus.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::TextEncoder;

use super::{Metrics, Version};

/// The media type of the text that [`Exposition::render`] returns.
///
/// # Source
/// Prometheus documentation, «Exposition formats», text format 0.0.4.
pub const MEDIA_TYPE: &str = prometheus::TEXT_FORMAT;

/// Renders all metrics, after setting those that derive from state.
pub struct Exposition {
    metrics: Arc<Metrics>,
    /// Locked, so that two simultaneous scrapes do not see half of each other's gauges.
    observe: Mutex<Observe>,
}

/// Sets the gauges that derive from state.
pub type Observe = Box<dyn FnMut(&Metrics) + Send>;

impl Exposition {
    /// Calls `observe` before each rendering.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, observe: Observe) -> Self {
        metrics.build.of(Version::Running).set(1.0);
        Self {
            metrics,
            observe: Mutex::new(observe),
        }
    }

    /// All metrics, as [`MEDIA_TYPE`]. Takes a lock and encodes, so it must not run on a thread
    /// that answers polls.
    ///
    /// # Errors
    /// The encoder's. It writes to memory, so it has none in practice.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        let mut observe = self.observe.lock().unwrap_or_else(PoisonError::into_inner);
        observe(&self.metrics);
        TextEncoder::new().encode_to_string(&self.metrics.registry.gather())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{StoreCall, StoreFailure};
    use super::*;
    use crate::telemetry::metrics::Label;

    #[test]
    fn the_doc_comment_is_the_help_text() {
        let exposition = Exposition::new(Arc::default(), Box::new(|_| ()));
        let text = exposition.render().unwrap();
        let expected = "# HELP weir_plan_number Number of the served plan; 0 before the first.\n\
            # TYPE weir_plan_number gauge\n\
            weir_plan_number 0\n";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn each_series_counts_for_itself() {
        let metrics = Metrics::new();
        let errors = &metrics.database_errors;
        errors
            .of((StoreCall::ReadDeltas, StoreFailure::Corrupt))
            .inc();
        for &call in StoreCall::ALL {
            for &failure in StoreFailure::ALL {
                let expected = call == StoreCall::ReadDeltas && failure == StoreFailure::Corrupt;
                assert_eq!(errors.of((call, failure)).get(), u64::from(expected));
            }
        }
        assert_eq!(
            Metrics::new()
                .database_errors
                .of((StoreCall::ReadDeltas, StoreFailure::Corrupt))
                .get(),
            0,
            "no two Weirs share a count"
        );
    }

    #[test]
    fn a_service_that_leaves_the_list_leaves_no_series() {
        let metrics = Arc::new(Metrics::new());
        let telling = Exposition::new(Arc::clone(&metrics), Box::new(|_| ()));
        metrics.service_share.set([("shop", 3.0)].into_iter(), 1.0);
        assert!(
            telling
                .render()
                .unwrap()
                .contains("weir_service_share_traces_per_second{service=\"shop\"} 3")
        );
        metrics.service_share.set([("stock", 2.0)].into_iter(), 0.0);
        assert!(!telling.render().unwrap().contains("shop"));
    }
}
