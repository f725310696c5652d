//! A figure as SVG: text and lines are in the colour of the text around it, series in colours that are
//! told apart in light and dark.

use std::fmt::Write;

use super::data::{Figure, Places, Point, Series};
use super::ticks::{digits, ticks};

const WIDTH: f64 = 720.0;
const PLOT_HEIGHT: f64 = 300.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 44.0;
/// Below the plot: what is written along the axis, and its title.
const BELOW: f64 = 62.0;
const LEGEND_LINE: f64 = 22.0;
/// The legend's columns.
const LEGEND_COLUMNS: usize = 3;
/// Half the width of an interval's ends.
const CAP: f64 = 4.0;
/// How far apart the points of one name stand at most.
const BESIDE: f64 = 14.0;
/// The width of a letter of a name along the axis.
const LETTER: f64 = 6.4;
/// Letters that a name has room for at least, where names stand upright.
const NAME_LETTERS: usize = 16;
/// Letters of a name that hangs down aslant; the whole name is the title of its text.
const SLANTED_LETTERS: usize = 18;
/// What names aslant take more of below the plot.
const SLANT: f64 = 78.0;
/// Room for a line of names aslant.
const SLANTED_LINE: f64 = 13.0;

/// The style: colours of the light theme (those of Okabe and Ito, told apart by most eyes, darkened for white
/// paper).
const STYLE: &str = "\
.firststep-figure{color:#1a1a1a;font:13px system-ui,sans-serif}\
.firststep-figure text{fill:currentColor}\
.firststep-figure .s0{color:#0063a6}.firststep-figure .s1{color:#b34700}\
.firststep-figure .s2{color:#00735a}.firststep-figure .s3{color:#92386b}\
.firststep-figure .s4{color:#7a5c00}.firststep-figure .s5{color:#3d3d8f}";
/// Colours of the dark theme, and of print.
const OTHER_STYLES: &str = "\
@media (prefers-color-scheme:dark){.firststep-figure{color:#ececec}\
.firststep-figure .s0{color:#6cbcf0}.firststep-figure .s1{color:#f0a060}\
.firststep-figure .s2{color:#4cc9a4}.firststep-figure .s3{color:#e39ac2}\
.firststep-figure .s4{color:#e0c040}.firststep-figure .s5{color:#a8a8f0}}\
@media print{.firststep-figure{color:#000}}";
const COLOURS: usize = 6;
/// Dashes of the series' lines.
const DASHES: [&str; 4] = ["none", "7 4", "2 3", "9 3 2 3"];

/// The text of the file.
pub fn svg(figure: &Figure) -> String {
    Drawing::new(figure).draw("", OTHER_STYLES)
}

/// The same for white paper, whatever the theme, with its size in pixels, to be made a picture of.
pub fn svg_on_paper(figure: &Figure) -> PaperFigure {
    let drawing = Drawing::new(figure);
    let size = [WIDTH, drawing.height];
    let [width, height] = size;
    let attributes = format!("width=\"{width}\" height=\"{height}\" ");
    PaperFigure {
        text: drawing.draw(&attributes, ""),
        size,
    }
}

/// A figure for white paper.
#[derive(Clone, Debug, PartialEq)]
pub struct PaperFigure {
    /// The SVG.
    pub text: String,
    /// Width and height in pixels.
    pub size: [f64; 2],
}

struct Drawing<'a> {
    figure: &'a Figure,
    x_ticks: Vec<f64>,
    y_ticks: Vec<f64>,
    names: Names,
    height: f64,
    text: String,
}

/// How names stand along the horizontal axis.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Names {
    /// Beside each other, in so many lines by turns, each with so many letters.
    Upright { lines: usize, letters: usize },
    /// Hanging down aslant, one of so many.
    Slanted { one_of: usize },
}

impl Names {
    fn of(names: &[String]) -> Names {
        // Side by side where there is room, else above each other by turns, else aslant.
        let room = (WIDTH - LEFT - RIGHT) / names.len().max(1) as f64;
        let longest = names.iter().map(|name| name.chars().count()).max();
        let longest = longest.unwrap_or(0);
        for lines in [1, 2] {
            let letters = (lines as f64 * room / LETTER) as usize;
            if longest <= letters || (lines == 2 && letters >= NAME_LETTERS) {
                return Names::Upright { lines, letters };
            }
        }
        Names::Slanted {
            one_of: (SLANTED_LINE / room).ceil().max(1.0) as usize,
        }
    }

