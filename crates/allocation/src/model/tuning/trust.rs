//! The constants of [trust](crate::tuning::Trust). Windows are those of plans.

use super::constants;

constants! {
    /// When an agent is late, idle, missing or gone.
    Agents {
        /// How much later than its habit an agent may be before it is missing, in windows. Delivery scatters
        /// by seconds, an interval lasts a minute. Less makes agents missing by scatter; more takes as much
        /// longer to see that one is silent.
        slack: f64 = 0.25,
        /// The part by which a habit follows an agent that reports earlier than before. A habit is the largest
        /// recent lateness: it rises at once, and falls over about twenty reports. Faster, an agent that is late
        /// now and then is missing each time; slower, plans look further ahead than they must for longer.
        habit_fall: f64 = 0.05,
        /// The part by which one plan moves what is known of how often an agent has nothing to report, and for how
        /// long: over about five plans with a report of it.
        idle_gain: f64 = 0.2,
        /// An agent that sends no reports for more than this part of the time has none to send when it is quiet.
        /// More takes sparse agents for missing; less takes one lost report for a habit.
        idle: f64 = 0.1,
        /// How many times its mean pause an agent may pause before it is missing. Pauses of chance are longer than
        /// that once in 20,000 times; the mean is of few, so with 5 they are missing every hour. More takes as much
        /// longer to see that one is silent.
        longest_pause: f64 = 10.0,
        /// But at most for this many windows: after a quiet night, one that falls silent must not be taken for idle
        /// for days.
        pause_most: f64 = 30.0,
        /// Counts of an agent that is this much later than its habit would settle a window are waited for, in
        /// windows: the scatter of a habit that is just under a whole number of windows.
        settle_slack: f64 = 0.1,
        /// Agents with less than this part of the fleet's usual traffic do not delay the settling of windows:
        /// what they add is less than the deadband.
        settle_part: f64 = 1e-3,
        /// How many windows an agent may be missing before it is forgotten: a day of minutes. Its part of the
        /// budget is kept free until then.
        forgotten_windows: u32 = 1440,
        /// A service counts as heard if this part of its usual traffic is not missing. The rest is within the
        /// scatter of usual rates; 1 would limit raises for a single idle agent.
        heard: f64 = 0.995,
        /// If less than this part of the fleet's usual traffic is heard, nobody is: the plan is frozen.
        nobody: f64 = 1e-3,
    }

    /// What agents usually report. It only apportions trust.
    Usual {
        /// The part by which a usual rate follows a window: an average over about three, so that neither a burst
        /// nor a lull of one decides.
        gain: f64 = 0.3,
        /// How far it may rise in one window, as a factor: no agent weighs more than it has shown over time.
        rise: f64 = 2.0,
        /// The longest mean pause that counts as a lump, in windows: as far back as a plan reads. 0 takes what is in of
        /// a window for spread evenly.
        lump_most: f64 = 16.0,
    }

    /// Where the traffic of missing agents went.
    Service {
        /// The part by which one plan's new agents move what is known of how many report again: half, because
        /// a fleet of agents that report once shows it in its first windows.
        return_gain: f64 = 0.5,
        /// The part by which one window moves what is known of the age at which new agents' counts come in.
        age_gain: f64 = 0.3,
        /// New agents of a service in which fewer than this part report again leave no hole when they do not.
        return_least: f64 = 0.05,
        /// An agent replaces another if it began at most this many windows before the other's last report: a
        /// rolling restart starts the new one first.
        replaced_before: f64 = 1.0,
        /// Or at most this many windows after it.
        replaced_after: f64 = 2.0,
        /// If this part of what an agent reported is replaced, so is the agent: rates scatter.
        replaced: f64 = 0.7,
        /// For how many windows after agents fell silent a rise of the others counts as theirs. A load balancer
        /// moves traffic within one; what rises later has risen by itself.
        moved_windows: u32 = 4,
        /// How many windows must show the rise. One busy operation may rise by a tenth in one, and that is what one
        /// of eight agents counts.
        moved_least: usize = 2,
        /// The relative scatter of a service's traffic from window to window, as recordings show it.
        noise: f64 = 0.03,
        /// How far usual rates may be behind rising traffic, as a factor: 3.3 windows, 2.3 by [`Usual::gain`] and the
        /// one that has not settled, of 3 %, the steepest of mornings. More takes traffic that has moved for a trend.
        behind_most: f64 = 1.1,
        /// By how many standard deviations the others must have risen. With three, chance releases missing
        /// agents once in 700 windows.
        moved_deviations: f64 = 3.0,
        /// A window of which this part is in is whole enough to compare totals.
        whole: f64 = 0.9,
        /// A window of which this part is in shows to which level traffic has fallen.
        some: f64 = 0.25,
        /// A service has fallen silent in a window if this many of its root requests were due, and none came: less
        /// than once in a hundred by chance, ln 100.
        empty_by_chance: f64 = 4.6,
        /// How far the usual rates of missing agents follow the others' in one window, as a factor: one absurd
        /// window must not decide what is missing.
        followed: f64 = 4.0,
    }

    /// What polls say of the traffic of missing agents.
    Polls {
        /// The part by which one window moves what is known of how often SDKs ask: over about ten windows, so that
        /// the scatter of one counts for little, and a service that grows is followed within a quarter of an hour.
        gain: f64 = 0.1,
        /// In how many windows that must have been learned before it says anything: those of one smoothing.
        least_windows: u32 = 10,
        /// For how many windows agents must have been missing. A restart or a failover is over by then.
        missing_windows: u32 = 10,
        /// The part of the reserve that one plan releases: half of it in ten, and the rest in fifteen more. If agents
        /// and polls are cut off alike and the traffic goes on, nobody can tell; this is how long operators have to
        /// say so.
        step: f64 = 0.05,
        /// The part of what is left that one plan releases at most, so that the fall ends gently: estimates follow
        /// its slope. Without it, 6 % of the budget too much are kept for a few plans afterwards.
        last_steps: f64 = 0.15,
        /// From this part on, all is released: the rest is less than the deadband.
        whole: f64 = 0.97,
        /// By how many standard deviations polls must fall to say that the traffic has ended: once in 700 windows
        /// by chance, and the next window takes it back.
        deviations: f64 = 3.0,
        /// The part of the polls of missing agents' SDKs that must be missing to say that their traffic has ended.
        /// Half, because polls count instances and not requests, and instances differ.
        fallen: f64 = 0.5,
        /// If no more than this part is missing, their traffic goes on.
        stand: f64 = 0.25,
    }

    /// By what requests are counted.
    Bases {
        /// For how many windows after it was heard a basis keeps worse ones out: as far back as a plan reads
        /// windows that come late. With less, a worse one begins while the better one is merely late, and
        /// requests are counted twice; with more, a service is not counted for longer after its agents went.
        held_windows: f64 = 16.0,
        /// But at least for this long, in seconds: five of the exports that SDKs send every minute.
        held_least: f64 = 300.0,
        /// A better basis replaces worse ones once it counts this part of what they count. While agents are
        /// being rolled out, it counts less, and leaving out the others would hide traffic. More than this, and
        /// the scatter of usual rates keeps both.
        replaces: f64 = 0.8,
    }

    /// Counts out of all proportion.
    Claims {
        /// A count this many times anything known is out of all proportion. Launches multiply traffic by ten.
        proportion: f64 = 100.0,
        /// Counts up to this are never held apart, in root requests a window: a fleet that begins may count them.
        least: f64 = 1e6,
        /// How many windows a claim goes on before it is believed.
        believed_windows: u32 = 10,
        /// How far what was sampled of a claim may be off what its service's probabilities say, as a factor.
        sampled: f64 = 2.0,
    }
}
