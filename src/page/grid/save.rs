//! Files to save: this file puts their content together, the engine encodes them, and the browser
//! stores them as downloads. Sentences about failures go to `on_problem`.

use std::sync::Arc;
use std::time::Duration;

use js_sys::{Array, Uint8Array};
use leptos::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, BlobPropertyBag, HtmlAnchorElement, Url};

use super::label_painter::LabelPainter;
use crate::page::workers::engine::EngineClient;
use crate::page::workers::grid::{Cell, CellState, Grid, GridRow, StripStep};
use crate::picture::file::{ArchivedImage, FileRequest};
use crate::picture::file_name::{Content, file_name};
use crate::picture::image::Image;
use crate::protocol::engine::{StripView, Task, TaskEvent};
use crate::recipe::digest;
use crate::recipe::generation_parameters::GenerationParameters;
use crate::recipe::saved_recipe::SavedRecipe;
use crate::recipe::{CellAddress, Row, Variant};
use crate::view::grid_table::{TableImage, TableRow, csv};
use crate::view::rows::model_key;
use crate::view::rows::row_name;

/// Red, green and blue of a sheet's background, which is that of its labels.
const WHITE: [u8; 3] = [255; 3];
/// How long a download may take to begin before its bytes are let go.
const DOWNLOAD_BEGINS_WITHIN: Duration = Duration::from_secs(60);

const NO_CANVAS: &str =
    "This browser gave no canvas to write the labels on: close other pages and save again.";
const NOT_FINISHED: &str = "This picture is not finished yet: save it once it is.";

/// Saves the image of a cell as PNG, with its recipe and the `parameters` of other programs.
pub fn save_image(
    engine: EngineClient,
    grid: &Arc<Grid>,
    cell: CellAddress,
    on_problem: Callback<String>,
) {
    let request = || {
        let frame = finished_frame(grid, cell).ok_or(NOT_FINISHED)?;
        Ok(FileRequest::Image {
            image: Image::clone(&frame),
            recipe: recipe_text(grid, Some(cell))?,
            parameters: parameters_of(grid, cell)?,
        })
    };
    encode(engine, grid, Content::Image(cell), request(), on_problem);
}

/// What other programs read of an image.
fn parameters_of(grid: &Grid, cell: CellAddress) -> Result<String, String> {
    let (base_scheduler, distilled_scheduler) = grid.schedulers;
    let parameters = GenerationParameters::of(
        &grid.recipe,
        cell,
        base_scheduler,
        distilled_scheduler,
        grid.image_size,
        &grid.pair_name,
    );
    Ok(parameters.ok_or(NOT_FINISHED)?.to_string())
}

/// Saves every finished image as PNG with its recipe, all of them in one ZIP, with the table of the grid and
/// its recipe.
pub fn save_all(engine: EngineClient, grid: &Arc<Grid>, on_problem: Callback<String>) {
    let request = || {
        let mut images = Vec::new();
        for cell in grid.cells() {
            if let Some(frame) = finished_frame(grid, cell.address) {
                images.push(ArchivedImage {
                    name: file_name(&grid.recipe, Content::Image(cell.address)),
                    image: Image::clone(&frame),
                    recipe: recipe_text(grid, Some(cell.address))?,
                    parameters: parameters_of(grid, cell.address)?,
                });
            }
        }
        let seeds: Vec<u32> = (0..grid.recipe.seed_count)
            .map(|column| grid.recipe.seed_of(column))
            .collect();
        let rows: Vec<TableRow> = grid.rows.iter().map(|row| table_row(grid, row)).collect();
        Ok(FileRequest::Archive {
            images,
            texts: vec![
                ("grid.csv".to_owned(), csv(&rows, &seeds)),
                ("recipe.json".to_owned(), recipe_text(grid, None)?),
            ],
        })
    };
    encode(engine, grid, Content::All, request(), on_problem);
}

/// A row of the grid's table.
fn table_row(grid: &Grid, row: &GridRow) -> TableRow {
    let image = |cell: &Cell| {
        cell.view.with_untracked(|view| {
            (view.state == CellState::Done).then(|| TableImage {
                file: file_name(&grid.recipe, Content::Image(cell.address)),
                column: cell.address.column,
                seed: cell.seed,
                milliseconds: view.milliseconds,
                digest: digest::to_text(&view.digests),
            })
        })
    };
    TableRow {
        name: row_name(&row.row),
        prompt: row.row.prompt.clone(),
        images: row.cells.iter().filter_map(image).collect(),
        distances: row.distances.get_untracked(),
    }
}

/// Saves the grid as one PNG: its rows' names, its seeds, and the images that are finished.
pub fn save_grid(engine: EngineClient, grid: &Arc<Grid>, on_problem: Callback<String>) {
    let request = || {
        let frames: Vec<Option<Image>> = grid
            .cells()
            .map(|cell| finished_frame(grid, cell.address).map(|frame| Image::clone(&frame)))
            .collect();
        if frames.iter().all(Option::is_none) {
            return Err("No image of this grid is finished yet: save it once one is.".to_owned());
        }
        let painter = LabelPainter::for_frames(grid.image_size.0);
        let columns = grid.recipe.seed_count;
        Ok(FileRequest::Sheet {
            columns,
            frames,
            captions: Vec::new(),
            column_headers: (0..columns)
                .map(|column| paint(&painter, &[seed_words(grid, column)]))
                .collect::<Result<_, _>>()?,
            row_headers: grid
                .rows
                .iter()
                .map(|row| paint(&painter, &row_words(&row.row)))
                .collect::<Result<_, _>>()?,
            padding: painter.padding(),
            background: WHITE,
            recipe: recipe_text(grid, None)?,
        })
    };
    encode(engine, grid, Content::Grid, request(), on_problem);
}

