//! Labels whose values are known in advance, as enums.

/// A label.
pub trait Label: Copy + 'static {
    /// Its name.
    const NAME: &'static str;
    /// All its values, in the order of their declaration.
    const ALL: &'static [Self];

    /// The value, as it is told.
    fn value(self) -> &'static str;

    /// Its place in [`Label::ALL`].
    fn place(self) -> usize;
}

/// One label, or several together.
pub trait Labels: Copy + 'static {
    /// Their names.
    fn names() -> Vec<&'static str>;

    /// All combinations of their values.
    fn all() -> Vec<Self>;

    /// The values, in the order of the names.
    fn values(self) -> Vec<&'static str>;

    /// Its place in [`Labels::all`].
    fn index(self) -> usize;
}

impl<L: Label> Labels for L {
    fn names() -> Vec<&'static str> {
        vec![L::NAME]
    }

    fn all() -> Vec<Self> {
        L::ALL.to_vec()
    }

    fn values(self) -> Vec<&'static str> {
        vec![self.value()]
    }

    fn index(self) -> usize {
        self.place()
    }
}

impl<A: Label, B: Label> Labels for (A, B) {
    fn names() -> Vec<&'static str> {
        vec![A::NAME, B::NAME]
    }

    fn all() -> Vec<Self> {
        let with_each = |a: &A| B::ALL.iter().map(|b| (*a, *b)).collect::<Vec<_>>();
        A::ALL.iter().flat_map(with_each).collect()
    }

    fn values(self) -> Vec<&'static str> {
        vec![self.0.value(), self.1.value()]
    }

    fn index(self) -> usize {
        self.0.place() * B::ALL.len() + self.1.place()
    }
}

