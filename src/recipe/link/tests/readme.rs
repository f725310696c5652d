//! The README's list of parameters.

use crate::recipe::adapters::STRENGTH;
use crate::recipe::bounds::{GUIDANCE_SCALE, MAXIMUM_ROWS, STEPS};
use crate::recipe::link::{LINK_VERSION, names, part};
use crate::recipe::parameters::{PARAMETERS, place};

/// The names and values of all parameters of links, in the order in which they are written.
fn listed() -> Vec<[String; 2]> {
    let row = |name: &str, values: String| [format!("`{name}`"), values];
    let further_prompts = format!(
        "`{}` to `{}`",
        names::further_prompt(names::FIRST_FURTHER_PROMPT),
        names::further_prompt(MAXIMUM_ROWS)
    );
    let mut listed = vec![
        row(names::VERSION, LINK_VERSION.to_string()),
        row(names::PAIR, part::values_of_pair()),
    ];
    for (index, parameter) in PARAMETERS.iter().enumerate() {
        listed.push(row(parameter.name, parameter.values()));
        match index {
            place::PROMPT => listed.push([further_prompts.clone(), parameter.values()]),
            place::AXIS => {
                let scales = part::values_of_list(GUIDANCE_SCALE);
                listed.push(row(names::K_VALUES, part::values_of_list(STEPS)));
                listed.push(row(names::BASE_GUIDANCE_VALUES, scales));
                listed.push(row(
                    names::ADAPTER_STRENGTHS,
                    part::values_of_list(STRENGTH),
                ));
            }
            _ => {}
        }
    }
    listed.push(row(names::DEVICE, part::values_of_device()));
    listed.push(row(names::DIGEST, part::values_of_digest()));
    listed.push(row(names::SUM, "eight hexadecimal digits".to_owned()));
    listed.push(row(names::STATS, part::values_of_stats()));
    listed
}

#[test]
fn the_readme_lists_every_parameter_and_its_values() {
    let readme = include_str!("../../../../README.md");
    let rows: Vec<[String; 2]> = readme
        .lines()
        .skip_while(|line| !line.starts_with("| parameter |"))
        .skip(2)
        .map_while(|line| line.strip_prefix("| "))
        .map(|line| {
            let mut cells = line.split(" | ").map(str::to_owned);
            [0; 2].map(|_| cells.next().unwrap_or_default())
        })
        .collect();
    let listed = listed();
    for (row, expected) in rows.iter().zip(&listed) {
        assert_eq!(row, expected);
    }
    assert_eq!(
        rows.len(),
        listed.len(),
        "the README's list is longer or shorter"
    );
}
