//! The tables that Weir relies on, as the migrations make them.
//!
//! A migration that adds a table, a column, a key or an index adds it here, too;
//! `tests/it/store/postgres_schema.rs` compares the two.

/// A table, and what of it must be there.
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The column by whose ranges it is partitioned.
    pub partitioned_by: Option<&'static str>,
    /// Names and types.
    pub columns: &'static [&'static str],
    /// Indexes: `unique` or `index`, and their columns.
    pub indexes: &'static [&'static str],
}

/// Every table of ours.
pub const TABLES: &[Table] = &[
    Table {
        name: "configuration",
        partitioned_by: None,
        columns: &["revision bigint", "document text", "written_ms bigint"],
        indexes: &["unique revision"],
    },
    Table {
        name: "delta",
        partitioned_by: Some("bucket_start_ms"),
        columns: &[
            "bucket_start_ms bigint",
            "bucket_end_ms bigint",
            "payload bytea",
        ],
        indexes: &["index bucket_start_ms"],
    },
    Table {
        name: "dictionary",
        partitioned_by: None,
        columns: &[
            "only_row boolean",
            "generation bigint",
            "next_service_id bigint",
            "next_operation_id bigint",
            "services bigint",
            "operations bigint",
            "incarnation uuid",
        ],
        indexes: &["unique only_row"],
    },
    Table {
        name: "dictionary_chain",
        partitioned_by: None,
        columns: &[
            "incarnation uuid",
            "generation bigint",
            "next_operation_id bigint",
        ],
        indexes: &["unique incarnation", "index generation, next_operation_id"],
    },
    Table {
        name: "fleet",
        partitioned_by: None,
        columns: &[
            "only_row boolean",
            "interval_ms bigint",
            "report_age_max_ms bigint",
        ],
        indexes: &["unique only_row"],
    },
    Table {
        name: "history",
        partitioned_by: Some("window_start_ms"),
        columns: &[
            "window_start_ms bigint",
            "window_end_ms bigint",
            "payload bytea",
        ],
        indexes: &["unique window_start_ms"],
    },
    Table {
        name: "lease",
        partitioned_by: None,
        columns: &[
            "name text",
            "holder uuid",
            "epoch bigint",
            "expires_at timestamp with time zone",
        ],
        indexes: &["unique name"],
    },
    Table {
        name: "mark",
        partitioned_by: None,
        columns: &[
            "agent text",
            "epoch uuid",
            "last_sequence bigint",
            "seen bigint",
            "used_ms bigint",
        ],
        indexes: &["unique agent, epoch"],
    },
    Table {
        name: "operation",
        partitioned_by: None,
        columns: &["operation_id bigint", "service_id bigint", "name text"],
        indexes: &["unique operation_id", "unique service_id, name"],
    },
    Table {
        name: "plan",
        partitioned_by: Some("published_ms"),
        columns: &[
            "number bigint",
            "epoch bigint",
            "window_start_ms bigint",
            "window_end_ms bigint",
            "configuration_revision bigint",
            "published_ms bigint",
            "summary text",
        ],
        indexes: &["unique number, published_ms"],
    },
    Table {
        name: "plan_body",
        partitioned_by: Some("published_ms"),
        columns: &["number bigint", "published_ms bigint", "body bytea"],
        indexes: &["unique number, published_ms"],
    },
    Table {
        name: "plan_head",
        partitioned_by: None,
        columns: &["only_row boolean", "number bigint", "published_ms bigint"],
        indexes: &["unique only_row"],
    },
    Table {
        name: "service",
        partitioned_by: None,
        columns: &["service_id bigint", "name text", "operations bigint"],
        indexes: &["unique service_id", "unique name"],
    },
];
