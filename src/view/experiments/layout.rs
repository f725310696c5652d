//! Which figure stands beside which table.

use crate::results::figure::Figure;
use crate::results::{Report, Table};

/// A part of the results: a figure with its table, or a table alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// The figure; none where the table has none.
    pub figure: Option<Figure>,
    /// Its numbers.
    pub table: Table,
}

/// The tables that have rows, in their order, each with its figure.
pub fn sections(report: &Report) -> Vec<Section> {
    let of = |table: &Table| {
        let figures = report.figures.iter();
        figures.clone().find(|it| table_of(&it.key) == table.key)
    };
    let tables = report.tables.iter();
    tables
        .filter(|table| !table.rows.is_empty())
        .map(|table| Section {
            figure: of(table).cloned(),
            table: table.clone(),
        })
        .collect()
}

/// The key of the table whose numbers a figure shows. Both end with the measure, where it has a name.
fn table_of(figure: &str) -> String {
    let sweeps = ["base-guidance", "base-steps-taken", "base-steps", "k"];
    if let Some(rest) = figure.strip_prefix("diversity-by-") {
        let measure = sweeps.iter().find_map(|it| rest.strip_prefix(it));
        return format!("diversity{}", measure.unwrap_or_default());
    }
    match figure.strip_prefix("change-by-strength") {
        Some(measure) => format!("changes{measure}"),
        None => figure.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_has_its_table() {
        for (figure, table) in [
            ("convergence", "convergence"),
            ("diversity", "diversity"),
            ("diversity-dreamsim", "diversity-dreamsim"),
            ("diversity-by-k", "diversity"),
            ("diversity-by-base-guidance-dreamsim", "diversity-dreamsim"),
            ("change-by-strength", "changes"),
            ("time", "time"),
        ] {
            assert_eq!(table_of(figure), table);
        }
    }
}
