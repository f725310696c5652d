//! A grid or a strip as one picture: equal frames in rows and columns, with labels that somebody
//! else has drawn. This module knows no fonts.
//!
//! ```text
//!              column header   column header
//!  row header      frame           frame
//!                 caption         caption
//!  row header      frame           frame
//!                 caption         caption
//! ```
//!
//! All columns are equally wide and all rows equally high, so that frames keep their distance
//! whatever the labels say. Frames, column headers and captions are centred in their column, row
//! headers begin at the left and are centred on their frames.

use super::image::{ImageView, PixelFormat};

/// The longest side of a sheet, in pixels: what browsers' canvases and most viewers still take.
pub const MAXIMUM_SIDE: u32 = 16_384;
/// The most bytes of a sheet's pixels.
pub const MAXIMUM_BYTES: u64 = 256 << 20;

/// One place of the grid.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cell<'a> {
    /// The frame; none leaves its place empty.
    pub frame: Option<ImageView<'a>>,
    /// A label under the frame.
    pub caption: Option<ImageView<'a>>,
}

/// What a sheet is made of.
#[derive(Clone, Copy, Debug)]
pub struct ContactSheet<'a> {
    /// Columns, at least one.
    pub columns: usize,
    /// The cells row by row, as many as fill the last row.
    pub cells: &'a [Cell<'a>],
    /// A label above each column, or none at all.
    pub column_headers: &'a [ImageView<'a>],
    /// A label before each row, or none at all.
    pub row_headers: &'a [ImageView<'a>],
    /// Pixels around the sheet and between its parts; half as many between a frame and its caption,
    /// which shows whose it is.
    pub padding: u32,
    /// Red, green and blue of the background.
    pub background: [u8; 3],
}

/// A finished sheet: red, green and blue, since nothing of it is transparent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl Sheet {
    /// The sheet, to be encoded.
    pub fn view(&self) -> ImageView<'_> {
        ImageView {
            width: self.width,
            height: self.height,
            format: PixelFormat::Rgb,
            pixels: &self.pixels,
        }
    }

    /// Draws a picture over what is there, its upper left corner at `x` and `y`. Each colour becomes
    /// alpha · picture + (1 − alpha) · sheet, rounded.
    fn draw(&mut self, picture: ImageView<'_>, x: u32, y: u32) {
        let channels = picture.format().channels();
        let row_bytes = self.width as usize * 3;
        let start = y as usize * row_bytes + x as usize * 3;
        for (source, target) in picture
            .rows()
            .zip(self.pixels[start..].chunks_mut(row_bytes))
        {
            for (source, target) in source
                .chunks_exact(channels)
                .zip(target.chunks_exact_mut(3))
            {
                let alpha = u32::from(*source.get(3).unwrap_or(&255));
                for (source, target) in source.iter().zip(target) {
                    let mixed =
                        u32::from(*source) * alpha + u32::from(*target) * (255 - alpha) + 127;
                    *target = (mixed / 255) as u8;
                }
            }
        }
    }
}

/// Where things lie, in pixels.
struct Layout {
    frame_height: u32,
    column_width: u32,
    row_height: u32,
    /// Left of the first column.
    left: u32,
    /// Above the first row.
    top: u32,
    width: u32,
    height: u32,
}

