"""A detector, and a second model that looks at each object in batches of four, padded."""

import cv2
import numpy as np
import panoramasdk

from yolox import decode, prepare

BATCH = 4


class Application(panoramasdk.node):
    def __init__(self):
        self.threshold = self.inputs.threshold.get()

    def brightness(self, crops):
        values = []
        for first in range(0, len(crops), BATCH):
            batch = np.zeros((BATCH, 16, 16, 3), np.uint8)
            part = crops[first : first + BATCH]
            for index, crop in enumerate(part):
                batch[index] = cv2.resize(crop, (16, 16), interpolation=cv2.INTER_AREA)
            (means,) = self.call({"pictures": batch}, "brightness")
            values.extend(float(mean) for mean in means[: len(part)])
        return values

    def run(self):
        while True:
            streams = self.inputs.video_in.get()
            for stream in streams:
                data, ratio = prepare(stream.image)
                found = decode(self.call({"images": data}, "detector")[0], ratio, self.threshold)
                height, width = stream.image.shape[:2]
                boxes = [np.clip(box, 0, [width, height, width, height]).astype(int) for _, _, box in found]
                boxes = [box for box in boxes if box[2] > box[0] and box[3] > box[1]]
                crops = [stream.image[box[1] : box[3], box[0] : box[2]] for box in boxes]
                for box, value in zip(boxes, self.brightness(crops)):
                    stream.add_rect(box[0] / width, box[1] / height, box[2] / width, box[3] / height)
                    stream.add_label("bright" if value > 100 else "dark", box[0] / width, box[1] / height)
            self.outputs.video_out.put(streams)


Application().run()
