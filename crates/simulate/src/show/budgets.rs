//! Budgets side by side, and who would spend them.

use weir_terminal::{Table, number, percent, signed_percent};

use crate::comparison::{BudgetFigures, ClassSpender, Spender, sum};

/// A line for every budget; `cell` names the time in which an operation should show a trace.
#[must_use]
pub fn budgets(figures: &[BudgetFigures], cell: &str) -> Table {
    let mut shown = Table::new(&[
        ">budget",
        ">sampled/s",
        ">bias",
        ">mean |error|",
        ">worst",
        &format!(">shown in {cell}"),
        ">traces a month",
        ">99 %",
        ">fairness",
        ">churn",
        "worst interval",
    ]);
    for of in figures {
        shown.row([
            of.budget_traces_per_second.to_string(),
            format!("{:.2}", of.sampled_traces_per_second),
            signed_percent(of.bias),
            percent(of.mean_absolute_error),
            signed_percent(of.worst_error),
            format!("{:.1} %", 100.0 * of.covered),
            rounded(of.traces_per_month),
            signed_percent(of.error_99),
            format!("{:.3}", of.fairness),
            format!("{:.0} %", 100.0 * of.churn),
            of.worst_at.clone(),
        ]);
        if of.missing_traces_per_second > 0.0 {
            shown.between(format!(
                "floors ask for {} traces/s more than the budget and are scaled down",
                number(of.missing_traces_per_second)
            ));
        }
    }
    shown
}

/// A line for every service, with its part of each budget.
#[must_use]
pub fn services(spenders: &[Spender], budgets: &[f64], services: usize) -> Table {
    let all = sum(String::new(), spenders);
    let mut titles = vec![format!("who spends it, of {services} services")];
    for budget in budgets {
        titles.push(format!(">sampled/s at {budget}"));
        titles.push(">part".into());
    }
    titles.extend([">offered/s", ">part", ">operations"].map(Into::into));
    let mut shown = Table::new(&titles);
    for spender in spenders {
        let mut cells = vec![spender.service.clone()];
        let sampled = spender.sampled_traces_per_second.iter();
        for (spent, of) in sampled.zip(&all.sampled_traces_per_second) {
            cells.extend([number(*spent), part(*spent, *of)]);
        }
        cells.push(number(spender.offered_per_second));
        cells.push(part(spender.offered_per_second, all.offered_per_second));
        cells.push(spender.operations.to_string());
        shown.row(cells);
    }
    shown
}

/// A line for every class, with what each budget keeps of it.
#[must_use]
pub fn classes(classes: &[ClassSpender], budgets: &[f64]) -> Table {
    let mut titles = vec!["class".to_owned(), ">offered/s".into()];
    for budget in budgets {
        titles.extend([format!(">sampled/s at {budget}"), ">kept".into()]);
    }
    let mut shown = Table::new(&titles);
    for class in classes {
        let name = class.class.unwrap_or("none").to_owned();
        let mut cells = vec![name, number(class.offered_per_second)];
        for sampled in &class.sampled_traces_per_second {
            cells.extend([number(*sampled), part(*sampled, class.offered_per_second)]);
        }
        shown.row(cells);
    }
    shown
}

fn part(part: f64, whole: f64) -> String {
    let part = if whole > 0.0 { part / whole } else { 0.0 };
    format!("{:.1} %", 100.0 * part)
}

/// A large number in words.
fn rounded(value: f64) -> String {
    match value {
        1e9.. => format!("{:.2} billion", value / 1e9),
        1e6.. => format!("{:.1} million", value / 1e6),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_terminal::plain;

    fn figures(missing: f64) -> BudgetFigures {
        BudgetFigures {
            budget_traces_per_second: 50.0,
            sampled_traces_per_second: 55.0,
            traces_per_month: 142_560_000.0,
            mean_absolute_error: 0.1,
            bias: 0.1,
            error_99: 0.2,
            covered: 0.9,
            fairness: 0.99,
            churn: 0.2,
            worst_error: 1.0,
            worst_at: "t3".into(),
            missing_traces_per_second: missing,
        }
    }

    #[test]
    fn what_matters_fits_80_columns() {
        let lines = budgets(&[figures(0.0)], "5m").lines(80);
        let line = plain(&lines[1]);
        for word in ["50", "55.00", "+10 %", "+100 %", "90.0 %", "142.6 million"] {
            assert!(line.contains(word), "{word} in {line}");
        }
        assert!(lines.iter().all(|line| plain(line).chars().count() <= 80));
        assert!(lines.last().unwrap().contains("--output json"), "{lines:?}");
    }

    #[test]
    fn floors_that_do_not_fit_are_said() {
        let text = budgets(&[figures(12.5)], "5m").to_string();
        assert!(
            text.contains("12.5 traces/s more than the budget"),
            "{text}"
        );
    }

    #[test]
    fn every_service_has_its_part() {
        let spender = |service: &str, sampled: f64| Spender {
            service: service.into(),
            operations: 3,
            offered_per_second: 9.0,
            sampled_traces_per_second: vec![sampled],
        };
        let text = services(&[spender("big", 10.0), spender("small", 1.0)], &[50.0], 2);
        let text = plain(&text.to_string());
        let first = text.lines().nth(1).unwrap();
        assert!(
            first.starts_with("big") && first.contains("90.9 %"),
            "{text}"
        );
        assert!(first.contains("50.0 %"), "{text}");
    }
}
