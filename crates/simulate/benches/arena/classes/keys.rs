//! How dynsampler-go shares what is to be kept over its keys.

/// The rates of keys, one in n, in the order of the keys: the goal is `ratio` for each power of ten of a key's count, at
/// least 1; what a small key leaves over is handed on.
///
/// # Source
/// honeycombio/dynsampler-go v0.6.3, `keyCalculation.go`.
pub fn rates(ratio: f64, counts: impl Iterator<Item = f64> + Clone) -> impl Iterator<Item = f64> {
    let mut remaining = counts.clone().count() as f64;
    let mut extra = 0.0;
    counts.map(move |count| {
        let count = count.max(1.0);
        let own = (count.log10() * ratio).max(1.0);
        let handed = extra / remaining;
        let goal = own + handed;
        extra -= handed;
        remaining -= 1.0;
        if count <= goal {
            extra += goal - count;
            return 1.0;
        }
        let rate = (count / goal).ceil();
        extra += goal - count / rate;
        rate
    })
}

/// The sum of what the counts of keys weigh.
pub fn weight(counts: impl Iterator<Item = f64>) -> f64 {
    counts.map(|count| count.max(1.0).log10()).sum()
}