/// Saves the steps of a cell as animated PNG. `delays` says how long each is shown, in milliseconds.
pub fn save_strip(
    engine: EngineClient,
    grid: &Arc<Grid>,
    cell: CellAddress,
    frames: &[StripStep],
    delays: &[u16],
    on_problem: Callback<String>,
) {
    let request = recipe_text(grid, Some(cell)).map(|recipe| FileRequest::Animation {
        frames: frames
            .iter()
            .map(|step| Image::clone(&step.frame))
            .collect(),
        delays: delays.to_vec(),
        recipe,
    });
    encode(engine, grid, Content::Strip(cell), request, on_problem);
}

/// Saves the steps of a cell as one PNG: under each picture its step, its timestep and the model that
/// took it.
pub fn save_strip_sheet(
    engine: EngineClient,
    grid: &Arc<Grid>,
    cell: CellAddress,
    steps: &[StripStep],
    view: StripView,
    on_problem: Callback<String>,
) {
    let Some(first) = steps.first() else {
        return on_problem.run("There are no steps to save: open a cell's steps first.".to_owned());
    };
    let request = || {
        let painter = LabelPainter::for_frames(first.frame.width);
        let row = grid.rows.get(cell.row as usize);
        let mut words = row.map_or_else(Vec::new, |row| row_words(&row.row));
        words.push(seed_words(grid, cell.column));
        words.push(view_words(view).to_owned());
        Ok(FileRequest::Sheet {
            columns: u32::try_from(steps.len()).unwrap_or(u32::MAX),
            frames: steps
                .iter()
                .map(|step| Some(Image::clone(&step.frame)))
                .collect(),
            captions: steps
                .iter()
                .map(|step| paint(&painter, &step_words(step)))
                .collect::<Result<_, _>>()?,
            column_headers: Vec::new(),
            row_headers: vec![paint(&painter, &words)?],
            padding: painter.padding(),
            background: WHITE,
            recipe: recipe_text(grid, Some(cell))?,
        })
    };
    encode(
        engine,
        grid,
        Content::StripSheet(cell),
        request(),
        on_problem,
    );
}

/// The image of a cell, once it is done.
fn finished_frame(grid: &Grid, cell: CellAddress) -> Option<Arc<Image>> {
    grid.cell(cell)?.view.with_untracked(|view| {
        let is_done = view.state == CellState::Done;
        view.frame.clone().filter(|_| is_done)
    })
}

fn recipe_text(grid: &Grid, cell: Option<CellAddress>) -> Result<String, String> {
    SavedRecipe::new(
        &grid.pair_address,
        &grid.pair_name,
        grid.recipe.clone(),
        cell,
    )
    .to_json()
    .map_err(|error| error.to_string())
}

/// What a row is, in lines.
fn row_words(row: &Row) -> Vec<String> {
    let mut words = vec![row_name(row)];
    if matches!(row.variant, Variant::Prompt(_)) {
        words.push(row.prompt.replace('\n', " "));
    }
    words
}

fn seed_words(grid: &Grid, column: u32) -> String {
    format!("seed {}", grid.recipe.seed_of(column))
}

/// What the pictures of a strip show.
fn view_words(view: StripView) -> &'static str {
    match view {
        StripView::Target => "Diffusion Targets",
        StripView::Sample => "noisy latents",
    }
}

/// What a step is, in lines.
fn step_words(step: &StripStep) -> Vec<String> {
    vec![
        format!("step {} of {}", step.step, step.steps),
        format!("t {:.0}", step.timestep),
        model_key(step.model).to_owned(),
    ]
}

fn paint(painter: &LabelPainter, lines: &[String]) -> Result<Image, String> {
    painter.paint(lines).map_err(|_| NO_CANVAS.to_owned())
}

/// Has a file encoded and saved.
fn encode(
    engine: EngineClient,
    grid: &Grid,
    content: Content,
    request: Result<FileRequest, String>,
    on_problem: Callback<String>,
) {
    let request = match request {
        Ok(request) => request,
        Err(sentence) => return on_problem.run(sentence),
    };
    let name = file_name(&grid.recipe, content);
    let media_type = match content {
        Content::All => "application/zip",
        _ => "image/png",
    };
    let reply = move |event| match event {
        TaskEvent::File { bytes } => {
            let saved = download(&bytes, &name, media_type);
            if saved.is_err() {
                on_problem.run(
                    "The browser refused to save the file: allow this page to download files and \
                     try again."
                        .to_owned(),
                );
            }
        }
        TaskEvent::Failed { message } => on_problem.run(message),
        _ => {}
    };
    engine.run_task(Task::File(Box::new(request)), reply);
}

/// Lets the browser store a file by this name.
pub fn download(bytes: &[u8], name: &str, media_type: &str) -> Result<(), JsValue> {
    let parts = Array::of1(&Uint8Array::from(bytes));
    let kind = BlobPropertyBag::new();
    kind.set_type(media_type);
    let blob = Blob::new_with_u8_array_sequence_and_options(&parts, &kind)?;
    let address = Url::create_object_url_with_blob(&blob)?;
    let link = document()
        .create_element("a")?
        .dyn_into::<HtmlAnchorElement>()?;
    link.set_href(&address);
    link.set_download(name);
    link.click();
    set_timeout(
        move || {
            // What is no longer there needs no letting go.
            let _ = Url::revoke_object_url(&address);
        },
        DOWNLOAD_BEGINS_WITHIN,
    );
    Ok(())
}
