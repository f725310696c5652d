//! Figures that anybody can read.

use super::ticks::{digits, ticks};
use super::{Axis, Figure, Places, Point, Series, svg, svg_on_paper};
use crate::metrics::Estimate;

fn point(x: f64, mean: f64) -> Point {
    let interval = Some([mean - 0.05, mean + 0.05]);
    Point {
        x,
        y: Estimate {
            mean,
            interval,
            n: 10,
        },
    }
}

fn figure(places: Places) -> Figure {
    let series = |name: &str, is_level| Series {
        name: name.to_owned(),
        points: vec![point(0.0, 0.2), point(1.0, 0.4)],
        is_level,
    };
    Figure {
        key: "diversity".into(),
        title: "Diversity of <hybrid> & base".into(),
        description: "Each point is a mean.".into(),
        x: Axis::new("Time", "s"),
        places,
        y: Axis::new("Distance", ""),
        series: vec![series("Hybrid", false), series("Base \"25\"", true)],
    }
}

#[test]
fn a_figure_says_what_it_shows() {
    for places in [
        Places::Numbers,
        Places::Names(vec!["a dog\u{1} with a very long name".into(), "b".into()]),
    ] {
        let text = svg(&figure(places.clone()));
        for wanted in [
            "role=\"img\"",
            "<title id=\"diversity-title\">Diversity of &lt;hybrid&gt; &amp; base</title>",
            "<desc id=\"diversity-desc\">Each point is a mean.</desc>",
            ">Time (s)</text>",
            ">Distance</text>",
            ">Hybrid</text>",
            ">Base &quot;25&quot;</text>",
            "prefers-color-scheme:dark",
            "currentColor",
        ] {
            assert!(text.contains(wanted), "{wanted} is not in {text}");
        }
        let paper = svg_on_paper(&figure(places.clone()));
        assert!(!paper.text.contains("prefers-color-scheme") && paper.size[1] > 300.0);
        // Two points with their intervals, and the level's band.
        assert_eq!(text.matches("stroke-width=\"1.4\"").count(), 2);
        assert_eq!(text.matches("fill-opacity=\"0.12\"").count(), 1);
        let lines = text.matches("<polyline").count();
        assert_eq!(lines, usize::from(places == Places::Numbers));
        assert_eq!(text.matches("<g ").count(), text.matches("</g>").count());
        assert!(!text.contains('\u{1}') && !text.contains("NaN"));
    }
}

#[test]
fn many_names_hang_down_and_stay_apart() {
    let names = |count: usize| {
        let name = |index| format!("{index}: the picture of a thing with a name");
        let mut figure = figure(Places::Names((0..count).map(name).collect()));
        figure.series[0].points[1].x = count as f64 - 1.0;
        svg(&figure)
    };
    assert!(!names(4).contains("rotate(-45)"));
    assert_eq!(names(14).matches("rotate(-45)").count(), 14);
    // A line of text needs 13 of the 620 units, so that one of four has its name.
    assert_eq!(names(160).matches("rotate(-45)").count(), 40);
    assert_eq!(names(160).matches("<title>").count(), 40 + 2);
}

#[test]
fn steps_are_whole() {
    let mut figure = figure(Places::Numbers);
    let places = |figure: &Figure| {
        let text = svg(figure);
        [">1.5</text>", ">2</text>"].map(|it| text.contains(it))
    };
    figure.series[0].points = [1.0, 2.0, 3.0].map(|x| point(x, 0.3)).into();
    assert_eq!(places(&figure), [false, true]);
    figure.series[0].points[0].x = 1.1;
    assert_eq!(places(&figure), [true, false]);
}

#[test]
fn an_empty_figure_is_one_too() {
    let mut empty = figure(Places::Numbers);
    empty.series.clear();
    assert!(!svg(&empty).contains("NaN"));
    empty.places = Places::Names(Vec::new());
    empty.series = vec![Series {
        name: "alone".into(),
        points: vec![point(0.0, 0.3)],
        is_level: false,
    }];
    assert!(svg(&empty).contains("alone"));
}

#[test]
fn ticks_are_round_and_hold_all_numbers() {
    assert_eq!(
        ticks(0.0, 1.0, 0.0),
        [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]
    );
    assert_eq!(ticks(1.0, 4.0, 0.0).first(), Some(&1.0));
    for (low, high) in [(0.03, 0.41), (-2.0, 17.0), (0.0, 1e-4), (5.0, 5.0)] {
        let found = ticks(low, high, 0.0);
        assert!(
            found[0] <= low && found[found.len() - 1] >= high,
            "{found:?}"
        );
        assert!((2..=11).contains(&found.len()), "{found:?}");
    }
    assert_eq!(ticks(1.0, 4.0, 1.0), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(digits(&ticks(0.0, 1.0, 0.0)), 1);
    assert_eq!(digits(&ticks(0.0, 100.0, 0.0)), 0);
    assert_eq!(digits(&ticks(0.2, 0.3, 0.0)), 2);
}
