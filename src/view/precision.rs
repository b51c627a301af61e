//! How much an operation's traces show of it.

/// The time that is looked back over, in seconds: five minutes, as in the coverage of a plan.
const LOOKED_BACK_SECONDS: f64 = 300.0;

/// The probability of at least one trace within five minutes, of an operation with this many requests and this share
/// per second.
///
/// # Source
/// Kept traces are a Poisson process with the rate of the share: none comes in T with probability e^(-share·T).
#[must_use]
pub fn coverage(offered: f64, share: f64) -> f64 {
    let kept = share.min(offered);
    -(-kept * LOOKED_BACK_SECONDS).exp_m1()
}

/// The expected relative error of a count of requests that is made of the traces of five minutes, each counted as
/// 1/p; none where no trace is expected.
///
/// # Source
/// Of n requests each is kept with probability p (binomial), so the variance of kept/p is n·(1 - p)/p, and
/// relative to n the standard deviation is √((1 - p)/(n·p)).
#[must_use]
pub fn relative_error(offered: f64, share: f64) -> Option<f64> {
    let requests = offered * LOOKED_BACK_SECONDS;
    let kept = share.min(offered) * LOOKED_BACK_SECONDS;
    if kept <= 0.0 || requests <= 0.0 {
        return None;
    }
    let probability = kept / requests;
    Some(((1.0 - probability).max(0.0) / kept).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_kept_requests_are_three_percent_off() {
        let thousand = 1000.0 / 300.0;
        let error = relative_error(1000.0, thousand).unwrap();
        assert!((error - 0.03157).abs() < 1e-4, "{error}");
        assert!(coverage(1000.0, thousand) > 0.999);
        assert_eq!(relative_error(1000.0, 1000.0), Some(0.0), "all are kept");
        assert_eq!(relative_error(1000.0, 0.0), None);
        assert_eq!(coverage(1000.0, 0.0), 0.0);
    }
}
