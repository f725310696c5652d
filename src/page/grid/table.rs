//! The table of a grid: a row per mode, a column per seed.

use std::sync::Arc;

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, KeyboardEvent};

use super::cell::{Favouring, GridCell};
use super::favourite_marks::FavouriteMarks;
use super::model_bar::ModelBar;
use super::row_diversity::{ComparedRow, RowDiversity};
use super::selection::Selection;
use super::visibility::Visibility;
use crate::page::workers::grid::{CellState, Grid, GridRow};
use crate::recipe::excerpt::excerpt;
use crate::recipe::{CellAddress, Mode, Row, Variant};
use crate::view::diversity::compared_with;
use crate::view::rows::{row_explanation, row_name};
use crate::view::stretches::counted;
use crate::view::units;

/// Rows up to this number explain themselves; more of them would be higher than their images.
const DENSE_FROM: usize = 3;

/// The table of images, which is an ARIA grid: one cell of it is a stop of the tab key, and arrow
/// keys go from cell to cell. The roles are spelled out also because the stylesheet lays the table
/// out as a grid, which takes a table's meaning away in some browsers.
#[component]
pub fn GridTable(
    grid: Arc<Grid>,
    selection: Selection,
    favourites: FavouriteMarks,
) -> impl IntoView {
    let (width, height) = grid.image_size;
    let columns = format!(
        "--columns:{};--image-aspect:{width}/{height}",
        grid.recipe.seed_count
    );
    let prompt = excerpt(&grid.recipe.prompt);
    let caption = format!("{}: images of “{prompt}”", grid.pair_name);
    let image_size = grid.image_size;
    let headers = (0..grid.recipe.seed_count)
        .map(|column| {
            view! {
                <th role="columnheader" scope="col">
                    <span class="seed-word">"seed "</span>
                    {grid.recipe.seed_of(column)}
                </th>
            }
        })
        .collect_view();
    let current = RwSignal::new(CellAddress::default());
    let visibility = Visibility::new();
    let own_rows: Vec<Row> = grid.rows.iter().map(|row| row.row.clone()).collect();
    let compared: Vec<Option<ComparedRow>> = (0..own_rows.len())
        .map(|place| {
            let other = grid.rows.get(compared_with(&own_rows, place)?)?;
            Some(ComparedRow {
                name: row_name(&other.row),
                distances: other.distances.clone(),
            })
        })
        .collect();
    let rows = grid
        .rows
        .iter()
        .cloned()
        .zip(compared)
        .map(|(row, compared)| {
            view! {
                <GridRowView
                    row=row
                    compared=compared
                    grid=grid.clone()
                    favourites=favourites
                    image_size=image_size
                    current=current
                    selection=selection
                    visibility=visibility
                />
            }
        })
        .collect_view();
    let is_dense = grid.rows.len() > DENSE_FROM;
    let job = grid.id().to_string();
    let table = NodeRef::<leptos::html::Table>::new();
    let keydown = move |event: KeyboardEvent| {
        // Copying and searching are the browser's own.
        if event.alt_key() || event.meta_key() || (event.ctrl_key() && event.key().len() == 1) {
            return;
        }
        let address = current.get_untracked();
        let target = match event.key().as_str() {
            "Enter" => {
                selection.open(address);
                None
            }
            "f" | "F" => {
                favourites.toggle(&grid, address);
                None
            }
            "c" | "C" => {
                selection.compared.set(Some(address.column));
                None
            }
            " " => {
                if let Some(cell) = grid.cell(address)
                    && cell.view.with_untracked(|view| view.state) == CellState::Resting
                {
                    cell.ticked.update(|ticked| *ticked = !*ticked);
                }
                None
            }
            key => {
                let last = CellAddress {
                    row: u32::try_from(grid.rows.len().saturating_sub(1)).unwrap_or(0),
                    column: grid.recipe.seed_count.saturating_sub(1),
                };
                match moved(address, last, key, event.ctrl_key()) {
                    Some(target) => Some(target),
                    None => return,
                }
            }
        };
        event.prevent_default();
        if let Some(target) = target
            && let Some(table) = table.get_untracked()
        {
            let selector = format!(
                "[data-row='{}'][data-column='{}']",
                target.row, target.column
            );
            if let Ok(Some(cell)) = table.query_selector(&selector)
                && let Some(cell) = cell.dyn_ref::<HtmlElement>()
            {
                // Its focus event makes it the current one.
                let _ = cell.focus();
            }
        }
    };
    view! {
        <div class="grid-scroll">
            <table
                node_ref=table
                class="grid"
                class:dense=is_dense
                data-job=job
                role="grid"
                style=columns
                aria-label="Images. Arrow keys go from one to the next, Enter opens its steps, C compares its column, F marks it as a favourite, the space bar ticks it."
                on:keydown=keydown
            >
                <caption role="caption">{caption}</caption>
                <thead role="rowgroup">
                    <tr role="row" class="grid-row">
                        <th role="columnheader" scope="col" class="corner">
                            <span class="visually-hidden">"row"</span>
                        </th>
                        {headers}
                    </tr>
                </thead>
                <tbody role="rowgroup">{rows}</tbody>
            </table>
        </div>
        <p class="help">
            "Diversity is the mean structural dissimilarity (1 − MS-SSIM on luma and chroma) of all pairs of a row's finished images, with its 95 % interval from four images on: a proxy that needs no further model, and not the paper's DreamSim. Open an image to see what it was aiming at in each step."
        </p>
    }
}

