//! Labels of plans.

use super::{Label, labels};

labels! {
    /// How far a plan may change probabilities.
    HoldState as "hold" {
        /// As it decides.
        None = "none",
        /// Only downwards.
        CutsOnly = "cuts_only",
        /// Not at all.
        Frozen = "frozen",
    }

    /// What is served of plans.
    ServingLabel as "serving" {
        /// What the plan decides.
        Plan = "plan",
        /// What was served before a freeze.
        Freeze = "freeze",
        /// The initial probability: Weir only observes.
        Observe = "observe",
    }

    /// What decides an operation's share.
    BindingLabel as "binding" {
        /// The water level.
        Level = "level",
        /// Its floor.
        Floor = "floor",
        /// Its cap.
        Cap = "cap",
        /// The probability that an operator fixed.
        Pin = "pin",
        /// Every trace is sampled.
        ProbabilityOne = "probability_one",
        /// What agents that are missing may still count limits its raise.
        RaiseLimit = "raise_limit",
        /// The previous probability is as good.
        Deadband = "deadband",
        /// Missing reports, of the operation, of its service or of the whole fleet.
        Hold = "hold",
        /// Its traffic was much higher lately, and may come back at once.
        Peak = "peak",
    }

    /// How an agent stands in a plan.
    AgentStanding as "state" {
        /// It has reported once.
        New = "new",
        /// It reports as usual.
        Known = "known",
        /// It is later than it usually is.
        Missing = "missing",
        /// It said that it has ended.
        Ended = "ended",
    }

    /// The result of a plan that this replica computed.
    PlanOutcome as "outcome" {
        /// It became the current plan.
        Published = "published",
        /// Another replica had taken the lease.
        StaleTerm = "stale_term",
        /// Another replica had published a newer plan.
        StaleParent = "stale_parent",
        /// The database had gone back behind the names that it was computed with.
        OtherNames = "other_names",
        /// It was larger than can be read again, so it was not stored.
        TooLarge = "too_large",
    }

    /// A phase of computing a plan.
    PlanPhase as "phase" {
        /// Counts, names and configuration are read.
        Read = "read",
        /// Counts are summed, the budget is shared, the plan is encoded.
        Compute = "compute",
        /// The plan is stored.
        Publish = "publish",
        /// The strategies are encoded and swapped in.
        Install = "install",
    }

    /// What a trace turned out to be.
    ClassLabel as "class" {
        /// A span has failed.
        Error = "error",
        /// It took longer than the threshold of its service.
        Slow = "slow",
        /// It is of a tagged request.
        Tagged = "tagged",
        /// None of these.
        Rest = "rest",
    }

    /// Whether edges decide about a tail-governed service.
    TailLabel as "state" {
        /// They do, and its SDKs are served 1.
        InEffect = "in_effect",
        /// None is known to be in front of it.
        Waiting = "waiting",
    }
}