/// Makes enums that are labels.
macro_rules! labels {
    ($(
        $(#[$about:meta])*
        $label:ident as $name:literal {
            $( $(#[$what:meta])* $variant:ident = $value:expr, )+
        }
    )+) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $label {
            $( $(#[$what])* $variant, )+
        }

        impl Label for $label {
            const NAME: &'static str = $name;
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn value(self) -> &'static str {
                match self {
                    $( Self::$variant => $value, )+
                }
            }

            fn place(self) -> usize {
                self as usize
            }
        }
    )+};
}

labels! {
    /// Which Weir runs.
    Version as "version" {
        /// This one.
        Running = env!("CARGO_PKG_VERSION"),
    }

    /// What a plan may do with probabilities.
    HoldState as "hold" {
        /// Change them.
        None = "none",
        /// Only cut them.
        CutsOnly = "cuts_only",
        /// Leave them.
        Frozen = "frozen",
    }

    /// What decides an operation's share.
    BindingLabel as "binding" {
        /// The water level.
        Level = "level",
        /// Its floor.
        Floor = "floor",
        /// Its cap.
        Cap = "cap",
        /// The probability an operator fixed.
        Pin = "pin",
        /// Every trace is kept.
        ProbabilityOne = "probability_one",
        /// How far it may rise in one interval.
        RaiseLimit = "raise_limit",
        /// What it was served before is as good.
        Deadband = "deadband",
        /// Its reports, or all of them, are missing.
        Hold = "hold",
    }

    /// What became of a plan that this replica computed.
    PlanOutcome as "outcome" {
        /// It became the current plan.
        Published = "published",
        /// Another replica had taken the lease.
        StaleTerm = "stale_term",
        /// There was a newer plan.
        StaleParent = "stale_parent",
        /// The database had gone back behind the names that it was computed with.
        OtherNames = "other_names",
        /// It was larger than what can be read again, so it was not stored.
        TooLarge = "too_large",
    }

    /// A phase of making a plan.
    PlanPhase as "phase" {
        /// Counts, names and configuration are read.
        Read = "read",
        /// Counts are summed, the budget is shared, the plan is encoded.
        Compute = "compute",
        /// The plan is stored.
        Publish = "publish",
        /// What is served is encoded and swapped in.
        Install = "install",
    }

    /// How a poll was answered.
    PollOutcome as "outcome" {
        /// With the service's strategy.
        Known = "known",
        /// With the fleet's default.
        Unknown = "unknown",
        /// With a problem: the service was not named exactly once.
        Malformed = "malformed",
    }

    /// What the sender of a report was told.
    ReportOutcome as "outcome" {
        /// It is counted.
        Counted = "counted",
        /// It had been counted before.
        Duplicate = "duplicate",
        /// It cannot be read.
        Malformed = "malformed",
        /// A value in it is wrong.
        Invalid = "invalid",
        /// Its body is too large.
        TooLarge = "too_large",
        /// Its body took too long to arrive.
        TooSlow = "too_slow",
        /// Its type or encoding is not known.
        Unsupported = "unsupported",
        /// Its sequence lies too far behind its epoch.
        TooFarBehind = "too_far_behind",
        /// Too many reports wait.
        Overloaded = "overloaded",
        /// The database did not answer in time.
        Late = "late",
        /// The database is away.
        Unavailable = "unavailable",
        /// The database was going back in time, or names were being removed.
        Unsettled = "unsettled",
        /// A fault of Weir's own.
        Internal = "internal",
    }

    /// Why a reported name was counted in an overflow entry.
    FoldReason as "reason" {
        /// It has no characters, or is missing.
        Empty = "empty",
        /// It is longer than names may be.
        TooLong = "too_long",
        /// It holds a control character.
        ControlCharacter = "control_character",
        /// It is not valid UTF-8.
        NotUnicode = "not_unicode",
        /// The report names as many as one report may.
        TooMany = "too_many",
    }

    /// Why a reported number was replaced by the nearest valid one.
    ClampReason as "reason" {
        /// More requests were sampled than offered.
        SampledAboveOffered = "sampled_above_offered",
        /// The number of sampled requests is no whole number from 0 on; 0 is counted.
        SampledNotACount = "sampled_not_a_count",
        /// The number of instances is no whole number within its bounds.
        InstancesOutOfRange = "instances_out_of_range",
    }

    /// Why a reported operation was not counted.
    IgnoreReason as "reason" {
        /// The number of offered requests is no whole number from 0 on.
        NotACount = "not_a_count",
        /// The number of offered requests is larger than any machine can serve.
        TooLarge = "too_large",
    }

    /// Where requests were counted that found no entry of their own.
    OverflowEntry as "entry" {
        /// In their service's overflow entry.
        Service = "service",
        /// In the fleet's.
        Fleet = "fleet",
    }

    /// How a group commit ended.
    CommitOutcome as "outcome" {
        /// It is durable.
        Committed = "committed",
        /// The database refused it or was away.
        Failed = "failed",
        /// It took too long and was given up.
        Late = "late",
        /// It panicked.
        Panicked = "panicked",
    }

    /// A call to the database.
    StoreCall as "call" {
        /// Stores a group of reports.
        CommitReports = "commit_reports",
        /// Reads counts.
        ReadDeltas = "read_deltas",
        /// Reads names.
        ReadDictionary = "read_dictionary",
        /// Adds names.
        AddNames = "add_names",
        /// Removes names.
        RemoveNames = "remove_names",
        /// Asks for the lease.
        AcquireLease = "acquire_lease",
        /// Gives the lease back.
        ReleaseLease = "release_lease",
        /// Stores a plan.
        PublishPlan = "publish_plan",
        /// Asks which plan is current.
        CurrentPlanNumber = "current_plan_number",
        /// Reads the current plan.
        CurrentPlan = "current_plan",
        /// Looks for the newest plan that can be read.
        ReadablePlan = "readable_plan",
        /// Looks for the next counts to settle.
        NextBucket = "next_bucket",
        /// Asks up to where history is settled.
        SettledUntil = "settled_until",
        /// Writes settled history.
        SettleHistory = "settle_history",
        /// Reads history.
        ReadHistory = "read_history",
        /// Reads the settings that all replicas share.
        FleetSettings = "fleet_settings",
        /// Writes the settings that all replicas share.
        WriteFleetSettings = "write_fleet_settings",
        /// Reads the configuration.
        Configuration = "configuration",
        /// Writes the first configuration.
        CreateConfiguration = "create_configuration",
        /// Writes the configuration.
        WriteConfiguration = "write_configuration",
        /// Reads an older revision of the configuration.
        ConfigurationRevision = "configuration_revision",
        /// Lists the configuration's revisions.
        ConfigurationRevisions = "configuration_revisions",
        /// Asks which formats to write.
        WriteFormat = "write_format",
        /// Says which formats to write.
        SetWriteFormat = "set_write_format",
        /// Makes and drops partitions, deletes what is past its retention.
        Maintain = "maintain",
        /// Checks tables, keys and rights.
        Inspect = "inspect",
    }

    /// Why a call to the database failed.
    StoreFailure as "kind" {
        /// It was away.
        Unavailable = "unavailable",
        /// It had no room to write.
        Full = "full",
        /// It held a value that cannot be.
        Corrupt = "corrupt",
        /// Its tables were not as Weir needs them.
        Unsound = "unsound",
        /// It held a value that a newer Weir wrote.
        NewerFormat = "newer_format",
        /// It refused.
        Failed = "failed",
    }

    /// What showed that the database had gone back in time.
    WentBack as "what" {
        /// It does not know names that this replica has read.
        Names = "names",
        /// Its plan is not the one that this replica serves, nor a later one.
        Plan = "plan",
    }

    /// What a connection to the database does.
    ConnectionState as "state" {
        /// It waits for work.
        Idle = "idle",
        /// It works.
        Used = "used",
    }

    /// A background job.
    JobName as "name" {
        /// Computes plans.
        Recompute = "recompute",
        /// Makes room ahead and lets go of what is old.
        Maintain = "maintain",
        /// Settles history.
        Settle = "settle",
    }

    /// How a run of a job ended.
    RunOutcome as "outcome" {
        /// Well.
        Succeeded = "succeeded",
        /// With an error.
        Failed = "failed",
        /// It took too long and was ended.
        TimedOut = "timed_out",
        /// It panicked.
        Panicked = "panicked",
        /// It did not begin: the one before still ran.
        Skipped = "skipped",
    }

    /// A task that runs as long as the process does.
    TaskName as "task" {
        /// Asks for the lease, or gives it up.
        LeaseKeeper = "lease_keeper",
        /// Follows the current plan.
        Follower = "follower",
        /// Triggers jobs.
        Scheduler = "scheduler",
        /// Runs jobs.
        Runner = "runner",
        /// Commits reports.
        Committer = "committer",
        /// Watches the settings that all replicas share.
        FleetSettings = "fleet_settings",
        /// Answers SDKs and agents.
        SdkListener = "sdk_listener",
        /// Answers operators.
        AdminListener = "admin_listener",
        /// Serves one connection; there are many.
        Connection = "connection",
        /// Commits one group of reports; there are many.
        Commit = "commit",
    }

    /// How a task ended that should not have.
    TaskOutcome as "outcome" {
        /// It returned.
        Returned = "returned",
        /// With an error.
        Failed = "failed",
        /// It panicked.
        Panicked = "panicked",
    }

    /// Where requests come in.
    ListenerName as "listener" {
        /// From SDKs and agents.
        Sdk = "sdk",
        /// From operators.
        Admin = "admin",
    }
}