/// Where a key leads from a cell; none for keys that lead nowhere.
fn moved(from: CellAddress, last: CellAddress, key: &str, control: bool) -> Option<CellAddress> {
    let CellAddress { row, column } = from;
    let (row, column) = match (key, control) {
        ("ArrowLeft", false) => (row, column.saturating_sub(1)),
        ("ArrowRight", false) => (row, column + 1),
        ("ArrowUp", false) => (row.saturating_sub(1), column),
        ("ArrowDown", false) => (row + 1, column),
        ("Home", false) => (row, 0),
        ("End", false) => (row, last.column),
        ("Home", true) => (0, 0),
        ("End", true) => (last.row, last.column),
        ("PageUp", _) => (0, column),
        ("PageDown", _) => (last.row, column),
        _ => return None,
    };
    Some(CellAddress {
        row: row.min(last.row),
        column: column.min(last.column),
    })
}

/// A row: what it is, how long an image takes, how different its images are, and its cells.
#[component]
fn GridRowView(
    row: GridRow,
    grid: Arc<Grid>,
    favourites: FavouriteMarks,
    /// The row that its diversity is compared with.
    compared: Option<ComparedRow>,
    image_size: (u32, u32),
    current: RwSignal<CellAddress>,
    selection: Selection,
    visibility: Visibility,
) -> impl IntoView {
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
    // The engine's own count replaces the recipe's where that is not exact.
    let steps = row.steps;
    let planned = row.stretches;
    let stretches = Memo::new(move |_| match steps.get() {
        Some(steps) => counted(planned.clone(), steps),
        None => planned.clone(),
    });
    let name = row_name(&row.row);
    let may_end_early = row.row.mode == Mode::Adaptive;
    let key = row.row.key();
    let diversity = view! {
        <RowDiversity
            key=key
            diversity=row.diversity
            distances=row.distances
            compared=compared
        />
    };
    let explained = row.row.clone();
    let change = {
        let (shown, key) = (row.change.clone(), row.row.key());
        move || {
            shown.get().map(|it| {
                let margin = it.margin.map(|margin| format!(" ± {margin:.3}"));
                view! {
                    <span
                        class="row-diversity"
                        title="Mean structural dissimilarity to the images of the same seeds with strength 0, with its 95 % interval"
                        data-testid=format!("change-{key}")
                        data-mean=it.mean.to_string()
                        data-n=it.seeds.to_string()
                    >
                        "change "
                        <b>{format!("{:.3}", it.mean)}</b>
                        {margin}
                        ", "
                        <span class="whole">{format!("n = {}", it.seeds)}</span>
                    </span>
                }
            })
        }
    };
    let prompt = match row.row.variant {
        Variant::Prompt(_) => Some(view! { <q class="row-prompt">{row.row.prompt.clone()}</q> }),
        _ => None,
    };
    let cells = row
        .cells
        .into_iter()
        .map(|cell| {
            let address = cell.address;
            view! {
                <GridCell
                    cell=cell
                    row_name=name.clone()
                    image_size=image_size
                    current=current
                    is_open=Signal::derive(move || selection.shows(address))
                    visibility=visibility
                    favourite=Favouring {
                        grid: grid.clone(),
                        marks: favourites,
                    }
                    on_open=Callback::new(move |address| selection.open(address))
                    on_focus=Callback::new(move |address| current.set(address))
                />
            }
        })
        .collect_view();
    view! {
        <tr role="row" class="grid-row">
            <th role="rowheader" scope="row" class="row-header">
                <div class="row-header-content">
                    <span class="row-name">{name.clone()}</span>
                    {prompt}
                    {move || {
                        view! {
                            <ModelBar stretches=stretches.get() may_end_early=may_end_early />
                        }
                    }}
                    <span class="row-time">{mean_time}</span>
                    {diversity}
                    {change}
                    <span class="row-explanation">
                        {move || stretches.with(|stretches| row_explanation(&explained, stretches))}
                    </span>
                </div>
            </th>
            {cells}
        </tr>
    }
}
