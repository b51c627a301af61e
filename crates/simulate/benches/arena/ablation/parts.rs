//! The parts, and how each is switched off.

use weir_allocation::Tuning;
use weir_allocation::tuning::estimate::{PACES, Pace};

/// A part of the allocation.
pub struct Part {
    pub name: &'static str,
    switch: fn(&mut Tuning),
    /// Its code: files, and in them items; whole files where there are none.
    pub code: &'static [(&'static str, &'static [&'static str])],
}

impl Part {
    /// The tuning without it.
    pub fn off(&self) -> Tuning {
        let mut tuning = Tuning::DEFAULT;
        (self.switch)(&mut tuning);
        tuning
    }
}

/// Larger than any count of them.
const NEVER: f64 = 1e9;

/// The followers but one of them.
const BUT_SLOW: [Pace; 2] = [PACES[1], PACES[2]];
const BUT_QUICK: [Pace; 2] = [PACES[0], PACES[2]];

/// All parts, room by room.
pub fn all() -> Vec<Part> {
    [
        common(),
        estimate(),
        names(),
        shared(),
        served(),
        windows(),
        trust(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn common() -> Vec<Part> {
    vec![
        Part {
            name: "the common course",
            switch: |of| (of.estimate.common.paces, of.estimate.common.own_most) = (&[], 0.0),
            code: &[("estimate/common.rs", &[]), ("estimate/course.rs", &[])],
        },
        Part {
            name: "its slope",
            switch: |of| of.estimate.common.paces = &PACES[..2],
            code: &[],
        },
        Part {
            name: "its slow follower",
            switch: |of| of.estimate.common.paces = &BUT_SLOW,
            code: &[],
        },
        Part {
            name: "its quick follower",
            switch: |of| of.estimate.common.paces = &BUT_QUICK,
            code: &[],
        },
        Part {
            name: "jumps of the common course",
            switch: |of| of.estimate.common.jump_deviations = NEVER,
            code: &[
                ("estimate/common.rs", &["fn jumped", "fn begun_anew"]),
                ("estimate/course.rs", &["fn begun_anew", "fn missed"]),
            ],
        },
        Part {
            name: "the estimates' own moves (own)",
            switch: |of| of.estimate.common.own_most = 0.0,
            code: &[("estimate/common.rs", &["fn own", "struct Shift"])],
        },
    ]
}

fn estimate() -> Vec<Part> {
    vec![
        Part {
            name: "steps of operations",
            switch: |of| of.estimate.operation.step_deviations = NEVER,
            code: &[("estimate/outlook.rs", &["fn is_step"])],
        },
        Part {
            name: "edges of other windows' reports",
            switch: |of| of.estimate.operation.edge = 0.0,
            code: &[("estimate/outlook.rs", &["fn is_edge"])],
        },
        Part {
            name: "presence",
            switch: |of| {
                (
                    of.estimate.presence.learning,
                    of.estimate.presence.stay_most,
                ) = (0.0, 1.0)
            },
            code: &[("estimate/presence.rs", &[])],
        },
        Part {
            name: "rhythm",
            switch: |of| of.estimate.rhythm.believed = 0.0,
            code: &[("estimate/rhythm.rs", &[])],
        },
    ]
}

fn names() -> Vec<Part> {
    vec![
        Part {
            name: "priors of new operations",
            switch: |of| of.estimate.operation.prior_count = 0.0,
            code: &[("estimate/priors.rs", &[])],
        },
        Part {
            name: "names that never come again",
            switch: |of| (of.estimate.names.least, of.estimate.names.seldom) = (1.0, 0.0),
            code: &[
                ("estimate/names_return.rs", &[]),
                ("share/limits.rs", &["fn may_be_gone"]),
            ],
        },
        Part {
            name: "the bound on names of services that mint some",
            switch: |of| of.estimate.names.seldom = 0.0,
            code: &[("share/limits.rs", &["fn may_be_gone"])],
        },
        Part {
            name: "the reserve for the unseen",
            switch: |of| of.estimate.names.unseen_gain = 0.0,
            code: &[("serve/decide.rs", &["fn unseen_reserve"])],
        },
    ]
}

fn shared() -> Vec<Part> {
    vec![
        Part {
            name: "peaks",
            switch: |of| of.share.peaks.most = NEVER,
            code: &[("share/peaks.rs", &[])],
        },
        Part {
            name: "the slow rise of peaks",
            switch: |of| (of.share.peaks.rise, of.share.peaks.rise_growing) = (NEVER, NEVER),
            code: &[("estimate/peak.rs", &[])],
        },
        Part {
            name: "the peaks of young fleets",
            switch: |of| (of.share.peaks.young_plans, of.share.peaks.growing_plans) = (0, 0),
            code: &[("share/peaks.rs", &["fn following"])],
        },
    ]
}

fn served() -> Vec<Part> {
    vec![
        Part {
            name: "the deadband",
            switch: |of| (of.serve.deadband.band, of.serve.deadband.band_most) = (0.0, 0.0),
            code: &[("serve/deadband.rs", &[])],
        },
        Part {
            name: "its width for small counts",
            switch: |of| of.serve.deadband.deviations = 0.0,
            code: &[("serve/deadband.rs", &["fn band"])],
        },
        Part {
            name: "the trim",
            switch: |of| {
                let trim = &mut of.serve.trim;
                (trim.step, trim.owed_most, trim.chance) = (0.0, 0.0, f64::INFINITY);
            },
            code: &[("serve/trim.rs", &[]), ("serve/served.rs", &[])],
        },
        Part {
            name: "its balance",
            switch: |of| of.serve.trim.step = 0.0,
            code: &[("serve/trim.rs", &["fn balanced"])],
        },
        Part {
            name: "what is owed",
            switch: |of| of.serve.trim.owed_most = 0.0,
            code: &[("serve/trim.rs", &["fn repayment"])],
        },
        Part {
            name: "what SDKs keep of what they are to keep",
            switch: |of| of.serve.trim.chance = f64::INFINITY,
            code: &[("serve/trim.rs", &["fn compared", "fn believed", "fn told"])],
        },
        Part {
            name: "the clock",
            switch: |of| of.serve.clock.open = f64::INFINITY,
            code: &[("serve/clock.rs", &[])],
        },
    ]
}

fn windows() -> Vec<Part> {
    vec![
        Part {
            name: "windows that are read again",
            switch: |of| {
                let agents = &mut of.trust.agents;
                (agents.settle_part, agents.settle_slack) = (NEVER, -NEVER);
            },
            code: &[
                ("trust/mod.rs", &["fn settle_from"]),
                ("estimate/state.rs", &["fn settled", "fn unchanged"]),
            ],
        },
        Part {
            name: "habits of being late",
            switch: |of| of.trust.agents.habit_fall = 1.0,
            code: &[("trust/agents.rs", &["fn habit", "fn waited"])],
        },
        Part {
            name: "lumps",
            switch: |of| of.trust.usual.lump_most = 0.0,
            code: &[("trust/mod.rs", &["fn lumps", "fn scatter"])],
        },
        Part {
            name: "services that fall silent",
            switch: |of| of.trust.service.empty_by_chance = NEVER,
            code: &[("trust/mod.rs", &["fn is_silent"])],
        },
    ]
}

fn trust() -> Vec<Part> {
    vec![
        Part {
            name: "limits on raises while agents are missing",
            switch: |of| of.trust.agents.heard = 0.0,
            code: &[("share/limits.rs", &["fn ceiling"])],
        },
        Part {
            name: "idle agents",
            switch: |of| of.trust.agents.idle = NEVER,
            code: &[("trust/agents.rs", &["fn idle", "fn quiet"])],
        },
        Part {
            name: "agents that report once",
            switch: |of| (of.trust.service.return_gain, of.trust.service.age_gain) = (0.0, 0.0),
            code: &[(
                "trust/service.rs",
                &["fn agents_return", "fn new_agents", "fn by_age"],
            )],
        },
        Part {
            name: "agents that replace others",
            switch: |of| of.trust.service.replaced_after = -NEVER,
            code: &[("trust/gone.rs", &["fn replace", "fn fallen", "fn unread"])],
        },
        Part {
            name: "traffic that moved",
            switch: |of| of.trust.service.moved_windows = 0,
            code: &[("trust/gone.rs", &["fn have_moved", "fn release"])],
        },
        Part {
            name: "usual rates that are behind",
            switch: |of| of.trust.service.behind_most = 1.0,
            code: &[("trust/service.rs", &["fn behind"])],
        },
        Part {
            name: "missing agents that follow the others",
            switch: |of| of.trust.service.followed = 1.0,
            code: &[("trust/service.rs", &["struct Heard", "impl Heard"])],
        },
        Part {
            name: "polls",
            switch: |of| of.trust.polls.least_windows = u32::MAX,
            code: &[("trust/polls.rs", &[]), ("model/polls.rs", &[])],
        },
        Part {
            name: "claims",
            switch: |of| of.trust.claims.least = f64::INFINITY,
            code: &[("trust/claims.rs", &[])],
        },
    ]
}
