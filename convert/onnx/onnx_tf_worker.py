"""Runs in the Python that has onnx-tf and TensorFlow, never in ours: `onnx_tf_worker.py FOLDER`.

FOLDER holds network.onnx, job.json (the fields of `onnx_tf.Job`) and photos.npy, (N, H, W, 3) uint8 RGB; float.tflite
and int8.tflite are written beside them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import tensorflow as tf
from onnx_tf.backend import prepare


def main(folder: Path) -> None:
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    photos = np.load(folder / "photos.npy")
    saved = str(folder / "saved")
    prepare(onnx.load(str(folder / "network.onnx"))).export_graph(saved)
    loaded = tf.saved_model.load(saved)
    network = loaded.signatures["serving_default"]
    width, height = job["size"]

    @tf.function(input_signature=[tf.TensorSpec((1, height, width, 3), tf.float32, name="image")])
    def whole(image: tf.Tensor) -> dict[str, tf.Tensor]:
        output = network(**{_argument(network, job["input"]): _network_input(image, job)})
        values = output[job["output"]] if job["output"] in output else next(iter(output.values()))
        return {"alpha": _alpha(values, job)}

    concrete = whole.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], loaded)
    (folder / "float.tflite").write_bytes(converter.convert())

    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], loaded)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: _samples(photos, job)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    (folder / "int8.tflite").write_bytes(converter.convert())


def _argument(network, name: str) -> str:
    """The signature's name of the input; TensorFlow rewrites characters it does not like."""
    names = list(network.structured_input_signature[1])
    return name if name in names else names[0]


def _network_input(image: tf.Tensor, job: dict) -> tf.Tensor:
    if not job["carried"]:
        image = tf.reverse(image, [3]) if job["reverse"] else image
        image = (image - tf.constant(job["mean"], tf.float32)) / tf.constant(job["std"], tf.float32)
    return tf.transpose(image, (0, 3, 1, 2)) if job["channels_first"] else image


def _alpha(values: tf.Tensor, job: dict) -> tf.Tensor:
    if job["channel_axis"] is not None and job["channel_axis"] != len(values.shape) - 1:
        axes = [axis for axis in range(len(values.shape)) if axis != job["channel_axis"]]
        values = tf.transpose(values, (*axes, job["channel_axis"]))
    rows, columns = job["matte"]
    values = tf.reshape(values, (1, rows, columns, job["channels"]))
    if job["step"] == "softmax":
        values = tf.nn.softmax(values)
    chosen = values[..., job["channel"] : job["channel"] + 1]
    if job["step"] == "pair":
        other = 1 - job["channel"]
        chosen = chosen - values[..., other : other + 1]
    return tf.sigmoid(chosen) if job["step"] in ("sigmoid", "pair") else chosen


def _samples(photos: np.ndarray, job: dict) -> Iterator[list[np.ndarray]]:
    # One black and one white pixel fix the input at 0 to 255, and with it the scale and zero point of the contract.
    first = photos[0].copy()
    first[0, 0], first[0, 1] = 0, 255
    for photo in (first, *photos[1:]):
        yield [
            ((photo[np.newaxis].astype(np.float32) - job["input_zero_point"]) * job["input_scale"]).astype(np.float32)
        ]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
