//! Labels of requests and reports.

use super::{Label, labels};

labels! {
    /// How a poll was answered.
    PollOutcome as "outcome" {
        /// With the service's strategy.
        Known = "known",
        /// With the fleet's default.
        Unknown = "unknown",
        /// With an error: the service was not given exactly once, or the message cannot be read.
        Malformed = "malformed",
    }

    /// How a poll came.
    PollProtocol as "protocol" {
        /// JSON over HTTP/1.1, on either listener.
        Http = "http",
        /// Protobuf over gRPC.
        Grpc = "grpc",
    }

    /// How the file of all strategies was answered.
    FileOutcome as "outcome" {
        /// With the file.
        Sent = "sent",
        /// The client has it already.
        Unchanged = "unchanged",
    }

    /// How an edge was answered that asked for the plan.
    EdgePollOutcome as "outcome" {
        /// With a plan.
        Changed = "changed",
        /// The edge has it already.
        Unchanged = "unchanged",
        /// With an error: the question is wrong, or there are too many edges.
        Refused = "refused",
    }

    /// What a client asked for over X-Ray's protocol.
    XrayCall as "call" {
        /// Rules: what requests are told apart by.
        Rules = "rules",
        /// Targets: the rates, after telling what its sampler counted.
        Targets = "targets",
    }

    /// How a call over X-Ray's protocol was answered.
    XrayOutcome as "outcome" {
        /// In full.
        Answered = "answered",
        /// Some of the statistics were wrong, and were left out.
        Partial = "partial",
        /// Nothing of the statistics could be counted.
        NotCounted = "not_counted",
        /// With an error: the call cannot be read.
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
        /// It contains a control character, or U+FDD0.
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
        /// The class is none that Weir knows; the request is counted as one of the others (rest).
        UnknownClass = "unknown_class",
    }

    /// Why a reported operation was not counted.
    IgnoreReason as "reason" {
        /// The token that the report came with is not for the service.
        OutOfScope = "out_of_scope",
        /// The number of offered requests is not a whole number, or is negative.
        NotACount = "not_a_count",
        /// The number of offered requests is larger than any machine can serve.
        TooLarge = "too_large",
    }

    /// What an export of OTLP holds.
    Signal as "signal" {
        /// Metrics, of which requests are counted.
        Metrics = "metrics",
        /// Traces, of which nothing is counted.
        Traces = "traces",
        /// Logs, of which nothing is counted.
        Logs = "logs",
    }

    /// How an export came, by the names that OTEL_EXPORTER_OTLP_PROTOCOL has for it.
    ExportProtocol as "protocol" {
        /// Protobuf over gRPC.
        Grpc = "grpc",
        /// Protobuf over HTTP/1.1.
        HttpProtobuf = "http/protobuf",
        /// JSON over HTTP/1.1.
        HttpJson = "http/json",
        /// A type that is not known, over HTTP/1.1.
        HttpOther = "http/other",
    }

    /// How an export was answered.
    ExportOutcome as "outcome" {
        /// Everything in it was accepted.
        Accepted = "accepted",
        /// Something in it was not counted, and the answer says what.
        Partial = "partial",
        /// It could not be read.
        Malformed = "malformed",
        /// Its body was too large.
        TooLarge = "too_large",
        /// Its body took too long to arrive.
        TooSlow = "too_slow",
        /// Its type or encoding was not known.
        Unsupported = "unsupported",
        /// Its token is not for any of its services.
        Forbidden = "forbidden",
        /// Too many reports and exports were waiting.
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

    /// Why a data point of a metric that counts requests was not counted.
    LeftOutReason as "reason" {
        /// It counts something else: spans that are not roots, or what a process asks of others.
        NotARequest = "not_a_request",
        /// It has no value: its stream has ended.
        NoValue = "no_value",
        /// It does not say what was asked: the method, the procedure or the span's name.
        NoName = "no_name",
        /// Its value is negative, not a number, or too large.
        NotACount = "not_a_count",
        /// Its sum may fall.
        NotMonotonic = "not_monotonic",
        /// Its metric is neither cumulative nor a delta.
        NoTemporality = "no_temporality",
        /// It does not say when it was read, or the span when it ended.
        NoTime = "no_time",
        /// It is a span without a valid id.
        NoId = "no_id",
        /// The token that the export came with is not for the service.
        OutOfScope = "out_of_scope",
        /// The export already has the largest number of points or sources.
        TooMany = "too_many",
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

    /// The listener that a request came to.
    ListenerName as "listener" {
        /// The listener for SDKs and agents.
        Sdk = "sdk",
        /// The listener for SDKs that speak gRPC.
        Grpc = "grpc",
        /// The listener for clients that speak X-Ray's protocol.
        Xray = "xray",
        /// The listener for operators.
        Admin = "admin",
        /// The listener for probes and Prometheus.
        Observe = "observe",
    }

    /// Why somebody may not do something.
    AccessRefusal as "reason" {
        /// No token was presented.
        NoToken = "no_token",
        /// What was presented is not a token.
        Malformed = "malformed",
        /// Nobody has the token.
        Unknown = "unknown",
        /// The token has run out.
        Expired = "expired",
        /// The token was revoked.
        Revoked = "revoked",
        /// Too many tokens that are not valid came from the address.
        TooMany = "too_many",
        /// The token has another role.
        Role = "role",
        /// The token is not for this service.
        Scope = "scope",
        /// The issuer's JWT is not accepted.
        Jwt = "jwt",
        /// A change in a session that names no page.
        NoPage = "no_page",
    }

    /// How a handshake of TLS ended.
    HandshakeOutcome as "outcome" {
        /// The connection is encrypted.
        Completed = "completed",
        /// The client does not speak TLS.
        Plain = "plain",
        /// It took too long.
        Slow = "slow",
        /// The client left.
        Gone = "gone",
        /// Too many clients shook hands, and this one had been at it for longest.
        Evicted = "evicted",
        /// The client does not accept the listener's certificate.
        Distrusted = "distrusted",
        /// The client presented no certificate, and has to.
        NoClientCertificate = "no_client_certificate",
        /// The client's certificate is not signed by an authority of the listener, or not valid now.
        ClientRefused = "client_refused",
        /// The two have no version, no algorithm or no protocol in common.
        Incompatible = "incompatible",
        /// The client broke the protocol.
        Malformed = "malformed",
    }

    /// How an attempt to sign in by browser ended.
    SignInOutcome as "outcome" {
        /// A session began.
        Succeeded = "succeeded",
        /// They have no role here, or the provider refused them.
        Refused = "refused",
        /// The provider could not be asked, or its answer cannot be accepted.
        Failed = "failed",
        /// The answer belongs to no attempt of this browser.
        Stray = "stray",
    }

    /// How a change of the files of TLS ended.
    TlsReload as "outcome" {
        /// New handshakes use the new files.
        Succeeded = "succeeded",
        /// The new files cannot be used, and the old ones stay in use.
        Failed = "failed",
    }
}
