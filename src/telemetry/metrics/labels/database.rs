//! Labels of calls to the database.

use super::{Label, labels};

labels! {
    /// A call to the database.
    StoreCall as "call" {
        /// Stores a group of reports.
        CommitReports = "commit_reports",
        /// Reads what is known of sources of OpenTelemetry.
        SourceStates = "source_states",
        /// Reads counts.
        ReadDeltas = "read_deltas",
        /// Stores the polls of a window.
        CommitPolls = "commit_polls",
        /// Reads polls.
        ReadPolls = "read_polls",
        /// Stores the final names of a window.
        CommitFinalNames = "commit_final_names",
        /// Reads final names.
        ReadFinalNames = "read_final_names",
        /// Stores what was seen in a window beside the counts.
        CommitObservations = "commit_observations",
        /// Reads what was seen beside the counts.
        ReadObservations = "read_observations",
        /// Reads the names of agents.
        AgentNames = "agent_names",
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
        /// Lists plans.
        Plans = "plans",
        /// Reads one plan.
        Plan = "plan",
        /// Looks for the next counts to settle.
        NextBucket = "next_bucket",
        /// Asks up to when history is settled.
        SettledUntil = "settled_until",
        /// Writes settled history.
        SettleHistory = "settle_history",
        /// Reads history.
        ReadHistory = "read_history",
        /// Lists the plans of windows.
        PlansOf = "plans_of",
        /// Asks up to where history is summed.
        SeriesMark = "series_mark",
        /// Writes sums of history.
        WriteSeries = "write_series",
        /// Reads sums of history.
        ReadSeries = "read_series",
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
        /// Reads who last wrote each object of the configuration.
        Origins = "origins",
        /// Writes that a file takes over what is there.
        WriteOrigins = "write_origins",
        /// Reads an older revision of the configuration.
        ConfigurationRevision = "configuration_revision",
        /// Lists the configuration's revisions.
        ConfigurationRevisions = "configuration_revisions",
        /// Creates a token.
        CreateToken = "create_token",
        /// Revokes a token.
        RevokeToken = "revoke_token",
        /// Reads the tokens.
        Tokens = "tokens",
        /// Asks whether tokens changed.
        TokensMark = "tokens_mark",
        /// Reads what was recorded of changes.
        Audit = "audit",
        /// Looks for changes whose effect is not known yet.
        Unmeasured = "unmeasured",
        /// Writes the effect of a change.
        WriteMeasured = "write_measured",
        /// Says that this replica is there.
        NoteReplica = "note_replica",
        /// Says that this replica is there no longer.
        RemoveReplica = "remove_replica",
        /// Reads which replicas there are.
        Replicas = "replicas",
        /// Says which edges ask for the plan.
        NoteEdges = "note_edges",
        /// Reads which edges ask for the plan.
        Edges = "edges",
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
}