    /// What they take below the plot.
    fn below(self) -> f64 {
        match self {
            Names::Upright { .. } => BELOW,
            Names::Slanted { .. } => BELOW + SLANT,
        }
    }
}

impl<'a> Drawing<'a> {
    fn new(figure: &'a Figure) -> Self {
        let points = || figure.series.iter().flat_map(|series| &series.points);
        let placed = figure.series.iter().filter(|series| !series.is_level);
        let x = placed.flat_map(|series| series.points.iter().map(|point| point.x));
        let x_ticks = match &figure.places {
            Places::Numbers => {
                let (low, high) = ends(x.clone());
                // There is no half a step.
                let is_whole = x.clone().all(|it| it == it.round()) && x.clone().count() > 1;
                ticks(low, high, if is_whole { 1.0 } else { 0.0 })
            }
            Places::Names(names) => vec![-0.5, names.len() as f64 - 0.5],
        };
        let names = match &figure.places {
            Places::Numbers => Names::of(&[]),
            Places::Names(names) => Names::of(names),
        };
        let heights = points().flat_map(|point| {
            let [low, high] = point.y.interval.unwrap_or([point.y.mean; 2]);
            [low, high, point.y.mean]
        });
        let (low, high) = ends(heights);
        // From nothing on, unless that would leave most of it empty.
        let low = if low > 0.0 && (figure.y.is_from_nothing || low < 0.7 * high) {
            0.0
        } else {
            low
        };
        let legend = figure.series.len().div_ceil(LEGEND_COLUMNS) as f64 * LEGEND_LINE;
        Drawing {
            figure,
            x_ticks,
            y_ticks: ticks(low, high, 0.0),
            names,
            height: TOP + PLOT_HEIGHT + names.below() + legend + 8.0,
            text: String::new(),
        }
    }

    fn x(&self, place: f64) -> f64 {
        LEFT + share(&self.x_ticks, place) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, height: f64) -> f64 {
        TOP + (1.0 - share(&self.y_ticks, height)) * PLOT_HEIGHT
    }

