//! Which Weir is spoken to, and whom it trusts.

use super::{Operator, end, shown_path};
use crate::support::app::TestApp;
use crate::support::tls::{Authority, Secret, Valid};

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_says_which_weir_is_spoken_to() {
    let directory = tempfile::tempdir().unwrap();
    let token = format!("weir_{}", "0123456789abcdef".repeat(4));
    let flags = ["--require-admin-token", "--bootstrap-token", &token];
    let app = TestApp::start(directory.path(), &flags).await;
    let operator = Operator::of(&app.admin);
    let profiles = format!(
        "default: near\nprofiles:\n  near: {{url: '{}', token_file: token}}\n  far: {{url: 'http://127.0.0.1:9'}}\n",
        app.admin
    );
    operator.file(".config/weir/profiles.yaml", &profiles);
    operator.file(".config/weir/token", &format!("{token}\n"));
    let run = async |arguments: &[&str]| {
        let mut command = operator.command(arguments);
        command.env_remove("WEIR_URL");
        end(command, "").await
    };
    let near = run(&["budget", "-o", "json"]).await.json();
    assert_eq!(near["budget"]["traces_per_second"], 10.0);
    // The profile's token is for the profile's URL.
    let elsewhere = operator.run(&["budget"]).await;
    assert_eq!(elsewhere.status, 0, "the same URL: {}", elsewhere.err);
    let mut other = operator.command(&["budget"]);
    other.env("WEIR_URL", format!("{}/", app.admin));
    let other = end(other, "").await;
    assert!(
        other.status == 1 && other.err.contains("needs a token of role viewer"),
        "{}",
        other.err
    );
    let far = run(&["budget", "--profile", "far"]).await;
    assert!(
        far.status == 1 && far.err.contains("127.0.0.1:9"),
        "{}",
        far.err
    );
    let unknown = run(&["budget", "--profile", "moon"]).await;
    assert!(
        unknown.status == 2
            && unknown.err.contains("no profile \"moon\"")
            && unknown.err.contains("far"),
        "{}",
        unknown.err
    );
    operator.file(".config/weir/token", "\n");
    let empty = run(&["budget"]).await;
    assert!(
        empty.status == 2 && empty.err.contains("holds no token"),
        "{}",
        empty.err
    );
    // Not the admin listener.
    let mut wrong = operator.command(&["budget"]);
    wrong.env("WEIR_URL", &app.sdk);
    let wrong = end(wrong, "").await;
    assert!(
        wrong.status == 1 && wrong.err.contains("admin"),
        "{}",
        wrong.err
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_of_the_service_is_checked() {
    let authority = Authority::new("ours");
    let secret = Secret::of(&authority.server(Valid::NOW));
    let directory = tempfile::tempdir().unwrap();
    let own = secret.flags();
    let flags: Vec<&str> = own.iter().map(String::as_str).collect();
    let app = TestApp::start(directory.path(), &flags).await;
    let operator = Operator::of(&app.admin.replace("http://127.0.0.1", "https://localhost"));
    let ours = operator.file("ours.pem", &authority.pem());
    let other = operator.file("other.pem", &Authority::new("another").pem());
    let empty = operator.file("empty.pem", "");
    let cases: &[(&[&str], i32, &str)] = &[
        (&["--ca", shown_path(&ours)], 0, ""),
        (&["--ca", shown_path(&other)], 1, "certificate"),
        (&[], 1, "certificate"),
        (&["--ca", shown_path(&empty)], 2, "holds no certificate"),
    ];
    for (flags, status, said) in cases {
        let asked = operator.run(&[&["budget"], *flags].concat()).await;
        assert_eq!(asked.status, *status, "{flags:?}: {}", asked.err);
        assert!(asked.err.contains(said), "{flags:?}: {}", asked.err);
    }
    app.stop().await;
}
