//! Tables, for people and for programs.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::metrics::Estimate;

/// A table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Its name in file names and test handles.
    pub key: String,
    /// What it shows.
    pub title: String,
    /// What its numbers are, in sentences.
    pub note: String,
    /// The columns.
    pub columns: Vec<Column>,
    /// A cell for each column.
    pub rows: Vec<Vec<Cell>>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name in files.
    pub key: String,
    /// Its heading, with the unit.
    pub name: String,
    /// Whether its cells are estimates, which take four columns in a file.
    pub is_estimate: bool,
}

/// A cell of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Cell {
    /// Nothing is known.
    Empty,
    /// Words.
    Text(String),
    /// A whole number.
    Count(u64),
    /// A number.
    Number(f64),
    /// A number with its interval and n.
    Estimate(Estimate),
}

impl Column {
    /// A column of words or plain numbers.
    pub fn plain(key: &str, name: &str) -> Column {
        Column {
            key: key.to_owned(),
            name: name.to_owned(),
            is_estimate: false,
        }
    }

    /// A column of estimates.
    pub fn estimate(key: &str, name: &str) -> Column {
        Column {
            is_estimate: true,
            ..Column::plain(key, name)
        }
    }
}

impl From<Option<Estimate>> for Cell {
    fn from(estimate: Option<Estimate>) -> Cell {
        estimate.map_or(Cell::Empty, Cell::Estimate)
    }
}

impl Cell {
    /// What people read, such as `0.337 (0.301 to 0.373, n = 5)`.
    pub fn text(&self) -> String {
        match self {
            Cell::Empty => "–".to_owned(),
            Cell::Text(text) => text.clone(),
            Cell::Count(count) => count.to_string(),
            Cell::Number(number) => decimal(*number),
            Cell::Estimate(estimate) => match estimate.interval {
                Some([low, high]) => format!(
                    "{} ({} to {}, n = {})",
                    decimal(estimate.mean),
                    decimal(low),
                    decimal(high),
                    estimate.n
                ),
                None => format!("{} (n = {})", decimal(estimate.mean), estimate.n),
            },
        }
    }
}

/// A number with three digits after the point, a true minus sign, and no zero with a sign.
pub(super) fn decimal(number: f64) -> String {
    let text = format!("{:.3}", number.abs());
    if number < 0.0 && text.bytes().any(|it| (b'1'..=b'9').contains(&it)) {
        format!("−{text}")
    } else {
        text
    }
}

impl Table {
    /// The table in the form of RFC 4180: an estimate is its mean under the column's name, and its ends
    /// and n under names that end in `_low`, `_high` and `_n`. What isn't known is empty.
    pub fn csv(&self) -> String {
        let mut header = Vec::new();
        for column in &self.columns {
            header.push(quoted(&column.key));
            if column.is_estimate {
                for end in ["low", "high", "n"] {
                    header.push(quoted(&format!("{}_{end}", column.key)));
                }
            }
        }
        let mut text = header.join(",") + "\r\n";
        for row in &self.rows {
            let mut cells = Vec::new();
            for (column, cell) in self.columns.iter().zip(row) {
                match cell {
                    Cell::Empty => cells.push(String::new()),
                    Cell::Text(text) => cells.push(quoted(text)),
                    Cell::Count(count) => cells.push(count.to_string()),
                    Cell::Number(number) => cells.push(number.to_string()),
                    Cell::Estimate(estimate) => cells.push(estimate.mean.to_string()),
                }
                if column.is_estimate {
                    let (low, high, n) = match cell {
                        Cell::Estimate(estimate) => {
                            let [low, high] = match estimate.interval {
                                Some(ends) => ends.map(|end| end.to_string()),
                                None => [String::new(), String::new()],
                            };
                            (low, high, estimate.n.to_string())
                        }
                        _ => Default::default(),
                    };
                    cells.extend([low, high, n]);
                }
            }
            text += &(cells.join(",") + "\r\n");
        }
        text
    }

    /// The rows as JSON objects; an estimate is an object of its own.
    pub fn json(&self) -> Value {
        let value = |cell: &Cell| match cell {
            Cell::Empty => Value::Null,
            Cell::Text(text) => text.as_str().into(),
            Cell::Count(count) => (*count).into(),
            Cell::Number(number) => (*number).into(),
            Cell::Estimate(estimate) => serde_json::to_value(estimate).unwrap_or_default(),
        };
        let rows = self.rows.iter().map(|row| {
            let fields = self.columns.iter().zip(row);
            let fields: Map<String, Value> = fields
                .map(|(column, cell)| (column.key.clone(), value(cell)))
                .collect();
            Value::Object(fields)
        });
        serde_json::json!({
            "key": self.key,
            "title": self.title,
            "note": self.note,
            "rows": rows.collect::<Vec<_>>(),
        })
    }
}

/// A field that may hold anything; one that needs no quotes has none.
fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
