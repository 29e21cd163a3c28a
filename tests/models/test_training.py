"""The recipe learns, resumes, and exports what it learned. Needs PyTorch: `make test-training`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing; make test-training installs it apart from the rest")

from edgematte.models.training import export, fit, photos, recipes, train, unet  # noqa: E402
from edgematte.models.training.samples import augment, painting, spoiling  # noqa: E402

TINY = unet.UNetShape(encoder=(8, 8, 8), residuals=(0, 0, 1))


@pytest.fixture
def folder(tmp_path: Path, photos: Path) -> Path:
    """A training folder of two portraits with hand masks and one empty background."""
    for kind, names in {"people/portraits": ("astronaut", "hopper"), "backgrounds/walls": ("wall",)}.items():
        for part in ("images", "masks"):
            (tmp_path / kind / part).mkdir(parents=True)
        for name in names:
            if name == "wall":
                wall = np.full((60, 80, 3), 180, np.uint8)
                cv2.imwrite(str(tmp_path / kind / "images" / "wall.png"), wall)
                continue
            for part, suffix in (("images", "jpg"), ("masks", "png")):
                source = photos / part / f"{name}.{suffix}"
                (tmp_path / kind / part / source.name).write_bytes(source.read_bytes())
    return tmp_path


@pytest.fixture
def recipe() -> recipes.Recipe:
    """Small enough for seconds on one core."""
    mix = augment.Mix(source_weights={"people": 0.8, "backgrounds": 0.2})
    return replace(recipes.RECIPES["unet-live"], shape=TINY, size=(64, 64), mix=mix, steps=60, batch=4)


def test_reading_keeps_subjects_and_empty_rooms(folder: Path) -> None:
    read = photos.read_photos(folder, rule="people")
    assert [photo.source for photo in read] == ["walls", "portraits", "portraits"]
    assert all(photo.alpha.any() == (photo.kind == "people") for photo in read), "a background holds no subject"
    assert all(max(photo.image.shape[:2]) == photos.LONGEST_SIDE_PX for photo in read[1:3])


def test_the_part_of_a_photo_beside_its_subject_is_an_empty_place(folder: Path) -> None:
    pictured = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    mask = np.zeros((240, 320), np.uint8)
    mask[40:240, 20:90] = 255
    portraits = folder / "people" / "portraits"
    cv2.imwrite(str(portraits / "images" / "aside.png"), pictured)
    cv2.imwrite(str(portraits / "masks" / "aside.png"), mask)
    (place,) = [photo for photo in photos.read_photos(folder, rule="people") if photo.source == photos.PLACES]
    assert place.kind == "backgrounds"
    assert not place.alpha.any()
    assert np.array_equal(place.image, cv2.cvtColor(pictured, cv2.COLOR_BGR2RGB)[:, 90 : 90 + place.image.shape[1]])


def test_an_empty_room_stays_empty_with_things_in_it(folder: Path) -> None:
    (wall, *_), (portrait, *_) = (
        [photo for photo in photos.read_photos(folder, rule="people") if photo.kind == kind]
        for kind in ("backgrounds", "people")
    )
    mug = replace(portrait, kind="objects", source="mugs", thing=portrait.alpha, people=False)
    seen = []
    for clutter in ((), ("mugs",)):
        mix = augment.Mix(source_weights={"backgrounds": 1.0}, clutter=clutter)
        images, alphas, _ = augment.Sampler([wall, mug], mix, size=(64, 64), seed=3).batch(16)
        assert not alphas.any()
        seen.append(np.mean([image.std() for image in images]))
    assert seen[1] > seen[0] + 10, "things and cloths are seen before the plain wall"


def test_the_next_frame_is_the_same_moved_and_a_little_noisier() -> None:
    torch.manual_seed(0)
    frames = torch.from_numpy(np.random.default_rng(0).integers(40, 200, (4, 32, 32, 3), dtype=np.uint8))
    then = train.next_frames(frames, (2, -1))
    difference = then[:, 2:, :-1].float() - frames[:, :-2, 1:].float()
    assert 0.5 < difference.abs().mean() < 12, "another exposure and grain, not another picture"


def test_a_network_that_flickers_pays_for_it() -> None:
    class Flickering(torch.nn.Module):
        """Sees a matte of its own in the last two of four pictures."""

        def __init__(self, change: float) -> None:
            super().__init__()
            self.change = change

        def logits(self, _: torch.Tensor) -> torch.Tensor:
            return torch.tensor([1.0, -1.0, 1.0 + self.change, -1.0 - self.change])[:, None, None, None].expand(
                4, 1, 32, 32
            )

    batch = (
        torch.zeros(4, 32, 32, 3, dtype=torch.uint8),
        *torch.zeros(2, 4, 32, 32, dtype=torch.uint8),
        torch.full((4, 32, 32), 255, dtype=torch.uint8),
    )
    cost = [
        float(train.loss_of(Flickering(change), batch, twins=2) - train.loss_of(Flickering(change), batch))
        for change in (0.0, 1.0)
    ]
    assert cost[0] == pytest.approx(0.0, abs=1e-6)
    assert cost[1] > 0.1


@pytest.mark.parametrize(("built_in", "kind"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_cpu_computes_in_bfloat16_only_where_it_is_built_in(
    monkeypatch: pytest.MonkeyPatch, built_in: bool, kind: torch.dtype
) -> None:
    """Played by a CPU without it, a batch took 36 s instead of 2.5."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": built_in})
    seen: list[torch.dtype] = []
    network = unet.UNet(TINY)
    network.head.register_forward_hook(lambda _layer, _given, found: seen.append(found.dtype))
    pictures = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    train.loss_of(network, (pictures, *[torch.zeros(1, 32, 32, dtype=torch.uint8)] * 3))
    assert seen == [kind]


