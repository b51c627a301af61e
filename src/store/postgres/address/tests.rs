//! URLs as people write them.

use super::*;

fn names(url: &str) -> Vec<String> {
    let hosts = parse(url).unwrap().hosts;
    hosts.into_iter().map(|host| host.name).collect()
}

fn problem(url: &str) -> String {
    parse(url).unwrap_err().to_string()
}

#[test]
fn hosts_are_read_as_libpq_reads_them() {
    assert_eq!(names("postgres://a/db"), ["a:5432"]);
    assert_eq!(
        names("postgresql://u:p@a:1,b,[::1]:3/db?target_session_attrs=read-write"),
        ["a:1", "b:5432", "[::1]:3"]
    );
    assert_eq!(
        names("postgres:///db?host=/run/postgresql"),
        ["/run/postgresql:5432"]
    );
    assert_eq!(names("postgres://%2Frun%2Fpg:6000/db"), ["/run/pg:6000"]);
    assert_eq!(
        names("postgres://u@/db?host=a,b&port=6432"),
        ["a:6432", "b:6432"]
    );
    assert_eq!(names("postgres:///db?host=a,b&port=1,2"), ["a:1", "b:2"]);
    assert_eq!(
        names("postgres://u@a:6000/db?host=/run/pg"),
        ["/run/pg:6000"]
    );
    assert_eq!(names("postgres://a:1,b:2/db?host=c,d"), ["c:1", "d:2"]);
    assert_eq!(names("postgres://a:1,b:2/db?port=3"), ["a:3", "b:3"]);
}

#[test]
fn a_user_and_a_password_are_decoded_once() {
    let hosts = parse("postgres://we%40ir:p%2540ss@a/d%2Fb?sslmode=disable").unwrap();
    let options = &hosts.hosts[0].options;
    assert_eq!(options.get_username(), "we@ir");
    assert_eq!(options.get_database(), Some("d/b"));
    let text = format!("{options:?}");
    assert!(text.contains("p%40ss"), "{text}");
}

#[test]
fn what_cannot_work_is_refused_without_its_value() {
    let refused = [
        ("mysql://u:hush@a/db", "must start with"),
        ("postgres://u:hush@a:x/db", "a port must be"),
        ("postgres://u:hu#sh@a/db", "%23"),
        ("postgres://u:hush@a/db?sslmode=never", "ssl"),
        ("postgres://u:hush@a/db?sslpassword=hush", "\"sslpassword\""),
        (
            "postgres://u:hush@a/db?target_session_attrs=standby",
            "Weir writes",
        ),
        ("postgres://u:hush@a,b/db?port=1,2,3", "one for each host"),
        (
            "postgres://u:hush@a/db?sslrootcert=system&sslmode=require",
            "verify-full",
        ),
        ("postgres://u:hush@a/db?passfile=hush", "PGPASSFILE"),
        (
            "postgres://u:hush@a/db?channel_binding=require",
            "channel_binding",
        ),
    ];
    for (url, part) in refused {
        let said = problem(url);
        assert!(said.contains(part), "{url}: {said}");
        assert!(!said.contains("hush"), "{url}: {said}");
    }
}

#[test]
fn the_systems_certificates_check_the_host() {
    let hosts = parse("postgres://a/db?sslrootcert=system").unwrap();
    let mode = hosts.hosts[0].options.get_ssl_mode();
    assert!(matches!(mode, sqlx::postgres::PgSslMode::VerifyFull));
}

#[test]
fn no_cache_means_no_prepared_statements() {
    assert!(
        parse("postgres://a/db?statement-cache-capacity=0")
            .unwrap()
            .unprepared
    );
    assert!(
        !parse("postgres://a/db?statement-cache-capacity=9")
            .unwrap()
            .unprepared
    );
}
