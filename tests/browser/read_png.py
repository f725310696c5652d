"""What Pillow reads of a PNG, as JSON: size, texts, and each frame's duration and pixels."""

import base64
import json
import sys

from PIL import Image

with Image.open(sys.argv[1]) as image:
    frames = []
    for index in range(getattr(image, "n_frames", 1)):
        image.seek(index)
        frame = image.convert("RGBA")
        frames.append(
            {
                "duration": image.info.get("duration"),
                "rgba": base64.b64encode(frame.tobytes()).decode(),
            }
        )
    json.dump(
        {
            "size": image.size,
            "text": {key: str(value) for key, value in image.text.items()},
            "frames": frames,
        },
        sys.stdout,
    )
