//! A grid as a table: a line per finished image, as CSV (RFC 4180).

use crate::metrics::RowDistances;

/// A finished image of a grid.
#[derive(Clone, Debug, PartialEq)]
pub struct TableImage {
    /// The name of its file beside the table.
    pub file: String,
    /// Its column in the grid.
    pub column: u32,
    /// Its seed.
    pub seed: u32,
    /// Time of its steps; none where it isn't known.
    pub milliseconds: Option<f64>,
    /// The digests of its steps, as links spell them.
    pub digest: String,
}

/// A row of the grid with its finished images.
#[derive(Clone, Debug, PartialEq)]
pub struct TableRow {
    /// What the row is called.
    pub name: String,
    /// What it draws.
    pub prompt: String,
    /// In the order of the columns.
    pub images: Vec<TableImage>,
    /// The structural dissimilarity of each pair.
    pub distances: RowDistances,
}

/// The table. Behind what is known of an image stand its distances to those of the same row, a column for
/// each seed of the grid; an image has none to itself, and to one that is not finished.
pub fn csv(rows: &[TableRow], seeds: &[u32]) -> String {
    let mut header: Vec<String> = ["file", "row", "prompt", "seed", "milliseconds", "digest"]
        .map(str::to_owned)
        .into();
    header.extend(seeds.iter().map(|seed| format!("distance_to_seed_{seed}")));
    let mut table = line(&header);
    for row in rows {
        for image in &row.images {
            let mut fields = vec![
                image.file.clone(),
                row.name.clone(),
                row.prompt.clone(),
                image.seed.to_string(),
                image
                    .milliseconds
                    .map_or_else(String::new, |time| format!("{time:.1}")),
                image.digest.clone(),
            ];
            fields.extend((0..).zip(seeds).map(|(column, _)| {
                let distance = row.distances.between(image.column, column);
                distance.map_or_else(String::new, |distance| distance.to_string())
            }));
            table += &line(&fields);
        }
    }
    table
}

fn line(fields: &[String]) -> String {
    let fields: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
    format!("{}\r\n", fields.join(","))
}

/// A field in quotes where it has a character that would end it.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_image_has_a_line_with_its_distance_to_each_other_one() {
        let image = |column: u32, milliseconds| TableImage {
            file: format!("{column}.png"),
            column,
            seed: 7 + column,
            milliseconds,
            digest: "abc".to_owned(),
        };
        let row = TableRow {
            name: "Hybrid, k = 2".to_owned(),
            prompt: "a \"red\"\napple".to_owned(),
            images: vec![image(0, Some(12.34)), image(2, None)],
            distances: RowDistances {
                columns: vec![2, 0],
                distances: vec![0.25],
            },
        };
        let table = csv(&[row], &[7, 8, 9]);
        let expected = "file,row,prompt,seed,milliseconds,digest,distance_to_seed_7,distance_to_seed_8,\
            distance_to_seed_9\r\n\
            0.png,\"Hybrid, k = 2\",\"a \"\"red\"\"\napple\",7,12.3,abc,,,0.25\r\n\
            2.png,\"Hybrid, k = 2\",\"a \"\"red\"\"\napple\",9,,abc,0.25,,\r\n";
        assert_eq!(table, expected);
    }
}
