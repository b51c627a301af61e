//! Weir's own metrics: their names, their help texts, and how they are rendered.
//!
//! Begin with [`Metrics`]: a field is a metric, and its doc comment is the help text. Every series
//! whose labels are known in advance exists from the start. Counting is one atomic addition: no
//! lock, no allocation, no look-up. There is no global registry, so several Weirs in one process
//! count separately.

mod exposition;
mod family;
mod labels;

use std::time::Instant;

pub use exposition::{Exposition, MEDIA_TYPE, Observe};
pub use family::{
    By, ByGroup, ByRule, ByService, Counter, Gauge, Histogram, NO_GROUP, OTHER_SERVICES,
};
pub use labels::*;

use family::{Family, Spec};
use prometheus::Registry;
#[cfg(target_os = "linux")]
use prometheus::process_collector::ProcessCollector;

/// Buckets for durations in memory or in the database, in seconds.
const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// Buckets for the time between an event and its being known, in seconds: up to a day, the age of
/// the oldest report that can be accepted.
const LAG_SECONDS: &[f64] = &[
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 21600.0, 86400.0,
];

/// Buckets for the number of reports in a group, up to the largest group.
const REPORTS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 25.0, 100.0, 250.0, 1000.0, 2048.0];

/// Buckets for the number of counts in a group of reports.
const COUNTS: &[f64] = &[1.0, 10.0, 100.0, 1000.0, 10_000.0, 100_000.0, 400_000.0];