impl ContactSheet<'_> {
    /// Puts everything in its place.
    ///
    /// # Errors
    /// When cells and headers are not as many as the rows and columns take, no cell has a frame,
    /// frames differ in size, or the sheet would be larger than [`MAXIMUM_SIDE`] or
    /// [`MAXIMUM_BYTES`].
    pub fn compose(&self) -> Result<Sheet, SheetError> {
        let layout = self.layout()?;
        let pixels = layout.width as usize * layout.height as usize;
        let mut sheet = Sheet {
            width: layout.width,
            height: layout.height,
            pixels: self.background.repeat(pixels),
        };
        let centred = |outer: u32, inner: u32| outer.saturating_sub(inner) / 2;
        let column_left =
            |column: usize| layout.left + column as u32 * (layout.column_width + self.padding);
        let row_top = |row: usize| layout.top + row as u32 * (layout.row_height + self.padding);
        let centred_in_column = |column: usize, picture: ImageView<'_>| {
            column_left(column) + centred(layout.column_width, picture.width())
        };

        for (column, header) in self.column_headers.iter().enumerate() {
            // Headers of several heights stand on one line.
            let y = layout.top - self.padding - header.height();
            sheet.draw(*header, centred_in_column(column, *header), y);
        }
        for (row, header) in self.row_headers.iter().enumerate() {
            let y = row_top(row) + centred(layout.frame_height, header.height());
            sheet.draw(*header, self.padding, y);
        }
        for (index, cell) in self.cells.iter().enumerate() {
            let (row, column) = (index / self.columns, index % self.columns);
            if let Some(frame) = cell.frame {
                sheet.draw(frame, centred_in_column(column, frame), row_top(row));
            }
            if let Some(caption) = cell.caption {
                let y = row_top(row) + layout.frame_height + self.padding / 2;
                sheet.draw(caption, centred_in_column(column, caption), y);
            }
        }
        Ok(sheet)
    }

    fn layout(&self) -> Result<Layout, SheetError> {
        let rows = match self.cells.len().checked_div(self.columns) {
            Some(rows) if rows > 0 && rows * self.columns == self.cells.len() => rows,
            _ => {
                return Err(SheetError::CellCount {
                    cells: self.cells.len(),
                    columns: self.columns,
                });
            }
        };
        for (headers, places) in [
            (self.column_headers.len(), self.columns),
            (self.row_headers.len(), rows),
        ] {
            if headers != 0 && headers != places {
                return Err(SheetError::HeaderCount { headers, places });
            }
        }
        let mut frames = self.cells.iter().filter_map(|cell| cell.frame);
        let (frame_width, frame_height) = frames.next().ok_or(SheetError::NoFrame)?.size();
        if frames.any(|frame| frame.size() != (frame_width, frame_height)) {
            return Err(SheetError::FramesDiffer);
        }

        let widest = |pictures: &mut dyn Iterator<Item = ImageView<'_>>| {
            pictures.map(|picture| picture.width()).max().unwrap_or(0)
        };
        let highest = |pictures: &mut dyn Iterator<Item = ImageView<'_>>| {
            pictures.map(|picture| picture.height()).max().unwrap_or(0)
        };
        let captions = || self.cells.iter().filter_map(|cell| cell.caption);
        let column_headers = || self.column_headers.iter().copied();
        let row_headers = || self.row_headers.iter().copied();

        // Sums of a few 32-bit numbers, and products of one with a count of what is in memory:
        // 64 bits hold the former, and the latter saturate.
        let padding = u64::from(self.padding);
        let with_padding = |extent: u32| match extent {
            0 => 0,
            extent => u64::from(extent) + padding,
        };
        let column_width = frame_width
            .max(widest(&mut column_headers()))
            .max(widest(&mut captions()));
        let caption_height = match highest(&mut captions()) {
            0 => 0,
            height => u64::from(height) + padding / 2,
        };
        let row_height =
            (u64::from(frame_height) + caption_height).max(u64::from(highest(&mut row_headers())));
        let left = padding + with_padding(widest(&mut row_headers()));
        let top = padding + with_padding(highest(&mut column_headers()));
        let side = |start: u64, count: usize, extent: u64| {
            (count as u64)
                .saturating_mul(extent + padding)
                .saturating_add(start)
        };
        let width = side(left, self.columns, u64::from(column_width));
        let height = side(top, rows, row_height);

        let is_bounded = |extent: u64| extent <= u64::from(MAXIMUM_SIDE);
        if !is_bounded(width) || !is_bounded(height) || width * height * 3 > MAXIMUM_BYTES {
            return Err(SheetError::TooLarge { width, height });
        }
        Ok(Layout {
            frame_height,
            column_width,
            row_height: row_height as u32,
            left: left as u32,
            top: top as u32,
            width: width as u32,
            height: height as u32,
        })
    }
}