    /// Writing to a String can't fail.
    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        let _ = self.text.write_fmt(text);
        self.text.push('\n');
    }

    /// The text, with these attributes of the root and these rules after those of the light theme.
    fn draw(mut self, attributes: &str, rules: &str) -> String {
        let figure = self.figure;
        let (title, description) = (escaped(&figure.title), escaped(&figure.description));
        let (key, height) = (escaped(&figure.key), self.height);
        self.push(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"firststep-figure\" \
             {attributes}viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
             aria-labelledby=\"{key}-title {key}-desc\" font-family=\"system-ui, sans-serif\" \
             font-size=\"13\">"
        ));
        self.push(format_args!("<title id=\"{key}-title\">{title}</title>"));
        self.push(format_args!("<desc id=\"{key}-desc\">{description}</desc>"));
        self.push(format_args!("<style>{STYLE}{rules}</style>"));
        self.push(format_args!(
            "<text x=\"{LEFT}\" y=\"24\" font-size=\"15\" font-weight=\"600\">{title}</text>"
        ));
        self.draw_axes();
        for (index, series) in figure.series.iter().enumerate() {
            self.draw_series(index, series);
        }
        self.draw_legend();
        self.text.push_str("</svg>\n");
        self.text
    }

    fn draw_axes(&mut self) {
        let (left, right) = (LEFT, WIDTH - RIGHT);
        let bottom = TOP + PLOT_HEIGHT;
        let places = digits(&self.y_ticks);
        for tick in self.y_ticks.clone() {
            let y = self.y(tick);
            self.push(format_args!(
                "<line x1=\"{left}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\" \
                 stroke=\"currentColor\" stroke-opacity=\"0.18\"/>"
            ));
            let label = number(tick, places);
            self.push(format_args!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                left - 8.0,
                y + 4.5
            ));
        }
        self.push(format_args!(
            "<path d=\"M{left} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"currentColor\"/>"
        ));
        match &self.figure.places {
            Places::Numbers => {
                let places = digits(&self.x_ticks);
                for tick in self.x_ticks.clone() {
                    let x = self.x(tick);
                    self.push(format_args!(
                        "<path d=\"M{x:.1} {bottom}v5\" stroke=\"currentColor\"/>\
                         <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                        bottom + 20.0,
                        number(tick, places)
                    ));
                }
            }
            Places::Names(names) => {
                for (index, name) in names.iter().enumerate() {
                    self.draw_name(index, name);
                }
            }
        }
        let (x_label, y_label) = (self.figure.x.label(), self.figure.y.label());
        self.push(format_args!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            f64::midpoint(left, right),
            bottom + self.names.below() - 12.0,
            escaped(&x_label)
        ));
        self.push(format_args!(
            "<text transform=\"translate(18 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            TOP + PLOT_HEIGHT / 2.0,
            escaped(&y_label)
        ));
    }

    fn draw_name(&mut self, index: usize, name: &str) {
        let whole = escaped(name);
        let x = self.x(index as f64);
        let bottom = TOP + PLOT_HEIGHT;
        match self.names {
            Names::Upright { lines, letters } => {
                let y = bottom + 18.0 + (index % lines) as f64 * 15.0;
                let shown = shortened(name, letters);
                // Within the figure, as far as the width of its letters is known.
                let half = shown.chars().count() as f64 * LETTER / 2.0;
                let x = x.min(WIDTH - half).max(half);
                let shown = escaped(&shown);
                self.push(format_args!(
                    "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\" \
                     font-size=\"11\"><title>{whole}</title>{shown}</text>"
                ));
            }
            Names::Slanted { one_of } if index.is_multiple_of(one_of) => {
                let y = bottom + 14.0;
                let shown = escaped(&shortened(name, SLANTED_LETTERS));
                self.push(format_args!(
                    "<text transform=\"translate({x:.1} {y:.1}) rotate(-45)\" text-anchor=\"end\" \
                     font-size=\"11\"><title>{whole}</title>{shown}</text>"
                ));
            }
            Names::Slanted { .. } => {}
        }
    }

    fn draw_series(&mut self, index: usize, series: &Series) {
        let name = escaped(&series.name);
        let (class, dash) = looks(index);
        self.push(format_args!(
            "<g class=\"{class}\" stroke=\"currentColor\" fill=\"currentColor\">\
             <title>{name}</title>"
        ));
        if series.is_level {
            if let Some(point) = series.points.first() {
                self.draw_level(point, dash);
            }
        } else {
            let shift = match self.figure.places {
                Places::Numbers => 0.0,
                Places::Names(_) => self.beside(index),
            };
            if self.figure.places == Places::Numbers && series.points.len() > 1 {
                let line: Vec<String> = series
                    .points
                    .iter()
                    .map(|point| format!("{:.1},{:.1}", self.x(point.x), self.y(point.y.mean)))
                    .collect();
                self.push(format_args!(
                    "<polyline points=\"{}\" fill=\"none\" stroke-width=\"2\" \
                     stroke-dasharray=\"{dash}\"/>",
                    line.join(" ")
                ));
            }
            for point in &series.points {
                let x = self.x(point.x) + shift;
                self.draw_point(index, x, point);
            }
        }
        self.push(format_args!("</g>"));
    }

    /// How far the points of a series stand from the middle of their name.
    fn beside(&self, index: usize) -> f64 {
        let count = self.figure.series.len() as f64;
        let room = (self.x(1.0) - self.x(0.0)) * 0.8 / count.max(1.0);
        (index as f64 - (count - 1.0) / 2.0) * room.min(BESIDE)
    }

    fn draw_level(&mut self, point: &Point, dash: &str) {
        let (left, right) = (LEFT, WIDTH - RIGHT);
        if let Some([low, high]) = point.y.interval {
            let (top, bottom) = (self.y(high), self.y(low));
            self.push(format_args!(
                "<rect x=\"{left}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" \
                 fill-opacity=\"0.12\" stroke=\"none\"/>",
                right - left,
                bottom - top
            ));
        }
        let y = self.y(point.y.mean);
        self.push(format_args!(
            "<path d=\"M{left} {y:.1}H{right}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>"
        ));
    }

    fn draw_point(&mut self, index: usize, x: f64, point: &Point) {
        let y = self.y(point.y.mean);
        if let Some([low, high]) = point.y.interval {
            let (top, bottom) = (self.y(high), self.y(low));
            self.push(format_args!(
                "<path d=\"M{x:.1} {top:.1}V{bottom:.1}M{:.1} {top:.1}h{}M{:.1} {bottom:.1}h{}\" \
                 fill=\"none\" stroke-width=\"1.4\"/>",
                x - CAP,
                2.0 * CAP,
                x - CAP,
                2.0 * CAP
            ));
        }
        let mark = mark(index, x, y);
        self.push(format_args!("{mark}"));
    }

    fn draw_legend(&mut self) {
        let column = (WIDTH - LEFT - RIGHT) / LEGEND_COLUMNS as f64;
        let top = TOP + PLOT_HEIGHT + self.names.below() + 8.0;
        for (index, series) in self.figure.series.iter().enumerate() {
            let x = LEFT + (index % LEGEND_COLUMNS) as f64 * column;
            let y = top + (index / LEGEND_COLUMNS) as f64 * LEGEND_LINE;
            let (class, dash) = looks(index);
            let is_line = series.is_level || self.figure.places == Places::Numbers;
            let line = if is_line {
                format!(
                    "<path d=\"M{x:.1} {y:.1}h28\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>"
                )
            } else {
                String::new()
            };
            let mark = if series.is_level {
                String::new()
            } else {
                mark(index, x + 14.0, y)
            };
            let name = escaped(&series.name);
            self.push(format_args!(
                "<g class=\"{class}\" stroke=\"currentColor\" fill=\"currentColor\">{line}{mark}</g>\
                 <text x=\"{:.1}\" y=\"{:.1}\">{name}</text>",
                x + 36.0,
                y + 4.5
            ));
        }
    }
}

