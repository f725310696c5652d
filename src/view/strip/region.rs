//! A part of the picture that is followed through the steps: the red box of the paper's Figure 3.

/// The shortest side, as a share of the picture's.
const SHORTEST: f64 = 0.04;
/// The side of the box around a pointer, and of the one that the keyboard begins with.
const SIDE: f64 = 0.3;

/// A box in shares of the picture's width and height, always inside of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// From the left edge.
    pub x: f64,
    /// From the upper edge.
    pub y: f64,
    /// Of the picture's width.
    pub width: f64,
    /// Of the picture's height.
    pub height: f64,
}

impl Region {
    /// The box in the picture's middle.
    pub fn middle() -> Region {
        Region::around(0.5, 0.5)
    }

    /// A box of a fixed size around a point, pushed inside where it would stand over the edge.
    pub fn around(x: f64, y: f64) -> Region {
        Region {
            x: x - SIDE / 2.0,
            y: y - SIDE / 2.0,
            width: SIDE,
            height: SIDE,
        }
        .inside()
    }

    /// The box between two corners.
    pub fn between(from: (f64, f64), to: (f64, f64)) -> Region {
        let clamp = |(x, y): (f64, f64)| (x.clamp(0.0, 1.0), y.clamp(0.0, 1.0));
        let (from, to) = (clamp(from), clamp(to));
        Region {
            x: from.0.min(to.0),
            y: from.1.min(to.1),
            width: (from.0 - to.0).abs(),
            height: (from.1 - to.1).abs(),
        }
        .inside()
    }

    /// The box moved by shares of the picture's sides.
    pub fn moved(self, right: f64, down: f64) -> Region {
        Region {
            x: self.x + right,
            y: self.y + down,
            ..self
        }
        .inside()
    }

    /// The box made wider and higher by shares of the picture's sides; its upper left corner stays.
    pub fn resized(self, wider: f64, higher: f64) -> Region {
        Region {
            width: (self.width + wider).min(1.0 - self.x),
            height: (self.height + higher).min(1.0 - self.y),
            ..self
        }
        .inside()
    }

    fn inside(self) -> Region {
        let width = self.width.clamp(SHORTEST, 1.0);
        let height = self.height.clamp(SHORTEST, 1.0);
        Region {
            x: self.x.clamp(0.0, 1.0 - width),
            y: self.y.clamp(0.0, 1.0 - height),
            width,
            height,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(region: Region, x: f64, y: f64, width: f64, height: f64) {
        let found = [region.x, region.y, region.width, region.height];
        let near = found
            .iter()
            .zip([x, y, width, height])
            .all(|(found, expected)| (found - expected).abs() < 1e-9);
        assert!(near, "{region:?}");
    }

    #[test]
    fn corners_may_come_in_any_order_and_from_outside() {
        assert_near(Region::between((0.8, 0.1), (0.2, 0.5)), 0.2, 0.1, 0.6, 0.4);
        assert_near(Region::between((-1.0, 0.5), (0.5, 9.0)), 0.0, 0.5, 0.5, 0.5);
        // A press without a drag is still a box that can be seen.
        assert_near(
            Region::between((1.0, 1.0), (1.0, 1.0)),
            0.96,
            0.96,
            0.04,
            0.04,
        );
    }

    #[test]
    fn it_stays_inside_as_it_moves_and_grows() {
        assert_near(Region::middle(), 0.35, 0.35, 0.3, 0.3);
        assert_near(Region::around(0.0, 1.0), 0.0, 0.7, 0.3, 0.3);
        assert_near(Region::middle().moved(0.1, -0.9), 0.45, 0.0, 0.3, 0.3);
        assert_near(Region::middle().resized(0.1, -0.1), 0.35, 0.35, 0.4, 0.2);
        assert_near(Region::middle().resized(5.0, -5.0), 0.35, 0.35, 0.65, 0.04);
    }
}
