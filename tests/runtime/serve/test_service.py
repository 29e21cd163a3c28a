"""A service answers as rembg's server and remove.bg's API do; the cut is the one that `edgematte cut` makes."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import cv2
import numpy as np
import pytest

pytest.importorskip("starlette", reason="pip install 'edgematte[booth]'")
pytest.importorskip("python_multipart", reason="pip install 'edgematte[booth]'")

from edgematte.runtime.device.web import origin_of
from edgematte.runtime.errors import UsageError
from edgematte.runtime.matting.composite import VISIBLE_FROM
from edgematte.runtime.photos.cutter import CutOptions, load_cutter
from edgematte.runtime.serve.service import Service, ServiceOptions

from ..serve_parts import Client, as_file, service_in_thread, smaller

TOKEN = "a-token-of-the-tests"


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Client, Service]]:
    with service_in_thread() as found:
        yield found


@pytest.fixture(scope="module")
def client(running: tuple[Client, Service]) -> Client:
    return running[0]


@pytest.fixture(scope="module")
def photo(photos: Path) -> bytes:
    """A portrait of 320 pixels, so that nothing takes long."""
    return smaller(photos / "images" / "astronaut.jpg", 320)


def test_the_answer_is_what_cut_writes(client: Client, photo: bytes) -> None:
    """Byte for byte: the same network, refinement, colours and encoder."""
    expected = load_cutter(CutOptions(threads=1))(photo, name="photo", suffix=".png").data
    answer = client.remove(photo)
    assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
    assert answer.body == expected
    assert answer.picture.shape == (320, 320, 4)
    assert answer.picture[100, 145, 3] >= 250, "the face; a soft matte may be off by what nobody sees"
    assert client.removebg(photo).body == expected


def test_rembgs_mask_and_colour_are_honoured_wherever_they_stand(client: Client, photo: bytes) -> None:
    """Its server reads `om` from the form and `bgc` from the address; its older one took both from the address."""
    alpha = client.remove(photo).picture[:, :, 3]
    for answer in (client.remove(photo, om="true"), client.post("/api/remove?om=1", {"file": photo})):
        np.testing.assert_array_equal(answer.picture, alpha)
    outside = alpha == 0
    assert outside.mean() > 0.1
    for answer in (
        client.remove(photo, bgc="255,0,255,255"),
        client.post("/api/remove?bgc=255,0,255,255", {"file": photo}),
    ):
        assert answer.picture.shape[2] == 3
        assert (answer.picture[outside] == (255, 0, 255)).all()
    assert client.remove(photo, bgc="9,9,9,0").picture.shape[2] == 4, "an invisible colour is none"


def test_what_rembgs_networks_are_told_is_named_as_ignored(client: Client, photo: bytes) -> None:
    answer = client.remove(photo, model="u2net", a="true", af="240", om="false")
    assert (answer.status, answer.headers["x-edgematte-ignored"]) == (200, "model, a, af")
    assert "x-edgematte-ignored" not in client.remove(photo).headers


def test_nothing_is_fetched_from_a_network(client: Client, photo: bytes) -> None:
    answer = client.ask("GET", "/api/remove?url=http://127.0.0.1:9/a.jpg")
    assert (answer.status, answer.code, answer.headers["allow"]) == (405, "url_refused", "POST")
    for name in ("image_url", "bg_image_url"):
        answer = client.removebg(photo, **{name: "http://127.0.0.1:9/a.jpg"})
        assert (answer.status, answer.code) == (400, "url_refused")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"om": "perhaps"}, "invalid_parameter"),
        ({"bgc": "red"}, "invalid_parameter"),
        ({"bgc": "1,2,3,256"}, "invalid_parameter"),
        ({"bgc": "1,2,3,128"}, "invalid_parameter"),
    ],
)
def test_a_value_that_rembg_would_not_take_is_named(
    client: Client, photo: bytes, fields: dict[str, str], code: str
) -> None:
    answer = client.remove(photo, **fields)
    assert (answer.status, answer.code) == (422, code)


def test_remove_bgs_form_may_be_json_or_urlencoded_with_base64(client: Client, photo: bytes) -> None:
    encoded = base64.b64encode(photo).decode()
    expected = client.removebg(photo).body
    body, kind = json.dumps({"image_file_b64": encoded}).encode(), {"Content-Type": "application/json"}
    assert client.ask("POST", "/v1.0/removebg", body, kind).body == expected
    body = urlencode({"image_file_b64": encoded}).encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.ask("POST", "/v1.0/removebg", body, kind).body == expected
    told = client.post("/v1.0/removebg", {"image_file": photo}, {"Accept": "application/json"})
    data = json.loads(told.body)["data"]
    assert base64.b64decode(data["result_b64"]) == expected
    left, top, width, height = seen(decode_alpha(expected))
    places = [data[f"foreground_{name}"] for name in ("left", "top", "width", "height")]
    assert places == [left, top, width, height]


def seen(alpha: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, width and height of what can be seen."""
    left, top, width, height = cv2.boundingRect((alpha >= VISIBLE_FROM).astype(np.uint8))
    return left, top, width, height


