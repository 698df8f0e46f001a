"""A node that is made and held, instead of being derived from."""

import panoramasdk

from yolox import CLASSES, decode, prepare


class Detector(object):
    def __init__(self, node):
        self.node = node

    def run(self, media):
        data, ratio = prepare(media.image)
        (output,) = self.node.call("detector", {"images": data[None]})
        return decode(output, ratio, self.node.inputs.threshold.get())


node = panoramasdk.node()
detector = Detector(node)
while True:
    for media in node.inputs.video_in.get():
        height, width = media.image.shape[:2]
        for label, score, (x1, y1, x2, y2) in detector.run(media):
            media.add_rect(x1 / width, y1 / height, x2 / width, y2 / height)
            media.add_label(CLASSES[label], x1 / width, y1 / height)
        node.outputs.video_out.put(media)
