use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

use super::*;

const READ: Duration = Duration::from_secs(1000);

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

/// An issuer whose key is at hand, and that key.
struct Signer {
    issuer: Issuer,
    key: EcdsaKeyPair,
}

impl Signer {
    fn new() -> Self {
        let (random, kind) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let drawn = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(kind, drawn.as_ref(), &random).unwrap();
        let [viewer, operator, agent] = [Role::Viewer, Role::Operator, Role::Agent];
        let roles = [("v", viewer), ("o", operator), ("a", agent)];
        let issuer = Issuer::new(Expected {
            issuer: "https://id.example".into(),
            audience: "weir".into(),
            groups_claim: "groups".into(),
            roles: roles.map(|(group, role)| (group.to_owned(), role)).into(),
        });
        let signer = Self { issuer, key };
        let published = signer.published(json!({ "kid": "k", "use": "sig" }));
        signer.issuer.install(Keys::read(&published, READ).unwrap());
        signer
    }

    fn published(&self, more: Value) -> Vec<u8> {
        let point = self.key.public_key().as_ref();
        let [x, y] = [&point[1..33], &point[33..]].map(|half| URL_SAFE_NO_PAD.encode(half));
        let mut key = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y });
        let all = key.as_object_mut().unwrap();
        all.extend(more.as_object().unwrap().clone());
        let odd = json!({ "kty": "of the future", "kid": "k" });
        serde_json::to_vec(&json!({ "keys": [odd, 7, key] })).unwrap()
    }

    fn jwt(&self, claims: &Value) -> String {
        let header = json!({ "alg": "ES256", "kid": "k" });
        let [header, claims] =
            [&header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let message = format!("{header}.{claims}");
        let signed = self.key.sign(&SystemRandom::new(), message.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signed.unwrap());
        format!("{message}.{signature}")
    }

    fn holder(&self, more: Value, counted: Duration) -> Result<Identity, JwtFault> {
        let expires = now().timestamp() + 600;
        let mut claims = json!({
            "iss": "https://id.example", "aud": "weir", "sub": "4711", "exp": expires });
        let all = claims.as_object_mut().unwrap();
        all.extend(more.as_object().unwrap().clone());
        self.issuer.holder(&self.jwt(&claims), now(), counted)
    }
}

#[test]
fn keys_are_used_for_a_day_after_they_were_read() {
    let signer = Signer::new();
    let at = |counted| signer.holder(json!({}), counted).map(|_| ());
    assert_eq!(at(READ), Ok(()));
    assert_eq!(at(READ + KEYS_KEPT - Duration::from_secs(1)), Ok(()));
    assert_eq!(at(READ + KEYS_KEPT), Err(JwtFault::NoKeys));
    assert_eq!(signer.issuer.keys_age(READ + KEYS_KEPT), Some(KEYS_KEPT));
}

#[test]
fn who_is_in_several_groups_has_the_highest_role() {
    let signer = Signer::new();
    let role = |groups: &[&str]| {
        let said = json!({ "groups": groups });
        signer.holder(said, READ).unwrap().role
    };
    assert_eq!(role(&["x"]), None);
    assert_eq!(role(&["a"]), Some(Role::Agent));
    assert_eq!(role(&["a", "v"]), Some(Role::Viewer));
    assert_eq!(role(&["v", "x", "o"]), Some(Role::Operator));
}

#[test]
fn somebody_is_called_what_the_issuer_has_checked_and_what_fits() {
    let signer = Signer::new();
    let name = |said: Value| {
        signer
            .holder(said, READ)
            .map(|of| of.name.as_str().to_owned())
    };
    let long = "x".repeat(200);
    for (said, expected) in [
        (json!({}), "oidc:4711"),
        (json!({ "email": "a@b.c" }), "oidc:a@b.c"),
        (
            json!({ "email": "a@b.c", "preferred_username": "a" }),
            "oidc:a@b.c",
        ),
        (
            json!({ "email": "a@b.c", "email_verified": false }),
            "oidc:4711",
        ),
        (json!({ "preferred_username": "local" }), "oidc:local"),
        (
            json!({ "email": "a\nb", "preferred_username": 7 }),
            "oidc:4711",
        ),
        (
            json!({ "email": long, "preferred_username": "" }),
            "oidc:4711",
        ),
        (json!({ "sub": "a\nb" }), "oidc:ab"),
    ] {
        assert_eq!(name(said.clone()).as_deref(), Ok(expected), "{said}");
    }
    let of_long = name(json!({ "sub": "ä".repeat(200) })).unwrap();
    assert!(of_long.len() <= TokenName::LONGEST, "{of_long}");
    for nobody in [
        json!({ "sub": "" }),
        json!({ "sub": 7 }),
        json!({ "sub": "\n" }),
    ] {
        assert_eq!(name(nobody), Err(JwtFault::Claim("sub")));
    }
}

#[test]
fn times_are_numbers_of_any_size() {
    let signer = Signer::new();
    let expires = |exp: Value| {
        signer
            .holder(json!({ "exp": exp }), READ)
            .map(|of| of.expires_at)
    };
    assert!(expires(json!(1e300)).unwrap() > now());
    assert!(expires(json!(1_800_000_000.5)).is_ok());
    assert_eq!(expires(json!(-1e300)), Err(JwtFault::Expired));
    assert_eq!(expires(json!("1800000600")), Err(JwtFault::Claim("exp")));
}

#[test]
fn keys_that_are_for_something_else_are_not_used() {
    let signer = Signer::new();
    let read = |more| Keys::read(&signer.published(more), READ);
    assert!(read(json!({ "use": "enc" })).is_err());
    for more in [
        json!({ "kid": "k", "alg": "ES384" }),
        json!({ "kid": "k", "alg": "RSA-OAEP" }),
    ] {
        signer.issuer.install(read(more).unwrap());
        let refused = signer.holder(json!({}), READ);
        assert_eq!(refused, Err(JwtFault::Algorithm));
    }
    signer
        .issuer
        .install(read(json!({ "kid": "other" })).unwrap());
    assert_eq!(signer.holder(json!({}), READ), Err(JwtFault::UnknownKey));
    let secret = br#"{ "keys": [{ "kty": "oct", "k": "c2VjcmV0", "kid": "k" }] }"#;
    assert!(matches!(
        Keys::read(secret, READ),
        Err(KeysError::NoneFit(1))
    ));
    for damaged in [&b""[..], b"[]", b"{}", b"{\"keys\": 7}", b"<html>"] {
        assert!(matches!(
            Keys::read(damaged, READ),
            Err(KeysError::Malformed(_))
        ));
    }
}