/// A series' colour and dashes.
fn looks(index: usize) -> (String, &'static str) {
    let dash = DASHES.get(index % DASHES.len()).copied();
    (format!("s{}", index % COLOURS), dash.unwrap_or("none"))
}

/// A series' mark: a disc, a square, a triangle, a diamond, a cross and a ring.
fn mark(index: usize, x: f64, y: f64) -> String {
    match index % COLOURS {
        0 => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>"),
        1 => format!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"7\" height=\"7\"/>",
            x - 3.5,
            y - 3.5
        ),
        2 => format!("<path d=\"M{x:.1} {:.1}l4.5 8h-9z\"/>", y - 5.0),
        3 => format!("<path d=\"M{x:.1} {:.1}l5 5l-5 5l-5 -5z\"/>", y - 5.0),
        4 => format!(
            "<path d=\"M{:.1} {:.1}l8 8m0 -8l-8 8\" stroke-width=\"2.4\"/>",
            x - 4.0,
            y - 4.0
        ),
        _ => format!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"none\" stroke-width=\"2\"/>"
        ),
    }
}

/// The lowest and the highest number; 0 and 1 of none.
fn ends(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = numbers
        .filter(|number| number.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), number| {
            (low.min(number), high.max(number))
        });
    if low <= high { (low, high) } else { (0.0, 1.0) }
}

/// How far along its axis a number is.
fn share(ticks: &[f64], number: f64) -> f64 {
    let (Some(first), Some(last)) = (ticks.first(), ticks.last()) else {
        return 0.0;
    };
    (number - first) / (last - first)
}

fn number(tick: f64, digits: usize) -> String {
    let text = format!("{:.digits$}", tick.abs());
    if tick < 0.0 && text.bytes().any(|it| (b'1'..=b'9').contains(&it)) {
        format!("−{text}")
    } else {
        text
    }
}

fn shortened(name: &str, letters: usize) -> String {
    if name.chars().count() <= letters {
        return name.to_owned();
    }
    // Names may differ at their ends alone.
    let ending = letters.saturating_sub(1) / 2;
    let beginning = letters.saturating_sub(1) - ending;
    let characters: Vec<char> = name.chars().collect();
    let (before, after) = characters.split_at(characters.len() - ending);
    let beginning: String = before.iter().take(beginning).collect();
    let ending: String = after.iter().collect();
    format!("{}…{}", beginning.trim_end(), ending.trim_start())
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML has no other control characters.
            it if it.is_control() && !matches!(it, '\t' | '\n' | '\r') => {}
            it => escaped.push(it),
        }
    }
    escaped
}
