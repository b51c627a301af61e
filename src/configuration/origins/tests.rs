use super::*;
use crate::configuration::{Budget, ServiceSettings};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).expect("a time")
}

fn writer(origin: Origin, by: &str, revision: u64) -> Writer<'_> {
    Writer {
        origin,
        by,
        reason: None,
        now: at(i64::try_from(revision).unwrap()),
        revision,
        owns: None,
    }
}

fn with(services: &[&str]) -> Configuration {
    let named = services.iter();
    Configuration {
        services: named
            .map(|name| ((*name).into(), ServiceSettings::default()))
            .collect(),
        ..Configuration::default()
    }
}

fn budget(configuration: &Configuration, traces: f64) -> Configuration {
    Configuration {
        budget: Budget::TracesPerSecond(traces),
        ..configuration.clone()
    }
}

fn owns(name: &str, services: &[&str]) -> Owns {
    Owns {
        name: name.into(),
        services: services.iter().map(|name| (*name).to_owned()).collect(),
        ..Owns::default()
    }
}

fn named(overwrites: &[Overwrite]) -> Vec<&str> {
    overwrites.iter().map(|of| &*of.object).collect()
}

#[test]
fn a_file_is_told_of_people_and_people_of_a_file() {
    let first = with(&["a", "b"]);
    let file = writer(Origin::File, "ci", 2);
    let second = budget(&first, 20.0);
    let origins = Origins::default();
    assert!(
        origins.overwrites(&first, &second, &file).is_empty(),
        "nobody wrote it"
    );
    let origins = origins.after(&first, &second, &file);
    assert_eq!(
        origins.of(Kind::Services, "a").unwrap().by,
        "ci",
        "it has these, too"
    );

    let ann = writer(Origin::Cli, "ann", 3);
    let third = Configuration {
        services: with(&["b", "c"]).services,
        ..budget(&second, 30.0)
    };
    assert_eq!(
        named(&origins.overwrites(&second, &third, &ann)),
        ["budget", "services.a"]
    );
    let origins = origins.after(&second, &third, &ann);
    assert_eq!(origins.of(Kind::Services, "a"), None, "it is gone");
    let mark = origins.of(Kind::Settings, "budget").unwrap();
    assert_eq!((mark.origin, &*mark.by), (Origin::Cli, "ann"));
    assert_eq!(mark.overwrote.as_ref().unwrap().by, "ci");
    let origins = Origins::read(&origins.document()).unwrap();

    // The file says what it said before: all of hers would be lost.
    let file = writer(Origin::File, "ci", 4);
    let lost = origins.overwrites(&third, &second, &file);
    assert_eq!(named(&lost), ["budget", "services.a", "services.c"]);
    // It agrees with her in the end.
    let origins = origins.after(&third, &third, &file);
    assert!(origins.overwrites(&third, &second, &file).is_empty());
    assert_eq!(
        origins.of(Kind::Services, "a"),
        None,
        "nobody misses it any more"
    );
}

#[test]
fn parts_do_not_touch_each_other() {
    let [pay, mail] = [owns("pay", &["pay-*"]), owns("mail", &["mail"])];
    let file = |owns| Writer {
        owns: Some(owns),
        ..writer(Origin::File, "ci", 2)
    };
    let first = Configuration::default();
    let second = with(&["pay-a"]);
    let origins = Origins::default().after(&first, &second, &file(&pay));
    let third = with(&["mail", "pay-a"]);
    let origins = origins.after(&second, &third, &file(&mail));
    let mark = origins.of(Kind::Services, "pay-a").unwrap();
    assert_eq!(mark.part.as_deref(), Some("pay"));
    assert_eq!(
        origins.of(Kind::Settings, "budget"),
        None,
        "no part owns it"
    );

    let whole = writer(Origin::File, "ci", 3);
    let lost = origins.overwrites(&third, &first, &whole);
    assert_eq!(named(&lost), ["services.mail", "services.pay-a"]);
    assert_eq!(lost[1].owned_by.as_deref(), Some("pay"));
    // A name that belongs to a part, though nobody has written it.
    let ann = writer(Origin::Cli, "ann", 3);
    let added = origins.overwrites(&third, &with(&["mail", "pay-a", "pay-b"]), &ann);
    assert_eq!(
        (named(&added), &added[0].mark),
        (vec!["services.pay-b"], &None)
    );

    assert_eq!(origins.overlaps(Some(&pay)), [], "that is itself");
    let other = owns("other", &["pay-a"]);
    assert_eq!(origins.overlaps(Some(&other))[0].lists, "pay-*");
    // A part that owns nothing any more is forgotten; what it wrote stays.
    let none = owns("pay", &[]);
    let origins = origins.after(&third, &third, &file(&none));
    assert_eq!(origins.overlaps(Some(&other)), []);
    assert_eq!(origins.parts().count(), 1);
}

#[test]
fn what_is_gone_is_remembered_within_a_limit() {
    let names: Vec<String> = (0..GONE_MAX + 5)
        .map(|number| format!("s{number}"))
        .collect();
    let many = with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let (none, file) = (Configuration::default(), writer(Origin::File, "ci", 2));
    let origins = Origins::default().after(&none, &many, &file);
    let origins = origins.after(&many, &none, &writer(Origin::Ui, "ann", 3));
    let gone = origins.marks.values().filter(|mark| mark.gone).count();
    assert_eq!(gone, GONE_MAX);
    assert!(Origins::read("{}").is_err());
    assert!(Origins::read("[1]").is_err());
}
