"""Sees what changed by itself, without any model node."""

import argparse

import cv2
import numpy as np
import panoramasdk as p

parser = argparse.ArgumentParser()
parser.add_argument("--mode", default="none")
arguments = parser.parse_args()


class Application(p.node):
    def __init__(self):
        self.before = {}
        print("mode", arguments.mode, flush=True)

    def loop(self):
        streams = self.inputs.video_in.get()
        for stream in streams:
            gray = cv2.cvtColor(stream.image, cv2.COLOR_BGR2GRAY)
            before = self.before.get(stream.stream_id, gray)
            self.before[stream.stream_id] = gray
            changed = np.argwhere(cv2.absdiff(gray, before) > 40)
            if len(changed):
                (top, left), (bottom, right) = changed.min(0), changed.max(0) + 1
                height, width = gray.shape
                cv2.rectangle(stream.image, (int(left), int(top)), (int(right), int(bottom)), (0, 0, 255), 2)
                stream.add_rect(left / width, top / height, right / width, bottom / height)
        self.outputs.video_out.put(streams)


application = Application()
while True:
    application.loop()