/// Defines a struct of metrics, and the function that registers them all.
macro_rules! metrics {
    (
        $(#[$about:meta])*
        pub struct $struct:ident {
            $(
                $(#[doc = $help:literal])+
                $field:ident: $family:ty = $name:literal $(in $buckets:expr)?,
            )+
        }
    ) => {
        $(#[$about])*
        pub struct $struct {
            registry: Registry,
            $( $(#[doc = $help])+ pub $field: $family, )+
        }

        impl $struct {
            /// Registers every metric, with every series that is known in advance, at zero.
            #[must_use]
            pub fn new() -> Self {
                let registry = Registry::new();
                register_process(&registry);
                $(
                    let $field = <$family as Family>::register(&registry, Spec {
                        name: $name,
                        help: concat!($($help),+).trim(),
                        buckets: metrics!(@buckets $($buckets)?),
                    });
                )+
                Self { registry, $($field),+ }
            }
        }
    };
    (@buckets) => { &[] };
    (@buckets $buckets:expr) => { $buckets };
}

metrics! {
    /// All metrics of Weir.
    pub struct Metrics {
        /// 1, with the running version as a label.
        build: By<Version, Gauge> = "weir_build_info",

        /// Budget of the served plan: traces/s the whole fleet may sample.
        budget: Gauge = "weir_budget_traces_per_second",
        /// Offered rate of the fleet, as the served plan estimates it.
        offered: Gauge = "weir_offered_per_second",
        /// Sampled rate the served plan expects to be kept. It may aim at more or less, to correct a lasting bias.
        expected_sampled: Gauge = "weir_expected_sampled_traces_per_second",
        /// Offered rate reported for the plan's window.
        observed_offered: Gauge = "weir_observed_offered_per_second",
        /// Sampled rate reported for the plan's window. Where nobody says what was sampled, what was due.
        observed_sampled: Gauge = "weir_observed_sampled_traces_per_second",
        /// Relative excess of the sampled rate reported for the plan's window over the budget, or
        /// over the offered rate if that is lower; negative when too little was sampled. Missing
        /// reports are assumed to be like the others.
        tracking_error: Gauge = "weir_tracking_error_ratio",
        /// Traces/s the window would have sampled if every SDK had applied what it was served. The
        /// observed sampled rate divided by this is 1 when SDKs comply.
        due_sampled: Gauge = "weir_due_sampled_traces_per_second",
        /// Part of the operations with traffic in the next five minutes that is expected to show at
        /// least one trace, 0 to 1.
        coverage: Gauge = "weir_coverage_ratio",
        /// Jain's index of the operations' shares, each divided by its share without floors, caps
        /// and pins; 1 when all are treated alike.
        fairness: Gauge = "weir_fairness_ratio",
        /// Operations of the served plan, including overflow entries, by what decides their share.
        operations: By<BindingLabel, Gauge> = "weir_operations",
        /// Water level: traces/s per unit of weight of every operation that no floor, cap or pin
        /// binds; infinite when the budget does not bind.
        level: Gauge = "weir_level_traces_per_second",
        /// Part of the fleet's usual traffic whose agents are not missing, 0 to 1.
        completeness: Gauge = "weir_completeness_ratio",
        /// 1 for the present hold: none, cuts_only (some counts cannot be read and no probability
        /// rises) or frozen (no agent is heard and none changes). Changes of the configuration apply
        /// in each.
        hold: By<HoldState, Gauge> = "weir_hold",
        /// 1 for what is served now: plan (what the served plan decides), freeze (what was served before
        /// operators froze it) or observe (the initial probability).
        serving: By<ServingLabel, Gauge> = "weir_serving",
        /// Factor of the emergency that multiplies everything this replica serves; 1 without one.
        emergency_factor: Gauge = "weir_emergency_factor_ratio",
        /// Sampled rate that is expected by what is served: of the plan, unless that is not served.
        served_sampled: Gauge = "weir_served_sampled_traces_per_second",
        /// Factor on the budget that corrects a lasting bias of the sampled rate, 0.8 to 1.25. At a
        /// bound, SDKs do not apply what they are served.
        trim: Gauge = "weir_trim_ratio",
        /// Traces/s reserved for operations not seen yet.
        unseen_reserve: Gauge = "weir_unseen_reserve_traces_per_second",
        /// Lower bound served to every SDK instance for each operation, where a reserve pays for
        /// it.
        lower_bound: Gauge = "weir_lower_bound_traces_per_second",
        /// Traces/s the plan reserves for the lower bound: the most that it can add.
        lower_bound_cost: Gauge = "weir_lower_bound_cost_traces_per_second",
        /// Traces/s by which floors and pins exceed the budget.
        missing: Gauge = "weir_missing_traces_per_second",
        /// Probability served to services without reports.
        default_probability: Gauge = "weir_default_probability",

        /// Number of the served plan; 0 before the first.
        plan: Gauge = "weir_plan_number",
        /// The term of the leader that computed the plan that is served.
        plan_term: Gauge = "weir_plan_term",
        /// Configuration revision the served plan was computed from.
        plan_configuration_revision: Gauge = "weir_plan_configuration_revision",
        /// Stored configuration revisions, as counted by this replica's last maintenance; 0 before
        /// it and on replicas that do not lead.
        configuration_revisions: Gauge = "weir_configuration_revisions",
        /// Time since the served plan was published; 0 before the first.
        plan_age: Gauge = "weir_plan_age_seconds",
        /// 1 when the served plan is older than three intervals, else 0.
        plan_stale: Gauge = "weir_plan_stale",
        /// 1 when this replica cannot read the current plan, because a newer Weir wrote it or it is
        /// damaged, and serves an older one; else 0.
        plan_unreadable: Gauge = "weir_plan_unreadable",
        /// Services in the served plan.
        plan_services: Gauge = "weir_plan_services",
        /// Operations in the served plan, including overflow entries.
        plan_operations: Gauge = "weir_plan_operations",
        /// Agents the served plan knows.
        plan_agents: Gauge = "weir_plan_agents",
        /// Agents the served plan knows, by how they stand: new (one report so far), known, missing
        /// (later than usual) or ended.
        agents: By<AgentStanding, Gauge> = "weir_agents",
        /// How late agents' counts usually are for the end of a plan's window, in the mean over the
        /// traffic.
        agents_late: Gauge = "weir_agents_late_seconds",
        /// Windows the served plan was made from: 2 if agents report in time, as one is read again.
        windows_read: Gauge = "weir_plan_windows_read",
        /// Services with agents that are missing, in the served plan.
        services_unheard: Gauge = "weir_services_unheard",
        /// Services in the served plan of whose missing agents a part is no longer expected, because
        /// their SDKs have stopped asking.
        services_released: Gauge = "weir_services_released",
        /// 1 when the served plan knows how often SDKs asked all replicas, else 0.
        polls_known: Gauge = "weir_plan_polls_known",
        /// Services that mint names, in the served plan: less than half of their new operations are
        /// reported again.
        services_minting_names: Gauge = "weir_services_minting_names",
        /// Services that sampled nearly everything in the served plan's window, although they are served
        /// at most half: their SDKs do not apply the strategy.
        services_not_applying: Gauge = "weir_services_not_applying",
        /// Counts the served plan holds apart, because they are out of all proportion.
        claims: Gauge = "weir_plan_claims",
        /// SDK instances of all services, as the served plan counts them.
        plan_instances: Gauge = "weir_plan_instances",
        /// Plans this replica computed, by whether they became the current plan.
        plans: By<PlanOutcome, Counter> = "weir_plans_total",
        /// Duration of each phase of a plan: reading counts and configuration, computing,
        /// publishing, encoding strategies.
        plan_phase: By<PlanPhase, Histogram> = "weir_plan_phase_seconds" in SECONDS,
        /// Probabilities changed by the plans this replica published, including those of new
        /// operations.
        probabilities_changed: Counter = "weir_probabilities_changed_total",
        /// Part of the probabilities that the served plan moved by more than 1 %, 0 to 1.
        probabilities_changed_ratio: Gauge = "weir_probabilities_changed_ratio",
        /// Size of all served strategies, in every format, before compression.
        snapshot_bytes: Gauge = "weir_snapshot_bytes",

        /// 1 when this replica computes the plans, else 0.
        leader: Gauge = "weir_leader",
        /// The term under which this replica computes the plans; 0 when it does not.
        leader_term: Gauge = "weir_leader_term",
        /// Times this replica gave the lease up because it could not compute plans.
        lease_given_up: Counter = "weir_lease_given_up_total",
        /// Offset added to this machine's clock to match the database's clock.
        clock_offset: Gauge = "weir_clock_offset_seconds",
        /// Times this machine's clock jumped or stood still: it differed by more than a second from
        /// the time that passed.
        clock_steps: Counter = "weir_clock_steps_total",

        /// Connections open on the SDK listener.
        sdk_connections: Gauge = "weir_sdk_connections",
        /// Most connections that may be open on the SDK listener. One more replaces the one idle
        /// for longest, or waits if none is idle.
        sdk_connections_max: Gauge = "weir_sdk_connections_max",
        /// Idle connections closed because the SDK listener was full and a new client came.
        sdk_connections_evicted: Counter = "weir_sdk_connections_evicted_total",
        /// Connections open on the gRPC listener.
        grpc_connections: Gauge = "weir_grpc_connections",
        /// Most connections that may be open on the gRPC listener; 0 if it is off. One more
        /// replaces the one idle for longest, or waits if none is idle.
        grpc_connections_max: Gauge = "weir_grpc_connections_max",
        /// Idle connections closed because the gRPC listener was full and a new client came.
        grpc_connections_evicted: Counter = "weir_grpc_connections_evicted_total",
        /// Connections open on the X-Ray listener.
        xray_connections: Gauge = "weir_xray_connections",
        /// Most connections that may be open on the X-Ray listener; 0 if it is off. One more
        /// replaces the one idle for longest, or waits if none is idle.
        xray_connections_max: Gauge = "weir_xray_connections_max",
        /// Idle connections closed because the X-Ray listener was full and a new client came.
        xray_connections_evicted: Counter = "weir_xray_connections_evicted_total",
        /// Connections open on the admin listener.
        admin_connections: Gauge = "weir_admin_connections",
        /// Most connections that may be open on the admin listener. One more replaces the one idle
        /// for longest, or waits if none is idle.
        admin_connections_max: Gauge = "weir_admin_connections_max",
        /// Idle connections closed because the admin listener was full and a new client came.
        admin_connections_evicted: Counter = "weir_admin_connections_evicted_total",
        /// Connections open on the listener for probes and Prometheus.
        observe_connections: Gauge = "weir_observe_connections",
        /// Most connections that may be open on the listener for probes and Prometheus; 0 if it is off.
        /// One more replaces the one idle for longest, or waits if none is idle.
        observe_connections_max: Gauge = "weir_observe_connections_max",
        /// Idle connections closed because the listener for probes and Prometheus was full and a new
        /// client came.
        observe_connections_evicted: Counter = "weir_observe_connections_evicted_total",
        /// Connections closed because a request could not be read as HTTP/1.1 or HTTP/2, by
        /// listener.
        malformed_requests: By<ListenerName, Counter> = "weir_malformed_requests_total",
        /// Requests refused for want of a token or of its rights, by listener and reason.
        access_refused: By<(ListenerName, AccessRefusal), Counter> = "weir_access_refused_total",
        /// Attempts to sign in by browser that came back from the provider, by outcome.
        sign_ins: By<SignInOutcome, Counter> = "weir_sign_ins_total",
        /// Unix time at which the keys of the provider of OpenID Connect were last read; 0 if they never were.
        oidc_keys_read_at: Gauge = "weir_oidc_keys_read_timestamp_seconds",
        /// 1 while the keys of the provider of OpenID Connect cannot be read; else 0.
        oidc_keys_failing: Gauge = "weir_oidc_keys_failing",
        /// Notices of alerts for --alert-webhook, by what became of them.
        alert_notices: By<NoticeOutcome, Counter> = "weir_alert_notices_total",
        /// Handshakes of TLS, by listener and outcome.
        tls_handshakes: By<(ListenerName, HandshakeOutcome), Counter> = "weir_tls_handshakes_total",
        /// Unix time from which the certificate that a listener presents is valid; 0 without TLS.
        tls_not_before: By<ListenerName, Gauge> = "weir_tls_certificate_not_before_timestamp_seconds",
        /// Unix time until which the certificate that a listener presents is valid, with those
        /// between it and its authority; 0 without TLS.
        tls_not_after: By<ListenerName, Gauge> = "weir_tls_certificate_not_after_timestamp_seconds",
        /// Changes of the files of TLS, by listener and outcome.
        tls_reloads: By<(ListenerName, TlsReload), Counter> = "weir_tls_reloads_total",
        /// 1 while the files of a listener's TLS cannot be used, and what was read from them before
        /// stays in use; else 0.
        tls_files_refused: By<ListenerName, Gauge> = "weir_tls_files_refused",
        /// Polls, by protocol and outcome: known service, unknown service (served the fleet's
        /// default), or malformed.
        polls: By<(PollProtocol, PollOutcome), Counter> = "weir_polls_total",
        /// Requests for the file of all strategies, by outcome: sent, or unchanged since the client
        /// fetched it.
        file_requests: By<FileOutcome, Counter> = "weir_strategies_file_requests_total",
        /// Size of the file of all strategies, before compression.
        file_bytes: Gauge = "weir_strategies_file_bytes",
        /// Operations that the file of all strategies leaves out, because it would be too large.
        file_omitted: Gauge = "weir_strategies_file_omitted_operations",
        /// Questions of edges for the plan, by outcome.
        edge_polls: By<EdgePollOutcome, Counter> = "weir_edges_plan_requests_total",
        /// Edges that asked any replica for the plan within the last minute.
        edges: Gauge = "weir_edges",
        /// Calls over X-Ray's protocol, by call and outcome. What is not counted is lost, because
        /// clients tell it once.
        xray_calls: By<(XrayCall, XrayOutcome), Counter> = "weir_xray_calls_total",
        /// Reports, by outcome.
        reports: By<ReportOutcome, Counter> = "weir_reports_total",
        /// Root requests before sampling in the reports this replica counted.
        reported_offered: Counter = "weir_reported_offered_total",
        /// Sampled root requests in the reports this replica counted.
        reported_sampled: Counter = "weir_reported_sampled_total",
        /// Root requests counted in an overflow entry, because the service or the fleet is full, or
        /// because the agent could not tell them apart.
        overflow: By<OverflowEntry, Counter> = "weir_overflow_requests_total",
        /// Names in counted reports that were not valid or one too many, by what is wrong with
        /// them. Their requests are counted in the overflow entry of their service, or of the
        /// fleet.
        entries_folded: By<FoldReason, Counter> = "weir_report_entries_folded_total",
        /// Numbers in counted reports that were out of range, by what is wrong with them. The
        /// nearest valid number is counted.
        entries_clamped: By<ClampReason, Counter> = "weir_report_entries_clamped_total",
        /// Operations in counted reports whose requests are not counted: by what is wrong with the number
        /// of offered requests, or because the report's token is not for their service.
        entries_ignored: By<IgnoreReason, Counter> = "weir_report_entries_ignored_total",
        /// Points and root spans of sources of OpenTelemetry that are not counted, by what is wrong with
        /// them. Of a stream that begins with a baseline, what comes next is counted.
        points_uncounted: By<UncountedReason, Counter> = "weir_source_points_uncounted_total",
        /// Requests that are not counted because their service is counted by something better, by what
        /// counted them.
        source_requests_left_out: By<CountBasis, Counter> = "weir_source_requests_left_out_total",
        /// States of sources that another replica had moved on. Their export was counted at the
        /// next attempt.
        source_states_overtaken: Counter = "weir_source_states_overtaken_total",
        /// Memory of the states of sources that this replica remembers.
        source_state_bytes: Gauge = "weir_source_state_bytes",
        /// Final names that this replica has heard of since it wrote them last.
        final_names: Gauge = "weir_final_names",
        /// Requests of final names that are summed as `__other__`: there are too many names, or the name
        /// is not valid. Only what is shown of final names lacks them.
        final_names_folded: Counter = "weir_final_names_folded_requests_total",
        /// Sampled spans over sampled roots of all services in the last hour, as their sources tell; 0 while none do.
        measured_spans_per_trace: Gauge = "weir_measured_spans_per_trace",
        /// Standard error of the measured spans of a trace, as a part of them.
        measured_spans_error: Gauge = "weir_measured_spans_per_trace_error_ratio",
        /// Services whose sources tell their sampled spans, over all that have traffic.
        measured_spans_coverage: Gauge = "weir_measured_spans_per_trace_coverage_ratio",
        /// Bytes of an exported span in the last hour, in OTLP's protobuf without compression; 0 while none are exported.
        measured_bytes_per_span: Gauge = "weir_measured_bytes_per_span",
        /// Exports of OTLP, by what they hold, how they came, and outcome. Of logs, nothing is counted.
        otlp_exports: By<(Signal, ExportProtocol, ExportOutcome), Counter> =
            "weir_otlp_exports_total",
        /// Data points of metrics that count requests, and root spans, in exports that were accepted.
        otlp_points: Counter = "weir_otlp_points_total",
        /// Data points of metrics that count requests, and root spans, which were left out when their
        /// export was read, by the reason. Other metrics and spans are not counted here.
        otlp_points_left_out: By<LeftOutReason, Counter> = "weir_otlp_points_left_out_total",
        /// Time from the end of a report's window until its counts were durable.
        ingest_lag: Histogram = "weir_ingest_lag_seconds" in LAG_SECONDS,
        /// Reports waiting for their commit.
        reports_waiting: Gauge = "weir_reports_waiting",
        /// Group commits of reports, by outcome.
        commits: By<CommitOutcome, Counter> = "weir_commits_total",
        /// Duration of group commits.
        commit_seconds: Histogram = "weir_commit_seconds" in SECONDS,
        /// Reports in a group commit.
        commit_reports: Histogram = "weir_commit_reports" in REPORTS,
        /// Counts in a group commit: one per operation or service, and bucket.
        commit_counts: Histogram = "weir_commit_counts" in COUNTS,

        /// 1 when the database answered the last request for the lease, else 0.
        database_available: Gauge = "weir_database_available",
        /// Duration of calls to the database, including failed ones.
        database_call: By<StoreCall, Histogram> = "weir_database_call_seconds" in SECONDS,
        /// 1 when the database's tables, keys and rights are as Weir needs them, else 0; nothing
        /// is written then.
        database_sound: Gauge = "weir_database_sound",
        /// Times that this replica noticed that the database had gone back in time, as after a
        /// failover to a standby that lagged or a restore, by what showed it.
        went_back: By<WentBack, Counter> = "weir_database_went_back_total",
        /// Calls to the database that failed: it was unavailable, had no room, held a corrupt
        /// value, was not sound (a table, key or right was missing), or refused.
        database_errors: By<(StoreCall, StoreFailure), Counter> = "weir_database_errors_total",
        /// Connections to the database, by whether they are in use.
        connections: By<ConnectionState, Gauge> = "weir_database_connections",
        /// Most connections to the database that may be open.
        connections_max: Gauge = "weir_database_connections_max",

        /// Tasks that ended although nothing told them to, by outcome. A connection counts if its
        /// handler panicked, and a group commit if it panicked.
        task_ends: By<(TaskName, TaskOutcome), Counter> = "weir_task_ends_total",
        /// Runs of background jobs, by outcome. A run that is due while the previous one is still
        /// running is skipped.
        job_runs: By<(JobName, RunOutcome), Counter> = "weir_job_runs_total",
        /// Unix time of a background job's last success; 0 before the first. On a replica that does
        /// not lead, leaving the work to the leader counts as success.
        job_last_success: By<JobName, Gauge> = "weir_job_last_success_timestamp_seconds",

        /// Offered rate of the services that spend most, and of all others together, as the served
        /// plan estimates it.
        service_offered: ByService = "weir_service_offered_per_second",
        /// Share of the services that spend most, and of all others together, in the served plan.
        service_share: ByService = "weir_service_share_traces_per_second",
        /// Sampled rate of the services that spend most, and of all others together, as reported
        /// for the plan's window. Services of which nobody says what was sampled have no series.
        service_observed_sampled: ByService = "weir_service_observed_sampled_traces_per_second",

        /// Sampled rate the served plan expects of each group of services, and of ungrouped
        /// services.
        group_sampled: ByGroup = "weir_group_sampled_traces_per_second",
        /// Floor of each group of services; 0 without one.
        group_floor: ByGroup = "weir_group_floor_traces_per_second",
        /// Cap of each group of services, infinite without one; for ungrouped services the budget.
        group_cap: ByGroup = "weir_group_cap_traces_per_second",
        /// Traces/s by which the floors inside each group of services exceed its cap.
        group_missing: ByGroup = "weir_group_missing_traces_per_second",

        /// Tail-governed services: those that edges decide about, and those that wait for one and are served as
        /// head-governed ones.
        tail_services: By<TailLabel, Gauge> = "weir_tail_services",
        /// Offered rate of each class, over all tail-governed services, as the served plan estimates it.
        class_offered: By<ClassLabel, Gauge> = "weir_class_offered_per_second",
        /// Share of each class, over all tail-governed services, in the served plan.
        class_share: By<ClassLabel, Gauge> = "weir_class_share_traces_per_second",

        /// Offered rate of the tagged requests of each rule, over all services, as the served plan estimates it; of
        /// those whose rule is not active together.
        tagged_offered: ByRule = "weir_tagged_offered_per_second",
        /// Share of the tagged requests of each rule, over all services, in the served plan; of those whose rule is not
        /// active together.
        tagged_share: ByRule = "weir_tagged_share_traces_per_second",
        /// Sampled rate of the tagged requests of each rule, over all services, as reported for the plan's window; of
        /// those whose rule is not active together.
        tagged_observed_sampled: ByRule = "weir_tagged_observed_sampled_traces_per_second",
    }
}

/// Adds the operating system's metrics of this process; nothing on systems other than Linux.
fn register_process(registry: &Registry) {
    #[cfg(target_os = "linux")]
    registry
        .register(Box::new(ProcessCollector::for_self()))
        .expect("no other metric has its names");
    #[cfg(not(target_os = "linux"))]
    let _ = registry;
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Measures phases that follow each other.
pub struct Laps(Instant);

impl Laps {
    /// Starts the first phase.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Records how long the phase that ends here took, and starts the next.
    pub fn lap(&mut self, histogram: &Histogram) {
        let now = Instant::now();
        histogram.observe((now - self.0).as_secs_f64());
        self.0 = now;
    }
}