def decode_alpha(png: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)[:, :, 3]


def test_remove_bgs_headers_say_where_the_subject_is_and_that_nothing_was_charged(client: Client, photo: bytes) -> None:
    answer = client.removebg(photo, type="person")
    assert answer.headers["x-credits-charged"] == "0"
    assert (answer.headers["x-width"], answer.headers["x-height"]) == ("320", "320")
    left, top, width, height = seen(decode_alpha(answer.body))
    assert answer.headers["x-foreground-left"] == str(left)
    assert answer.headers["x-foreground-height"] == str(height)
    cropped = client.removebg(photo, crop="true")
    assert cropped.picture.shape == (height, width, 4)
    assert cropped.headers["x-foreground-left"] == "0", "of the answer, not of the photo"
    np.testing.assert_array_equal(
        cropped.picture[:, :, 3], decode_alpha(answer.body)[top : top + height, left : left + width]
    )


def test_size_format_and_background_are_remove_bgs(client: Client, photos: Path) -> None:
    photo = smaller(photos / "images" / "hopper.jpg", 800)
    preview = client.removebg(photo, size="preview")
    height, width = preview.picture.shape[:2]
    assert 240_000 < width * height <= 250_000
    full_height, full_width = client.removebg(photo).picture.shape[:2]
    assert max(full_height, full_width) == 800
    assert abs(width / height - full_width / full_height) < 0.01
    coloured = client.removebg(photo, size="Preview", bg_color="81d4fa", format="AUTO", crop="False")
    assert coloured.headers["content-type"] == "image/jpeg", "format auto, with nothing transparent"
    outside = cv2.erode((preview.picture[:, :, 3] == 0).astype(np.uint8), np.ones((41, 41), np.uint8)) > 0
    off = np.abs(coloured.picture[outside].astype(int) - (0x81, 0xD4, 0xFA))
    assert off.max() <= 3, "JPEG keeps a plain colour within a few levels, a 16-pixel block of its colours away"
    named = client.removebg(photo, size="preview", bg_color="PapayaWhip", format="JPG")
    assert np.abs(named.picture[outside].astype(int) - (0xFF, 0xEF, 0xD5)).max() <= 3
    assert client.removebg(photo, size="preview", format="jpg").picture.shape[2] == 3
    webp = client.removebg(photo, size="preview", format="webp")
    assert (webp.headers["content-type"], webp.picture.shape[2]) == ("image/webp", 4)
    mask = client.removebg(photo, size="preview", channels="alpha")
    np.testing.assert_array_equal(mask.picture, preview.picture[:, :, 3])
    behind = np.zeros((10, 10, 3), np.uint8)
    behind[:] = 255, 0, 255
    before = client.post(
        "/v1.0/removebg",
        {"image_file": photo, "bg_image_file": as_file(behind), "size": "preview", "format": "png"},
    )
    assert (before.picture[preview.picture[:, :, 3] == 0] == (255, 0, 255)).all()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"size": "huge"}, "invalid_size"),
        ({"format": "zip"}, "invalid_format"),
        ({"bg_color": "/etc/passwd"}, "invalid_bg_color"),
        ({"bg_color": "81d4fa77"}, "invalid_bg_color"),
        ({"scale": "50%"}, "not_supported"),
        ({"crop": "true", "bg_color": "red"}, "not_supported"),
        ({"image_file_b64": "AAAA"}, "multiple_sources"),
    ],
)
def test_what_remove_bg_can_and_we_cannot_is_refused_in_its_shape(
    client: Client, photo: bytes, fields: dict[str, str], code: str
) -> None:
    answer = client.removebg(photo, **fields)
    assert (answer.status, answer.code) == (400, code)


def test_a_picture_without_a_subject_is_remove_bgs_error(client: Client) -> None:
    """rembg gives back a wholly transparent picture."""
    sky = as_file(np.full((64, 64, 3), (120, 170, 230), np.uint8))
    assert client.remove(sky).picture[:, :, 3].max() < VISIBLE_FROM
    answer = client.removebg(sky)
    assert (answer.status, answer.code) == (400, "unknown_foreground")