def test_the_same_seed_draws_the_same_samples(folder: Path, recipe: recipes.Recipe) -> None:
    labelled = photos.read_photos(folder, rule="people")
    first, second = (augment.Sampler(labelled, recipe.mix, size=recipe.size, seed=3).batch(4) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    assert first[0].shape == (4, 64, 64, 3)
    assert first[1].shape == (4, 64, 64)


def test_blending_shows_the_front_where_alpha_is_full_and_the_back_where_it_is_empty() -> None:
    front, behind = np.full((2, 2, 3), 200, np.uint8), np.full((2, 2, 3), 40, np.uint8)
    blended = painting.blend(front, np.array([[255, 0], [255, 0]], np.uint8), behind)
    assert blended[:, 0].tolist() == [[200] * 3] * 2
    assert blended[:, 1].tolist() == [[40] * 3] * 2


def test_a_thing_and_its_alpha_move_together() -> None:
    alpha = np.zeros((60, 80), np.uint8)
    alpha[20:40, 30:50] = 255
    thing = cv2.merge([alpha] * 3)
    for seed in range(20):
        moved, moved_alpha = painting.put_somewhere(thing, alpha, np.random.default_rng(seed))
        assert np.array_equal(moved[..., 0], moved_alpha)


def test_cloth_covers_a_part_of_the_background_and_leaves_the_rest_alone() -> None:
    behind = np.full((96, 128, 3), 77, np.uint8)
    untouched = [
        (painting.hang_cloth(behind, np.random.default_rng(seed)) == 77).all(axis=2).mean() for seed in range(40)
    ]
    assert min(untouched) > 0.2, "a cloth beside the subject, not a new background"
    assert np.mean(untouched) < 0.97, "most cloths are to be seen"


def test_a_cloth_can_show_a_picture() -> None:
    behind, picture = np.full((96, 128, 3), 20, np.uint8), np.full((96, 128, 3), 200, np.uint8)
    shown = [painting.hang_cloth(behind, np.random.default_rng(seed), cloth=picture) for seed in range(10)]
    brightest = max(int(one.max()) for one in shown)
    assert 190 <= brightest <= 255, "the picture, its folds a little brighter and darker"
    assert all((one == 20).any() for one in shown), "some of the background is left"


def test_a_painted_wall_is_plain() -> None:
    for seed in range(20):
        wall = painting.paint_wall((128, 96), np.random.default_rng(seed))
        assert wall.shape == (96, 128, 3)
        steps = np.abs(np.diff(wall.astype(int), axis=1))
        assert steps.max() < 12, "light and mottling, no edge that could be a subject's"


def test_a_motion_kernel_keeps_the_brightness() -> None:
    assert spoiling.motion_kernel(7, 0.4).sum() == pytest.approx(1.0, abs=1e-6)


def test_the_following_network_has_the_size_its_card_says() -> None:
    recipe = recipes.RECIPES["unet-follow"]
    network = recipe.network()
    assert unet.parameter_count(network) == 1_625_505
    assert unet.multiply_accumulates(network, (128, 128), channels=5) == 87_457_792
    assert network(torch.zeros(1, 5, 128, 128)).shape == (1, 1, 128, 128)


def test_the_photo_network_has_the_size_its_card_says() -> None:
    network = unet.UNet(unet.PHOTO)
    assert unet.parameter_count(network) == 3_860_329
    assert unet.multiply_accumulates(network, (320, 320)) == 1_378_497_600
    assert unet.multiply_accumulates(network, (160, 192)) == 413_549_280
    assert network(torch.zeros(1, 3, 320, 320)).shape == (1, 1, 320, 320)


def test_a_new_training_can_begin_with_the_weights_of_an_earlier_one(
    folder: Path, recipe: recipes.Recipe, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    earlier = unet.UNet(TINY).state_dict()
    torch.save({"averaged": earlier}, tmp_path / "earlier.pt")
    labelled, cpu = photos.read_photos(folder, rule="people"), torch.device("cpu")
    one_step = replace(recipe, steps=1, learning_rate=1e-9)
    begun = train.train(one_step, labelled, tmp_path / "run", minutes=None, device=cpu, start=tmp_path / "earlier.pt")
    assert torch.allclose(begun.head.weight, earlier["head.weight"], atol=1e-6)


def test_a_training_that_continues_is_slower_and_leaves_out_the_smallest_pictures() -> None:
    recipe = replace(recipes.RECIPES["unet-photo"], growth=((0.0, 0.5), (0.4, 0.75), (0.75, 1.0)))
    on = train.continued(recipe)
    assert on.size_at(0.0) == (256, 256)
    assert on.size_at(0.99) == recipe.size
    assert on.learning_rate == pytest.approx(train.CONTINUED_PACE * recipe.learning_rate)
    coarse = train.continued(replace(recipe, growth=((0.0, 0.5),)))
    assert coarse.size_at(0.0) == recipe.size


def test_a_residual_block_starts_as_the_identity() -> None:
    features = torch.rand(2, 8, 16, 16)
    assert torch.equal(unet.Residual(8).eval()(features), features)


def test_the_edge_weight_is_full_beside_an_edge_and_nothing_far_from_it() -> None:
    alpha = np.zeros((1, 32, 32), np.uint8)
    alpha[:, :, 16:] = 255
    edge = train.edges_of(alpha)
    assert (edge[0, :, 13:19] == 255).all(), "three pixels to either side of the edge"
    assert not edge[0, :, :13].any()
    assert not edge[0, :, 19:].any()


def test_a_mistake_beside_an_edge_costs_more_than_one_far_from_it() -> None:
    alpha = torch.zeros(1, 1, 32, 32)
    alpha[..., 16:] = 1
    edge = torch.from_numpy(train.edges_of((alpha[:, 0] * 255).byte().numpy()))[:, None].float() / 255
    near, far = 8 * (2 * alpha - 1), 8 * (2 * alpha - 1)
    near[0, 0, 5, 14], far[0, 0, 5, 3] = 8, 8
    judged = torch.ones_like(alpha)
    assert train.matte_loss(near, alpha, edge, judged) > train.matte_loss(far, alpha, edge, judged)


def test_what_is_not_judged_costs_nothing() -> None:
    alpha, judged = torch.zeros(1, 1, 32, 32), torch.ones(1, 1, 32, 32)
    alpha[..., 16:] = 1
    judged[..., :8] = 0
    edge = torch.zeros_like(alpha)
    right = 8 * (2 * alpha - 1)
    wrong_there, wrong_here = right.clone(), right.clone()
    wrong_there[..., :8] = 8
    wrong_here[..., 8:12] = 8
    cost = [float(train.matte_loss(logits, alpha, edge, judged)) for logits in (right, wrong_there, wrong_here)]
    assert cost[1] == pytest.approx(cost[0], abs=1e-6)
    assert cost[2] > cost[0] + 0.5


def test_being_undecided_far_from_an_edge_costs_more_than_its_error() -> None:
    alpha, judged = torch.ones(1, 1, 32, 32), torch.ones(1, 1, 32, 32)
    grey = torch.full_like(alpha, 1.0)  # alpha 0.73
    costs = [float(train.matte_loss(grey, alpha, torch.full_like(alpha, edge), judged)) for edge in (0.0, 1e-9)]
    assert costs[0] - costs[1] == pytest.approx(train.UNDECIDED * 0.73 * 0.27, abs=0.002)


def test_the_learning_rate_rises_and_falls_to_what_is_to_be_left_of_it() -> None:
    rates = [fit.schedule(share, 0.02, 0.4) for share in (0.0, 0.01, 0.02, 0.51, 1.0)]
    assert rates == pytest.approx([0, 0.5, 1, 0.7, 0.4])


def test_pictures_grow_during_the_training() -> None:
    recipe = recipes.RECIPES["unet-photo"]
    assert [recipe.size_at(share) for share in (0.0, 0.44, 0.46)] == [(224, 224), (224, 224), (288, 288)]


@pytest.mark.filterwarnings("ignore")  # PyTorch warns about its own exporter
def test_a_large_file_keeps_halves_and_still_computes_in_full_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, sizes, alphas = unet.UNet(TINY).eval(), [], []
    image = np.random.default_rng(0).standard_normal((1, 3, 64, 64)).astype(np.float32)
    for limit in (8e6, 1.0):
        monkeypatch.setattr(export, "LARGEST_BYTES", limit)
        path = tmp_path / "network.onnx"
        export.export(network, path, size=(64, 64))
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        alphas.append(session.run(None, {"image": image})[0])
        sizes.append(path.stat().st_size)
    assert sizes[1] < 0.7 * sizes[0]
    assert alphas[1].dtype == np.float32
    assert np.abs(alphas[0] - alphas[1]).max() < 0.01, "eleven bits of a weight are enough for a matte"


def test_of_several_checkpoints_the_mean_is_exported(recipe: recipes.Recipe, tmp_path: Path) -> None:
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        states.append(unet.UNet(TINY).state_dict())
        torch.save({"averaged": states[-1]}, tmp_path / f"{seed}.pt")
    mean = fit.load_averaged(recipe.network(), tmp_path / "1.pt", tmp_path / "2.pt").state_dict()
    weight = "encoder.0.0.0.weight"
    assert torch.allclose(mean[weight], (states[0][weight] + states[1][weight]) / 2)
    with pytest.raises(SystemExit, match="train first"):
        fit.load_averaged(recipe.network(), tmp_path / "3.pt")
    with pytest.raises(SystemExit, match="another network"):
        fit.load_averaged(unet.UNet(unet.PHOTO), tmp_path / "1.pt")


def test_fine_tuning_goes_on_from_the_trained_weights_under_int8_s_rounding(
    folder: Path, recipe: recipes.Recipe, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    labelled, run = photos.read_photos(folder, rule="people"), tmp_path / "run"
    trained = train.train(recipe, labelled, run, minutes=None, device=torch.device("cpu"))
    rounded = train.train(replace(recipe, rounded_steps=5), labelled, run, minutes=None, device=torch.device("cpu"))
    assert (run / train.ROUNDED / "checkpoint.pt").exists()
    image = torch.randn(1, 3, 64, 64)
    difference = (trained.eval()(image) - rounded(image)).abs().max()
    assert 0 < difference < 0.1, "five slow steps change a trained network a little"
    again = train.train(replace(recipe, rounded_steps=5), labelled, run, minutes=None, device=torch.device("cpu"))
    assert torch.equal(again(image), rounded(image)), "what is done is not done again"


@pytest.mark.filterwarnings("ignore")  # PyTorch warns about its own exporter and loader
def test_training_learns_resumes_and_exports(folder: Path, recipe: recipes.Recipe, tmp_path: Path) -> None:
    torch.set_num_threads(1)  # tiny layers: threads would wait for each other
    labelled, run = photos.read_photos(folder, rule="people"), tmp_path / "run"
    train.train(replace(recipe, steps=100), labelled, run, minutes=None, device=torch.device("cpu"))
    network = train.train(replace(recipe, steps=200), labelled, run, minutes=None, device=torch.device("cpu"))
    log = (run / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in log] == ["step", "100", "200"], "the second start went on at step 100"
    losses = [float(line.split(",")[2]) for line in log[1:]]
    assert losses[1] < losses[0], "two portraits can be learned"
    assert (run / "curves.png").stat().st_size > 1000

    path = tmp_path / "tiny.onnx"
    export.export(network, path, size=recipe.size)
    image = np.random.default_rng(0).standard_normal((1, 3, 64, 64)).astype(np.float32)
    expected = network(torch.from_numpy(image)).detach().numpy()
    exported = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"image": image})[
        0
    ]
    assert np.abs(expected - exported).max() < 1e-5, "float32 rounding in another order"
