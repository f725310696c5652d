//! The grid of a job: a row per mode, a column per seed.

use std::sync::Arc;

use leptos::prelude::*;

use super::cell::GridCell;
use super::job::{GridRow, Job};
use super::model_strip::ModelStrip;
use super::units;
use crate::engine::recipe::{Mode, Row, Variant};

/// A mode's name.
pub fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Base => "Base",
        Mode::Distilled => "Distilled",
        Mode::Hybrid => "Hybrid",
        Mode::SkipFirstStep => "Skip first step",
    }
}

/// A row's name: its mode, and what sets it apart.
pub fn row_name(row: &Row) -> String {
    let mode = mode_name(row.mode);
    match row.variant {
        Variant::Only => mode.to_owned(),
        Variant::K(k) => format!("{mode}, k = {k}"),
        Variant::BaseGuidance(scale) => format!("{mode}, base guidance {scale}"),
        Variant::Prompt(number) => format!("{mode}, prompt {number}"),
    }
}

/// What a row does, in a line.
fn row_explanation(row: &Row) -> String {
    match row.mode {
        Mode::Base => "The base model takes every step: diverse, but slow.".to_owned(),
        Mode::Distilled => {
            "The distilled model takes every step: fast, but the seeds look alike.".to_owned()
        }
        Mode::Hybrid if row.k == 1 => {
            "The base model takes the first step, the distilled model the rest.".to_owned()
        }
        Mode::Hybrid => format!(
            "The base model takes over the first {} steps, the distilled model takes the rest.",
            row.k
        ),
        Mode::SkipFirstStep => "The distilled model without its first step.".to_owned(),
    }
}

/// The table of images. The roles are spelled out because the stylesheet lays the table out as a
/// grid, which takes a table's meaning away in some browsers.
#[component]
pub fn Grid(job: Arc<Job>) -> impl IntoView {
    let columns = format!("--columns:{}", job.recipe.seed_count);
    let caption = format!("{}: images of “{}”", job.pair_name, job.recipe.prompt);
    let image_size = job.image_size;
    let headers = (0..job.recipe.seed_count)
        .map(|column| {
            view! {
                <th role="columnheader" scope="col">
                    <span class="seed-word">"seed "</span>
                    {job.recipe.seed_of(column)}
                </th>
            }
        })
        .collect_view();
    let rows = job
        .rows
        .iter()
        .cloned()
        .map(|row| {
            let explanation = row_explanation(&row.row);
            view! { <GridRowView row=row explanation=explanation image_size=image_size /> }
        })
        .collect_view();
    view! {
        // Scrolls by itself, so the keyboard has to reach it.
        <div class="grid-scroll" tabindex="0" role="region" aria-label="Grid of images">
            <table class="grid" role="table" style=columns>
                <caption role="caption">{caption}</caption>
                <thead role="rowgroup">
                    <tr role="row" class="grid-row">
                        <td role="cell" class="corner"></td>
                        {headers}
                    </tr>
                </thead>
                <tbody role="rowgroup">{rows}</tbody>
            </table>
        </div>
    }
}

/// A mode's row: what it is, how long an image takes, and its cells.
#[component]
fn GridRowView(row: GridRow, explanation: String, image_size: (u32, u32)) -> impl IntoView {
    let cells = row.cells.clone();
    let mean_time = Memo::new(move |_| {
        let times: Vec<f64> = cells
            .iter()
            .filter_map(|cell| cell.view.with(|view| view.milliseconds))
            .collect();
        (!times.is_empty()).then(|| {
            let mean = times.iter().sum::<f64>() / times.len() as f64;
            format!("{} per image", units::duration(mean / 1000.0))
        })
    });
    let name = row_name(&row.row);
    view! {
        <tr role="row" class="grid-row">
            <th role="rowheader" scope="row" class="row-header">
                <div class="row-header-content">
                    <span class="row-name">{row_name(&row.row)}</span>
                    <ModelStrip stretches=row.stretches />
                    <span class="row-time">{mean_time}</span>
                    <span class="row-explanation">{explanation}</span>
                </div>
            </th>
            {row
                .cells
                .into_iter()
                .map(|cell| view! { <GridCell cell=cell row_name=name.clone() image_size=image_size /> })
                .collect_view()}
        </tr>
    }
}
