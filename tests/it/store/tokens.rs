use chrono::{Days, TimeDelta};
use uuid::Uuid;
use weir::access::{Role, Token, TokenKind, TokenName, TokenSecret};
use weir::allocation::ServiceName;
use weir::store::{SESSIONS_EACH, SESSIONS_MAX, Store, TOKENS_MAX, TokenCreation};

use super::{Fixture, corrupt_cell, instant};

fn token(name: &str, created: i64) -> Token {
    Token {
        id: Uuid::new_v4(),
        digest: TokenSecret::draw().unwrap().digest(),
        kind: TokenKind::Token,
        name: TokenName::parse(name).unwrap(),
        role: Role::Viewer,
        services: Vec::new(),
        created_at: instant(created),
        created_by: "local".into(),
        expires_at: None,
        revoked_at: None,
    }
}

async fn create(store: &dyn Store, new: &Token) {
    let created = store.create_token(new, None).await.unwrap();
    assert_eq!(created, TokenCreation::Created);
}

pub async fn they_come_back_oldest_first(fixture: &Fixture) {
    let store = fixture.open().await;
    assert_eq!(store.tokens().await.unwrap(), vec![]);
    let services = ["checkout", "bücher \"'[]"].map(|name| ServiceName::parse(name).unwrap());
    let limited = Token {
        role: Role::Agent,
        services: services.into(),
        expires_at: Some(instant(60_000)),
        ..token("agents of checkout", 2)
    };
    let tokens = [token("dashboard", 1), limited, token("dashboard", 3)];
    for of in [&tokens[2], &tokens[0], &tokens[1]] {
        create(&*store, of).await;
    }
    let replica = fixture.open().await;
    assert_eq!(replica.tokens().await.unwrap(), tokens);
}

pub async fn a_revoked_token_stays_revoked(fixture: &Fixture) {
    let store = fixture.open().await;
    let (one, other) = (token("one", 1), token("other", 2));
    create(&*store, &one).await;
    create(&*store, &other).await;
    let revoked = Token {
        revoked_at: Some(instant(5)),
        ..one.clone()
    };
    for now in [5, 9] {
        let told = store
            .revoke_token(one.id, instant(now), None)
            .await
            .unwrap();
        assert_eq!(told.as_ref(), Some(&revoked));
    }
    assert_eq!(store.tokens().await.unwrap(), [revoked, other]);
    let unknown = store.revoke_token(Uuid::new_v4(), instant(5), None).await;
    assert_eq!(unknown.unwrap(), None);
}

pub async fn every_change_changes_the_mark(fixture: &Fixture) {
    let (store, replica) = (fixture.open().await, fixture.open().await);
    let mut marks = vec![replica.tokens_mark().await.unwrap()];
    let (one, other) = (token("one", 1), token("other", 1));
    create(&*store, &one).await;
    marks.push(replica.tokens_mark().await.unwrap());
    create(&*store, &other).await;
    marks.push(replica.tokens_mark().await.unwrap());
    for of in [&one, &other] {
        store.revoke_token(of.id, instant(7), None).await.unwrap();
        marks.push(replica.tokens_mark().await.unwrap());
    }
    assert_eq!(replica.tokens_mark().await.unwrap(), marks[4]);
    for (place, mark) in marks.iter().enumerate() {
        assert!(!marks[..place].contains(mark), "{marks:?}");
    }
}

pub async fn there_are_never_too_many(fixture: &Fixture) {
    let store = fixture.open().await;
    for number in 0..TOKENS_MAX {
        create(&*store, &token(&format!("number {number}"), number)).await;
    }
    let more = store.create_token(&token("one too many", 0), None).await;
    assert_eq!(more.unwrap(), TokenCreation::Full);
    assert_eq!(store.tokens_mark().await.unwrap().tokens, TOKENS_MAX);
}

fn session(name: &str, created: i64) -> Token {
    Token {
        kind: TokenKind::Session,
        expires_at: Some(instant(created + 60_000)),
        ..token(name, created)
    }
}

pub async fn sessions_are_bounded_by_themselves_and_for_each_person(fixture: &Fixture) {
    let store = fixture.open().await;
    create(&*store, &token("anna", 0)).await;
    let mut begun = Vec::new();
    for number in 1..=SESSIONS_EACH + 2 {
        let session = session("anna", number);
        create(&*store, &session).await;
        begun.push(session);
    }
    let left = store.tokens().await.unwrap();
    assert_eq!(left[0].kind, TokenKind::Token);
    assert_eq!(left[1..], begun[2..], "the oldest have ended");
    let others = SESSIONS_MAX - SESSIONS_EACH;
    for number in 0..others {
        create(&*store, &session(&format!("number {number}"), 100)).await;
    }
    let more = store
        .create_token(&session("one too many", 100), None)
        .await;
    assert_eq!(more.unwrap(), TokenCreation::Full);
    create(&*store, &token("a token has room", 100)).await;
    create(&*store, &session("anna", 101)).await;
}

pub async fn a_session_that_has_ended_goes_when_another_begins(fixture: &Fixture) {
    let store = fixture.open().await;
    let (one, other) = (session("one", 1), session("other", 2));
    for of in [&one, &other] {
        create(&*store, of).await;
    }
    store.revoke_token(one.id, instant(3), None).await.unwrap();
    let third = session("third", 4);
    create(&*store, &third).await;
    assert_eq!(store.tokens().await.unwrap(), [other, third]);
    let late = session("late", 100_000);
    create(&*store, &late).await;
    assert_eq!(store.tokens().await.unwrap(), [late]);
}

pub async fn those_that_are_long_gone_go(fixture: &Fixture) {
    let store = fixture.open().await;
    let expired = Token {
        expires_at: Some(instant(0)),
        ..token("expired", 0)
    };
    let (revoked, forever) = (token("revoked", 1), token("forever", 2));
    for of in [&expired, &revoked, &forever] {
        create(&*store, of).await;
    }
    store
        .revoke_token(revoked.id, instant(1000), None)
        .await
        .unwrap();
    let names = async || {
        let tokens = store.tokens().await.unwrap().into_iter();
        tokens
            .map(|of| of.name.as_str().to_owned())
            .collect::<Vec<_>>()
    };
    let days = |days| instant(0).checked_add_days(Days::new(days)).unwrap();
    let later = |name, created_at| Token {
        created_at,
        ..token(name, 0)
    };
    create(&*store, &later("after 30 days", days(30))).await;
    let expected = ["expired", "revoked", "forever", "after 30 days"];
    assert_eq!(names().await, expected);
    let soon = days(30) + TimeDelta::seconds(2);
    create(&*store, &later("and 2 s", soon)).await;
    assert_eq!(names().await, ["forever", "after 30 days", "and 2 s"]);
}

pub async fn a_corrupt_row_is_named(fixture: &Fixture) {
    let store = fixture.open().await;
    let one = token("one", 1);
    create(&*store, &one).await;
    for (column, value) in [
        ("role", "'root'"),
        ("kind", "'cookie'"),
        ("services", "'{}'"),
        ("services", "'[\"\"]'"),
        ("name", "''"),
    ] {
        let kept =
            "update token set role = 'viewer', kind = 'token', services = '[]', name = 'one'";
        fixture.tamper(kept).await;
        let broken = format!("update token set {column} = {value}");
        fixture.tamper(&broken).await;
        let cell = format!("token.{column} of token {}", one.id);
        assert_eq!(corrupt_cell(store.tokens().await), cell);
    }
}
