//! Labels of the process: its version, jobs and tasks.

use super::{Label, labels};

labels! {
    /// The version of the running Weir.
    Version as "version" {
        /// This one.
        Running = env!("CARGO_PKG_VERSION"),
    }

    /// A background job.
    JobName as "name" {
        /// Computes plans.
        Recompute = "recompute",
        /// Creates partitions ahead and deletes old data.
        Maintain = "maintain",
        /// Settles history.
        Settle = "settle",
        /// Sums history into coarser steps.
        Downsample = "downsample",
        /// Measures what changes of the configuration did.
        Measure = "measure",
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
        /// Follows the tokens.
        TokenFollower = "token_follower",
        /// Reads the file of the token that the process was started with again.
        BootstrapToken = "bootstrap_token",
        /// Reads the keys of the provider of OpenID Connect.
        OidcFollower = "oidc_follower",
        /// Cuts what is served while the configuration asks for it.
        EmergencyFollower = "emergency_follower",
        /// Follows which edges there are.
        EdgeFollower = "edge_follower",
        /// Judges alerts.
        AlertWatch = "alert_watch",
        /// Sends alerts to the webhook.
        AlertWebhook = "alert_webhook",
        /// Writes how often SDKs poll.
        PollWriter = "poll_writer",
        /// Writes final names.
        FinalNameWriter = "final_name_writer",
        /// Says that this replica is there.
        ReplicaWriter = "replica_writer",
        /// Triggers jobs.
        Scheduler = "scheduler",
        /// Runs jobs.
        Runner = "runner",
        /// Commits reports.
        Committer = "committer",
        /// Watches the settings that all replicas share.
        FleetSettings = "fleet_settings",
        /// Reads the files of TLS again.
        TlsFiles = "tls_files",
        /// Answers SDKs and agents.
        SdkListener = "sdk_listener",
        /// Answers SDKs that speak gRPC.
        GrpcListener = "grpc_listener",
        /// Answers clients that speak X-Ray's protocol.
        XrayListener = "xray_listener",
        /// Answers operators.
        AdminListener = "admin_listener",
        /// Answers probes and Prometheus.
        ObserveListener = "observe_listener",
        /// Serves one connection; there are many.
        Connection = "connection",
        /// Commits one group of reports; there are many.
        Commit = "commit",
    }

    /// What became of a notice of an alert.
    NoticeOutcome as "outcome" {
        /// The webhook took it.
        Sent = "sent",
        /// It was not sent: the webhook refused it or did not answer, or too many waited.
        Dropped = "dropped",
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
}
