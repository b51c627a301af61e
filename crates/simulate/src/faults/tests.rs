//! Faults as text, and what they do to the traffic.

use super::*;
use crate::virtual_time::{End, Loss, Restart};

#[test]
fn a_fault_is_what_was_typed() {
    let loss: Loss = "4:61:5".parse().unwrap();
    assert_eq!((loss.agents, loss.intervals), (4, 60..65));
    assert!(!loss.queued && Loss::queued("4:61:5").unwrap().queued);
    let restart: Restart = "2@7".parse().unwrap();
    assert_eq!((restart.agents, restart.at, restart.last), (2, 6, false));
    assert!("2@7:last".parse::<Restart>().unwrap().last);
    let end: End = "3@9:moved:last".parse().unwrap();
    assert_eq!(
        (end.agents, end.at, end.last, end.moved),
        (3, 8, true, true)
    );
    let claimed: Claimed = "1000000000000@61:5".parse().unwrap();
    assert_eq!(
        (claimed.offered, claimed.intervals),
        (1_000_000_000_000, 60..65)
    );
    let fade: Fade = "61:10:30:cart".parse().unwrap();
    assert_eq!((fade.fades, fade.silent), (60..70, 30));
    assert_eq!(fade.service.unwrap().as_str(), "cart");
    let change: BudgetChange = "10@61".parse().unwrap();
    assert_eq!((change.factor, change.at), (10.0, 60));
    let mint: Mint = "10@0.001:5:2".parse().unwrap();
    assert_eq!((mint.names, mint.part, mint.intervals), (10, 0.001, 4..6));
    let burst: Burst = "2.5@10".parse().unwrap();
    assert_eq!((burst.factor, burst.intervals), (2.5, 9..10));
    let rename: Rename = "0.3@61".parse().unwrap();
    assert_eq!((rename.part, rename.at), (0.3, 60));
}

#[test]
fn nonsense_is_refused_with_an_example() {
    for text in [
        "",
        "4",
        "4:0:1",
        "4:1",
        "4:1:1:1",
        "-4:1:1",
        "4:1:99999999999999999999",
    ] {
        assert!(text.parse::<Loss>().is_err(), "{text}");
    }
    for text in ["", "2", "@", "NaN@1", "inf@1:1", "2@0", "2@1:0", "-1@1"] {
        let error = text.parse::<Burst>().unwrap_err().to_string();
        assert!(error.contains("like 10@61:3"), "{error}");
    }
    for text in ["0@1", "1.1@1", "NaN@1", "0.5@0", "0.5"] {
        assert!(text.parse::<Rename>().is_err(), "{text}");
    }
    for text in ["0@1", "1@1:first", "1@1:last:last", "1"] {
        assert!(text.parse::<Restart>().is_err(), "{text}");
    }
    for text in ["1@1:gone", "1@0", "1@1:last:moved:last"] {
        assert!(text.parse::<End>().is_err(), "{text}");
    }
    for text in ["1:2", "0:1:1", "1:1:-1", "1:1:1:"] {
        assert!(text.parse::<Fade>().is_err(), "{text}");
    }
    for text in ["0@1", "2000000000000@1", "5"] {
        assert!(text.parse::<Claimed>().is_err(), "{text}");
    }
    for text in ["10", "10@2", "0@0.1", "1@0.1:1"] {
        assert!(text.parse::<Mint>().is_err(), "{text}");
    }
    assert!("-1@1".parse::<BudgetChange>().is_err());
}

#[test]
fn traffic_fades_by_halves_is_silent_and_comes_back() {
    let faults = Faults {
        fades: vec!["2:2:1:s1".parse().unwrap()],
        ..Faults::default()
    };
    for (interval, left) in [(0, 4000), (1, 2000), (2, 1000), (3, 0), (4, 4000)] {
        let traffic = traffic();
        let mut counts = vec![4000; 20];
        faults.shape(&traffic, &[], interval, &mut counts);
        let services = traffic.services();
        let of = |service: usize| counts[services[service].operations.clone()].to_vec();
        assert!(of(0).iter().all(|&count| count == 4000));
        assert!(
            of(1).iter().all(|count| count.abs_diff(left) <= 1),
            "{counts:?}"
        );
    }
}

#[test]
fn minted_names_are_used_in_one_interval_each() {
    let mint: Mint = "5@0.1:2:2".parse().unwrap();
    let (more, minted) = mint.mint(&traffic(), 1, 4);
    assert_eq!(more.operations().len(), 30);
    let faults = Faults {
        minted: vec![minted],
        ..Faults::default()
    };
    for (interval, added) in [(0, 0), (1, 5), (2, 5), (3, 0)] {
        let mut counts = vec![0; 30];
        faults.shape(&more, &[], interval, &mut counts);
        let used: Vec<usize> = (0..30).filter(|&place| counts[place] > 0).collect();
        assert_eq!(used.len(), added);
        let name = |place: &usize| more.operations()[*place].name.as_str();
        let prefix = format!("GET /minted-1-{interval}-");
        assert!(used.iter().all(|place| name(place).starts_with(&prefix)));
        // A tenth of the 140 requests of a row.
        assert_eq!(counts.iter().sum::<u64>(), 3 * added as u64);
    }
}

fn traffic() -> Traffic {
    let row = |place: usize| {
        let service = ServiceName::parse(&format!("s{}", place % 3)).unwrap();
        (
            service,
            OperationName::parse(&format!("o{place}")).unwrap(),
            vec![7; 4],
        )
    };
    let labels = (0..4).map(|row| row.to_string()).collect();
    Traffic::new(labels, (0..20).map(row).collect()).unwrap()
}

#[test]
fn what_is_renamed_goes_on_and_nothing_is_lost() {
    let mut faults = Faults::default();
    let renames = vec![Rename { part: 0.5, at: 2 }, Rename { part: 0.5, at: 1 }];
    let traffic = faults.rename(traffic(), renames, 1);
    assert_eq!(traffic.operations().len(), 40);
    for (interval, moved) in [(0, false), (1, true), (3, true)] {
        let mut counts: Vec<u64> = traffic
            .operations()
            .iter()
            .map(|of| u64::from(of.counts[interval]))
            .collect();
        faults.shape(&traffic, &[], interval, &mut counts);
        assert_eq!(counts.iter().sum::<u64>(), 140);
        let named = |place: usize| {
            traffic.operations()[place]
                .name
                .as_str()
                .contains("renamed")
        };
        let new = (0..40).any(|place| counts[place] > 0 && named(place));
        assert_eq!(new, moved, "in {interval}");
    }
}

#[test]
fn a_burst_multiplies_its_intervals_alone() {
    let faults = Faults {
        bursts: vec!["3@2:1".parse().unwrap()],
        ..Faults::default()
    };
    for (interval, expected) in [(0, 10), (1, 30), (2, 10)] {
        let mut counts = [10];
        faults.shape(&traffic(), &[], interval, &mut counts);
        assert_eq!(counts, [expected]);
    }
}
