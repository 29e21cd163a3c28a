"""A pibooth plugin that stands in for the camera, the guest and the finger on the button; pibooth is the real one.

Its options, in the section [GUEST]: `photo` is what the camera sees, `folder` where the screen with the finished
picture is kept, and the pictures of the animation where pibooth makes one. After one sequence pibooth is asked to quit.
"""

import cv2
import pibooth
import pygame
from pibooth.camera.opencv import CvCamera


class PhotoInsteadOfDevice:
    """What pibooth needs of cv2.VideoCapture."""

    def __init__(self, path):
        self.frame = cv2.imread(path)
        self.reads = 0

    def get(self, _property):
        return 0

    def set(self, _property, _value):
        return True

    def read(self):
        self.reads += 1  # no camera gives the same picture twice, and pibooth would take two such captures for one
        frame = self.frame.copy()
        frame[-1, -1] = self.reads % 256
        return True, frame

    def release(self):
        pass


@pibooth.hookimpl
def pibooth_configure(cfg):
    cfg.add_option("GUEST", "photo", "", "What the camera sees")
    cfg.add_option("GUEST", "folder", "", "Where screens and animations are kept")


@pibooth.hookimpl
def pibooth_setup_camera(cfg):
    return CvCamera(PhotoInsteadOfDevice(cfg.getpath("GUEST", "photo")))


@pibooth.hookimpl
def state_wait_enter(cfg, app):
    if app.count.taken == 0:
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_p))
        return
    for number in range(app.capture_nbr if app.previous_animated else 0):
        next(app.previous_animated).save(cfg.join_path(cfg.getpath("GUEST", "folder"), f"animated-{number}.png"))
    pygame.event.post(pygame.event.Event(pygame.QUIT))


@pibooth.hookimpl
def state_failsafe_enter():
    pygame.event.post(pygame.event.Event(pygame.QUIT))


@pibooth.hookimpl
def state_finish_exit(cfg, win):
    pygame.image.save(win.surface, cfg.join_path(cfg.getpath("GUEST", "folder"), "screen.png"))
