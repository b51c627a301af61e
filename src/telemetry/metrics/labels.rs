//! Labels whose values are known in advance, as enums.

/// A label.
pub trait Label: Copy + 'static {
    /// Its name.
    const NAME: &'static str;
    /// All its values, in the order of their declaration.
    const ALL: &'static [Self];

    /// The value, as it is exported.
    fn value(self) -> &'static str;

    /// Its index in [`Label::ALL`].
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

    /// Its index in [`Labels::all`].
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

/// Defines enums that are labels.
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
    /// The version of the running Weir.
    Version as "version" {
        /// This one.
        Running = env!("CARGO_PKG_VERSION"),
    }

    /// How far a plan may change probabilities.
    HoldState as "hold" {
        /// As it decides.
        None = "none",
        /// Only downwards.
        CutsOnly = "cuts_only",
        /// Not at all.
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
        /// Every trace is sampled.
        ProbabilityOne = "probability_one",
        /// The limit on how far it may rise in one interval.
        RaiseLimit = "raise_limit",
        /// The previous probability is as good.
        Deadband = "deadband",
        /// Missing reports, of the operation or of the whole fleet.
        Hold = "hold",
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

    /// How a poll was answered.
    PollOutcome as "outcome" {
        /// With the service's strategy.
        Known = "known",
        /// With the fleet's default.
        Unknown = "unknown",
        /// With a problem: the service was not given exactly once.
        Malformed = "malformed",
    }

    /// How a report was answered.
    ReportOutcome as "outcome" {
        /// Its counts were stored.
        Counted = "counted",
        /// It was stored before.
        Duplicate = "duplicate",
        /// It could not be read.
        Malformed = "malformed",
        /// A value in it was wrong.
        Invalid = "invalid",
        /// Its body was too large.
        TooLarge = "too_large",
        /// Its body took too long to arrive.
        TooSlow = "too_slow",
        /// Its type or encoding was not known.
        Unsupported = "unsupported",
        /// Its sequence was too far behind its epoch.
        TooFarBehind = "too_far_behind",
        /// Too many reports were waiting.
        Overloaded = "overloaded",
        /// The database did not answer in time.
        Late = "late",
        /// The database was away.
        Unavailable = "unavailable",
        /// The database was going back in time, or names were being removed.
        Unsettled = "unsettled",
        /// An internal error.
        Internal = "internal",
    }

    /// Why a reported name was counted in an overflow entry.
    FoldReason as "reason" {
        /// It is empty or missing.
        Empty = "empty",
        /// It is longer than allowed.
        TooLong = "too_long",
        /// It contains a control character.
        ControlCharacter = "control_character",
        /// It is not valid UTF-8.
        NotUnicode = "not_unicode",
        /// The report already has the largest number of names.
        TooMany = "too_many",
    }

    /// Why a reported number was replaced by the nearest valid one.
    ClampReason as "reason" {
        /// More requests were sampled than offered.
        SampledAboveOffered = "sampled_above_offered",
        /// The number of sampled requests is not a whole number, or is negative; 0 is counted.
        SampledNotACount = "sampled_not_a_count",
        /// The number of instances is not a whole number within its limits.
        InstancesOutOfRange = "instances_out_of_range",
    }

    /// Why a reported operation was not counted.
    IgnoreReason as "reason" {
        /// The number of offered requests is not a whole number, or is negative.
        NotACount = "not_a_count",
        /// The number of offered requests is larger than any machine can serve.
        TooLarge = "too_large",
    }

    /// Where requests without an entry of their own were counted.
    OverflowEntry as "entry" {
        /// In their service's overflow entry.
        Service = "service",
        /// In the fleet's overflow entry.
        Fleet = "fleet",
    }

    /// How a group commit ended.
    CommitOutcome as "outcome" {
        /// It is durable.
        Committed = "committed",
        /// The database refused it or was away.
        Failed = "failed",
        /// It took too long, and was given up.
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
        /// Asks up to when history is settled.
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
        /// Chooses the formats to write.
        SetWriteFormat = "set_write_format",
        /// Creates and drops partitions, and deletes old data.
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
        /// It contained an impossible value.
        Corrupt = "corrupt",
        /// Its tables were not as Weir needs them.
        Unsound = "unsound",
        /// It contained a value that a newer Weir wrote.
        NewerFormat = "newer_format",
        /// It refused the call.
        Failed = "failed",
    }

    /// What showed that the database had gone back in time.
    WentBack as "what" {
        /// It does not know names that this replica has read.
        Names = "names",
        /// Its plan is neither the served one nor a later one.
        Plan = "plan",
    }

    /// What a connection to the database is doing.
    ConnectionState as "state" {
        /// It is idle.
        Idle = "idle",
        /// It is in use.
        Used = "used",
    }

    /// A background job.
    JobName as "name" {
        /// Computes plans.
        Recompute = "recompute",
        /// Creates partitions ahead and deletes old data.
        Maintain = "maintain",
        /// Settles history.
        Settle = "settle",
    }

    /// How a run of a job ended.
    RunOutcome as "outcome" {
        /// Without an error.
        Succeeded = "succeeded",
        /// It returned an error.
        Failed = "failed",
        /// It took too long and was ended.
        TimedOut = "timed_out",
        /// It panicked.
        Panicked = "panicked",
        /// It did not start, because the previous run was still going.
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
        /// It returned without an error.
        Returned = "returned",
        /// It returned an error.
        Failed = "failed",
        /// It panicked.
        Panicked = "panicked",
    }

    /// The listener that a request came to.
    ListenerName as "listener" {
        /// The listener for SDKs and agents.
        Sdk = "sdk",
        /// The listener for operators.
        Admin = "admin",
    }
}
