"""The task of live.py with MediaPipe's own Python package, as its guide shows it. Run by live.py, never imported.

    PYTHON workers/live.py FRAMES.npy

It stands alone, so that its environment needs only mediapipe (0.10.14) and OpenCV. Each line of stdin is a number of
frames to cut out and put before their own blur; it is answered by one line, the wall and the CPU seconds that took.
"""

from __future__ import annotations

import sys
import time

import cv2
import mediapipe
import numpy as np

BLUR = (55, 55)  # of the guide
THRESHOLD = 0.1  # of the guide


def main() -> None:
    """Until stdin ends."""
    frames = np.load(sys.argv[1])
    cv2.setNumThreads(2)
    with mediapipe.solutions.selfie_segmentation.SelfieSegmentation(model_selection=0) as segmentation:
        for line in sys.stdin:
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            for number in range(int(line)):
                image = frames[number % len(frames)]
                mask = segmentation.process(image).segmentation_mask
                condition = np.stack((mask,) * 3, axis=-1) > THRESHOLD
                np.where(condition, image, cv2.GaussianBlur(image, BLUR, 0))
            print(time.perf_counter() - wall_s, time.process_time() - cpu_s, flush=True)


if __name__ == "__main__":
    main()