/// Why there is no sheet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SheetError {
    /// The last row is not full, or there is none.
    #[error("{cells} cells don't fill rows of {columns}: reload the page and make the grid again.")]
    CellCount {
        /// Cells that were given.
        cells: usize,
        /// Columns.
        columns: usize,
    },
    /// Headers are neither as many as their rows or columns, nor none.
    #[error("{headers} labels can't name {places} rows or columns: reload the page and try again.")]
    HeaderCount {
        /// Headers that were given.
        headers: usize,
        /// Rows or columns.
        places: usize,
    },
    /// Not one cell has a picture.
    #[error("No picture is finished yet: save the sheet after the first one is.")]
    NoFrame,
    /// The frames are not of one size.
    #[error("The pictures have several sizes: run the grid again to save it as one picture.")]
    FramesDiffer,
    /// The sheet would be too large.
    #[error(
        "The sheet would have {width} × {height} pixels; a side may have {MAXIMUM_SIDE}, and all together {} MB. Choose fewer rows or columns.",
        MAXIMUM_BYTES >> 20
    )]
    TooLarge {
        /// Pixels of a row.
        width: u64,
        /// Rows of pixels.
        height: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::image::Image;
    use crate::recipe::random::Random;

    const BACKGROUND: [u8; 3] = [7, 8, 9];

    /// A picture of one colour.
    fn plain(width: u32, height: u32, colour: [u8; 4]) -> Image {
        Image {
            width,
            height,
            rgba: colour.repeat((width * height) as usize),
        }
    }

    fn view(image: &Image) -> ImageView<'_> {
        image.view().unwrap()
    }

    fn cell(image: &Image) -> Cell<'_> {
        Cell {
            frame: Some(view(image)),
            caption: None,
        }
    }

    fn sheet<'a>(columns: usize, cells: &'a [Cell<'a>]) -> ContactSheet<'a> {
        ContactSheet {
            columns,
            cells,
            column_headers: &[],
            row_headers: &[],
            padding: 2,
            background: BACKGROUND,
        }
    }

    /// The smallest rectangle that holds all pixels of a colour, as left, top, width, height; it
    /// has to be full of it.
    fn place(sheet: &Sheet, colour: [u8; 3]) -> (u32, u32, u32, u32) {
        let places: Vec<(u32, u32)> = sheet
            .pixels
            .chunks_exact(3)
            .enumerate()
            .filter(|(_, pixel)| *pixel == colour)
            .map(|(index, _)| (index as u32 % sheet.width, index as u32 / sheet.width))
            .collect();
        let left = places.iter().map(|(x, _)| *x).min().unwrap();
        let right = places.iter().map(|(x, _)| *x).max().unwrap();
        let top = places.iter().map(|(_, y)| *y).min().unwrap();
        let bottom = places.iter().map(|(_, y)| *y).max().unwrap();
        let (width, height) = (right - left + 1, bottom - top + 1);
        assert_eq!(places.len() as u32, width * height);
        (left, top, width, height)
    }

    #[test]
    fn bare_frames_lie_in_rows_with_padding() {
        let frames: Vec<Image> = (0..6)
            .map(|index| plain(5, 4, [100 + index, 0, 0, 255]))
            .collect();
        let cells: Vec<Cell> = frames.iter().map(cell).collect();
        let sheet = sheet(3, &cells).compose().unwrap();
        assert_eq!((sheet.width, sheet.height), (2 + 3 * 7, 2 + 2 * 6));
        for index in 0..6 {
            let (row, column) = (index / 3, index % 3);
            assert_eq!(
                place(&sheet, [100 + index as u8, 0, 0]),
                (2 + 7 * column, 2 + 6 * row, 5, 4)
            );
        }
        let background = sheet
            .pixels
            .chunks_exact(3)
            .filter(|pixel| *pixel == BACKGROUND)
            .count() as u32;
        assert_eq!(background, sheet.width * sheet.height - 6 * 20);
    }

    #[test]
    fn labels_have_their_places() {
        let frames: Vec<Image> = (0..4)
            .map(|index| plain(10, 8, [100 + index, 0, 0, 255]))
            .collect();
        let above = [plain(14, 3, [0, 1, 0, 255]), plain(4, 5, [0, 2, 0, 255])];
        let before = [plain(9, 4, [0, 0, 1, 255]), plain(20, 6, [0, 0, 2, 255])];
        let caption = plain(6, 3, [1, 1, 1, 255]);
        let mut cells: Vec<Cell> = frames.iter().map(cell).collect();
        cells[3].caption = Some(view(&caption));
        let column_headers = above.each_ref().map(view);
        let row_headers = before.each_ref().map(view);
        let sheet = ContactSheet {
            column_headers: &column_headers,
            row_headers: &row_headers,
            ..sheet(2, &cells)
        }
        .compose()
        .unwrap();

        // Columns: 2 padding, 20 row headers, 2, 14, 2, 14, 2.
        // Rows: 2 padding, 5 column headers, 2, 8 frame, 1, 3 caption, 2, 8, 1, 3, 2.
        assert_eq!((sheet.width, sheet.height), (56, 37));
        assert_eq!(place(&sheet, [100, 0, 0]), (26, 9, 10, 8));
        assert_eq!(place(&sheet, [101, 0, 0]), (42, 9, 10, 8));
        assert_eq!(place(&sheet, [102, 0, 0]), (26, 23, 10, 8));
        assert_eq!(place(&sheet, [103, 0, 0]), (42, 23, 10, 8));
        assert_eq!(place(&sheet, [0, 1, 0]), (24, 4, 14, 3));
        assert_eq!(place(&sheet, [0, 2, 0]), (45, 2, 4, 5));
        assert_eq!(place(&sheet, [0, 0, 1]), (2, 11, 9, 4));
        assert_eq!(place(&sheet, [0, 0, 2]), (2, 24, 20, 6));
        assert_eq!(place(&sheet, [1, 1, 1]), (44, 32, 6, 3));
    }

    #[test]
    fn a_row_header_higher_than_the_frames_makes_rows_higher() {
        let frame = plain(3, 3, [200, 0, 0, 255]);
        let header = plain(4, 9, [0, 0, 1, 255]);
        let cells = [cell(&frame)];
        let row_headers = [view(&header)];
        let sheet = ContactSheet {
            row_headers: &row_headers,
            ..sheet(1, &cells)
        }
        .compose()
        .unwrap();
        assert_eq!((sheet.width, sheet.height), (13, 13));
        assert_eq!(place(&sheet, [0, 0, 1]), (2, 2, 4, 9));
        assert_eq!(place(&sheet, [200, 0, 0]), (8, 2, 3, 3));
    }

    #[test]
    fn alpha_mixes_with_the_background() {
        // The mean of 255 and 7, 0 and 8, 100 and 9, at alpha 128/255: computed by hand, rounded.
        let half = plain(1, 1, [255, 0, 100, 128]);
        let clear = plain(1, 1, [255, 0, 100, 0]);
        let opaque = plain(1, 1, [255, 0, 100, 255]);
        for (frame, expected) in [
            (half, [131, 4, 55]),
            (clear, BACKGROUND),
            (opaque, [255, 0, 100]),
        ] {
            let cells = [cell(&frame)];
            let sheet = sheet(1, &cells).compose().unwrap();
            assert_eq!(sheet.pixels[3 * (2 * 5 + 2)..][..3], expected);
        }
    }

    #[test]
    fn frames_may_be_rgb_and_places_empty() {
        let pixels = [9, 99, 199].repeat(4);
        let cells = [
            Cell::default(),
            Cell {
                frame: Some(ImageView::new(2, 2, PixelFormat::Rgb, &pixels).unwrap()),
                caption: None,
            },
        ];
        let sheet = sheet(2, &cells).compose().unwrap();
        assert_eq!((sheet.width, sheet.height), (10, 6));
        assert_eq!(place(&sheet, [9, 99, 199]), (6, 2, 2, 2));
        assert_eq!(sheet.view().size(), (10, 6));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let frame = plain(2, 2, [1, 1, 1, 255]);
        let other = plain(2, 3, [1, 1, 1, 255]);
        let cells = [cell(&frame), cell(&frame), cell(&frame)];
        for (columns, cells) in [(2, &cells[..]), (0, &cells[..]), (4, &cells[..]), (1, &[])] {
            assert_eq!(
                sheet(columns, cells).compose(),
                Err(SheetError::CellCount {
                    cells: cells.len(),
                    columns
                })
            );
        }
        let headers = [view(&frame); 2];
        let with_headers = ContactSheet {
            row_headers: &headers,
            ..sheet(1, &cells)
        };
        assert_eq!(
            with_headers.compose(),
            Err(SheetError::HeaderCount {
                headers: 2,
                places: 3
            })
        );
        assert_eq!(
            sheet(1, &[Cell::default()]).compose(),
            Err(SheetError::NoFrame)
        );
        assert_eq!(
            sheet(2, &[cell(&frame), cell(&other)]).compose(),
            Err(SheetError::FramesDiffer)
        );
    }

    #[test]
    fn sheets_are_bounded() {
        let pixels = vec![0; 1024 * 1024 * 3];
        let frame = ImageView::new(1024, 1024, PixelFormat::Rgb, &pixels).unwrap();
        let cell = Cell {
            frame: Some(frame),
            caption: None,
        };
        let compose = |columns, rows, padding| {
            let cells = vec![cell; columns * rows];
            let sheet = ContactSheet {
                padding,
                ..sheet(columns, &cells)
            };
            sheet.layout().map(|layout| (layout.width, layout.height))
        };
        assert_eq!(compose(16, 5, 0), Ok((16_384, 5120)));
        assert_eq!(
            compose(16, 1, 1),
            Err(SheetError::TooLarge {
                width: 16_401,
                height: 1026
            })
        );
        // 16384 × 6144 pixels of three bytes: over 256 MB, though no side is too long.
        assert!(matches!(
            compose(16, 6, 0),
            Err(SheetError::TooLarge { .. })
        ));
        assert!(matches!(
            compose(1, 1, u32::MAX),
            Err(SheetError::TooLarge { .. })
        ));
        let error = compose(1, 17, 0).unwrap_err();
        assert!(error.to_string().contains("1024 × 17408"), "{error}");
    }

    /// Whatever the sizes are, nothing is lost: each part shows all of its pixels.
    #[test]
    fn no_part_covers_another() {
        let mut random = Random(8);
        for _ in 0..200 {
            let (rows, columns) = (1 + random.below(4), 1 + random.below(4));
            let (width, height) = (1 + random.below(9) as u32, 1 + random.below(9) as u32);
            let mut label = |kind: u8, index: usize| {
                plain(
                    1 + random.below(14) as u32,
                    1 + random.below(14) as u32,
                    [kind, index as u8, 50, 255],
                )
            };
            let frames: Vec<Image> = (0..rows * columns)
                .map(|index| plain(width, height, [10, index as u8, 50, 255]))
                .collect();
            let captions: Vec<Image> = (0..rows * columns).map(|index| label(20, index)).collect();
            let above: Vec<Image> = (0..columns).map(|index| label(30, index)).collect();
            let before: Vec<Image> = (0..rows).map(|index| label(40, index)).collect();
            let cells: Vec<Cell> = frames
                .iter()
                .zip(&captions)
                .map(|(frame, caption)| Cell {
                    frame: Some(view(frame)),
                    caption: Some(view(caption)),
                })
                .collect();
            let column_headers: Vec<ImageView> = above.iter().map(view).collect();
            let row_headers: Vec<ImageView> = before.iter().map(view).collect();
            let sheet = ContactSheet {
                columns,
                cells: &cells,
                column_headers: &column_headers,
                row_headers: &row_headers,
                padding: random.below(6) as u32,
                background: BACKGROUND,
            }
            .compose()
            .unwrap();
            for part in frames.iter().chain(&captions).chain(&above).chain(&before) {
                let colour = [part.rgba[0], part.rgba[1], part.rgba[2]];
                let (_, _, width, height) = place(&sheet, colour);
                assert_eq!((width, height), (part.width, part.height));
            }
        }
    }
}