def test_the_pages_need_no_network(client: Client) -> None:
    page = client.ask("GET", "/")
    assert page.headers["content-type"].startswith("text/html")
    text = page.body.decode()
    assert "<script" not in text
    assert not re.search(r'(src|href|action)="(?!/)', text), "all its links are its own"
    described = json.loads(client.ask("GET", "/openapi.json").body)
    for path in described["paths"]:
        assert path in text
        assert client.ask("OPTIONS", path).status in (200, 405), "what is described is there"


def test_metrics_count_what_was_answered(running: tuple[Client, Service], photo: bytes) -> None:
    client, _ = running

    def counted(line: str) -> float:
        found = re.search(rf"^{re.escape(line)} ([\d.e+]+)$", client.ask("GET", "/metrics").body.decode(), re.MULTILINE)
        return float(found[1]) if found else 0.0

    good, bad = (f'edgematte_requests_total{{path="/api/remove",status="{status}"}}' for status in (200, 400))
    before = counted(good), counted(bad), counted("edgematte_pixels_total")
    assert client.remove(photo).status == 200
    assert client.remove(b"no picture").status == 400
    after = counted(good), counted(bad), counted("edgematte_pixels_total")
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 1, 320 * 320]
    assert counted("edgematte_held_bytes") == 0, "everything is given back"
    answer = client.ask("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    for line in answer.body.decode().splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"\\]*",?)+\})? -?[\d.e+]+', line), line


def test_a_web_page_of_another_machine_cannot_use_the_service(client: Client, photo: bytes) -> None:
    """Not by its form or script (Origin), nor by a name of its own that leads to this machine (Host)."""
    for header, code in (
        ({"Origin": "https://evil.example"}, "wrong_origin"),
        ({"Host": "evil.example"}, "wrong_host"),
    ):
        answer = client.post("/api/remove", {"file": photo}, header)
        assert (answer.status // 100, answer.code) == (4, code)
    for own in ("localhost:3000", "127.0.0.1", "127.0.0.2:7000", "[::1]:7000"):
        assert client.post("/api/remove", {"file": photo}, {"Origin": f"http://{own}"}).status == 200
        assert client.ask("GET", "/health", headers={"Host": own}).status == 200


@pytest.mark.parametrize(
    ("word", "origin"),
    [
        ("http://kiosk.example:3000", "http://kiosk.example:3000"),
        ("http://Kiosk.example:3000/", "http://kiosk.example:3000"),
        ("https://kiosk.example:443", "https://kiosk.example"),
        ("http://kiosk.example:80/", "http://kiosk.example"),
        ("*", "*"),
    ],
)
def test_an_origin_is_understood_as_browsers_send_it(word: str, origin: str) -> None:
    assert origin_of(word) == origin


@pytest.mark.parametrize("word", ["kiosk.example", "kiosk.example:3000", "http://", "http://kiosk.example/page", ""])
def test_what_no_browser_sends_as_an_origin_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match=r"expected http://HOST"):
        origin_of(word)


def test_a_page_that_is_allowed_may(photo: bytes, model: Path) -> None:
    page = {"Origin": "http://kiosk.example:3000"}
    with service_in_thread(CutOptions(str(model)), ServiceOptions(origins=(page["Origin"],))) as (client, _):
        answer = client.post("/api/remove", {"file": photo}, page)
        assert answer.headers["access-control-allow-origin"] == page["Origin"]
        asked = client.ask("OPTIONS", "/api/remove", headers=page | {"Access-Control-Request-Method": "POST"})
        assert asked.status == 200
        assert client.post("/api/remove", {"file": photo}, {"Origin": "http://other.example"}).status == 403


def test_a_token_is_asked_of_everybody_but_those_who_ask_for_health(photo: bytes, model: Path) -> None:
    with service_in_thread(CutOptions(str(model)), ServiceOptions(token=TOKEN)) as (client, service):
        assert client.health()["state"] == "ready"
        assert client.ask("GET", "/").status == 200
        for path in ("/metrics", "/nothing"):
            assert client.ask("GET", path).status == 401
        answer = client.remove(photo)
        assert (answer.status, answer.code, answer.headers["www-authenticate"]) == (401, "auth_failed", "Bearer")
        assert client.post("/v1.0/removebg", {"image_file": photo}, {"X-Api-Key": "guessed"}).status == 403
        assert service.metrics.pictures == 0
        for headers in (
            {"X-Api-Key": TOKEN},
            {"Authorization": f"Bearer {TOKEN}"},
            {"Authorization": f"bearer {TOKEN}"},
        ):
            assert client.post("/v1.0/removebg", {"image_file": photo}, headers).status == 200, headers
