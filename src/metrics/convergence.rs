//! When the final picture was decided: the curve of the paper's Figure 5.

use super::{error::MetricsError, image::RgbaImage, ssim::structural_dissimilarity};

/// One step of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConvergencePoint {
    /// Share of the run's steps that are done with this one, above 0 and up to 1. Runs of different
    /// numbers of steps share this axis.
    pub share: f64,
    /// [`structural_dissimilarity`] of the step's frame to the final picture.
    pub distance: f64,
}

/// How far the frame of each step, in the order of the run, is from the final picture.
///
/// # Errors
/// If a frame's size is not that of the final picture, or a side is shorter than the window of the
/// comparison.
pub fn convergence(
    frames: &[RgbaImage],
    last: &RgbaImage,
) -> Result<Vec<ConvergencePoint>, MetricsError> {
    frames
        .iter()
        .zip(1..)
        .map(|(frame, done)| {
            Ok(ConvergencePoint {
                share: f64::from(done) / frames.len() as f64,
                distance: structural_dissimilarity(frame, last)?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A checkerboard that comes out of grey.
    fn board(contrast: u8) -> Vec<u8> {
        (0..16 * 16)
            .flat_map(|index| {
                let is_light = (index % 16 / 4 + index / 64) % 2 == 0;
                let value = if is_light {
                    128 + contrast
                } else {
                    128 - contrast
                };
                [value, value, value, 255]
            })
            .collect()
    }

    fn image(rgba: &[u8]) -> RgbaImage<'_> {
        RgbaImage::new(16, 16, rgba).expect("16 × 16")
    }

    #[test]
    fn frames_come_nearer_to_the_last_picture() {
        let boards = [0, 10, 50, 100].map(board);
        let frames: Vec<_> = boards.iter().map(|board| image(board)).collect();
        let points = convergence(&frames, &frames[3]).expect("a curve");
        let shares: Vec<_> = points.iter().map(|point| point.share).collect();
        assert_eq!(shares, [0.25, 0.5, 0.75, 1.0]);
        assert!(
            points.is_sorted_by(|a, b| a.distance > b.distance),
            "{points:?}"
        );
        assert_eq!(points[3].distance, 0.0);
    }

    #[test]
    fn no_frames_are_no_curve_and_other_sizes_are_refused() {
        let board = board(20);
        assert_eq!(convergence(&[], &image(&board)), Ok(Vec::new()));
        let half = RgbaImage::new(16, 8, &board[..16 * 8 * 4]).expect("16 × 8");
        let error = convergence(&[image(&board), half], &image(&board)).expect_err("another size");
        assert!(
            matches!(error, MetricsError::DifferentSizes { .. }),
            "{error}"
        );
    }
}
