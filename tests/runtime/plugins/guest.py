"""A pibooth plugin that stands in for the camera, the guest and the finger on the button; pibooth is the real one.

Its options, in the section [GUEST]: `photo` is what the camera sees, `shown` where the screen with the finished
picture is kept. One sequence, then pibooth is asked to quit.
"""

import cv2
import pibooth
import pygame
from pibooth.camera.opencv import CvCamera


class PhotoInsteadOfDevice:
    """What pibooth needs of cv2.VideoCapture."""

    def __init__(self, path):
        self.frame = cv2.imread(path)

    def get(self, _property):
        return 0

    def set(self, _property, _value):
        return True

    def read(self):
        return True, self.frame.copy()

    def release(self):
        pass


@pibooth.hookimpl
def pibooth_configure(cfg):
    cfg.add_option("GUEST", "photo", "", "What the camera sees")
    cfg.add_option("GUEST", "shown", "", "Where the screen with the finished picture is kept")


@pibooth.hookimpl
def pibooth_setup_camera(cfg):
    return CvCamera(PhotoInsteadOfDevice(cfg.getpath("GUEST", "photo")))


@pibooth.hookimpl
def state_wait_enter(app):
    key = pygame.K_p if app.count.taken == 0 else None
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key) if key else pygame.event.Event(pygame.QUIT))


@pibooth.hookimpl
def state_failsafe_enter(app):
    pygame.event.post(pygame.event.Event(pygame.QUIT))


@pibooth.hookimpl
def state_finish_exit(cfg, win):
    pygame.image.save(win.surface, cfg.getpath("GUEST", "shown"))
