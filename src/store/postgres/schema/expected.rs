//! The tables that Weir relies on, as the migrations create them.
//!
//! A migration that adds a table, a column, a key or an index must add it here too.
//! `tests/it/store/postgres_schema.rs` compares the two.

/// A table, and its required parts.
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The column by which it is partitioned.
    pub partitioned_by: Option<&'static str>,
    /// Names and types, as in `pg_type.typname`.
    pub columns: &'static [&'static str],
    /// Indexes: `unique` or `index`, and their columns.
    pub indexes: &'static [&'static str],
}

/// The triggers that Weir relies on, by table.
pub const TRIGGERS: &[(&str, &str)] = &[
    ("dictionary", "dictionary_change"),
    ("plan_head", "plan_head_change"),
];

/// Every table of ours.
pub const TABLES: &[Table] = &[
    Table {
        name: "audit",
        partitioned_by: None,
        columns: &[
            "id int8",
            "at_ms int8",
            "by_name text",
            "by_kind text",
            "by_role text",
            "address text",
            "origin text",
            "action text",
            "subject text",
            "reason text",
            "revision_before int8",
            "revision_after int8",
            "change text",
            "predicted text",
            "measured text",
        ],
        indexes: &["unique id", "index at_ms"],
    },
    Table {
        name: "compatibility",
        partitioned_by: None,
        columns: &[
            "only_row bool",
            "schema_level int8",
            "readable_from int8",
            "write_format int8",
        ],
        indexes: &["unique only_row"],
    },
    Table {
        name: "configuration",
        partitioned_by: None,
        columns: &[
            "revision int8",
            "document text",
            "written_ms int8",
            "written_by text",
            "origins text",
        ],
        indexes: &["unique revision"],
    },
    Table {
        name: "delta",
        partitioned_by: Some("bucket_start_ms"),
        columns: &[
            "bucket_start_ms int8",
            "bucket_end_ms int8",
            "payload bytea",
            "reports bytea",
        ],
        indexes: &["index bucket_start_ms"],
    },
    Table {
        name: "dictionary",
        partitioned_by: None,
        columns: &[
            "only_row bool",
            "generation int8",
            "next_service_id int8",
            "next_operation_id int8",
            "services int8",
            "operations int8",
            "incarnation uuid",
        ],
        indexes: &["unique only_row"],
    },
    Table {
        name: "dictionary_chain",
        partitioned_by: None,
        columns: &[
            "incarnation uuid",
            "generation int8",
            "next_operation_id int8",
        ],
        indexes: &["unique incarnation", "index generation, next_operation_id"],
    },
    Table {
        name: "edge",
        partitioned_by: None,
        columns: &["edge text", "version text", "plan int8", "seen_ms int8"],
        indexes: &["unique edge"],
    },
    Table {
        name: "final_names",
        partitioned_by: None,
        columns: &[
            "bucket_start_ms int8",
            "replica uuid",
            "part int8",
            "bucket_end_ms int8",
            "payload bytea",
        ],
        indexes: &["unique bucket_start_ms, replica, part"],
    },
    Table {
        name: "fleet",
        partitioned_by: None,
        columns: &[
            "only_row bool",
            "interval_ms int8",
            "report_age_max_ms int8",
            "grace_ms int8",
            "history_ms int8",
            "retire_after_ms int8",
            "max_services int8",
            "max_operations_per_service int8",
            "max_operations int8",
            "history_10m_ms int8",
            "history_1h_ms int8",
            "history_1d_ms int8",
        ],
        indexes: &["unique only_row"],
    },
    Table {
        name: "history",
        partitioned_by: Some("window_start_ms"),
        columns: &[
            "window_start_ms int8",
            "window_end_ms int8",
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
            "epoch int8",
            "expires_at timestamptz",
        ],
        indexes: &["unique name"],
    },
    Table {
        name: "mark",
        partitioned_by: None,
        columns: &[
            "agent text",
            "epoch uuid",
            "last_sequence int8",
            "seen int8",
            "used_ms int8",
            "state bytea",
        ],
        indexes: &["unique agent, epoch"],
    },
    Table {
        name: "observation",
        partitioned_by: None,
        columns: &[
            "bucket_start_ms int8",
            "replica uuid",
            "kind text",
            "bucket_end_ms int8",
            "payload bytea",
        ],
        indexes: &["unique bucket_start_ms, replica, kind"],
    },
    Table {
        name: "operation",
        partitioned_by: None,
        columns: &["operation_id int8", "service_id int8", "name text"],
        indexes: &["unique operation_id", "unique service_id, name"],
    },
    Table {
        name: "plan",
        partitioned_by: Some("published_ms"),
        columns: &[
            "number int8",
            "epoch int8",
            "window_start_ms int8",
            "window_end_ms int8",
            "configuration_revision int8",
            "published_ms int8",
            "summary text",
        ],
        indexes: &["unique number, published_ms", "index window_start_ms"],
    },
    Table {
        name: "plan_body",
        partitioned_by: Some("published_ms"),
        columns: &["number int8", "published_ms int8", "body bytea"],
        indexes: &["unique number, published_ms"],
    },
    Table {
        name: "plan_head",
        partitioned_by: None,
        columns: &[
            "only_row bool",
            "number int8",
            "published_ms int8",
            "identity uuid",
        ],
        indexes: &["unique only_row"],
    },
    Table {
        name: "polls",
        partitioned_by: None,
        columns: &[
            "bucket_start_ms int8",
            "replica uuid",
            "bucket_end_ms int8",
            "from_ms int8",
            "until_ms int8",
            "incarnation uuid",
            "payload bytea",
        ],
        indexes: &["unique bucket_start_ms, replica"],
    },
    Table {
        name: "replica",
        partitioned_by: None,
        columns: &[
            "replica uuid",
            "host text",
            "version text",
            "started_ms int8",
            "seen_ms int8",
            "plan int8",
        ],
        indexes: &["unique replica"],
    },
    Table {
        name: "series",
        partitioned_by: None,
        columns: &[
            "step_ms int8",
            "start_ms int8",
            "part int8",
            "end_ms int8",
            "payload bytea",
        ],
        indexes: &["unique step_ms, start_ms, part"],
    },
    Table {
        name: "series_mark",
        partitioned_by: None,
        columns: &["only_row bool", "until_ms int8"],
        indexes: &["unique only_row"],
    },
    Table {
        name: "series_window",
        partitioned_by: Some("start_ms"),
        columns: &["start_ms int8", "part int8", "end_ms int8", "payload bytea"],
        indexes: &["unique start_ms, part"],
    },
    Table {
        name: "service",
        partitioned_by: None,
        columns: &["service_id int8", "name text", "operations int8"],
        indexes: &["unique service_id", "unique name"],
    },
    Table {
        name: "settlement",
        partitioned_by: None,
        columns: &["only_row bool", "until_ms int8"],
        indexes: &["unique only_row"],
    },
    Table {
        name: "token",
        partitioned_by: None,
        columns: &[
            "id uuid",
            "digest bytea",
            "name text",
            "role text",
            "services text",
            "created_ms int8",
            "created_by text",
            "expires_ms int8",
            "revoked_ms int8",
            "kind text",
        ],
        indexes: &["unique id", "unique digest"],
    },
];
